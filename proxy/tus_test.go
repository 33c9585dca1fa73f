package proxy_test

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"s3gate/proxy"
	"s3gate/tokens"
	"s3gate/uploads"
	"s3gate/web"
)

// another is a second gate on the Redis and the S3 of g.
func (g *gate) another() *gate {
	other := *g
	other.Handler = &proxy.Handler{
		Tokens: g.store, Transfers: g.transfers, Buckets: g.Buckets, Journal: uploads.New(g.rdb, uploads.Options{}),
		Multipart: proxy.Multipart{SingleMax: testPart, PartSize: testPart, Memory: 64 * testPart, Backoff: time.Millisecond},
	}
	other.server = serve(g.t, http1, other.Handler, g.log)
	other.client = other.server.Client()
	other.t.Cleanup(other.client.CloseIdleConnections)
	return &other
}

// tus sends a request of tus; at is a path and query below the gate.
func (g *gate) tus(method, at string, body io.Reader, header ...string) answer {
	g.t.Helper()
	a, err := g.tryTus(method, at, body, header...)
	if err != nil {
		g.t.Fatalf("%s: %v", method, err)
	}
	return a
}

func (g *gate) tryTus(method, at string, body io.Reader, header ...string) (answer, error) {
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.server.URL+at, body)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Tus-Resumable", "1.0.0")
	for i := 0; i < len(header); i += 2 {
		if r.Header.Del(header[i]); header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := g.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp, string(text), err}, nil
}

// begin begins an upload and returns where it goes on.
func (g *gate) begin(token tokens.Token, size int, header ...string) string {
	g.t.Helper()
	a := g.tus("POST", "/"+token.Reveal(), nil, append([]string{"Upload-Length", strconv.Itoa(size)}, header...)...)
	if a.StatusCode != 201 {
		g.t.Fatalf("creation: %s %s", a.Status, a.body)
	}
	return a.Header.Get("Location")
}

const pieceType = "application/offset+octet-stream"

// piece sends a piece of an upload.
func (g *gate) piece(at string, offset int, data string, header ...string) answer {
	g.t.Helper()
	return g.tus("PATCH", at, strings.NewReader(data), append([]string{"Content-Type", pieceType, "Upload-Offset", strconv.Itoa(offset)}, header...)...)
}

// offset asks how far an upload has come.
func (g *gate) offset(at string) int {
	g.t.Helper()
	a := g.tus("HEAD", at, nil)
	n, err := strconv.Atoi(a.Header.Get("Upload-Offset"))
	if a.StatusCode != 200 || err != nil {
		g.t.Fatalf("HEAD: %s %v", a.Status, a.Header)
	}
	return n
}

// wantStored checks that an upload was stored, is paid for, and has left nothing
// besides.
func (g *gate) wantStored(token tokens.Token, data string) {
	g.t.Helper()
	if stored, ok := g.s3.object(); !ok || stored != data {
		g.t.Errorf("stored %v, %d bytes of %d, the same: %v", ok, len(stored), len(data), stored == data)
	}
	g.wantCharge(token, "charged")
	g.wantClean()
}

// wantClean checks that nothing is left of uploads.
func (g *gate) wantClean() {
	g.t.Helper()
	for _, key := range g.s3.keys() {
		if key != canaryKey {
			g.t.Errorf("%s is left", key)
		}
	}
	if n := g.s3.left(); n != 0 {
		g.t.Errorf("%d multipart uploads are left", n)
	}
	if n := proxy.MemoryHeld(&g.Multipart); n != 0 {
		g.t.Errorf("%d bytes of memory are held", n)
	}
}

// broken is a body that breaks off after some data, when the gate has read it.
func (g *gate) brokenPiece(at string, offset int, data string, announced int) {
	g.t.Helper()
	c := g.dial()
	u, _ := url.Parse(g.server.URL + at)
	fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: gate\r\nTus-Resumable: 1.0.0\r\nContent-Type: %s\r\nUpload-Offset: %d\r\nContent-Length: %d\r\n\r\n%s",
		u.RequestURI(), pieceType, offset, announced, data)
	c.CloseWrite()
	io.Copy(io.Discard, c)
	c.Close()
}

var metadata = "filename " + base64.StdEncoding.EncodeToString([]byte("a b.mp4")) +
	", filetype " + base64.StdEncoding.EncodeToString([]byte("video/mp4")) + ",is_confidential"

