package disk

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// NullVersion names the version of a key that was stored while its bucket did
// not keep versions.
const NullVersion = "null"

var (
	// ErrNoVersion: the key has no such version.
	ErrNoVersion = errors.New("no such version")
	// ErrBadVersion: there can be no version of that name.
	ErrBadVersion = errors.New("bad version ID")
)

// MarkerError says that what was asked for is a delete marker. It is
// [ErrNoKey].
type MarkerError struct{ Marker *Object }

func (e *MarkerError) Error() string { return "deleted by version " + e.Marker.Version() }

// Is makes a deleted object one that is not there.
func (e *MarkerError) Is(target error) bool { return target == ErrNoKey }

// chain holds the versions of one key, newest first. It is never empty.
type chain []*record

// current is the object that the key names, nil if a delete marker hides it.
func (c chain) current() *record {
	if len(c) == 0 || c[0].Marker {
		return nil
	}
	return c[0]
}

// version is the index of a version, or -1.
func (c chain) version(id string) int {
	return slices.IndexFunc(c, func(r *record) bool { return r.Version() == id })
}

// with is the chain with a record in its place, instead of one of the same
// version.
func (c chain) with(r *record) chain {
	if i := c.version(r.Version()); i >= 0 {
		if c[i].Sequence == r.Sequence || len(c) == 1 {
			c[i] = r
			return c
		}
		c = slices.Delete(c, i, i+1)
	}
	i := slices.IndexFunc(c, func(o *record) bool { return o.Sequence < r.Sequence })
	if i < 0 {
		i = len(c)
	}
	return slices.Insert(c, i, r)
}

// versionID names a version. IDs of one store sort by when they were made, so
// that a listing can go on behind a version that is gone.
func versionID(sequence int64) string {
	return fmt.Sprintf("%016x", sequence) + newName()[:16]
}

// sequenceOf is the place in time that a version ID names; [ErrBadVersion] if it
// is none.
func sequenceOf(id string) (int64, error) {
	if len(id) != 32 {
		return 0, ErrBadVersion
	}
	n, err := strconv.ParseInt(id[:16], 16, 64)
	if err != nil {
		return 0, ErrBadVersion
	}
	return n, nil
}

// find returns a version of a key, the current one if version is empty. It needs
// s.mu.
func (s *Store) find(bucket, key, version string) (*record, error) {
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	c := b.objects[key]
	at := 0
	switch version {
	case "":
		if len(c) == 0 {
			return nil, ErrNoKey
		}
	case NullVersion:
		at = c.version(version)
	default:
		if _, err := sequenceOf(version); err != nil {
			return nil, err
		}
		at = c.version(version)
	}
	if at < 0 {
		return nil, ErrNoVersion
	}
	if c[at].Marker {
		return nil, &MarkerError{&c[at].Object}
	}
	return c[at], nil
}

// DeleteVersion removes one version of an object, or one delete marker, for
// good, and returns what it was: nil if there was none. Check is asked only if
// there is one, and gets it.
func (s *Store) DeleteVersion(bucket, key, version string, check Check) (*Object, error) {
	r, err := s.unlink(bucket, key, version, check)
	if err != nil || r == nil {
		return nil, err
	}
	s.bury(r)
	return &r.Object, nil
}
