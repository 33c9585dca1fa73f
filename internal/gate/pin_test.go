package gate_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"s3gate/client"
	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
)

// A link that pins an ETag gives out the object as it was, and says so when it
// has changed; that is free.
func TestPinnedETag(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.store("o", "text/plain", []byte("first"))
		g := w.gate(nil)
		etag := do(w.t, "HEAD", g.mint("get", "o", nil).URL, nil).header.Get("Etag")
		limited := g.mint("get", "o", func(r *client.MintRequest) { uses(1)(r); r.IfMatch = etag })
		link := g.mint("get", "o", func(r *client.MintRequest) { r.IfMatch = etag }).URL
		check := func(name string, status int, body string, headers ...string) {
			w.t.Helper()
			if a := do(w.t, "GET", link, nil, headers...); a.status != status || status < 300 && string(a.body) != body {
				w.t.Errorf("%s: %d %q, want %d %q", name, a.status, a.body, status, body)
			}
		}
		const never = "Mon, 01 Jan 2001 00:00:00 GMT"
		check("as it was", 200, "first")
		check("a part", 206, "irs", "Range: bytes=1-3")
		check("the client has it", 304, "", "If-None-Match: "+etag)
		check("the client has another", 200, "first", `If-None-Match: "x"`)
		check("the client wants it", 200, "first", `If-Match: "x", `+etag)
		check("the client wants another", 412, "", `If-Match: "x"`)
		check("modified since", 412, "", "If-Unmodified-Since: "+never)
		check("if range, same", 206, "fi", "Range: bytes=0-1", "If-Range: "+etag)
		check("if range, another", 200, "first", "Range: bytes=0-1", `If-Range: "x"`)
		check("outside", 416, "", "Range: bytes=5-")

		w.store("o", "text/plain", []byte("second"))
		check("changed", 412, "")
		check("changed, a part", 412, "", "Range: bytes=1-3")
		check("changed, the client has the first", 412, "", "If-None-Match: "+etag)
		if a := do(w.t, "HEAD", limited.URL, nil); a.status != 412 {
			w.t.Errorf("HEAD: %d", a.status)
		}
		for range 2 {
			if a := do(w.t, "GET", limited.URL, nil); a.status != 412 || !bytes.Contains(a.body, []byte("ObjectChanged")) {
				w.t.Errorf("changed: %d %s", a.status, a.body)
			}
		}
		w.store("o", "text/plain", []byte("first"))
		if a := do(w.t, "GET", limited.URL, nil); a.status != 200 || string(a.body) != "first" {
			w.t.Errorf("as it was again: %d %q", a.status, a.body)
		}
	})
}

// enableVersioning keeps the versions of all objects of the bucket.
func (w *world) enableVersioning() {
	w.t.Helper()
	const doc = `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`
	resp, err := w.bucket.Do(w.t.Context(), &s3client.Request{
		Method: http.MethodPut, Query: url.Values{"versioning": {""}}, Body: io.NopCloser(strings.NewReader(doc)), Size: int64(len(doc)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("enabling versioning: %v", s3client.ReadError(resp))
	}
	resp.Body.Close()
}

// A link that pins a version gives it out whatever comes after it.
func TestPinnedVersion(t *testing.T) {
	w := newWorld(t, s3gatetest.MinIO(t), miniredis.RunT(t).Addr())
	w.enableVersioning()
	g := w.gate(nil)
	link := g.mint("get", "o", nil).URL
	var versions []string
	for _, body := range []string{"first", "second"} {
		w.store("o", "text/plain", []byte(body))
		versions = append(versions, do(t, "HEAD", link, nil).header.Get("X-Amz-Version-Id"))
	}
	if versions[0] == "" || versions[0] == versions[1] {
		t.Fatalf("versions %q", versions)
	}
	version := func(id string) string {
		return g.mint("get", "o", func(r *client.MintRequest) { r.VersionID = id }).URL
	}
	first := version(versions[0])
	if resp, err := w.bucket.Do(t.Context(), &s3client.Request{Method: http.MethodDelete, Key: "o"}); err != nil || resp.StatusCode != 204 {
		t.Fatal(resp, err)
	}
	for _, tt := range []struct {
		name, link string
		status     int
		body       string
		headers    []string
	}{
		{"first", first, 200, "first", nil},
		{"a part of it", first, 206, "ir", []string{"Range: bytes=1-2"}},
		{"the second", version(versions[1]), 200, "second", nil},
		{"one that is not", version("00000000-0000-0000-0000-000000000000"), 404, "", nil},
		{"the current one", link, 404, "", nil},
	} {
		a := do(t, "GET", tt.link, nil, tt.headers...)
		if a.status != tt.status || tt.status < 300 && string(a.body) != tt.body {
			t.Errorf("%s: %d %q, want %d %q", tt.name, a.status, a.body, tt.status, tt.body)
		}
		if h := do(t, "HEAD", tt.link, nil); (h.status == 200) != (tt.status < 300) {
			t.Errorf("%s: HEAD %d", tt.name, h.status)
		}
	}
	if got := do(t, "GET", first, nil).header.Get("X-Amz-Version-Id"); got != versions[0] {
		t.Errorf("X-Amz-Version-Id %q, want %q", got, versions[0])
	}
}

// The checksum that the store keeps reaches the client with the whole object
// and not with a part.
func TestChecksumIsPassedOn(t *testing.T) {
	eachWorld(t, func(w *world) {
		const body = "checked"
		hash := sha256.Sum256([]byte(body))
		sum := base64.StdEncoding.EncodeToString(hash[:])
		resp, err := w.bucket.Do(w.t.Context(), &s3client.Request{
			Method: http.MethodPut, Key: "o", Body: io.NopCloser(strings.NewReader(body)), Size: int64(len(body)),
			Header: http.Header{"X-Amz-Checksum-Sha256": {sum}},
		})
		if err != nil || resp.StatusCode != 200 {
			w.t.Fatal(resp, err)
		}
		resp.Body.Close()
		g := w.gate(nil)
		link := g.mint("get", "o", nil).URL
		for _, method := range []string{"GET", "HEAD"} {
			if a := do(w.t, method, link, nil); a.status != 200 || a.header.Get("X-Amz-Checksum-Sha256") != sum {
				w.t.Errorf("%s: %d %v", method, a.status, a.header)
			}
		}
		a := do(w.t, "GET", link, nil, "Range: bytes=0-1")
		for name := range a.header {
			if strings.HasPrefix(name, "X-Amz-Checksum") {
				w.t.Errorf("a part has %s", name)
			}
		}
	})
}