// An upload by pieces becomes the object, and the last answer is that to a PUT.
func TestTusUpload(t *testing.T) {
	for _, proto := range protocols {
		for _, size := range []int{1, testPart - 1, testPart, testPart + 1, 3 * testPart, 5*testPart + 7} {
			for _, step := range []int{testPart / 3, testPart, 2*testPart + 5, size} {
				if size/step > 10 || step > size {
					continue
				}
				t.Run(fmt.Sprint(size, " by ", step, " ", proto.name), func(t *testing.T) {
					g := newPartsGate(t, proto)
					var told []tokens.Receipt
					g.Ended = func(r tokens.Receipt) { told = append(told, r) }
					token, data := g.mint(put()), noise(size)
					at := g.begin(token, size, "Upload-Metadata", metadata)
					var a answer
					for from := 0; from < size; from += step {
						to := min(size, from+step)
						a = g.piece(at, from, data[from:to])
						if a.StatusCode != 204 || a.Header.Get("Upload-Offset") != strconv.Itoa(to) || a.Header.Get("Tus-Resumable") != "1.0.0" || a.Header.Get("Upload-Expires") == "" {
							t.Fatalf("%d: %s %s %v", from, a.Status, a.body, a.Header)
						}
						if to < size {
							g.wantCharge(token, "taken")
						}
					}
					if a.Header.Get("ETag") == "" || strings.Contains(fmt.Sprint(a.Header), "canary") {
						t.Errorf("the last answer: %v", a.Header)
					}
					g.wantStored(token, data)
					if len(told) != 1 || told[0].Bytes != int64(size) || told[0].Size != int64(size) || told[0].ETag == "" {
						t.Errorf("told %+v", told)
					}
					head := g.tus("HEAD", at, nil)
					if head.StatusCode != 200 || head.Header.Get("Upload-Offset") != strconv.Itoa(size) || head.Header.Get("ETag") != a.Header.Get("ETag") ||
						!strings.Contains(head.Header.Get("Cache-Control"), "no-store") || head.Header.Get("Upload-Metadata") != metadata {
						t.Errorf("HEAD afterwards: %s %v", head.Status, head.Header)
					}
					if a := g.piece(at, size, ""); a.StatusCode != 204 {
						t.Errorf("the last piece again: %s", a.Status)
					}
					if got := g.do(g.request("GET", g.mint(get()), nil)); got.Header.Get("Content-Type") != "video/mp4" {
						t.Errorf("stored as %q", got.Header.Get("Content-Type"))
					}
				})
			}
		}
	}
}

// Who does not meet the constraints of a link does not interrupt its uploads.
func TestTusInterruptedByNobody(t *testing.T) {
	g := newPartsGate(t, http1)
	g.Passcodes = proxy.NewPasscodes(g.store)
	grant := put()
	var err error
	if grant.Passcode, err = canaryHash(); err != nil {
		t.Fatal(err)
	}
	token := g.mint(grant)
	at := g.begin(token, 10, "X-S3gate-Passcode", canaryCode)
	fence := func() string { return g.redis.HGet(g.journal()[0], "f") }
	before := fence()
	for _, method := range []string{"HEAD", "PATCH", "DELETE"} {
		if a := g.tus(method, at, nil, "Content-Type", pieceType, "Upload-Offset", "0"); a.StatusCode != 401 {
			t.Errorf("%s: %s", method, a.Status)
		}
	}
	if got := fence(); got != before {
		t.Errorf("it was taken over: fence %s, was %s", got, before)
	}
	if a := g.tus("HEAD", at, nil, "X-S3gate-Passcode", canaryCode); a.StatusCode != 200 {
		t.Errorf("with the passcode: %s", a.Status)
	}
}

// What was acknowledged stays so through a gate that makes smaller parts.
func TestTusThroughAGateWithOtherParts(t *testing.T) {
	g := newPartsGate(t, http1)
	other := g.another()
	const size = 2 * testPart
	g.Multipart.PartSize = size
	token, data := g.mint(put()), noise(size)
	at := g.begin(token, size)
	if a := g.piece(at, 0, data[:size-1]); a.StatusCode != 204 {
		t.Fatal(a.Status)
	}
	if got := other.offset(at); got != size-1 {
		t.Errorf("the offset went from %d down to %d", size-1, got)
	}
	if a := other.piece(at, size-1, data[size-1:]); a.StatusCode != 204 {
		t.Errorf("the rest: %s %s", a.Status, a.body)
	}
	g.wantStored(token, data)
}

// A DELETE that lacks the name of its upload does not end the link.
func TestTusTerminationWithoutAName(t *testing.T) {
	g := newPartsGate(t, http1)
	grant := put()
	grant.SelfRevoke = true
	g.Revoke = func(context.Context, tokens.ID) error { t.Error("the link was revoked"); return nil }
	token := g.mint(grant)
	for _, query := range []string{"?upload=", "?upload=%zz", "?a=b&upload="} {
		if a := g.tus("DELETE", "/"+token.Reveal()+query, nil); a.StatusCode != 404 {
			t.Errorf("%s: %s", query, a.Status)
		}
	}
}

