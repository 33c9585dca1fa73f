package disk

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"time"
)

// Stat returns a version of the object with that key, the current one if version
// is empty. It fails with [ErrNoBucket], [ErrNoKey], [ErrNoVersion] or
// [ErrBadVersion], and with a [MarkerError] where a delete marker is found.
func (s *Store) Stat(bucket, key, version string) (*Object, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.find(bucket, key, version)
	if err != nil {
		return nil, err
	}
	return &r.Object, nil
}

// Open returns what [Store.Stat] does and the data. The data belongs to the
// object returned, whatever happens to the key meanwhile: a reader never sees
// bytes of two versions. The caller closes the file.
func (s *Store) Open(bucket, key, version string) (*Object, *os.File, error) {
	// Opening under the lock: afterwards the data may be removed at any time.
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.find(bucket, key, version)
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
// object that was there before or the new one. Size, Modified and VersionID are
// filled in. What was there before is kept if the bucket is [Enabled], and if it
// is [Suspended] and has a version ID. The draft is accepted only if the error is
// nil.
func (s *Store) Put(bucket string, o Object, d *Draft, check Check) (*Object, error) {
	if err := d.seal(); err != nil {
		return nil, err
	}
	o.Size = d.size
	r := &record{Object: o, File: d.name}
	if err := s.commit(bucket, r, check); err != nil {
		return nil, err
	}
	d.kept = true
	return &r.Object, nil
}

// SetHeader changes an entry of the Header of a version and leaves the rest of it
// as it is; an empty value removes the entry. It fails as [Store.Stat] does.
func (s *Store) SetHeader(bucket, key, version, name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(bucket, key, version)
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

// Delete removes an object; that there is none is no error. In a bucket that
// keeps versions, or has kept some, it is hidden by a delete marker instead,
// which is returned. Check is asked only if there is an object.
func (s *Store) Delete(bucket, key string, check Check) (marker *Object, err error) {
	state, err := s.Versioning(bucket)
	if err != nil {
		return nil, err
	}
	if state == Unversioned {
		_, err := s.DeleteVersion(bucket, key, NullVersion, check)
		return nil, err
	}
	if check != nil {
		ask := check
		check = func(current *Object) error {
			if current == nil {
				return nil
			}
			return ask(current)
		}
	}
	r := &record{Object: Object{Key: key, Marker: true}}
	if err := s.commit(bucket, r, check); err != nil {
		return nil, err
	}
	return &r.Object, nil
}

// unlink removes a document and returns its record, nil if there is none.
func (s *Store) unlink(bucket, key, version string, check Check) (*record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	if _, err := sequenceOf(version); err != nil && version != NullVersion {
		return nil, err
	}
	at := b.objects[key].version(version)
	if at < 0 {
		return nil, nil
	}
	r := b.objects[key][at]
	if check != nil {
		if err := check(&r.Object); err != nil {
			return nil, err
		}
	}
	if err := os.Remove(recordPath(b.dir, &r.Object)); err != nil {
		return nil, fmt.Errorf("deleting object: %w", err)
	}
	b.drop(r)
	return r, nil
}

// commit publishes a record whose data is complete and removes the data it
// replaces.
func (s *Store) commit(bucket string, r *record, check Check) error {
	old, err := s.swap(bucket, r, check)
	if err == nil && old != nil {
		s.bury(old)
	}
	return err
}

// bury removes the data of a record that is gone.
func (s *Store) bury(r *record) {
	if !r.Marker {
		s.grave.bury(s.dataPath(r.File))
	}
}

// swap makes a record the newest of its key and returns the one that it
// replaces, if any.
func (s *Store) swap(bucket string, r *record, check Check) (old *record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	c := b.objects[r.Key]
	if check != nil {
		var current *Object
		if o := c.current(); o != nil {
			current = &o.Object
		}
		if err := check(current); err != nil {
			return nil, err
		}
	}
	now := time.Now().UTC()
	s.sequence = max(s.sequence+1, now.UnixNano())
	r.Sequence, r.Modified = s.sequence, now.Truncate(time.Second)
	switch b.Bucket.Versioning {
	case Enabled:
		r.VersionID = versionID(r.Sequence)
	case Suspended:
		r.VersionID = NullVersion
	}
	if at := c.version(r.Version()); at >= 0 {
		old = c[at]
	}
	return old, s.write(b, r)
}

// write puts the record on disk, then in the index. It needs s.mu.
func (s *Store) write(b *bucket, r *record) error {
	doc, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing object: %w", err)
	}
	if err := replace(recordPath(b.dir, &r.Object), doc); err != nil {
		return fmt.Errorf("writing object: %w", err)
	}
	b.add(r)
	return nil
}
