package proxy_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/s3client"
	"s3gate/tokens"
)

// testPart is the size of a part in most tests: S3 would want 5 MiB.
const testPart = 64 << 10

// newPartsGate is a gate that sends all uploads in parts, above one part.
func newPartsGate(t testing.TB, p protocol) *gate {
	g := newGate(t, p)
	g.Multipart.SingleMax, g.Multipart.PartSize, g.Multipart.Memory = testPart, testPart, 64*testPart
	g.Multipart.Backoff = time.Millisecond
	g.s3.clear()
	return g
}

// noise is n bytes that are not all the same.
func noise(n int) string {
	data := make([]byte, n)
	random := rand.NewChaCha8([32]byte{byte(n)})
	random.Read(data)
	return string(data)
}

// lengths are the ways in which a client says how long a body is.
var lengths = []struct {
	name string
	body func(string) io.Reader
}{
	{"known", func(s string) io.Reader { return strings.NewReader(s) }},
	{"unknown", unmeasuredBody},
}

// wantNothing checks that an upload has left nothing, and costs nothing.
func (g *gate) wantNothing(token tokens.Token) {
	g.t.Helper()
	g.wantCharge(token, "free")
	if data, ok := g.s3.object(); ok {
		g.t.Errorf("stored %d bytes", len(data))
	}
	if n := g.s3.left(); n != 0 {
		g.t.Errorf("%d uploads are left", n)
	}
	for _, key := range g.journal() {
		// Of what S3 may have begun without saying so the journal reminds.
		if state := g.redis.HGet(key, "s"); state != "dropped" {
			g.t.Errorf("the journal has %s, %s", key, state)
		}
	}
	if n := proxy.MemoryHeld(&g.Multipart); n != 0 {
		g.t.Errorf("%d bytes of memory are held", n)
	}
}

// A body of unknown length that fits into one part is sent as one request,
// also an empty one.
func TestSmallUploadOfUnknownLength(t *testing.T) {
	for _, proto := range protocols {
		for _, size := range []int{0, 1, testPart - 1} {
			t.Run(fmt.Sprint(size, " bytes ", proto.name), func(t *testing.T) {
				g := newPartsGate(t, proto)
				token, data := g.mint(put()), noise(size)
				a := g.do(g.request("PUT", token, unmeasuredBody(data), "Content-Type", "text/csv"))
				if stored, ok := g.s3.object(); a.StatusCode != 200 || a.Header.Get("ETag") != etag || !ok || stored != data {
					t.Errorf("%s %s; stored %v", a.Status, a.body, ok)
				}
				if kinds := g.s3.kinds(); !slices.Equal(kinds, []string{"PUT"}) {
					t.Errorf("s3 got %q", kinds)
				}
				sent := g.s3.log()[0].header
				if sent.Get("Content-Type") != "text/csv" || sent.Get("If-None-Match") != "*" || sent.Get("X-Amz-Meta-S3gate-Use") == "" {
					t.Errorf("s3 got %v", sent)
				}
				g.wantCharge(token, "charged")
			})
		}
	}
}