// The data may come with the creation, all of it or the first of it.
func TestTusCreationWithUpload(t *testing.T) {
	const size = 2*testPart + 9
	for _, first := range []int{0, 1, testPart, size} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			g := newPartsGate(t, http1)
			token, data := g.mint(put()), noise(size)
			a := g.tus("POST", "/"+token.Reveal()+"/name.bin", strings.NewReader(data[:first]), "Upload-Length", strconv.Itoa(size), "Content-Type", pieceType)
			if a.StatusCode != 201 || first > 0 && a.Header.Get("Upload-Offset") != strconv.Itoa(first) || !strings.HasPrefix(a.Header.Get("Location"), "/"+token.Reveal()+"?upload=") {
				t.Fatalf("%s %s %v", a.Status, a.body, a.Header)
			}
			if at := a.Header.Get("Location"); first < size {
				if a := g.piece(at, first, data[first:]); a.StatusCode != 204 || a.Header.Get("ETag") != manyTag {
					t.Errorf("%s %s", a.Status, a.body)
				}
			} else if a.Header.Get("ETag") != manyTag {
				t.Errorf("no ETag in %v", a.Header)
			}
			g.wantStored(token, data)
		})
	}
	t.Run("empty", func(t *testing.T) {
		g := newPartsGate(t, http1)
		token := g.mint(put())
		a := g.tus("POST", "/"+token.Reveal(), nil, "Upload-Length", "0")
		if a.StatusCode != 201 || a.Header.Get("Upload-Offset") != "0" || a.Header.Get("ETag") == "" {
			t.Errorf("%s %v", a.Status, a.Header)
		}
		g.wantStored(token, "")
	})
	t.Run("broken", func(t *testing.T) {
		g := newPartsGate(t, http1)
		token := g.mint(put())
		c := g.dial()
		fmt.Fprintf(c, "POST /%s HTTP/1.1\r\nHost: gate\r\nTus-Resumable: 1.0.0\r\nUpload-Length: %d\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			token.Reveal(), size, pieceType, size, noise(testPart+5))
		c.CloseWrite()
		io.Copy(io.Discard, c)
		g.wantNothing(token) // nobody knows its name
		g.wantClean()
	})
}

