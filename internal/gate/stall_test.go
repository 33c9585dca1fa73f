package gate_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// film is a large object that takes no room: a file of zeros, with a number
// now and then, so that nothing may be left out and nothing come twice.
type film struct {
	*os.File
	size int64
}

func newFilm(t *testing.T, size int64) *film {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "film"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < size; at += 1 << 20 {
		if _, err := f.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(at)+1), at); err != nil {
			t.Fatal(err)
		}
	}
	return &film{f, size}
}

// serve is an S3 that has nothing else.
func (f *film) serve(t *testing.T) (url string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"film"`)
		http.ServeFile(w, r, f.Name())
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// viewer compares what it is given with the film, from its beginning.
type viewer struct {
	*film
	at  int64
	buf []byte
}

func (v *viewer) Write(p []byte) (int, error) {
	if len(v.buf) < len(p) {
		v.buf = make([]byte, len(p))
	}
	if _, err := v.ReadAt(v.buf[:len(p)], v.at); err != nil {
		return 0, err
	}
	if !bytes.Equal(v.buf[:len(p)], p) {
		return 0, fmt.Errorf("not what follows at byte %d", v.at)
	}
	v.at += int64(len(p))
	return len(p), nil
}

// Redis is frozen for five seconds in the middle of a gigabyte: the download
// stalls when the lease has run out, and then goes on and is whole. What comes
// meanwhile is told to come back (R4). Another one of that gigabyte is
// revoked: nothing follows the answer, and it breaks off visibly (R2).
func TestOracleOfAGigabyte(t *testing.T) {
	t.Parallel()
	const (
		lease  = time.Second
		size   = 1 << 30
		frozen = 5 * time.Second
	)
	server := s3gatetest.RedisServer(t)
	w := newWorld(t, s3gatetest.DevS3(t), server.Addr)
	w.writes = &oracle{}
	content := newFilm(t, size)
	g := w.gate(func(c *config.Config) {
		c.Revocation.Lease = lease
		b := c.Buckets["docs"]
		b.Endpoint = content.serve(t)
		c.Buckets["docs"] = b
	})
	url := func(bandwidth int64) string {
		return g.mint("get", "film", func(r *client.MintRequest) { r.Bandwidth = bandwidth }).URL
	}
	other := url(0)
	began := time.Now()
	d, err := reader{into: &viewer{film: content}}.open(t.Context(), url(128<<20))
	if err != nil {
		t.Fatal(err)
	}
	for d.got.Load() < size/4 {
		time.Sleep(10 * time.Millisecond)
	}
	server.Pause()
	paused := monotonic()
	time.Sleep(lease + lease/10)
	at, statuses := d.got.Load(), map[string]int{}
	for monotonic() < paused+frozen {
		a := do(t, "GET", other, nil, "Range: bytes=0-0")
		statuses[fmt.Sprintf("%d, Retry-After: %s", a.status, a.header.Get("Retry-After"))]++
		if a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("while Redis is frozen: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
		}
		time.Sleep(100 * time.Millisecond)
	}
	if n := d.got.Load(); n >= size {
		t.Errorf("it was over before the stall, at %d", n)
	}
	resumed := monotonic()
	server.Resume()
	if err := d.wait(t); err != nil || d.got.Load() != size {
		t.Errorf("the download: %d bytes of %d, %v", d.got.Load(), size, err)
	}
	took := time.Since(began)

	writes := w.writes.to(t, map[string]bool{d.client: true})
	late := writes.before(resumed).after(paused + lease)
	if n := late.bytes(); n > chunk {
		t.Errorf("%d bytes were handed to the kernel without a lease", n)
	}
	next := slices.IndexFunc(writes, func(w write) bool { return w.Ended > resumed })
	if next < 1 {
		t.Fatal("nothing was written after Redis was back")
	}
	last := writes.before(resumed).last()
	t.Logf("%d MiB in %s. The last write returned %s after Redis was frozen and the next one %s after it went on, at byte %d; meanwhile %v",
		size>>20, took.Round(time.Millisecond), (last - paused).Round(time.Millisecond), (writes[next].Ended - resumed).Round(time.Millisecond), at, statuses)
	if a := do(t, "GET", other, nil, "Range: bytes=0-0"); a.status != 206 {
		t.Errorf("afterwards: %d", a.status)
	}

	if d, err = (reader{}).open(t.Context(), url(0)); err != nil {
		t.Fatal(err)
	}
	for d.got.Load() < size/8 {
		time.Sleep(time.Millisecond)
	}
	_, sent, acked := revokeTimed(t, g, `{"bucket": "docs", "prefix": "film"}`)
	if err := d.wait(t); err == nil {
		t.Errorf("it ended as if it were complete, after %d bytes", d.got.Load())
	}
	writes = w.writes.to(t, map[string]bool{d.client: true})
	if n := writes.after(acked).bytes(); n > 0 {
		t.Errorf("%d bytes were handed to the kernel after the answer", n)
	}
	t.Logf("revoked at full speed after %d MiB: acknowledged in %s, the last write %s before", d.got.Load()>>20, micro(acked-sent), micro(acked-writes.last()))
}

// S3 gives up on a connection while the download waits for the lease: it goes on
// with the rest, and comes whole.
func TestUpstreamGivesUpDuringAStall(t *testing.T) {
	server := s3gatetest.RedisServer(t)
	w := newWorld(t, s3gatetest.DevS3(t), server.Addr)
	body := make([]byte, 16<<20)
	rand.Read(body)
	w.store("film", "video/mp4", body)
	upstream := newRelay(t, strings.TrimPrefix(w.s3.URL, "http://"))
	g := w.gate(func(c *config.Config) {
		b := c.Buckets["docs"]
		b.Endpoint = "http://" + upstream.Addr
		c.Buckets["docs"] = b
	})
	token := g.mint("get", "film", func(r *client.MintRequest) { r.Bandwidth = 6 << 20; r.MaxUses = new(int64); *r.MaxUses = 1 })
	resp, err := http.DefaultTransport.RoundTrip(httptest.NewRequest("GET", token.URL, nil).WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := make([]byte, len(body))
	if _, err := io.ReadFull(resp.Body, got[:1<<20]); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	time.Sleep(1500 * time.Millisecond) // the lease has run out
	upstream.Cut(false)
	server.Resume()
	if _, err := io.ReadFull(resp.Body, got[1<<20:]); err != nil || !bytes.Equal(got, body) {
		t.Errorf("the rest: %v", err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != 0 || err != nil {
		t.Errorf("after the end: %d, %v", n, err)
	}
}