// What one request cannot carry goes in parts, and S3's answer is that to a
// PUT (S7).
func TestUploadInParts(t *testing.T) {
	for _, proto := range protocols {
		for _, length := range lengths {
			for _, size := range []int{testPart + 1, 2 * testPart, 10*testPart + 7, 41 * testPart} {
				t.Run(fmt.Sprint(length.name, " ", size, " bytes ", proto.name), func(t *testing.T) {
					g := newPartsGate(t, proto)
					var told []tokens.Receipt
					g.Ended = func(r tokens.Receipt) { told = append(told, r) }
					token, data := g.mint(put()), noise(size)
					sum := md5.Sum([]byte(data))
					a := g.do(g.request("PUT", token, length.body(data), "Content-Type", "video/mp4",
						"Content-MD5", base64.StdEncoding.EncodeToString(sum[:]), "X-Canary", canaryClient))
					if a.StatusCode != 200 || a.body != "" || a.Header.Get("ETag") != manyTag || a.Header.Get("X-Amz-Version-Id") != "v1" ||
						a.Header.Get("X-Amz-Checksum-Crc32") != "AAAAAA==" || a.Header.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" {
						t.Errorf("%s %q %v", a.Status, a.body, a.Header)
					}
					if text := fmt.Sprint(a.Header); strings.Contains(text, "canary") {
						t.Errorf("the answer says %s", text)
					}
					if stored, _ := g.s3.object(); stored != data {
						t.Errorf("stored %d bytes of %d", len(stored), len(data))
					}
					for _, r := range g.s3.log() {
						of := kind(r.method, r.target)
						if described := r.header.Get("Content-Type") == "video/mp4" && r.header.Get("X-Amz-Meta-S3gate-Use") != ""; described != (of == create) {
							t.Errorf("%s says of the object: %v", of, described)
						}
						if conditional := r.header.Get("If-None-Match") == "*"; conditional != (of == complete) {
							t.Errorf("%s has a condition: %v", of, conditional)
						}
						if protected := r.header.Get("Content-Md5") != ""; protected != (of == uploadPart) {
							t.Errorf("%s has a checksum: %v", of, protected)
						}
						if strings.Contains(fmt.Sprint(r.header), canaryClient) {
							t.Errorf("%s: %v", of, r.header)
						}
					}
					if n, want := g.s3.count(uploadPart), (size+testPart-1)/testPart; n != want {
						t.Errorf("%d parts, want %d", n, want)
					}
					g.wantCharge(token, "charged")
					if len(told) != 1 || told[0].Bytes != int64(size) || told[0].Size != int64(size) || told[0].ETag != manyTag || told[0].VersionID != "v1" {
						t.Errorf("told %+v", told)
					}
					if n := g.s3.left(); n != 0 {
						t.Errorf("%d uploads are left", n)
					}
				})
			}
		}
	}
}

// Where the grant permits it an object is replaced, and where not the client
// hears so before it has sent anything.
func TestUploadInPartsWhereAnObjectIs(t *testing.T) {
	g := newPartsGate(t, http1)
	g.s3.store(canaryKey, "old")
	token := g.mint(put())
	if a := g.put(token, noise(3*testPart)); a.StatusCode != 412 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if kinds := g.s3.kinds(); !slices.Equal(kinds, []string{"HEAD"}) {
		t.Errorf("s3 got %q", kinds)
	}
	g.wantCharge(token, "free")
	if a := g.do(g.request("PUT", token, unmeasuredBody(noise(3*testPart)))); a.StatusCode != 412 || g.s3.count(create) != 0 {
		t.Errorf("of unknown length: %s %s; s3 got %q", a.Status, a.body, g.s3.kinds())
	}
	g.wantCharge(token, "free")
	if a := g.put(g.mint(limited(tokens.Upload{Overwrite: true})), noise(3*testPart)); a.StatusCode != 200 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if stored, _ := g.s3.object(); stored != noise(3*testPart) {
		t.Errorf("stored %d bytes", len(stored))
	}
}

// An object that comes to be during the upload is not replaced (S10).
func TestUploadInPartsRacesAnother(t *testing.T) {
	g := newPartsGate(t, http1)
	g.s3.times(1, create, func(w http.ResponseWriter, r *http.Request) {
		g.s3.store(canaryKey, "first")
		g.s3.behave(w, r)
	})
	token := g.mint(put())
	if a := g.put(token, noise(3*testPart)); a.StatusCode != 412 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if stored, _ := g.s3.object(); stored != "first" || g.s3.left() != 0 {
		t.Errorf("stored %d bytes, %d uploads are left", len(stored), g.s3.left())
	}
	g.wantCharge(token, "free")
}

