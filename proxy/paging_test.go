package proxy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
)

// Over all pages of a listing each entry comes once, in pages of any size,
// also where a page ends with a folder or between names that share a
// beginning.
func TestListingPages(t *testing.T) {
	for _, store := range []struct {
		name string
		open func(testing.TB) *s3gatetest.Endpoint
	}{{"devs3", s3gatetest.DevS3}, {"MinIO", s3gatetest.MinIO}} {
		t.Run(store.name, func(t *testing.T) {
			g := newGate(t, http1)
			b := openStore(t, store.open(t))
			g.Buckets["media"] = b
			keys := []string{"p/a", "p/b!", "p/b/1", "p/b/2", "p/b/3", "p/b/4", "p/b/5/6", "p/b0", "p/c/", "p/c/x", "p/d e+%", "p/é/1", "p/é/2", "p/é0", "p/z/y/x",
				"o", "p0", "q/x"}
			for _, key := range keys {
				putObject(t, b, key)
			}
			const want = "a b! b/ b0 c/ d e+% z/ é/ é0"
			for _, size := range []int{0, 2, 3, 4, 5, 100} {
				g.ListPage = size
				grant := unlimited(below(get(), true))
				grant.Prefix = "p/"
				token := g.mint(grant)
				var got []string
				after, pages := "", 0
				for next := true; next; pages++ {
					l := g.listing(token, "/?after="+after)
					if n := len(l.Folders) + len(l.Files); size > 0 && n > size || pages > 20 {
						t.Fatalf("pages of %d: page %d has %d entries", size, pages, n)
					}
					for _, f := range l.Folders {
						got = append(got, f.Name)
					}
					for _, f := range l.Files {
						got = append(got, f.Name)
					}
					after, next = l.Next, l.Next != ""
				}
				slices.Sort(got)
				if strings.Join(got, " ") != want {
					t.Errorf("pages of %d: %q, want %q", size, got, want)
				}
				if size == 2 && pages < 5 {
					t.Errorf("%d pages", pages)
				}
			}
		})
	}
}

func openStore(t *testing.T, e *s3gatetest.Endpoint) *s3client.Bucket {
	t.Helper()
	b, err := s3client.Open(t.Context(), s3client.Config{
		Name: "paging", Region: e.Region, Endpoint: e.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(e.AccessKey, e.Secret, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := b.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func putObject(t *testing.T, b *s3client.Bucket, key string) {
	t.Helper()
	resp, err := b.Do(t.Context(), &s3client.Request{Method: http.MethodPut, Key: key, Body: io.NopCloser(strings.NewReader(key)), Size: int64(len(key))})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("storing %q: %s", key, resp.Status)
	}
}

// A page holds no more than S3 lists at once, however many there are.
func TestListingIsBounded(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(below(get(), true)))
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s%04d%s", canaryPrefix, i, strings.Repeat("k", 900))
	}
	g.s3.answer(listingOf(true, keys, nil))
	a := g.raw("GET /" + token.Reveal() + "/ HTTP/1.1\r\nHost: gate\r\n\r\n")
	var l listing
	if err := json.Unmarshal([]byte(a.body), &l); err != nil || len(l.Files) != 1000 || l.Next == "" {
		t.Errorf("%d files, next %q, %v", len(l.Files), l.Next, err)
	}
	if r := g.s3.log(); !strings.Contains(r[0].target, "max-keys=1000") {
		t.Errorf("s3 was asked for %s", r[0].target)
	}
	g.s3.answer(listingOf(true, append(keys, canaryPrefix+"one too many"), nil))
	if a := g.raw("GET /" + token.Reveal() + "/ HTTP/1.1\r\nHost: gate\r\n\r\n"); a.StatusCode != 502 {
		t.Errorf("more than was asked for: %d", a.StatusCode)
	}
}
