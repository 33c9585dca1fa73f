package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// load reads the directory and removes what no document names.
func (s *Store) load() error {
	dirs, err := os.ReadDir(s.bucketsDir())
	if err != nil {
		return fmt.Errorf("reading buckets: %w", err)
	}
	for _, d := range dirs {
		if err := s.loadBucket(filepath.Join(s.bucketsDir(), d.Name())); err != nil {
			return fmt.Errorf("reading bucket %s: %w", d.Name(), err)
		}
	}
	return s.sweep()
}

func (s *Store) loadBucket(dir string) error {
	b := newBucket(dir)
	doc, err := os.ReadFile(filepath.Join(dir, bucketFile))
	if errors.Is(err, fs.ErrNotExist) {
		// Killed while creating or deleting the bucket.
		return os.RemoveAll(dir)
	}
	if err == nil {
		err = json.Unmarshal(doc, &b.Bucket)
	}
	if err != nil {
		return err
	}
	if err := b.loadSettings(); err != nil {
		return err
	}
	os.Remove(filepath.Join(dir, bucketFile+".tmp"))
	if err := s.loadObjects(b); err != nil {
		return err
	}
	s.buckets[b.Name] = b
	return nil
}

func (s *Store) loadObjects(b *bucket) error {
	dir := filepath.Join(b.dir, objectsDir)
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if !strings.HasSuffix(f.Name(), recordExt) {
			os.Remove(path) // killed while writing it
			continue
		}
		r, err := s.readRecord(path)
		if err != nil {
			// Somebody was here by hand; one odd file must not cost the rest.
			s.log.Error("skipping unreadable object", "file", path, "err", err)
			continue
		}
		c, known := b.objects[r.Key]
		if !known {
			b.keys = append(b.keys, r.Key)
		}
		b.objects[r.Key] = c.with(r)
		s.sequence = max(s.sequence, r.Sequence)
	}
	slices.Sort(b.keys)
	return nil
}

func (s *Store) readRecord(path string) (*record, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(record)
	if err := json.Unmarshal(doc, r); err != nil {
		return nil, err
	}
	if !r.Marker && r.File == "" || r.File != "" && r.File != filepath.Base(r.File) {
		return nil, errors.New("no data file named")
	}
	return r, nil
}

// sweep removes data that no object names: drafts and parts of a process that
// was killed, and data it had replaced but not yet removed. Objects whose data
// is gone are forgotten.
func (s *Store) sweep() error {
	files, err := os.ReadDir(s.dataDir())
	if err != nil {
		return fmt.Errorf("reading data: %w", err)
	}
	litter := make(map[string]bool, len(files))
	for _, f := range files {
		litter[f.Name()] = true
	}
	for _, b := range s.buckets {
		for _, c := range b.objects {
			for _, r := range slices.Clone(c) {
				if !r.Marker && !litter[r.File] {
					s.log.Error("forgetting object without data", "bucket", b.Name, "file", r.File)
					b.drop(r)
					continue
				}
				delete(litter, r.File)
			}
		}
	}
	for name := range litter {
		s.grave.bury(s.dataPath(name))
	}
	return nil
}