// embedded is what S3 may say after it has said 200.
func embedded(code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "<?xml version=\"1.0\"?>\n  <Error><Code>%s</Code><Message>%s</Message></Error>", code, canaryMessage)
	}
}

// A request that fails in passing is sent again, out of the memory.
func TestUploadInPartsTriesAgain(t *testing.T) {
	for _, of := range []string{http.MethodHead, create, uploadPart, complete} {
		for _, test := range []struct {
			name   string
			answer http.HandlerFunc
		}{
			{"500", reading(refuse(500, "InternalError"))},
			{"503", refuse(503, "SlowDown")},
			{"502", reading(refuse(502, ""))},
			{"expired credentials", refuse(400, "ExpiredToken")},
			{"a time-out", reading(refuse(400, "RequestTimeout"))},
			{"no answer", hangUp("")},
			{"200 and then an error", embedded("InternalError")},
			{"200 and nonsense", reading(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<x") })},
		} {
			if of != complete && strings.HasPrefix(test.name, "200") {
				continue // there is no document, or an upload that was begun
			}
			t.Run(of+" "+test.name, func(t *testing.T) {
				g := newPartsGate(t, http1)
				g.s3.times(3, of, test.answer)
				token, data := g.mint(put()), noise(5*testPart+3)
				if a := g.put(token, data); a.StatusCode != 200 || a.Header.Get("ETag") != manyTag {
					t.Errorf("%s %s", a.Status, a.body)
				}
				if stored, _ := g.s3.object(); stored != data {
					t.Errorf("stored %d bytes of %d", len(stored), len(data))
				}
				g.wantCharge(token, "charged")
			})
		}
	}
}

// What goes on failing ends the upload: nothing is stored, nothing is left and
// the use comes back (S6).
func TestUploadInPartsThatFails(t *testing.T) {
	for _, test := range []struct {
		of     string
		answer http.HandlerFunc
		status int
		code   string
		tries  int // of the request that fails
	}{
		{create, reading(refuse(500, "InternalError")), 502, "StorageError", 4},
		{create, reading(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<x") }), 502, "StorageError", 1},
		{create, refuse(403, "AccessDenied"), 502, "StorageError", 1},
		{create, refuse(503, "SlowDown"), 503, "SlowDown", 4},
		{uploadPart, refuse(403, "AccessDenied"), 502, "StorageError", 0},
		{uploadPart, refuse(400, "EntityTooSmall"), 502, "StorageError", 0},
		{uploadPart, reading(refuse(500, "InternalError")), 502, "StorageError", 0},
		{uploadPart, refuse(503, "SlowDown"), 503, "SlowDown", 0},
		{uploadPart, hangUp(""), 502, "StorageError", 0},
		{uploadPart, reading(func(http.ResponseWriter, *http.Request) {}), 502, "StorageError", 0}, // without an ETag
		{complete, refuse(400, "InvalidPart"), 502, "StorageError", 1},
		{complete, refuse(404, "NoSuchUpload"), 502, "StorageError", 1},
		{complete, refuse(409, "ConditionalRequestConflict"), 409, "OperationAborted", 1},
		{complete, refuse(503, "SlowDown"), 503, "SlowDown", 4},
		{complete, reading(refuse(500, "InternalError")), 502, "StorageError", 4},
		{complete, embedded("InternalError"), 502, "StorageError", 4},
		{complete, embedded("InvalidPart"), 502, "StorageError", 1},
	} {
		for _, length := range lengths {
			t.Run(test.of+" "+test.code+" "+length.name, func(t *testing.T) {
				g := newPartsGate(t, http1)
				g.s3.times(1000, test.of, test.answer)
				token := g.mint(put())
				a := g.do(g.request("PUT", token, length.body(noise(3*testPart+1))))
				if a.StatusCode != test.status || !strings.Contains(a.body, test.code) || strings.Contains(a.body, "canary") {
					t.Errorf("%s %s; want %d %s", a.Status, a.body, test.status, test.code)
				}
				if n := g.s3.count(test.of); test.tries > 0 && n != test.tries {
					t.Errorf("%d tries, want %d", n, test.tries)
				}
				g.wantNothing(token)
			})
		}
	}
}

// An upload whose answer was lost is recognized by its mark, also when S3 says
// of the second try that the upload is gone, or that the object is there.
func TestLostAnswerToComplete(t *testing.T) {
	for _, lost := range []http.HandlerFunc{hangUp(""), refuse(500, "InternalError"), refuse(504, ""), embedded("InternalError")} {
		for _, then := range []http.HandlerFunc{nil, refuse(412, "PreconditionFailed"), embedded("PreconditionFailed"), refuse(500, "InternalError")} {
			g := newPartsGate(t, http1)
			completed := false
			g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case kind(r.Method, r.RequestURI) != complete || completed && then == nil:
					g.s3.behave(w, r)
				case completed:
					reading(then)(w, r)
				default:
					completed = true
					g.s3.behave(&discard{header: http.Header{}}, r)
					lost(w, r)
				}
			})
			token, data := g.mint(put()), noise(3*testPart)
			if a := g.put(token, data); a.StatusCode != 200 || a.Header.Get("ETag") != manyTag {
				t.Errorf("%s %s", a.Status, a.body)
			}
			if stored, _ := g.s3.object(); stored != data {
				t.Errorf("stored %d bytes", len(stored))
			}
			g.wantCharge(token, "charged")
		}
	}
}

// While nobody knows whether S3 completes an upload the use stays taken, and
// the upload is left to S3.
func TestUnknownOutcomeOfComplete(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers []http.HandlerFunc // the last one again and again
	}{
		{"no answer", []http.HandlerFunc{hangUp("")}},
		{"504", []http.HandlerFunc{reading(refuse(504, ""))}},
		{"nonsense", []http.HandlerFunc{reading(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<x") })}},
		{"no answer and then 503", []http.HandlerFunc{hangUp(""), refuse(503, "SlowDown")}},
		{"500 and then gone", []http.HandlerFunc{reading(refuse(500, "InternalError")), refuse(404, "NoSuchUpload")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newPartsGate(t, http1)
			tries := 0
			g.s3.times(1000, complete, func(w http.ResponseWriter, r *http.Request) {
				tries++
				test.answers[min(tries, len(test.answers))-1](w, r)
			})
			token := g.mint(put())
			if a := g.put(token, noise(3*testPart)); a.StatusCode != 504 || !strings.Contains(a.body, "OutcomeUnknown") {
				t.Errorf("%s %s", a.Status, a.body)
			}
			g.wantCharge(token, "taken")
			if n := g.s3.count(abort); n != 0 {
				t.Errorf("%d aborts", n)
			}
		})
	}
}

// Somebody else's object is not taken for the one of a lost answer: nothing of
// ours is there, nor will be.
func TestLostAnswerWhereAnotherObjectIs(t *testing.T) {
	g := newPartsGate(t, http1)
	g.s3.times(1, complete, func(w http.ResponseWriter, r *http.Request) {
		g.s3.store(canaryKey, "first")
		hangUp("")(w, r)
	})
	token := g.mint(put())
	if a := g.put(token, noise(3*testPart)); a.StatusCode != 412 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	g.wantCharge(token, "free")
	if n := g.s3.left(); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// A body of unknown length is cut off at the limit.
func TestMaxBytesInFlight(t *testing.T) {
	const limit = 3*testPart + 10
	for _, proto := range protocols {
		for _, size := range []int{limit, limit + 1, limit + testPart, 100 * testPart} {
			t.Run(fmt.Sprint(size, " ", proto.name), func(t *testing.T) {
				g := newPartsGate(t, proto)
				token := g.mint(limited(tokens.Upload{MaxBytes: limit}))
				want := 200
				if size > limit {
					want = 413
				}
				a := g.do(g.request("PUT", token, unmeasuredBody(noise(size))))
				if a.StatusCode != want {
					t.Errorf("%s %s", a.Status, a.body)
				}
				if want == 413 {
					g.wantNothing(token)
				}
			})
		}
	}
}

// Any number of uploads share the memory and never take more; each comes to
// its end with one part's worth, also when they wait for each other.
func TestMemoryOfUploads(t *testing.T) {
	for _, parts := range []int64{1, 2, 5} {
		for _, proto := range []protocol{http1, http2} {
			t.Run(fmt.Sprint(parts, " ", proto.name), func(t *testing.T) {
				g := newPartsGate(t, proto)
				g.Multipart.Memory = parts * testPart
				var wg sync.WaitGroup
				for i := range 24 {
					grant := put()
					grant.Key = fmt.Sprint("object-", i)
					token, data := g.mint(grant), noise((i%7)*testPart+i)
					wg.Go(func() {
						if a := g.do(g.request("PUT", token, lengths[i%2].body(data))); a.StatusCode != 200 {
							t.Errorf("upload %d: %s %s\n%s", i, a.Status, a.body, g.log)
						}
						g.s3.mu.Lock()
						defer g.s3.mu.Unlock()
						if string(g.s3.objects[grant.Key].data) != data {
							t.Errorf("upload %d is not what was sent", i)
						}
					})
				}
				wg.Wait()
				eventually(t, "no transfer is left", func() bool { return g.transfers.Len() == 0 })
				if peak, held := proxy.MemoryPeak(&g.Multipart), proxy.MemoryHeld(&g.Multipart); peak > parts*testPart || peak == 0 || held != 0 {
					t.Errorf("took %d of %d bytes, holds %d", peak, parts*testPart, held)
				}
			})
		}
	}
}

// A client is not idle while the gate does not read, because it has no memory
// or enough parts are on their way.
func TestWaitingIsNotIdle(t *testing.T) {
	for i, proto := range []protocol{http1, http2, http1, http2} {
		t.Run(fmt.Sprint(i, " ", proto.name), func(t *testing.T) {
			t.Parallel()
			g := newPartsGate(t, proto)
			if g.Multipart.Concurrency = 1; i < 2 {
				g.Multipart.Memory = testPart
			}
			g.UploadIdle, g.UploadMinRate = 1500*time.Millisecond, 1<<10
			first, proceed := make(chan struct{}), make(chan struct{})
			g.s3.times(1, uploadPart, func(w http.ResponseWriter, r *http.Request) {
				close(first)
				<-proceed
				g.s3.behave(w, r)
			})
			second := put()
			second.Key = "second"
			answered := make(chan answer, 2)
			go func() { answered <- g.put(g.mint(put()), noise(40*testPart)) }()
			<-first
			go func() { answered <- g.do(g.request("PUT", g.mint(second), unmeasuredBody(noise(3*testPart)))) }()
			// Where there is no memory both wait, else the first does.
			time.Sleep(4 * g.UploadIdle)
			close(proceed)
			for range 2 {
				if a := receive(t, "an answer", answered); a.StatusCode != 200 {
					t.Errorf("%s %s", a.Status, a.body)
				}
			}
		})
	}
}

// A revocation in the middle, or right before the request that would complete
// it, leaves nothing of an upload in parts (R7, R8).
func TestRevokeUploadInParts(t *testing.T) {
	for _, proto := range protocols {
		for _, length := range lengths {
			for _, test := range []struct {
				name   string
				stop   func(g *gate, token tokens.Token) revocation.Receipt
				status int
			}{
				{"revoked", (*gate).revoke, 410},
				{"gate stops", func(g *gate, _ tokens.Token) revocation.Receipt { g.transfers.CutAll(); return revocation.Receipt{} }, 503},
			} {
				for _, part := range []string{"1", "3"} {
					t.Run(fmt.Sprint(test.name, " at part ", part, " ", length.name, " ", proto.name), func(t *testing.T) {
						g := newPartsGate(t, proto)
						g.Multipart.Concurrency = 1
						token := g.mint(put())
						var once sync.Once
						stopped := make(chan struct{})
						g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
							if r.URL.Query().Get("partNumber") == part {
								once.Do(func() {
									defer close(stopped)
									if receipt := test.stop(g, token); receipt.Committing != nil {
										t.Errorf("receipt %+v", receipt)
									}
								})
							}
							g.s3.behave(w, r)
						})
						if a := g.do(g.request("PUT", token, length.body(noise(3*testPart)))); a.StatusCode != test.status {
							t.Errorf("%s %s", a.Status, a.body)
						}
						receive(t, "the end of the revocation", stopped)
						if n := g.s3.count(complete); n != 0 {
							t.Errorf("%d requests to complete it", n)
						}
						g.wantNothing(token)
					})
				}
			}
		}
	}
}

// The same when all parts are there, and only the last request is missing (R8).
func TestRevokeRightBeforeComplete(t *testing.T) {
	for _, length := range lengths {
		g := newPartsGate(t, http1)
		g.Multipart.Concurrency = 1
		token := g.mint(put())
		bucket := g.Buckets["media"]
		g.Buckets["media"] = upstreamFunc(func(ctx context.Context, r *s3client.Request) (*http.Response, error) {
			resp, err := bucket.Do(ctx, r)
			if r.Query.Get("partNumber") == "3" {
				if receipt := g.revoke(token); receipt.Cut != 1 || receipt.Committing != nil {
					t.Errorf("%s: receipt %+v", length.name, receipt)
				}
			}
			return resp, err
		})
		if a := g.do(g.request("PUT", token, length.body(noise(3*testPart)))); a.StatusCode != 410 {
			t.Errorf("%s: %s %s", length.name, a.Status, a.body)
		}
		if n := g.s3.count(complete); n != 0 {
			t.Errorf("%s: %d requests to complete it", length.name, n)
		}
		g.wantNothing(token)
	}
}

// An upload that S3 was asked to complete is named and not stopped (R7).
func TestRevokeDuringComplete(t *testing.T) {
	g := newPartsGate(t, http1)
	token := g.mint(put())
	var receipt revocation.Receipt
	g.s3.times(1, complete, func(w http.ResponseWriter, r *http.Request) {
		receipt = g.revoke(token)
		g.s3.behave(w, r)
	})
	a := g.put(token, noise(3*testPart))
	if a.StatusCode != 200 || receipt.Cut != 0 || len(receipt.Committing) != 1 || receipt.Committing[0] != a.Header.Get("X-Request-Id") {
		t.Errorf("%s, receipt %+v for %s", a.Status, receipt, a.Header.Get("X-Request-Id"))
	}
	g.wantCharge(token, "charged")
}

// A client that leaves, stalls or does not keep to its framing leaves nothing
// (S8, H5).
func TestClientCutsUploadInParts(t *testing.T) {
	for _, test := range []struct {
		name, head string
		chunk      func(string) string
	}{
		{"known", fmt.Sprintf("Content-Length: %d", 5*testPart), func(s string) string { return s }},
		{"unknown", "Transfer-Encoding: chunked", func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }},
	} {
		for _, end := range []struct {
			name string
			end  func(*net.TCPConn)
		}{
			{"leaves", func(c *net.TCPConn) { c.CloseWrite() }},
			{"stalls", func(*net.TCPConn) {}},
		} {
			t.Run(test.name+" "+end.name, func(t *testing.T) {
				t.Parallel()
				g := newPartsGate(t, http1)
				g.UploadIdle = 500 * time.Millisecond
				sent := make(chan struct{}, 100)
				g.s3.times(100, uploadPart, func(w http.ResponseWriter, r *http.Request) {
					g.s3.behave(w, r)
					sent <- struct{}{}
				})
				token := g.mint(put())
				c := g.dial()
				io.WriteString(c, "PUT /"+token.Reveal()+" HTTP/1.1\r\nHost: gate\r\n"+test.head+"\r\n\r\n"+test.chunk(noise(2*testPart+10)))
				receive(t, "a part", sent)
				end.end(c)
				reply, _ := io.ReadAll(c)
				if !strings.HasPrefix(string(reply), "HTTP/1.1 408 ") && end.name == "stalls" {
					t.Errorf("answer: %q", reply)
				}
				g.wantNothing(token)
			})
		}
	}
}

// The same over HTTP/2, where a client resets its stream.
func TestClientResetsUploadInParts(t *testing.T) {
	for _, length := range []int64{-1, 5 * testPart} {
		g := newPartsGate(t, http2)
		sent := make(chan struct{}, 100)
		g.s3.times(100, uploadPart, func(w http.ResponseWriter, r *http.Request) {
			g.s3.behave(w, r)
			sent <- struct{}{}
		})
		token := g.mint(put())
		ctx, leave := context.WithCancel(t.Context())
		body, w := io.Pipe()
		go func() {
			io.WriteString(w, noise(2*testPart+10))
			<-sent
			leave()
			w.CloseWithError(context.Canceled)
		}()
		r := g.request("PUT", token, body).WithContext(ctx)
		r.ContentLength = length
		if resp, err := g.client.Do(r); err == nil {
			resp.Body.Close()
			t.Errorf("answered %s", resp.Status)
		}
		g.wantNothing(token)
	}
}

// Aborting is tried again, and until nothing is left: a part that S3 had not
// finished with may come after.
func TestAbortIsThorough(t *testing.T) {
	for _, test := range []struct {
		of     string
		answer http.HandlerFunc
		want   []string // after the part that fails
	}{
		{abort, refuse(500, "InternalError"), []string{abort, abort, listParts}},
		{abort, hangUp(""), []string{abort, abort, listParts}},
		{listParts, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>x</ETag><Size>1</Size></Part></ListPartsResult>")
		}, []string{abort, listParts, abort}},
		{listParts, refuse(403, "AccessDenied"), []string{abort, listParts}},
	} {
		g := newPartsGate(t, http1)
		g.Multipart.Concurrency = 1
		g.s3.times(1, test.of, test.answer)
		instead := g.s3.instead
		g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
			if kind(r.Method, r.RequestURI) == uploadPart {
				refuse(400, "InvalidRequest")(w, r)
			} else {
				instead(w, r)
			}
		})
		token := g.mint(put())
		if a := g.put(token, noise(2*testPart)); a.StatusCode != 502 {
			t.Errorf("%s %s", a.Status, a.body)
		}
		g.wantNothing(token)
		kinds := g.s3.kinds()
		at := slices.Index(kinds, abort)
		if at < 0 || !slices.Equal(kinds[at:], test.want) {
			t.Errorf("%s: s3 got %q, want %q at its end", test.of, kinds, test.want)
		}
	}
}

// Credentials that are gone in the middle leave nothing once they are back
// (S11).
func TestCredentialsGoneDuringUploadInParts(t *testing.T) {
	g := newPartsGate(t, http1)
	bucket := g.Buckets["media"]
	var mu sync.Mutex
	fails := 0
	g.Buckets["media"] = upstreamFunc(func(ctx context.Context, r *s3client.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		if r.Query.Get("partNumber") == "2" || r.Method == "DELETE" && fails < 3 {
			fails++
			return nil, s3client.ErrCredentials
		}
		return bucket.Do(ctx, r)
	})
	token := g.mint(put())
	if a := g.put(token, noise(3*testPart)); a.StatusCode != 503 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	g.wantNothing(token)
}
