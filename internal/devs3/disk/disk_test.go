package disk_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"s3gate/internal/devs3/disk"
)

func open(t *testing.T, dir string) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func withBucket(t *testing.T) *disk.Store {
	t.Helper()
	s := open(t, t.TempDir())
	if err := s.CreateBucket("b"); err != nil {
		t.Fatal(err)
	}
	return s
}

func draft(t *testing.T, s *disk.Store, data string) *disk.Draft {
	t.Helper()
	d, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Discard)
	if _, err := io.WriteString(d, data); err != nil {
		t.Fatal(err)
	}
	return d
}

func put(t *testing.T, s *disk.Store, key, data string) {
	t.Helper()
	if _, err := s.Put("b", disk.Object{Key: key}, draft(t, s, data), nil); err != nil {
		t.Fatalf("putting %q: %v", key, err)
	}
}

func read(t *testing.T, s *disk.Store, key string) string {
	t.Helper()
	o, f, err := s.Open("b", key, "")
	if err != nil {
		t.Fatalf("opening %q: %v", key, err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil || int64(len(data)) != o.Size {
		t.Fatalf("reading %q: %d of %d bytes, %v", key, len(data), o.Size, err)
	}
	return string(data)
}

func dataFiles(t *testing.T, dir string) int {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestRefusedPutChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.CreateBucket("b")
	put(t, s, "k", "old")
	refused := errors.New("refused")
	d := draft(t, s, "new")
	_, err := s.Put("b", disk.Object{Key: "k"}, d, func(current *disk.Object) error {
		if current == nil || current.Size != 3 {
			t.Errorf("Check got %+v", current)
		}
		return refused
	})
	if !errors.Is(err, refused) {
		t.Fatalf("Put: got %v, want %v", err, refused)
	}
	d.Discard()
	if got := read(t, s, "k"); got != "old" {
		t.Errorf("the object is %q", got)
	}
	if n := dataFiles(t, dir); n != 1 {
		t.Errorf("%d files of data, want 1", n)
	}
	if _, err := s.Put("none", disk.Object{Key: "k"}, draft(t, s, "x"), nil); !errors.Is(err, disk.ErrNoBucket) {
		t.Errorf("Put into no bucket: got %v", err)
	}
}

func TestReplacedDataIsRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.CreateBucket("b")
	for _, data := range []string{"one", "two", "three"} {
		put(t, s, "k", data)
		if n := dataFiles(t, dir); n != 1 {
			t.Errorf("%d files of data, want 1", n)
		}
	}
	if _, err := s.Delete("b", "k", nil); err != nil {
		t.Fatal(err)
	}
	if n := dataFiles(t, dir); n != 0 {
		t.Errorf("%d files of data after Delete", n)
	}
	u, err := s.Begin(disk.Upload{Bucket: "b", Key: "up"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.PutPart("b", "up", u.ID, disk.Part{Number: 1}, draft(t, s, "part")); err != nil {
			t.Fatal(err)
		}
	}
	if n := dataFiles(t, dir); n != 1 {
		t.Errorf("%d files for a part sent twice", n)
	}
	if err := s.Abort("b", "up", u.ID); err != nil {
		t.Fatal(err)
	}
	if n := dataFiles(t, dir); n != 0 {
		t.Errorf("%d files after Abort", n)
	}
}

func TestOpenRemovesLitter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.CreateBucket("b")
	put(t, s, "k", "data")
	// A draft and a part that nobody finished.
	unfinished := draft(t, s, "unfinished")
	u, err := s.Begin(disk.Upload{Bucket: "b", Key: "up"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutPart("b", "up", u.ID, disk.Part{Number: 1}, draft(t, s, "part")); err != nil {
		t.Fatal(err)
	}
	copyDir(t, dir, dir+"-killed") // as a killed process would leave it
	unfinished.Discard()
	litter := map[string]string{
		"buckets/b-b/objects/0123.json.tmp": "{",
		"buckets/b-b/policy.json.tmp":       "{",
		"buckets/b-half/objects/x.json":     "{}",
		"data/SOMETHING":                    "x",
	}
	for name, text := range litter {
		path := filepath.Join(dir+"-killed", filepath.FromSlash(name))
		os.MkdirAll(filepath.Dir(path), 0o700)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, dir+"-killed")
	if got := read(t, again, "k"); got != "data" {
		t.Errorf("the object is %q", got)
	}
	if n := dataFiles(t, dir+"-killed"); n != 1 {
		t.Errorf("%d files of data, want 1", n)
	}
	for name := range litter {
		if _, err := os.Stat(filepath.Join(dir+"-killed", filepath.FromSlash(name))); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	if buckets := again.Buckets(); len(buckets) != 1 || buckets[0].Name != "b" {
		t.Errorf("buckets: %v", buckets)
	}
	if _, err := again.Upload("b", "up", u.ID); !errors.Is(err, disk.ErrNoUpload) {
		t.Errorf("the upload: got %v, want %v", err, disk.ErrNoUpload)
	}
}

// TestForeignDirectoryIsLeftAlone: somebody's own data directory is not ours to
// sweep.
func TestForeignDirectoryIsLeftAlone(t *testing.T) {
	for _, name := range []string{"data", "buckets"} {
		dir := t.TempDir()
		precious := filepath.Join(dir, name, "sub", "precious")
		if err := os.MkdirAll(filepath.Dir(precious), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(precious, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the first try must not make the second pass
			if _, err := disk.Open(dir, slog.New(slog.DiscardHandler)); !errors.Is(err, disk.ErrForeign) {
				t.Errorf("%s: Open: got %v, want %v", name, err, disk.ErrForeign)
			}
		}
		if _, err := os.Stat(precious); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDamageCostsOneObject: what was done to one file by hand costs no other.
func TestDamageCostsOneObject(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.CreateBucket("b")
	for _, key := range []string{"kept", "unreadable", "gone"} {
		put(t, s, key, key)
	}
	s.Close()
	for _, path := range globs(t, filepath.Join(dir, "buckets", "b-b", "objects", "*.json")) {
		doc, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.Contains(string(doc), `"unreadable"`):
			os.WriteFile(path, doc[:10], 0o600)
		case strings.Contains(string(doc), `"gone"`):
			_, file, _ := strings.Cut(string(doc), `"file":"`)
			file, _, _ = strings.Cut(file, `"`)
			os.Remove(filepath.Join(dir, "data", file))
		}
	}
	s = open(t, dir)
	if got := read(t, s, "kept"); got != "kept" {
		t.Errorf("the object is %q", got)
	}
	for _, key := range []string{"unreadable", "gone"} {
		if _, err := s.Stat("b", key, ""); !errors.Is(err, disk.ErrNoKey) {
			t.Errorf("%s: got %v, want %v", key, err, disk.ErrNoKey)
		}
	}
}

func TestBuckets(t *testing.T) {
	s := withBucket(t)
	if err := s.CreateBucket("b"); !errors.Is(err, disk.ErrBucketExists) {
		t.Errorf("creating it again: %v", err)
	}
	put(t, s, "k", "x")
	if err := s.DeleteBucket("b"); !errors.Is(err, disk.ErrBucketNotEmpty) {
		t.Errorf("deleting it full: %v", err)
	}
	if err := s.Set("b", disk.Policy, []byte("text")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Setting("b", disk.Policy); err != nil || string(got) != "text" {
		t.Errorf("Policy: %q %v", got, err)
	}
	u, err := s.Begin(disk.Upload{Bucket: "b", Key: "up"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete("b", "k", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteBucket("b"); err != nil {
		t.Fatalf("deleting it empty: %v", err)
	}
	if _, err := s.Upload("b", "up", u.ID); !errors.Is(err, disk.ErrNoUpload) {
		t.Errorf("an upload outlived its bucket: %v", err)
	}
	if err := s.CreateBucket("b"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Setting("b", disk.Policy); err != nil || got != nil {
		t.Errorf("a new bucket has the policy of the old: %q %v", got, err)
	}
}

// TestListAgainstModel pages through random keys and compares with the plainest
// way of listing.
func TestListAgainstModel(t *testing.T) {
	s := withBucket(t)
	r := rand.New(rand.NewPCG(1, 2))
	keys := map[string]bool{}
	for range 120 {
		key := ""
		for range 1 + r.IntN(6) {
			key += string("ab/é-"[r.IntN(3)])
		}
		if !keys[key] {
			keys[key] = true
			put(t, s, key, key)
		}
	}
	sorted := slices.Sorted(func(yield func(string) bool) {
		for k := range keys {
			if !yield(k) {
				return
			}
		}
	})
	for _, prefix := range []string{"", "a", "a/", "/", "b/a", "zz"} {
		for _, delimiter := range []string{"", "/", "a", "b/"} {
			for _, limit := range []int{1, 2, 7, 1000} {
				t.Run(fmt.Sprintf("%q %q %d", prefix, delimiter, limit), func(t *testing.T) {
					got, want := pages(t, s, prefix, delimiter, limit), model(sorted, prefix, delimiter)
					if !slices.Equal(got, want) {
						t.Errorf("got %q, want %q", got, want)
					}
				})
			}
		}
	}
}

func pages(t *testing.T, s *disk.Store, prefix, delimiter string, limit int) []string {
	t.Helper()
	var all []string
	for after := ""; ; {
		page, err := s.List("b", prefix, delimiter, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Objects)+len(page.Prefixes) > limit {
			t.Fatalf("a page of %d and %d", len(page.Objects), len(page.Prefixes))
		}
		entries := slices.Clone(page.Prefixes)
		for _, o := range page.Objects {
			entries = append(entries, o.Key)
		}
		slices.Sort(entries)
		all = append(all, entries...)
		if page.Next == "" {
			return all
		}
		after = page.Next
	}
}

func model(keys []string, prefix, delimiter string) []string {
	var all []string
	for _, key := range keys {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if delimiter != "" {
			if head, _, ok := strings.Cut(key[len(prefix):], delimiter); ok {
				key = prefix + head + delimiter
			}
		}
		all = append(all, key)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestAssembly(t *testing.T) {
	s := withBucket(t)
	u, err := s.Begin(disk.Upload{Bucket: "b", Key: "k", Header: map[string]string{"Content-Type": "text/x"}})
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", disk.MinPartSize)
	for n, data := range map[int]string{2: big, 4: "tail", 1: "early"} {
		if _, err := s.PutPart("b", "k", u.ID, disk.Part{Number: n, MD5: fmt.Sprintf("%032x", n)}, draft(t, s, data)); err != nil {
			t.Fatal(err)
		}
	}
	part := func(n int) disk.Part { return disk.Part{Number: n, MD5: fmt.Sprintf("%032x", n)} }
	refused := errors.New("refused")
	for _, tt := range []struct {
		name     string
		assembly disk.Assembly
		want     error
	}{
		{"none", disk.Assembly{}, disk.ErrNoPart},
		{"missing", disk.Assembly{Parts: []disk.Part{part(3)}}, disk.ErrNoPart},
		{"another", disk.Assembly{Parts: []disk.Part{{Number: 2, MD5: "00"}}}, disk.ErrNoPart},
		{"out of order", disk.Assembly{Parts: []disk.Part{part(4), part(2)}}, disk.ErrPartOrder},
		{"twice", disk.Assembly{Parts: []disk.Part{part(2), part(2)}}, disk.ErrPartOrder},
		{"too small", disk.Assembly{Parts: []disk.Part{part(1), part(2)}}, disk.ErrPartTooSmall},
		{"refused by Seal", disk.Assembly{Parts: []disk.Part{part(2)}, Seal: func(*disk.Object, []disk.Part) error { return refused }}, refused},
		{"refused by Check", disk.Assembly{Parts: []disk.Part{part(2)}, Check: func(*disk.Object) error { return refused }}, refused},
	} {
		if _, err := s.Complete("b", "k", u.ID, tt.assembly); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	o, err := s.Complete("b", "k", u.ID, disk.Assembly{Parts: []disk.Part{part(2), part(4)}})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, "k"); got != big+"tail" {
		t.Errorf("%d bytes", len(got))
	}
	if o.Header["Content-Type"] != "text/x" || !slices.Equal(o.Parts, []int64{disk.MinPartSize, 4}) || !strings.HasSuffix(o.ETag(), `-2"`) {
		t.Errorf("the object is %+v", o)
	}
	if _, err := s.Complete("b", "k", u.ID, disk.Assembly{Parts: []disk.Part{part(2)}}); !errors.Is(err, disk.ErrNoUpload) {
		t.Errorf("completing it again: got %v", err)
	}
}

func TestSetHeader(t *testing.T) {
	s := withBucket(t)
	put(t, s, "k", "data")
	before, err := s.Stat("b", "k", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"v", "", ""} {
		if err := s.SetHeader("b", "k", "", "X", value); err != nil {
			t.Fatal(err)
		}
		if o, err := s.Stat("b", "k", ""); err != nil || o.Header["X"] != value {
			t.Errorf("X is %q, want %q, %v", o.Header["X"], value, err)
		}
	}
	if before.Header["X"] != "" {
		t.Error("an object given out before has changed")
	}
	if got := read(t, s, "k"); got != "data" {
		t.Errorf("the data is %q", got)
	}
}

func globs(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v %v", pattern, paths, err)
	}
	return paths
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(to) })
}
