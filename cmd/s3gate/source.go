package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// source is a file to upload, as it was when it was opened.
type source struct {
	file     *os.File
	name     string // without folders
	size     int64
	modified time.Time
	inode    uint64 // 0 where there is no such thing
}

var errSourceChanged = errors.New("the file has changed while it was sent")

// openSource opens a regular file.
func openSource(path string) (*source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, usageError{err}
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		file.Close()
		return nil, usagef("%s is not a regular file, so its size is not known; - uploads what comes from stdin", path)
	}
	return &source{file: file, name: filepath.Base(path), size: info.Size(), modified: info.ModTime(), inode: inode(info)}, nil
}

func (s *source) Close() error { return s.file.Close() }

// unchanged returns errSourceChanged if the file was written to since it was
// opened, as far as its size and time tell.
func (s *source) unchanged() error {
	info, err := s.file.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("reading the file: %w", err)
	case info.Size() != s.size || !info.ModTime().Equal(s.modified):
		return errSourceChanged
	}
	return nil
}

// stretch reads n bytes of the file from an offset on. It withholds the last
// bytes of a file that has changed, so that no server takes it for whole.
func (s *source) stretch(from, n int64) io.Reader {
	return &stretch{of: s, at: from, r: io.NewSectionReader(s.file, from, n)}
}

type stretch struct {
	of *source
	at int64
	r  io.Reader
}

func (s *stretch) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if s.at += int64(n); s.at == s.of.size || err == io.EOF {
		if changed := s.of.unchanged(); changed != nil {
			return 0, changed
		}
	}
	return n, err
}

// verify compares the file with what the server says it has stored, and returns
// by what it is verified, "" for nothing.
func (s *source) verify(c check) (string, error) {
	h := newHash(c.Algorithm)
	if h == nil {
		return "", nil
	}
	if _, err := io.Copy(h, s.stretch(0, s.size)); err != nil {
		return "", fmt.Errorf("the file is stored, and cannot be compared: %w", err)
	}
	by, err := c.verify(h)
	if err != nil {
		return "", fmt.Errorf("what was stored differs: %w", err)
	}
	return by, nil
}
