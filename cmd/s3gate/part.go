package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// partSuffix names the file beside the target that holds what has arrived,
// and stateSuffix the one that says what it is a part of.
const (
	partSuffix  = ".s3gate-part"
	stateSuffix = ".json"
)

// object is what a server says of the file behind a link. It is kept beside a
// part, so neither the link nor the token is in it: these are secrets.
type object struct {
	ETag  string `json:"etag"` // strong; "" if the download cannot be resumed
	Size  int64  `json:"size"` // -1 if unknown
	Name  string `json:"name,omitempty"`
	Check check  `json:"check"`
}

func (o object) resumable() bool { return o.ETag != "" && o.Size >= 0 }

// part is a file on its way, which no other process writes while it is open.
// What it holds is worth nothing unless of is resumable.
type part struct {
	path string
	file *os.File
	of   object
	have int64
	hash hash.Hash // of what it has, by of.Check; nil if there is nothing to check
}

// partPath returns the same path for the same target. A name that would be too
// long with the suffixes is shortened.
func partPath(target string) string {
	dir, name := filepath.Split(target)
	if len(name) > 200 {
		name = fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	}
	return dir + name + partSuffix
}

// openPart opens and locks the part of a target, and makes it if there is
// none.
func openPart(target string) (*part, error) {
	if info, err := os.Stat(target); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", target)
	}
	p := &part{path: partPath(target)}
	file, err := openCurrent(p.path, 0o644)
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("%s: another process is downloading this file", target)
	}
	if err != nil {
		return nil, fmt.Errorf("saving: %w", err)
	}
	p.file = file
	if err := p.recall(); err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

// recall reads what an earlier run has left.
func (p *part) recall() error {
	info, err := p.file.Stat()
	if err != nil {
		return fmt.Errorf("saving: %w", err)
	}
	raw, err := os.ReadFile(p.path + stateSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("saving: %w", err)
	}
	var of object
	if json.Unmarshal(raw, &of) != nil || !of.resumable() || info.Size() > of.Size {
		return nil // whatever it is a part of, it is begun anew
	}
	p.of, p.have, p.hash = of, info.Size(), newHash(of.Check.Algorithm)
	p.of.Name = safeName(of.Name)
	if p.hash == nil {
		_, err = p.file.Seek(p.have, io.SeekStart)
	} else {
		_, err = io.CopyN(p.hash, p.file, p.have)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", p.path, err)
	}
	return nil
}

// begin empties the part for an object. If that can be resumed, the part
// outlives this process from then on.
func (p *part) begin(of object) error {
	if err := p.forget(); err != nil {
		return err
	}
	if err := p.file.Truncate(0); err != nil {
		return fmt.Errorf("saving: %w", err)
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("saving: %w", err)
	}
	p.of, p.have, p.hash = of, 0, newHash(of.Check.Algorithm)
	if !of.resumable() {
		return nil
	}
	return p.remember()
}

// remember writes what the part is a part of.
func (p *part) remember() error {
	raw, err := json.Marshal(p.of)
	if err != nil {
		return fmt.Errorf("saving: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(p.path), ".s3gate-*")
	if err != nil {
		return fmt.Errorf("saving: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(append(raw, '\n'))
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), p.path+stateSuffix)
	}
	if err != nil {
		return fmt.Errorf("saving: %w", err)
	}
	return nil
}

func (p *part) forget() error {
	if err := os.Remove(p.path + stateSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("saving: %w", err)
	}
	p.of = object{}
	return nil
}

func (p *part) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.have += int64(n)
	if p.hash != nil {
		p.hash.Write(b[:n])
	}
	return n, err
}

// worth reports whether a later run can go on with the part.
func (p *part) worth() bool { return p.of.resumable() && p.have > 0 }

// leave closes the part, and removes it unless a later run can go on with it.
func (p *part) leave() {
	if p.worth() {
		p.file.Close()
		return
	}
	p.drop()
}

// drop removes the part, while it is locked.
func (p *part) drop() {
	_ = p.forget()
	_ = os.Remove(p.path)
	p.file.Close()
}

// finish turns the part, which is whole, into the target.
func (p *part) finish(target string) error {
	if err := p.file.Sync(); err != nil {
		return fmt.Errorf("saving: %w", err)
	}
	of := p.of
	if err := p.forget(); err != nil {
		return err
	}
	if err := os.Rename(p.path, target); err != nil {
		p.of = of
		if of.resumable() {
			_ = p.remember()
		}
		return fmt.Errorf("saving: %w", err)
	}
	return p.file.Close()
}
