package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Setting is a document that is stored with a bucket, by the name of its file.
// The store does not look into it.
type Setting string

// The settings that a bucket can have.
const (
	Policy            Setting = "policy.json"
	PublicAccessBlock Setting = "public-access-block.xml"
	Ownership         Setting = "ownership.xml"
	Encryption        Setting = "encryption.xml"
	Lifecycle         Setting = "lifecycle.xml"
	Logging           Setting = "logging.xml"
)

var settings = []Setting{Policy, PublicAccessBlock, Ownership, Encryption, Lifecycle, Logging}

// Setting returns the document that [Store.Set] stored, byte for byte, or nil.
// It must not be changed.
func (s *Store) Setting(bucket string, name Setting) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	return b.settings[name], nil
}

// Set stores a document with a bucket; nil removes it.
func (s *Store) Set(bucket string, name Setting, doc []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return err
	}
	path := filepath.Join(b.dir, string(name))
	if doc == nil {
		err = os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		err = replace(path, doc)
	}
	if err != nil {
		return fmt.Errorf("storing %s: %w", name, err)
	}
	if doc == nil {
		delete(b.settings, name)
	} else {
		b.settings[name] = doc
	}
	return nil
}

// loadSettings reads what the bucket's directory holds.
func (b *bucket) loadSettings() error {
	for _, name := range settings {
		path := filepath.Join(b.dir, string(name))
		os.Remove(path + ".tmp") // killed while writing it
		doc, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		b.settings[name] = doc
	}
	return nil
}

// Versioning says whether a bucket keeps what is replaced or deleted.
type Versioning string

// The states of a bucket; one that has left Unversioned never comes back to it.
const (
	Unversioned Versioning = ""
	Enabled     Versioning = "Enabled"
	Suspended   Versioning = "Suspended"
)

// Versioning returns the state of a bucket.
func (s *Store) Versioning(name string) (Versioning, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(name)
	if err != nil {
		return Unversioned, err
	}
	return b.Bucket.Versioning, nil
}

// SetVersioning changes the state of a bucket to [Enabled] or [Suspended].
func (s *Store) SetVersioning(name string, v Versioning) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(name)
	if err != nil {
		return err
	}
	changed := b.Bucket
	changed.Versioning = v
	if err := b.describe(changed); err != nil {
		return fmt.Errorf("storing versioning: %w", err)
	}
	return nil
}

// describe writes the bucket's own document, then takes it over.
func (b *bucket) describe(as Bucket) error {
	doc, err := json.Marshal(as)
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(b.dir, bucketFile), doc); err != nil {
		return err
	}
	b.Bucket = as
	return nil
}
