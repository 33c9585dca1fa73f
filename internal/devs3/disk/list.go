package disk

import (
	"slices"
	"sort"
	"strings"
)

// Page is one page of a listing.
type Page struct {
	Objects  []*Object // sorted by key
	Prefixes []string  // what keys with the delimiter were rolled up into, sorted
	// Next goes on where the page ends, given as after; empty at the end.
	Next string
}

// List returns up to limit objects and common prefixes of a bucket, in the
// order of the keys' bytes, whose keys begin with prefix and come after the key
// or common prefix given. Keys that have the delimiter behind the prefix are
// rolled up; an empty delimiter rolls up none.
func (s *Store) List(bucket, prefix, delimiter, after string, limit int) (Page, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return Page{}, err
	}
	var page Page
	last := ""
	for i := b.first(prefix, delimiter, after); i < len(b.keys) && strings.HasPrefix(b.keys[i], prefix); {
		key := b.keys[i]
		current := b.objects[key].current()
		if current == nil {
			i++ // deleted
			continue
		}
		if len(page.Objects)+len(page.Prefixes) == limit {
			page.Next = last
			break
		}
		if group := RollUp(key, prefix, delimiter); group != "" {
			last = group
			page.Prefixes = append(page.Prefixes, group)
			i = b.behind(group, i)
			continue
		}
		last = key
		page.Objects = append(page.Objects, &current.Object)
		i++
	}
	return page, nil
}

// first is the index of the first key to list.
func (b *bucket) first(prefix, delimiter, after string) int {
	if after < prefix {
		i, _ := slices.BinarySearch(b.keys, prefix)
		return i
	}
	i, found := slices.BinarySearch(b.keys, after)
	if RollUp(after, prefix, delimiter) == after && after != "" {
		// The page before ended with this group: all of it is behind us.
		return b.behind(after, i)
	}
	if found {
		i++
	}
	return i
}

// behind is the index of the first key from i on that is not of the group.
func (b *bucket) behind(group string, i int) int {
	rest := b.keys[i:]
	return i + sort.Search(len(rest), func(j int) bool {
		return rest[j] > group && !strings.HasPrefix(rest[j], group)
	})
}

// RollUp returns the common prefix that a key is listed as, or "" if it is
// listed by itself.
func RollUp(key, prefix, delimiter string) string {
	if delimiter == "" || !strings.HasPrefix(key, prefix) {
		return ""
	}
	at := strings.Index(key[len(prefix):], delimiter)
	if at < 0 {
		return ""
	}
	return key[:len(prefix)+at+len(delimiter)]
}