// What OPTIONS says of tus.
func TestTusDiscovery(t *testing.T) {
	g := newPartsGate(t, http1)
	a := g.do(g.request("OPTIONS", g.mint(put()), nil))
	for name, want := range map[string]string{
		"Tus-Resumable": "1.0.0", "Tus-Version": "1.0.0",
		"Tus-Extension":          "creation,creation-with-upload,checksum,termination,expiration",
		"Tus-Checksum-Algorithm": "md5,sha1,sha256,crc32",
	} {
		if got := a.Header.Get(name); a.StatusCode != 204 || got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// What is wrong with a creation is said before anything is taken.
func TestTusCreationRefused(t *testing.T) {
	limited := put()
	limited.Upload = tokens.Upload{MaxBytes: 1000, ContentTypes: []string{"video/*"}}
	video := "filetype " + base64.StdEncoding.EncodeToString([]byte("video/mp4"))
	for _, test := range []struct {
		name   string
		grant  tokens.Grant
		header []string
		status int
		code   string
	}{
		{"no version", put(), []string{"Tus-Resumable", "", "Upload-Length", "1"}, 412, "UnsupportedVersion"},
		{"another version", put(), []string{"Tus-Resumable", "0.2.2", "Upload-Length", "1"}, 412, "UnsupportedVersion"},
		{"no length", put(), nil, 400, "InvalidRequest"},
		{"a negative length", put(), []string{"Upload-Length", "-1"}, 400, "InvalidRequest"},
		{"no number", put(), []string{"Upload-Length", "99999999999999999999"}, 400, "InvalidRequest"},
		{"deferred", put(), []string{"Upload-Defer-Length", "1"}, 400, "InvalidRequest"},
		{"concatenated", put(), []string{"Upload-Length", "1", "Upload-Concat", "partial"}, 400, "InvalidRequest"},
		{"bad metadata", put(), []string{"Upload-Length", "1", "Upload-Metadata", "filename %%"}, 400, "InvalidRequest"},
		{"unprintable type", put(), []string{"Upload-Length", "1", "Upload-Metadata", "filetype " + base64.StdEncoding.EncodeToString([]byte("a\r\nb"))}, 400, "InvalidRequest"},
		{"too large", limited, []string{"Upload-Length", "1001", "Upload-Metadata", video}, 413, "EntityTooLarge"},
		{"larger than S3 takes", put(), []string{"Upload-Length", strconv.Itoa(6 << 40)}, 413, "EntityTooLarge"},
		{"another type", limited, []string{"Upload-Length", "1000", "Upload-Metadata", "filetype " + base64.StdEncoding.EncodeToString([]byte("text/plain"))}, 415, "UnsupportedMediaType"},
		{"no type", limited, []string{"Upload-Length", "1000"}, 415, "UnsupportedMediaType"},
		{"a link for downloads", get(), []string{"Upload-Length", "1"}, 405, "MethodNotAllowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newPartsGate(t, http1)
			token := g.mint(test.grant)
			a := g.tus("POST", "/"+token.Reveal(), nil, test.header...)
			if a.StatusCode != test.status || !strings.Contains(a.body, test.code) || a.Header.Get("Tus-Resumable") != "1.0.0" {
				t.Errorf("%s %s %v; want %d %s", a.Status, a.body, a.Header, test.status, test.code)
			}
			if test.status == 412 && a.Header.Get("Tus-Version") != "1.0.0" {
				t.Error("no Tus-Version")
			}
			g.wantCharge(token, "free")
		})
	}
	t.Run("an object is there", func(t *testing.T) {
		g := newPartsGate(t, http1)
		g.s3.store(canaryKey, "x")
		token := g.mint(put())
		if a := g.tus("POST", "/"+token.Reveal(), nil, "Upload-Length", "5"); a.StatusCode != 412 || !strings.Contains(a.body, "PreconditionFailed") {
			t.Errorf("%s %s", a.Status, a.body)
		}
		g.wantCharge(token, "free")
	})
}

// What is wrong with a piece takes nothing of it.
func TestTusPieceRefused(t *testing.T) {
	const size = 2 * testPart
	g := newPartsGate(t, http1)
	token, data := g.mint(put()), noise(size)
	at := g.begin(token, size)
	if a := g.piece(at, 0, data[:100]); a.StatusCode != 204 {
		t.Fatal(a.Status, a.body)
	}
	for _, test := range []struct {
		name, method, at string
		body             string
		header           []string
		status           int
	}{
		{"another version", "PATCH", at, "x", []string{"Tus-Resumable", "0.2.2", "Content-Type", pieceType, "Upload-Offset", "100"}, 412},
		{"no type", "PATCH", at, "x", []string{"Upload-Offset", "100"}, 415},
		{"another type", "PATCH", at, "x", []string{"Content-Type", "video/mp4", "Upload-Offset", "100"}, 415},
		{"no offset", "PATCH", at, "x", []string{"Content-Type", pieceType}, 400},
		{"no number", "PATCH", at, "x", []string{"Content-Type", pieceType, "Upload-Offset", "+100"}, 400},
		{"before the offset", "PATCH", at, "x", []string{"Content-Type", pieceType, "Upload-Offset", "99"}, 409},
		{"behind the offset", "PATCH", at, "x", []string{"Content-Type", pieceType, "Upload-Offset", "101"}, 409},
		{"encoded", "PATCH", at, "x", []string{"Content-Type", pieceType, "Upload-Offset", "100", "Content-Encoding", "gzip"}, 400},
		{"too long", "PATCH", at, noise(size), []string{"Content-Type", pieceType, "Upload-Offset", "100"}, 413},
		{"unknown upload", "PATCH", at + "A", "x", []string{"Content-Type", pieceType, "Upload-Offset", "100"}, 404},
		{"unknown upload", "HEAD", at + "A", "", nil, 404},
		{"unknown upload", "DELETE", at + "A", "", nil, 404},
		{"no version", "DELETE", at, "", []string{"Tus-Resumable", ""}, 412},
		{"get", "GET", at, "", nil, 405},
		{"another link's", "HEAD", "/" + g.mint(put()).Reveal() + at[strings.Index(at, "?"):], "", nil, 404},
		{"unknown algorithm", "PATCH", at, "x", []string{"Content-Type", pieceType, "Upload-Offset", "100", "Upload-Checksum", "sha512 eA=="}, 400},
		{"bad checksum", "PATCH", at, "x", []string{"Content-Type", pieceType, "Upload-Offset", "100", "Upload-Checksum", "md5 eA=="}, 400},
		{"mismatch", "PATCH", at, "x", []string{"Content-Type", pieceType, "Upload-Offset", "100", "Upload-Checksum", "md5 " + base64.StdEncoding.EncodeToString(make([]byte, 16))}, 460},
	} {
		t.Run(test.name+" "+test.method, func(t *testing.T) {
			a := g.tus(test.method, test.at, strings.NewReader(test.body), test.header...)
			if a.StatusCode != test.status {
				t.Errorf("%s %s; want %d", a.Status, a.body, test.status)
			}
			if n := g.offset(at); n != 100 {
				t.Errorf("the offset is %d", n)
			}
		})
	}
	t.Run("too long, of unknown length", func(t *testing.T) {
		a := g.tus("PATCH", at, unmeasuredBody(data), "Content-Type", pieceType, "Upload-Offset", "100")
		if a.StatusCode != 413 {
			t.Errorf("%s %s; want 413", a.Status, a.body)
		}
	})
	if a := g.piece(at, g.offset(at), data[g.offset(at):]); a.StatusCode != 204 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	g.wantCharge(token, "charged")
	g.wantClean()
}

// A link whose use an upload has says so to others.
func TestTusHoldsItsUse(t *testing.T) {
	g := newPartsGate(t, http1)
	token := g.mint(put())
	at := g.begin(token, 10)
	if a := g.put(token, "0123456789"); a.StatusCode != 409 {
		t.Errorf("a plain PUT: %s", a.Status)
	}
	if a := g.tus("POST", "/"+token.Reveal(), nil, "Upload-Length", "5"); a.StatusCode != 409 {
		t.Errorf("another upload: %s", a.Status)
	}
	if a := g.piece(at, 0, "0123456789", "X-HTTP-Method-Override", "PATCH"); a.StatusCode != 204 {
		t.Errorf("the upload itself: %s %s", a.Status, a.body)
	}
	g.wantStored(token, "0123456789")
	if a := g.tus("DELETE", at, nil); a.StatusCode != 409 {
		t.Errorf("ending it afterwards: %s", a.Status)
	}
	g.wantStored(token, "0123456789")
}

// What has arrived of a piece that breaks off counts, wherever that is.
func TestTusBrokenPiece(t *testing.T) {
	const size = 4*testPart + 100
	for _, cut := range []int{0, 1, testPart - 1, testPart, testPart + 1, 3*testPart + 5, size - 1} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			g := newPartsGate(t, http1)
			token, data := g.mint(put()), noise(size)
			at := g.begin(token, size)
			g.brokenPiece(at, 0, data[:cut], size)
			if n := g.offset(at); n != cut {
				t.Fatalf("the offset is %d, want %d", n, cut)
			}
			if a := g.piece(at, cut, data[cut:]); a.StatusCode != 204 {
				t.Fatalf("%s %s", a.Status, a.body)
			}
			g.wantStored(token, data)
		})
	}
}

