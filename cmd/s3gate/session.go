package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// session is what outlives this process of an upload, so that the next run of
// the same command goes on with it. No other process has it meanwhile.
type session struct {
	file *os.File
	path string
	state
}

// state is what a session keeps. With the name of an upload nobody can do
// anything without the link, which is a secret and therefore not in it.
type state struct {
	Upload   string    `json:"upload"` // "" if there is none
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Inode    uint64    `json:"inode,omitempty"`
	Expires  time.Time `json:"expires"`
}

// defaultLife is how long a session is kept if the server does not say how long
// it keeps the upload.
const defaultLife = 7 * 24 * time.Hour

// openSession opens the session of a file, by its path, and a link. Its errors
// are none that prevent the upload, other than errLocked.
func openSession(l link, path, filename string) (*session, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "s3gate", "uploads")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	purge(dir, time.Now())
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	whose := l.token
	if whose == "" {
		whose = l.url.String()
	}
	id := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", whose, path, filename))
	s := &session{path: filepath.Join(dir, fmt.Sprintf("%x", id))}
	if s.file, err = openCurrent(s.path, 0o600); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(s.file)
	if err != nil {
		s.file.Close()
		return nil, err
	}
	if json.Unmarshal(raw, &s.state) != nil {
		s.state = state{}
	}
	return s, nil
}

// of reports whether the session is one of the file as it is now.
func (s *session) of(f *source) bool {
	return s.Size == f.size && s.Modified.Equal(f.modified) && s.Inode == f.inode
}

// keep writes down that an upload of a file is on its way. It is on the disk
// when keep returns. A nil session keeps nothing.
func (s *session) keep(upload string, f *source, expires time.Time) error {
	if s == nil {
		return nil
	}
	if expires.IsZero() {
		expires = time.Now().Add(defaultLife)
	}
	s.state = state{Upload: upload, Size: f.size, Modified: f.modified, Inode: f.inode, Expires: expires.UTC()}
	raw, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	if _, err := s.file.WriteAt(append(raw, '\n'), 0); err != nil {
		return err
	}
	if err := s.file.Truncate(int64(len(raw)) + 1); err != nil {
		return err
	}
	return s.file.Sync()
}

// Close ends the session; the next run finds it if there is an upload to go on
// with. A nil session has nothing to close.
func (s *session) Close() {
	if s == nil {
		return
	}
	if s.Upload == "" {
		_ = os.Remove(s.path)
	}
	s.file.Close()
}

// forget takes the upload out of the session.
func (s *session) forget() {
	if s == nil {
		return
	}
	s.state = state{}
	_ = s.file.Truncate(0)
}

// next says what a later run will do, if there is anything left for it.
func (s *session) next() string {
	if s == nil || s.Upload == "" {
		return ""
	}
	return "; the same command goes on from there"
}

// purge removes the sessions of uploads that the server does not keep any
// longer, unless another process has them.
func purge(dir string, now time.Time) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !expired(path, now) {
			continue
		}
		if file, err := openCurrent(path, 0o600); err == nil {
			if expired(path, now) {
				_ = os.Remove(path)
			}
			file.Close()
		}
	}
}

func expired(path string, now time.Time) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	var s state
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false
	}
	if json.Unmarshal(raw, &s) != nil || s.Expires.IsZero() {
		s.Expires = info.ModTime().Add(defaultLife)
	}
	return now.After(s.Expires)
}
