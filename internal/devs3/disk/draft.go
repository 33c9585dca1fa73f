package disk

import (
	"fmt"
	"io"
	"os"
)

// Draft is data on its way to becoming an object or a part. Nothing can see it
// until a method of [Store] has accepted it. One goroutine uses it at a time.
type Draft struct {
	store *Store
	name  string
	file  *os.File
	size  int64
	kept  bool
}

// Create starts a draft. The caller ends it with [Draft.Discard], which does
// nothing to a draft that has been accepted.
func (s *Store) Create() (*Draft, error) {
	name := newName()
	f, err := os.OpenFile(s.dataPath(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating draft: %w", err)
	}
	return &Draft{store: s, name: name, file: f}, nil
}

// Write appends to the draft.
func (d *Draft) Write(p []byte) (int, error) {
	n, err := d.file.Write(p)
	d.size += int64(n)
	return n, err
}

// Append copies src to the end of the draft inside the kernel, where that can
// be done.
func (d *Draft) Append(src *os.File) (int64, error) {
	n, err := io.Copy(d.file, src)
	d.size += n
	return n, err
}

// Size returns the number of bytes written so far.
func (d *Draft) Size() int64 { return d.size }

// Discard removes the draft, unless the store has accepted it.
func (d *Draft) Discard() {
	if d.kept {
		return
	}
	d.kept = true
	d.file.Close()
	d.store.grave.bury(d.store.dataPath(d.name))
}

// seal ends the writing; the data is complete once it returns nil.
func (d *Draft) seal() error {
	if err := d.file.Close(); err != nil {
		return fmt.Errorf("closing draft: %w", err)
	}
	return nil
}
