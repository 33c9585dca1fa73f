package disk

import (
	"slices"
	"strings"
)

// Place is where a listing of versions goes on: behind a version of a key, or
// behind all of them if Version is empty. The zero Place is the beginning.
type Place struct{ Key, Version string }

// VersionPage is one page of a listing of versions.
type VersionPage struct {
	Versions []Version // sorted by key, the newest first
	Prefixes []string  // what keys with the delimiter were rolled up into, sorted
	// Next goes on where the page ends; the zero Place at the end.
	Next Place
}

// Version is a version of an object, or a delete marker.
type Version struct {
	*Object
	Latest bool
}

// ListVersions is [Store.List] for all versions. A version to go on behind need
// not be there any more.
func (s *Store) ListVersions(bucket, prefix, delimiter string, after Place, limit int) (VersionPage, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return VersionPage{}, err
	}
	i := b.first(prefix, delimiter, after.Key)
	if after.Version != "" && after.Key >= prefix {
		i, _ = slices.BinarySearch(b.keys, after.Key)
	}
	var page VersionPage
	var last Place
	full := func() bool { return len(page.Versions)+len(page.Prefixes) == limit }
	for i < len(b.keys) && strings.HasPrefix(b.keys[i], prefix) {
		key := b.keys[i]
		if group := RollUp(key, prefix, delimiter); group != "" {
			if full() {
				page.Next = last
				break
			}
			last = Place{Key: group}
			page.Prefixes = append(page.Prefixes, group)
			i = b.behind(group, i)
			continue
		}
		c := b.objects[key]
		from := 0
		if key == after.Key && after.Version != "" {
			from = c.behind(after.Version)
		}
		for at := from; at < len(c); at++ {
			if full() {
				page.Next = last
				return page, nil
			}
			last = Place{key, c[at].Version()}
			page.Versions = append(page.Versions, Version{&c[at].Object, at == 0})
		}
		i++
	}
	return page, nil
}

// behind is the index of the first version that is older than the one named. If
// that is gone and its name does not tell its place, it is the first.
func (c chain) behind(id string) int {
	if at := c.version(id); at >= 0 {
		return at + 1
	}
	sequence, err := sequenceOf(id)
	if err != nil {
		return 0
	}
	at := slices.IndexFunc(c, func(r *record) bool { return r.Sequence < sequence })
	if at < 0 {
		return len(c)
	}
	return at
}