// A client that never gets far makes progress, also by another gate.
func TestTusDropsOften(t *testing.T) {
	const size, step = 3*testPart + 11, testPart/4 + 3
	g := newPartsGate(t, http1)
	gates := []*gate{g, g.another()}
	token, data := g.mint(put()), noise(size)
	at := g.begin(token, size)
	for n, i := 0, 0; n < size; i++ {
		to := min(size, n+step)
		gates[i%2].brokenPiece(at, n, data[n:to], size-n)
		if n = gates[(i+1)%2].offset(at); n != to {
			t.Fatalf("the offset is %d, want %d", n, to)
		}
		if left := len(g.s3.keys()); left > 1 {
			t.Fatalf("%d temporary objects", left)
		}
	}
	g.wantStored(token, data)
}

// Of two clients that send at the same time one has the upload.
func TestTusPreempted(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			const size = 3*testPart + 11
			g := newPartsGate(t, proto)
			token, data := g.mint(put()), noise(size)
			at := g.begin(token, size)
			stuck, pipe := io.Pipe()
			ended := make(chan int, 1)
			go func() {
				a, err := g.tryTus("PATCH", at, stuck, "Content-Type", pieceType, "Upload-Offset", "0")
				if err != nil {
					a.Response = &http.Response{}
				}
				ended <- a.StatusCode
			}()
			io.WriteString(pipe, data[:testPart+5])
			eventually(t, "it has the upload", func() bool { return g.s3.count(uploadPart) > 0 })
			n := g.offset(at)
			if n != testPart+5 {
				t.Errorf("the offset is %d", n)
			}
			if a := g.piece(at, n, data[n:]); a.StatusCode != 204 {
				t.Errorf("%s %s", a.Status, a.body)
			}
			pipe.CloseWithError(io.ErrUnexpectedEOF)
			if status := receive(t, "the first one ends", ended); status != 423 && status != 0 {
				t.Errorf("the first one: %d", status)
			}
			g.wantStored(token, data)
		})
	}
}

// Ending an upload leaves nothing and gives the use back; nothing happens to the
// link.
func TestTusTermination(t *testing.T) {
	for _, sent := range []int{0, 5, testPart, testPart + 5} {
		t.Run(fmt.Sprint(sent), func(t *testing.T) {
			g := newPartsGate(t, http1)
			grant := put()
			grant.SelfRevoke = true
			token, data := g.mint(grant), noise(2*testPart)
			at := g.begin(token, 2*testPart)
			if a := g.piece(at, 0, data[:sent]); a.StatusCode != 204 {
				t.Fatal(a.Status, a.body)
			}
			if a := g.tus("DELETE", at, nil); a.StatusCode != 204 || a.Header.Get("Tus-Resumable") == "" {
				t.Errorf("%s %s", a.Status, a.body)
			}
			g.wantNothing(token)
			g.wantClean()
			if a := g.tus("HEAD", at, nil); a.StatusCode != 404 {
				t.Errorf("afterwards: %s", a.Status)
			}
			if a := g.put(token, "x"); a.StatusCode != 200 {
				t.Errorf("a plain PUT: %s %s", a.Status, a.body)
			}
		})
	}
}

