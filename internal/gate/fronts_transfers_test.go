package gate_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/tokens"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// A download through a proxy is the gate's: bytes, ranges, conditions and errors.
func TestFrontsPassDownloads(t *testing.T) {
	eachFront(t, func(t *testing.T, w *world, g *testGate, f *front) {
		body, page := random(5<<20), bytes.Repeat([]byte("<p>text that compresses well</p>"), 4<<10)
		w.store("o", "application/x-test", body)
		w.store("page", "text/html", page)
		link, html := f.link(g.mint("get", "o", nil)), f.link(g.mint("get", "page", nil))
		once, revoked := f.link(g.mint("get", "o", uses(1))), g.mint("get", "o", nil)
		if _, err := g.api.Revoke(t.Context(), revoked.ID, ""); err != nil {
			t.Fatal(err)
		}
		do(t, "GET", g.LinksURL()+strings.TrimPrefix(once, f.url), nil)
		f.eachProtocol(t, func(proto string, tr *http.Transport) {
			etag := ""
			for _, tt := range []struct {
				name, method, link string
				header             string
				status             int
				body               []byte
			}{
				{"whole", "GET", link, "", 200, body},
				{"head", "HEAD", link, "", 200, []byte{}},
				{"a part", "GET", link, "Range: bytes=1000000-1999999", 206, body[1000000:2000000]},
				{"the end", "GET", link, "Range: bytes=-7", 206, body[len(body)-7:]},
				{"past the end", "GET", link, "Range: bytes=99999999-", 416, nil},
				{"not changed", "GET", link, "If-None-Match: ETAG", 304, []byte{}},
				{"changed", "GET", link, `If-Match: "x"`, 412, nil},
				{"never compressed", "GET", html, "Accept-Encoding: gzip", 200, page},
				{"used", "GET", once, "", 410, nil},
				{"revoked", "GET", f.link(revoked), "", 410, nil},
				{"revoked, as a page", "GET", f.link(revoked), "Accept: text/html", 410, nil},
				{"unknown", "GET", f.url + "/" + tokens.Generate().Reveal(), "", 404, nil},
				{"another method", "PUT", link, "Content-Length: 0", 405, nil},
				{"large headers", "GET", link, "X-Large: " + strings.Repeat("x", 10<<10), 200, body},
				{"an upgrade", "GET", link, "Upgrade: websocket", 200, body},
			} {
				if proto == "HTTP/2.0" && strings.HasPrefix(tt.header, "Upgrade") {
					continue // is not there
				}
				header := []string{}
				if tt.header != "" {
					header = append(header, strings.ReplaceAll(tt.header, "ETAG", etag))
				}
				if strings.HasPrefix(tt.header, "Upgrade") {
					header = append(header, "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
				}
				a, err := try(t.Context(), tr, tt.method, tt.link, nil, header...)
				if err != nil || a.err != nil || a.status != tt.status || a.proto != proto {
					t.Errorf("%s, %s: %d over %s, %v %v, want %d", proto, tt.name, a.status, a.proto, err, a.err, tt.status)
					continue
				}
				etag = first(etag, a.header.Get("Etag"))
				direct := do(t, tt.method, g.LinksURL()+strings.TrimPrefix(tt.link, f.url), nil, header...)
				for _, name := range []string{"Content-Type", "Content-Length", "Content-Range", "Content-Disposition", "Etag",
					"Cache-Control", "Retry-After", "Allow", "Referrer-Policy", "X-Content-Type-Options", "Content-Encoding"} {
					if got, want := a.header.Get(name), direct.header.Get(name); got != want {
						t.Errorf("%s, %s: %s is %q, and without the proxy %q", proto, tt.name, name, got, want)
					}
				}
				if tt.body != nil && !bytes.Equal(a.body, tt.body) || tt.body == nil && len(a.body) != len(direct.body) {
					t.Errorf("%s, %s: %d bytes, not those of the gate", proto, tt.name, len(a.body))
				}
			}
			if a, err := try(t.Context(), tr, "GET", link, nil, "X-Large: "+strings.Repeat("x", 60<<10)); err == nil && a.status < 400 {
				t.Errorf("%s: headers of 60 KiB: %d", proto, a.status)
			}
		})
	})
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// halves is a body whose second half comes when somebody says so.
type halves struct {
	first, second io.Reader
	begin         chan struct{}
}

func (h *halves) Read(p []byte) (int, error) {
	if n, err := h.first.Read(p); err == nil {
		return n, nil
	}
	<-h.begin
	return h.second.Read(p)
}

// An upload streams through: the gate has what the client has sent before the client
// has sent all, and the proxy keeps nothing of it.
func TestFrontsStreamUploads(t *testing.T) {
	eachFront(t, func(t *testing.T, w *world, g *testGate, f *front) {
		body := random(24 << 20)
		n := 0
		f.eachProtocol(t, func(proto string, tr *http.Transport) {
			for _, size := range []int64{int64(len(body)), -1} {
				n++
				key := fmt.Sprint("up/", n)
				link := f.link(g.mint("put", key, nil))
				half := &halves{bytes.NewReader(body[:12<<20]), bytes.NewReader(body[12<<20:]), make(chan struct{})}
				r, err := http.NewRequestWithContext(t.Context(), "PUT", link, half)
				if err != nil {
					t.Fatal(err)
				}
				r.ContentLength = size
				if proto == "HTTP/1.1" { // nginx does not answer that over HTTP/2
					r.Header.Set("Expect", "100-continue")
				}
				answered := make(chan error, 1)
				go func() {
					resp, err := tr.RoundTrip(r)
					if err == nil {
						resp.Body.Close()
						if resp.StatusCode != 200 || resp.Header.Get("Etag") == "" {
							err = fmt.Errorf("%s %v", resp.Status, resp.Header)
						}
					}
					answered <- err
				}()
				// The windows and buffers of both connections hold less than 4 MiB.
				for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
					all, err := g.api.Transfers(t.Context())
					if err == nil && len(all.Transfers) == 1 && all.Transfers[0].Bytes >= 8<<20 {
						break
					}
					if time.Now().After(end) {
						t.Fatalf("%s, %d bytes: the gate does not get what the client has sent: %+v, %v", proto, size, all, err)
					}
				}
				f.wantNothingKept(t)
				close(half.begin)
				if err := <-answered; err != nil {
					t.Fatalf("%s, %d bytes: %v", proto, size, err)
				}
				if !bytes.Equal(w.stored(key), body) {
					t.Errorf("%s, %d bytes: what is stored is not what was sent", proto, size)
				}
			}
		})
	})
}

// wantNothingKept looks for files of bodies.
func (f *front) wantNothingKept(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"body", "proxy", "cache"} {
		_ = filepath.WalkDir(filepath.Join(f.dir, kind), func(path string, e os.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				t.Errorf("the proxy keeps %s", path)
			}
			return nil
		})
	}
}

