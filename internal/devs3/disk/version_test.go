package disk_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"s3gate/internal/devs3/disk"
)

func enable(t *testing.T, s *disk.Store, state disk.Versioning) {
	t.Helper()
	if err := s.SetVersioning("b", state); err != nil {
		t.Fatal(err)
	}
}

// TestClockThatWentBack: what is stored last is the latest version, even if what
// was there is of the future.
func TestClockThatWentBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.CreateBucket("b"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "of the future")
	s.Close()
	paths := globs(t, filepath.Join(dir, "buckets", "b-b", "objects", "*.json"))
	doc, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	before, _, ok := strings.Cut(string(doc), `"sequence":`)
	if !ok {
		t.Fatalf("no sequence in %s", doc)
	}
	if err := os.WriteFile(paths[0], []byte(before+`"sequence":4000000000000000000}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	enable(t, s, disk.Enabled)
	put(t, s, "k", "new")
	if got := read(t, s, "k"); got != "new" {
		t.Errorf("the object is %q", got)
	}
}

// TestOldDirectories: what was stored before there were versions is the null
// version, is kept once versions are, and is older than they.
func TestOldDirectories(t *testing.T) {
	dir := t.TempDir()
	objects := filepath.Join(dir, "buckets", "b-b", "objects")
	for _, d := range []string{objects, filepath.Join(dir, "data")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{
		filepath.Join(dir, "devs3.lock"):                                                                "",
		filepath.Join(dir, "data", "OLDDATA"):                                                           "old",
		filepath.Join(dir, "buckets", "b-b", "bucket.json"):                                             `{"name":"b","created":"2026-01-01T00:00:00Z"}`,
		filepath.Join(dir, "buckets", "b-b", "policy.json"):                                             "policy",
		filepath.Join(objects, "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a.json"): `{"key":"k","size":3,"md5":"149603e6c03516362a8da23f624db945","modified":"2026-01-01T00:00:00Z","file":"OLDDATA"}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	if got := read(t, s, "k"); got != "old" {
		t.Errorf("the object is %q", got)
	}
	if got, err := s.Setting("b", disk.Policy); err != nil || string(got) != "policy" {
		t.Errorf("the policy is %q, %v", got, err)
	}
	enable(t, s, disk.Enabled)
	put(t, s, "k", "new")
	put(t, s, "k", "newer")
	s.Close()
	s = open(t, dir)
	if got := read(t, s, "k"); got != "newer" {
		t.Errorf("the object is %q", got)
	}
	_, f, err := s.Open("b", "k", disk.NullVersion)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "old" {
		t.Errorf("the null version is %q, %v", data, err)
	}
}

func TestMarkersAreErrors(t *testing.T) {
	s := withBucket(t)
	enable(t, s, disk.Enabled)
	put(t, s, "k", "x")
	marker, err := s.Delete("b", "k", nil)
	if err != nil || marker == nil || !marker.Marker {
		t.Fatalf("Delete: %+v %v", marker, err)
	}
	for _, version := range []string{"", marker.Version()} {
		var found *disk.MarkerError
		if _, err := s.Stat("b", "k", version); !errors.Is(err, disk.ErrNoKey) || !errors.As(err, &found) || found.Marker.Version() != marker.Version() {
			t.Errorf("version %q: got %v", version, err)
		}
	}
	if err := s.SetHeader("b", "k", marker.Version(), "X", "y"); !errors.Is(err, disk.ErrNoKey) {
		t.Errorf("SetHeader of a marker: got %v", err)
	}
	for version, want := range map[string]error{disk.NullVersion: disk.ErrNoVersion, "abc": disk.ErrBadVersion, strings.Repeat("x", 32): disk.ErrBadVersion, strings.Repeat("0", 32): disk.ErrNoVersion} {
		if _, err := s.Stat("b", "k", version); !errors.Is(err, want) {
			t.Errorf("version %q: got %v, want %v", version, err, want)
		}
	}
	if err := s.DeleteBucket("b"); !errors.Is(err, disk.ErrBucketNotEmpty) {
		t.Errorf("deleting a bucket with versions: got %v", err)
	}
}

// kept is a version as the model of a bucket has it.
type kept struct {
	key, id, data string
	marker        bool
}

// history is the plainest bucket with versions: all of them, the oldest first.
type history struct {
	state disk.Versioning
	all   []kept
}

func (m *history) store(v kept) {
	if m.state != disk.Enabled {
		m.remove(v.key, disk.NullVersion)
	}
	m.all = append(m.all, v)
}

func (m *history) remove(key, id string) {
	m.all = slices.DeleteFunc(m.all, func(v kept) bool { return v.key == key && v.id == id })
}

func (m *history) find(key, id string) (found kept, ok bool) {
	for _, v := range m.all {
		if v.key == key && (id == "" || v.id == id) {
			found, ok = v, true
		}
	}
	return found, ok
}

// objects is how many keys are not deleted.
func (m *history) objects() (n int) {
	keys := map[string]bool{}
	for _, v := range m.all {
		keys[v.key] = !v.marker
	}
	for _, there := range keys {
		if there {
			n++
		}
	}
	return n
}

// listing has the versions as they are to be listed.
func (m *history) listing() []string {
	newest := slices.Clone(m.all)
	slices.Reverse(newest)
	slices.SortStableFunc(newest, func(a, b kept) int { return strings.Compare(a.key, b.key) })
	var all []string
	for i, v := range newest {
		all = append(all, fmt.Sprint(v.key, " ", v.id, " marker=", v.marker, " latest=", i == 0 || newest[i-1].key != v.key))
	}
	return all
}

// TestVersionsAgainstModel does random things to a bucket, restarts it now and
// then, and compares it with the model.
func TestVersionsAgainstModel(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.CreateBucket("b"); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	var m history
	for step := range 500 {
		key := fmt.Sprint("k", r.IntN(4))
		switch n := r.IntN(100); {
		case n < 2:
			m.state = []disk.Versioning{disk.Enabled, disk.Suspended}[r.IntN(2)]
			enable(t, s, m.state)
		case n < 4:
			s.Close()
			s = open(t, dir)
		case n < 50:
			data := fmt.Sprint("data ", step)
			o, err := s.Put("b", disk.Object{Key: key}, draft(t, s, data), nil)
			if err != nil {
				t.Fatal(err)
			}
			if null := o.Version() == disk.NullVersion; null != (m.state != disk.Enabled) {
				t.Fatalf("a version is called %s while the bucket is %q", o.Version(), m.state)
			}
			m.store(kept{key, o.Version(), data, false})
		case n < 70:
			marker, err := s.Delete("b", key, nil)
			if err != nil {
				t.Fatal(err)
			}
			if m.state == disk.Unversioned {
				m.remove(key, disk.NullVersion)
			} else {
				m.store(kept{key, marker.Version(), "", true})
			}
		case len(m.all) > 0:
			v := m.all[r.IntN(len(m.all))]
			was, err := s.DeleteVersion("b", v.key, v.id, nil)
			if err != nil || was == nil || was.Marker != v.marker {
				t.Fatalf("deleting %+v: %+v %v", v, was, err)
			}
			m.remove(v.key, v.id)
		}
		compare(t, s, &m, key, r)
	}
	data := 0
	for _, v := range m.all {
		if !v.marker {
			data++
		}
	}
	if n := dataFiles(t, dir); n != data {
		t.Errorf("%d files of data, want %d", n, data)
	}
}

func compare(t *testing.T, s *disk.Store, m *history, key string, r *rand.Rand) {
	t.Helper()
	current, ok := m.find(key, "")
	if ok = ok && !current.marker; ok {
		if got := read(t, s, key); got != current.data {
			t.Fatalf("%s is %q, want %q", key, got, current.data)
		}
	} else if _, err := s.Stat("b", key, ""); !errors.Is(err, disk.ErrNoKey) {
		t.Fatalf("%s: got %v, want %v", key, err, disk.ErrNoKey)
	}
	page, err := s.List("b", key, "", "", 10)
	if err != nil || (len(page.Objects) == 1) != ok || page.Next != "" {
		t.Fatalf("List %s: %d objects, %q, %v, want %v", key, len(page.Objects), page.Next, err, ok)
	}
	page, err = s.List("b", "", "", "", 10)
	if err != nil || len(page.Objects) != m.objects() {
		t.Fatalf("%d objects are listed, %v, want %d", len(page.Objects), err, m.objects())
	}
	if got, want := listVersions(t, s, 1+r.IntN(20)), m.listing(); !slices.Equal(got, want) {
		t.Fatalf("versions are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// listVersions lists in pages of that many.
func listVersions(t *testing.T, s *disk.Store, limit int) []string {
	t.Helper()
	var all []string
	for after := (disk.Place{}); ; {
		page, err := s.ListVersions("b", "", "", after, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			all = append(all, fmt.Sprint(v.Key, " ", v.Version(), " marker=", v.Marker, " latest=", v.Latest))
		}
		if after = page.Next; after.Key == "" {
			return all
		}
	}
}

// TestListingGoesOn: who deletes what a page has listed gets to see the rest on
// the next.
func TestListingGoesOn(t *testing.T) {
	s := withBucket(t)
	enable(t, s, disk.Enabled)
	for range 10 {
		put(t, s, "k", "x")
	}
	seen := 0
	for after := (disk.Place{}); ; {
		page, err := s.ListVersions("b", "", "", after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			if _, err := s.DeleteVersion("b", v.Key, v.Version(), nil); err != nil {
				t.Fatal(err)
			}
			seen++
		}
		if after = page.Next; after.Key == "" {
			break
		}
	}
	if seen != 10 {
		t.Errorf("%d versions seen, want 10", seen)
	}
}