// A revocation ends an upload, running or not, and nothing is left of it.
func TestTusRevoked(t *testing.T) {
	const size = 3 * testPart
	t.Run("running", func(t *testing.T) {
		for _, proto := range protocols {
			g := newPartsGate(t, proto)
			token, data := g.mint(put()), noise(size)
			at := g.begin(token, size)
			if a := g.piece(at, 0, data[:5]); a.StatusCode != 204 {
				t.Fatal(a.Status, a.body)
			}
			body, pipe := io.Pipe()
			ended := make(chan int, 1)
			go func() {
				a, err := g.tryTus("PATCH", at, body, "Content-Type", pieceType, "Upload-Offset", "5")
				if err != nil {
					a.Response = &http.Response{}
				}
				ended <- a.StatusCode
			}()
			io.WriteString(pipe, data[5:testPart+10])
			eventually(t, "a part arrives", func() bool { return g.s3.count(uploadPart) > 0 })
			if receipt := g.revoke(token); receipt.Cut != 1 {
				t.Errorf("%+v", receipt)
			}
			go pipe.CloseWithError(io.ErrUnexpectedEOF)
			if status := receive(t, "it ends", ended); status != 410 && status != 0 {
				t.Errorf("%s: %d", proto.name, status)
			}
			eventually(t, "no transfer is left", func() bool { return g.transfers.Len() == 0 })
			if _, stored := g.s3.object(); stored {
				t.Error("it was stored")
			}
			g.wantClean()
			if a := g.tus("HEAD", at, nil); a.StatusCode != 410 {
				t.Errorf("afterwards: %s", a.Status)
			}
		}
	})
	t.Run("idle", func(t *testing.T) {
		g := newPartsGate(t, http1)
		token, data := g.mint(put()), noise(size)
		at := g.begin(token, size)
		if a := g.piece(at, 0, data[:testPart+5]); a.StatusCode != 204 {
			t.Fatal(a.Status, a.body)
		}
		g.revoke(token)
		if a := g.piece(at, testPart+5, data[testPart+5:]); a.StatusCode != 410 || !strings.Contains(a.body, "LinkRevoked") {
			t.Errorf("%s %s", a.Status, a.body)
		}
		if _, stored := g.s3.object(); stored {
			t.Error("it was stored")
		}
		g.wantClean()
	})
}

// An upload goes on after its link has expired, unless the link is strict; and not
// after its own time.
func TestTusExpiry(t *testing.T) {
	for _, test := range []struct {
		name   string
		strict bool
		pass   time.Duration
		status int
	}{
		{"link", false, 2 * time.Hour, 204},
		{"strict link", true, 2 * time.Hour, 410},
		{"upload", false, 25 * time.Hour, 410},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newPartsGate(t, http1)
			grant := put()
			grant.CutAtExpiry = test.strict
			token, data := g.mint(grant), noise(2*testPart)
			at := g.begin(token, len(data))
			if a := g.piece(at, 0, data[:testPart+5]); a.StatusCode != 204 {
				t.Fatal(a.Status, a.body)
			}
			g.redis.SetTime(time.Now().Add(test.pass))
			eventually(t, "the gate has its lease", func() bool { return g.transfers.Lease() == nil })
			if a := g.piece(at, testPart+5, data[testPart+5:]); a.StatusCode != test.status {
				t.Errorf("%s %s; want %d", a.Status, a.body, test.status)
			}
			if _, stored := g.s3.object(); stored != (test.status == 204) {
				t.Errorf("stored: %v", stored)
			}
		})
	}
}

// A piece with a checksum counts if it matches, also one of many parts.
func TestTusChecksum(t *testing.T) {
	const size = 5*testPart + 3
	data := noise(size)
	for algorithm, sum := range sums(data[7:]) {
		t.Run(algorithm, func(t *testing.T) {
			g := newPartsGate(t, http1)
			token := g.mint(put())
			at := g.begin(token, size)
			if a := g.piece(at, 0, data[:7], "Upload-Checksum", algorithm+" "+sums(data[:7])[algorithm]); a.StatusCode != 204 {
				t.Fatal(a.Status, a.body)
			}
			wrong := sums(data[6:])[algorithm]
			if a := g.piece(at, 7, data[7:], "Upload-Checksum", algorithm+" "+wrong); a.StatusCode != 460 || g.offset(at) != 7 {
				t.Errorf("mismatch: %s, offset %d", a.Status, g.offset(at))
			}
			if a := g.piece(at, 7, data[7:], "Upload-Checksum", algorithm+" "+sum); a.StatusCode != 204 {
				t.Errorf("%s %s", a.Status, a.body)
			}
			g.wantStored(token, data)
		})
	}
	t.Run("more than the memory", func(t *testing.T) {
		g := newPartsGate(t, http1)
		g.Multipart.Memory = 3 * testPart
		at := g.begin(g.mint(put()), size)
		if a := g.piece(at, 0, data, "Upload-Checksum", "md5 "+sums(data)["md5"]); a.StatusCode != 413 || !strings.Contains(a.body, "at most "+web.Language{}.Say("{0}", 2*testPart)) {
			t.Errorf("%s %s", a.Status, a.body)
		}
		if a := g.piece(at, 0, data[:2*testPart], "Upload-Checksum", "md5 "+sums(data[:2*testPart])["md5"]); a.StatusCode != 204 {
			t.Errorf("%s %s", a.Status, a.body)
		}
		if peak := proxy.MemoryPeak(&g.Multipart); peak > 3*testPart {
			t.Errorf("%d bytes were taken", peak)
		}
	})
}

