package disk

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"time"
)

// Stat returns the object with that key, or [ErrNoBucket] or [ErrNoKey].
func (s *Store) Stat(bucket, key string) (*Object, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.find(bucket, key)
	if err != nil {
		return nil, err
	}
	return &r.Object, nil
}

// Open returns the object with that key and its data. The data belongs to the
// object returned, whatever happens to the key meanwhile: a reader never sees
// bytes of two versions. The caller closes the file.
func (s *Store) Open(bucket, key string) (*Object, *os.File, error) {
	// Opening under the lock: afterwards the data may be removed at any time.
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.find(bucket, key)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(s.dataPath(r.File))
	if err != nil {
		return nil, nil, fmt.Errorf("opening data: %w", err)
	}
	return &r.Object, f, nil
}

// Check decides, while nothing else can change the object, whether a change may
// go ahead. Current is nil when there is no object under the key; the error is
// handed through. A nil Check agrees to everything.
type Check func(current *Object) error

// Put makes a draft the object o.Key of a bucket, in one step: readers see the
// object that was there before or the new one. Size and Modified are filled in.
// The draft is accepted only if the error is nil.
func (s *Store) Put(bucket string, o Object, d *Draft, check Check) (*Object, error) {
	if err := d.seal(); err != nil {
		return nil, err
	}
	o.Size = d.size
	o.Modified = time.Now().UTC().Truncate(time.Second)
	stored, err := s.commit(bucket, &record{Object: o, File: d.name}, check)
	if err != nil {
		return nil, err
	}
	d.kept = true
	return stored, nil
}

// SetHeader changes entries of an object's Header and leaves the rest of it as
// it is; an empty value removes the entry.
func (s *Store) SetHeader(bucket, key, name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(bucket, key)
	if err != nil {
		return err
	}
	changed := *r
	changed.Header = maps.Clone(r.Header)
	if value == "" {
		delete(changed.Header, name)
	} else {
		if changed.Header == nil {
			changed.Header = map[string]string{}
		}
		changed.Header[name] = value
	}
	return s.write(s.buckets[bucket], &changed)
}

// Delete removes an object; that there is none is no error. Check is asked only
// if there is one.
func (s *Store) Delete(bucket, key string, check Check) error {
	path, err := s.unlink(bucket, key, check)
	if err != nil || path == "" {
		return err
	}
	s.grave.bury(path)
	return nil
}

// unlink removes the document and returns the path of the data, if any.
func (s *Store) unlink(bucket, key string, check Check) (path string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return "", err
	}
	r := b.objects[key]
	if r == nil {
		return "", nil
	}
	if check != nil {
		if err := check(&r.Object); err != nil {
			return "", err
		}
	}
	if err := os.Remove(recordPath(b.dir, key)); err != nil {
		return "", fmt.Errorf("deleting object: %w", err)
	}
	b.drop(key)
	return s.dataPath(r.File), nil
}

// commit publishes a record whose data is complete and removes the data it
// replaces.
func (s *Store) commit(bucket string, r *record, check Check) (*Object, error) {
	old, err := s.swap(bucket, r, check)
	if err != nil {
		return nil, err
	}
	if old != nil {
		s.grave.bury(s.dataPath(old.File))
	}
	return &r.Object, nil
}

func (s *Store) swap(bucket string, r *record, check Check) (old *record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	old = b.objects[r.Key]
	if check != nil {
		var current *Object
		if old != nil {
			current = &old.Object
		}
		if err := check(current); err != nil {
			return nil, err
		}
	}
	return old, s.write(b, r)
}

// write puts the record on disk, then in the index. It needs s.mu.
func (s *Store) write(b *bucket, r *record) error {
	doc, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing object: %w", err)
	}
	if err := replace(recordPath(b.dir, r.Key), doc); err != nil {
		return fmt.Errorf("writing object: %w", err)
	}
	b.add(r)
	return nil
}

// find needs s.mu.
func (s *Store) find(bucket, key string) (*record, error) {
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	r := b.objects[key]
	if r == nil {
		return nil, ErrNoKey
	}
	return r, nil
}