// An upload that breaks off in front of the proxy goes on where it was.
func TestFrontsResumeUploads(t *testing.T) {
	eachFront(t, func(t *testing.T, w *world, g *testGate, f *front) {
		body := random(20 << 20)
		f.eachProtocol(t, func(proto string, tr *http.Transport) {
			key := "tus/" + proto
			ask := func(method, url string, body []byte, header ...string) answer {
				t.Helper()
				a, err := try(t.Context(), tr, method, url, body, append(header, "Tus-Resumable: 1.0.0")...)
				if err != nil {
					t.Fatalf("%s, %s: %v", proto, method, err)
				}
				return a
			}
			a := ask("POST", f.link(g.mint("put", key, nil)), nil, fmt.Sprint("Upload-Length: ", len(body)))
			if a.status != 201 {
				t.Fatalf("%s: creation: %d %s", proto, a.status, a.body)
			}
			at := f.through(t, a.header.Get("Location"))
			broken, err := http.NewRequestWithContext(t.Context(), "PATCH", at, io.MultiReader(bytes.NewReader(body[:12<<20]), failing{}))
			if err != nil {
				t.Fatal(err)
			}
			broken.ContentLength = int64(len(body))
			broken.Header = http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {"0"}, "Content-Type": {"application/offset+octet-stream"}}
			if resp, err := tr.RoundTrip(broken); err == nil {
				resp.Body.Close()
				t.Fatalf("%s: half of an upload: %s", proto, resp.Status)
			}
			g.wantRunning(t, 0)
			offset := 0
			for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				a := ask("HEAD", at, nil)
				if _, err := fmt.Sscan(a.header.Get("Upload-Offset"), &offset); a.status == 200 && err == nil {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%s: HEAD: %d %v", proto, a.status, a.header)
				}
			}
			if offset < 1<<20 || offset > 12<<20 {
				t.Errorf("%s: it goes on at %d", proto, offset)
			}
			a = ask("PATCH", at, body[offset:], fmt.Sprint("Upload-Offset: ", offset), "Content-Type: application/offset+octet-stream")
			if a.status != 204 {
				t.Errorf("%s: the rest: %d %s", proto, a.status, a.body)
			}
			if !bytes.Equal(w.stored(key), body) {
				t.Errorf("%s: what is stored is not what was sent", proto)
			}
		})
	})
}

// failing is the end of a client.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the client has ended") }