// When the answer to the last word is lost the client learns the truth later.
func TestTusLostAnswer(t *testing.T) {
	const size = 2*testPart + 5
	data := noise(size)
	for _, test := range []struct {
		name string
		size int
		kind string
	}{{"parts", size, complete}, {"one request", 100, "PUT"}} {
		t.Run(test.name, func(t *testing.T) {
			g := newPartsGate(t, http1)
			token := g.mint(put())
			at := g.begin(token, test.size)
			stored := false
			g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
				switch of := kind(r.Method, r.RequestURI); {
				case of == test.kind && !stored:
					stored = true
					g.s3.behave(httptest.NewRecorder(), r)
					hangUp("")(w, r)
				case stored:
					hangUp("")(w, r)
				default:
					g.s3.behave(w, r)
				}
			})
			if a := g.piece(at, 0, data[:test.size]); a.StatusCode != 504 {
				t.Errorf("%s %s; want 504", a.Status, a.body)
			}
			g.wantCharge(token, "taken")
			if a := g.tus("HEAD", at, nil); a.StatusCode != 504 {
				t.Errorf("HEAD meanwhile: %s", a.Status)
			}
			g.s3.answer(nil)
			if n := g.offset(at); n != test.size {
				t.Errorf("the offset is %d", n)
			}
			g.wantStored(token, data[:test.size])
		})
	}
}

// When S3 refuses the last word the upload stays, and is stored before a client
// hears that it is complete.
func TestTusFinishedLater(t *testing.T) {
	const size = 2*testPart + 5
	for _, test := range []struct {
		name string
		size int
		kind string
	}{{"parts", size, complete}, {"one request", 100, "PUT"}} {
		t.Run(test.name, func(t *testing.T) {
			g := newPartsGate(t, http1)
			token, data := g.mint(put()), noise(test.size)
			at := g.begin(token, test.size)
			g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
				if kind(r.Method, r.RequestURI) == test.kind {
					reading(refuse(http.StatusForbidden, "AccessDenied"))(w, r)
				} else {
					g.s3.behave(w, r)
				}
			})
			if a := g.piece(at, 0, data); a.StatusCode != 502 {
				t.Errorf("%s %s; want 502", a.Status, a.body)
			}
			g.wantCharge(token, "taken")
			g.s3.answer(nil)
			if n := g.offset(at); n < test.size {
				if a := g.piece(at, n, data[n:]); a.StatusCode != 204 {
					t.Errorf("%s %s", a.Status, a.body)
				}
			}
			g.wantStored(token, data)
		})
	}
}

// An object that came meanwhile is not replaced, and ends the upload.
func TestTusNoOverwrite(t *testing.T) {
	for _, size := range []int{100, 2*testPart + 5} {
		g := newPartsGate(t, http1)
		token, data := g.mint(put()), noise(size)
		at := g.begin(token, size)
		g.s3.store(canaryKey, "mine")
		if a := g.piece(at, 0, data); a.StatusCode != 412 {
			t.Errorf("%s %s; want 412", a.Status, a.body)
		}
		if stored, _ := g.s3.object(); stored != "mine" {
			t.Error("it was replaced")
		}
		g.wantCharge(token, "free")
		g.wantClean()
	}
}

// A part of a request that has lost the upload may come late: what is completed
// is what S3 has.
func TestTusLatePart(t *testing.T) {
	const size = 2*testPart + 5
	g := newPartsGate(t, http1)
	token, data := g.mint(put()), noise(size)
	at := g.begin(token, size)
	late := false
	g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
		if kind(r.Method, r.RequestURI) == complete && !late {
			late = true
			reading(refuse(http.StatusBadRequest, "InvalidPart"))(w, r)
			return
		}
		g.s3.behave(w, r)
	})
	if a := g.piece(at, 0, data); a.StatusCode != 204 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	g.wantStored(token, data)
}

// Without a journal there is nothing to resume.
func TestTusNotOffered(t *testing.T) {
	g := newPartsGate(t, http1)
	g.Journal = nil
	token := g.mint(put())
	if a := g.tus("POST", "/"+token.Reveal(), nil, "Upload-Length", "5"); a.StatusCode != 405 || a.Header.Get("Allow") != "PUT, OPTIONS" {
		t.Errorf("%s %q", a.Status, a.Header.Get("Allow"))
	}
	if a := g.do(g.request("OPTIONS", token, nil)); a.Header.Get("Tus-Version") != "" {
		t.Error("OPTIONS offers it")
	}
}

// An upload whose time is over, and one of a link that is dead, is dropped by the
// sweeper.
func TestTusSwept(t *testing.T) {
	g := newPartsGate(t, http1)
	token, data := g.mint(put()), noise(2*testPart)
	at := g.begin(token, len(data))
	if a := g.piece(at, 0, data[:testPart+5]); a.StatusCode != 204 {
		t.Fatal(a.Status, a.body)
	}
	sweeper := &uploads.Sweeper{
		Journal: g.Journal, Buckets: map[string]uploads.Upstream{"media": g.Buckets["media"]}, Recover: g.store.Recover, TempPrefix: ".s3gate/",
	}
	if n := sweeper.Sweep(context.Background()); n != 0 {
		t.Errorf("%d were ended before their time", n)
	}
	g.redis.SetTime(time.Now().Add(25 * time.Hour))
	eventually(t, "it is dropped", func() bool { return sweeper.Sweep(context.Background()) == 1 })
	g.wantNothing(token)
	g.wantClean()
}

