package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Bucket names a bucket and says since when it exists.
type Bucket struct {
	Name       string     `json:"name"`
	Created    time.Time  `json:"created"`
	Versioning Versioning `json:"versioning,omitempty"`
}

type bucket struct {
	Bucket
	dir      string
	settings map[Setting][]byte
	objects  map[string]chain
	keys     []string // of objects, sorted; those with nothing but delete markers, too
}

const bucketFile = "bucket.json"

func newBucket(dir string) *bucket {
	return &bucket{dir: dir, settings: map[Setting][]byte{}, objects: map[string]chain{}}
}

// bucketDir is where a bucket's documents are. The prefix keeps names that
// Windows reserves, such as "con", from being file names.
func (s *Store) bucketDir(name string) string { return filepath.Join(s.bucketsDir(), "b-"+name) }

// CreateBucket makes an empty bucket, or fails with [ErrBucketExists]. The name
// must be one that S3 allows.
func (s *Store) CreateBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] != nil {
		return ErrBucketExists
	}
	b := newBucket(s.bucketDir(name))
	if err := os.MkdirAll(filepath.Join(b.dir, objectsDir), 0o700); err != nil {
		return fmt.Errorf("creating bucket: %w", err)
	}
	// The document comes last: a directory without it is no bucket.
	if err := b.describe(Bucket{Name: name, Created: time.Now().UTC()}); err != nil {
		return fmt.Errorf("creating bucket: %w", err)
	}
	s.buckets[name] = b
	return nil
}

// DeleteBucket removes a bucket without objects and versions, its settings and its uploads in
// progress. It fails with [ErrNoBucket] or [ErrBucketNotEmpty].
func (s *Store) DeleteBucket(name string) error {
	if err := s.removeBucket(name); err != nil {
		return err
	}
	s.dropUploads(func(u Upload) bool { return u.Bucket == name })
	return nil
}

func (s *Store) removeBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(name)
	if err != nil {
		return err
	}
	if len(b.keys) > 0 {
		return ErrBucketNotEmpty
	}
	if err := os.Remove(filepath.Join(b.dir, bucketFile)); err != nil {
		return fmt.Errorf("deleting bucket: %w", err)
	}
	delete(s.buckets, name)
	if err := os.RemoveAll(b.dir); err != nil {
		s.log.Warn("deleting bucket directory", "dir", b.dir, "err", err)
	}
	return nil
}

// Buckets returns all buckets, sorted by name.
func (s *Store) Buckets() []Bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]Bucket, 0, len(s.buckets))
	for _, b := range s.buckets {
		all = append(all, b.Bucket)
	}
	slices.SortFunc(all, func(a, b Bucket) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// HasBucket reports whether the bucket exists.
func (s *Store) HasBucket(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.buckets[name] != nil
}

// bucket needs s.mu.
func (s *Store) bucket(name string) (*bucket, error) {
	if b := s.buckets[name]; b != nil {
		return b, nil
	}
	return nil, ErrNoBucket
}

// add and drop keep keys in step with objects.
func (b *bucket) add(r *record) {
	c, known := b.objects[r.Key]
	if !known {
		i, _ := slices.BinarySearch(b.keys, r.Key)
		b.keys = slices.Insert(b.keys, i, r.Key)
	}
	b.objects[r.Key] = c.with(r)
}

func (b *bucket) drop(r *record) {
	c := slices.DeleteFunc(slices.Clone(b.objects[r.Key]), func(o *record) bool { return o == r })
	if len(c) > 0 {
		b.objects[r.Key] = c
		return
	}
	delete(b.objects, r.Key)
	if i, ok := slices.BinarySearch(b.keys, r.Key); ok {
		b.keys = slices.Delete(b.keys, i, i+1)
	}
}