// A revocation cuts what runs, and the client sees that.
func TestFrontsCutVisibly(t *testing.T) {
	eachFront(t, func(t *testing.T, w *world, g *testGate, f *front) {
		w.store("big", "application/octet-stream", random(64<<20))
		f.eachProtocol(t, func(proto string, tr *http.Transport) {
			token := g.mint("get", "big", nil)
			resp := f.open(t, tr, token)
			began := time.Now()
			receipt, err := g.api.Revoke(t.Context(), token.ID, "")
			if err != nil || receipt.Cut != 1 {
				t.Fatalf("%s: %+v, %v", proto, receipt, err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if err == nil {
				t.Errorf("%s: the download ended as if it were complete after %d bytes", proto, n)
			}
			if n > 16<<20 {
				t.Errorf("%s: %d bytes came after the revocation", proto, n)
			}
			t.Logf("%s through %s: %d KiB after the revocation, cut after %s: %v", proto, f.name, n>>10, time.Since(began).Round(time.Millisecond), err)
		})
	})
}

// open begins a download and reads some of it.
func (f *front) open(t *testing.T, tr *http.Transport, token *client.Token) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", f.link(token), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if _, err := io.ReadFull(resp.Body, make([]byte, 100<<10)); err != nil {
		t.Fatal(err)
	}
	return resp
}

// A client that goes away ends its transfer on the gate, in either direction.
func TestFrontsTellThatClientsAreGone(t *testing.T) {
	eachFront(t, func(t *testing.T, w *world, g *testGate, f *front) {
		w.store("big", "application/octet-stream", random(64<<20))
		f.eachProtocol(t, func(proto string, tr *http.Transport) {
			resp := f.open(t, tr, g.mint("get", "big", nil))
			g.wantRunning(t, 1)
			resp.Body.Close()
			g.wantRunning(t, 0)

			body := &halves{bytes.NewReader(random(1 << 20)), failing{}, make(chan struct{})}
			r, err := http.NewRequestWithContext(t.Context(), "PUT", f.link(g.mint("put", "gone/"+proto, nil)), body)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = 2 << 20
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if resp, err := tr.RoundTrip(r); err == nil {
					resp.Body.Close()
				}
			}()
			g.wantRunning(t, 1)
			close(body.begin)
			<-ended
			g.wantRunning(t, 0)
			if w.stored("gone/"+proto) != nil {
				t.Errorf("%s: a part was stored", proto)
			}
		})
	})
}

// Receipts have the client's address as the proxy has seen it, whatever the client
// says of itself.
func TestFrontsTellTheClientsAddress(t *testing.T) {
	eachFront(t, func(t *testing.T, w *world, g *testGate, f *front) {
		w.store("o", "text/plain", []byte("object"))
		f.eachProtocol(t, func(proto string, tr *http.Transport) {
			token := g.mint("get", "o", uses(1))
			a, err := try(t.Context(), tr, "GET", f.link(token), nil,
				"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 203.0.113.10", "Forwarded: for=203.0.113.9",
				"X-Real-IP: 203.0.113.9", "CloudFront-Viewer-Address: 203.0.113.9:1")
			if err != nil || a.status != 200 {
				t.Fatalf("%s: %d, %v", proto, a.status, err)
			}
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				s, err := g.api.Show(t.Context(), token.ID)
				if err == nil && len(s.Receipts) == 1 {
					if got := s.Receipts[0].Client; got != "127.0.0.2" {
						t.Errorf("%s: the receipt names %s", proto, got)
					}
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%s: no receipt: %+v, %v", proto, s, err)
				}
			}
		})
	})
}

// Who follows events through the proxy reads them as they happen.
func TestFrontsPassEventsOn(t *testing.T) {
	eachFront(t, func(t *testing.T, w *world, g *testGate, f *front) {
		f.eachProtocol(t, func(proto string, tr *http.Transport) {
			r, err := http.NewRequestWithContext(t.Context(), "GET", f.api+"/v1/events?follow=true&type=s3gate.token.minted.v1", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+g.bearer)
			r.Header.Set("Accept", "text/event-stream")
			resp, err := tr.RoundTrip(r)
			if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
				t.Fatalf("%s: %v %v", proto, resp, err)
			}
			defer resp.Body.Close()
			read := make(chan string, 1)
			id := g.mint("get", "o", nil).ID
			go func() {
				var got strings.Builder
				buf := make([]byte, 4096)
				for !strings.Contains(got.String(), id) {
					n, err := resp.Body.Read(buf)
					got.Write(buf[:n])
					if err != nil {
						break
					}
				}
				read <- got.String()
			}()
			select {
			case got := <-read:
				if !strings.Contains(got, id) {
					t.Errorf("%s: the stream ended after %q", proto, got)
				}
			case <-time.After(10 * time.Second): // before the next sign of life
				t.Errorf("%s: the event does not come", proto)
			}
		})
	})
}