// sums are the checksums of data in base64, by algorithm.
func sums(data string) map[string]string {
	b := []byte(data)
	m, s1, s2 := md5.Sum(b), sha1.Sum(b), sha256.Sum256(b)
	c := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b))
	all := map[string]string{}
	for name, sum := range map[string][]byte{"md5": m[:], "sha1": s1[:], "sha256": s2[:], "crc32": c} {
		all[name] = base64.StdEncoding.EncodeToString(sum)
	}
	return all
}

// Uploads into a drop box get keys of their own, which stay theirs; several go on
// at a time.
func TestTusDropBox(t *testing.T) {
	g := newPartsGate(t, http1)
	token, data := g.mint(drop(2, "")), noise(2*testPart)
	first := g.begin(token, len(data), "Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte("../a b.bin")))
	second := g.tus("POST", "/"+token.Reveal()+"/c%20d.bin", nil, "Upload-Length", strconv.Itoa(len(data))).Header.Get("Location")
	for _, at := range []string{first, second} {
		if a := g.piece(at, 0, data[:testPart+5]); a.StatusCode != 204 {
			t.Fatal(a.Status, a.body)
		}
	}
	for _, at := range []string{second, first} {
		a := g.piece(at, testPart+5, data[testPart+5:])
		if a.StatusCode != 204 || strings.Contains(fmt.Sprint(a.Header), "canary") {
			t.Error(a.Status, a.body, a.Header)
		}
	}
	var names []string
	for _, key := range g.s3.keys() {
		names = append(names, key[strings.LastIndex(key, "/")+1:])
		if !strings.HasPrefix(key, "canary-key/") {
			t.Errorf("stored as %q", key)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"a b.bin", "c d.bin"}) {
		t.Errorf("stored as %q", names)
	}
	if a := g.tus("POST", "/"+token.Reveal(), nil, "Upload-Length", "1"); a.StatusCode != 410 {
		t.Errorf("a third one: %s", a.Status)
	}
}

// What a grant says of objects holds for these too: metadata, and types that the
// first bytes look like.
func TestTusUpholdsTheGrant(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n" + noise(2*testPart)
	image := "filetype " + base64.StdEncoding.EncodeToString([]byte("image/png"))
	for _, test := range []struct {
		name, data string
		step       int
		status     int
	}{
		{"image", png, testPart, 204},
		{"image by bytes", png, 3, 204},
		{"another thing", noise(2 * testPart), testPart, 415},
		{"a small one", "<html>", 3, 415},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newPartsGate(t, http1)
			grant := put()
			grant.Upload = tokens.Upload{ContentTypes: []string{"image/*"}, Sniff: true, Metadata: map[string]string{"case": "17"}}
			token := g.mint(grant)
			at := g.begin(token, len(test.data), "Upload-Metadata", image)
			a := g.piece(at, 0, test.data[:test.step])
			if a.StatusCode == 204 {
				a = g.piece(at, test.step, test.data[test.step:])
			}
			if a.StatusCode != test.status {
				t.Fatalf("%s %s; want %d", a.Status, a.body, test.status)
			}
			if test.status != 204 {
				g.wantNothing(token)
				return
			}
			g.wantStored(token, test.data)
			described := false
			for _, r := range g.s3.log() {
				described = described || kind(r.method, r.target) == create && r.header.Get("X-Amz-Meta-Case") == "17" && r.header.Get("Content-Type") == "image/png"
			}
			if !described {
				t.Error("S3 was not told of the metadata")
			}
		})
	}
	t.Run("a checksum", func(t *testing.T) {
		g := newPartsGate(t, http1)
		grant := put()
		grant.Upload.Checksum = tokens.AnyChecksum
		token := g.mint(grant)
		if a := g.tus("POST", "/"+token.Reveal(), nil, "Upload-Length", "5"); a.StatusCode != 400 || !strings.Contains(a.body, "MissingChecksum") {
			t.Errorf("%s %s", a.Status, a.body)
		}
		g.wantCharge(token, "free")
	})
}

// What an earlier request for the upload has stored meanwhile S3 refuses to store
// again: that is no failure.
func TestTusStoredMeanwhile(t *testing.T) {
	for _, test := range []struct {
		name, kind, code string
		size, status     int
	}{{"parts", complete, "NoSuchUpload", 2*testPart + 5, 404}, {"one request", "PUT", "PreconditionFailed", 100, 412}} {
		t.Run(test.name, func(t *testing.T) {
			g := newPartsGate(t, http1)
			token, data := g.mint(put()), noise(test.size)
			at := g.begin(token, test.size)
			g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
				if kind(r.Method, r.RequestURI) != test.kind {
					g.s3.behave(w, r)
					return
				}
				g.s3.behave(httptest.NewRecorder(), r)
				refuse(test.status, test.code)(w, r)
			})
			if a := g.piece(at, 0, data); a.StatusCode != 204 || a.Header.Get("ETag") == "" {
				t.Errorf("%s %s", a.Status, a.body)
			}
			g.wantStored(token, data)
		})
	}
}
