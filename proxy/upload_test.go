package proxy_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"s3gate/proxy"
	"s3gate/tokens"
)

// What S3 needs to know of an upload reaches it, and its answer the client.
func TestUpload(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			g.s3.clear()
			token := g.mint(put())
			data := strings.Repeat("0123456789", 100_000)
			a := g.put(token, data, "Content-Type", "video/mp4")
			if a.StatusCode != 200 || a.body != "" || a.Header.Get("ETag") != etag || a.Header.Get("X-Amz-Checksum-Crc32") == "" {
				t.Errorf("%s %q %v", a.Status, a.body, a.Header)
			}
			if stored, _ := g.s3.object(); stored != data {
				t.Errorf("stored %d bytes of %d", len(stored), len(data))
			}
			sent := g.s3.log()[0].header
			if sent.Get("Content-Type") != "video/mp4" || sent.Get("If-None-Match") != "*" ||
				sent.Get("X-Amz-Meta-S3gate-Use") == "" || sent.Get("Expect") != "100-continue" {
				t.Errorf("s3 got %v", sent)
			}
			if a := g.put(token, data); a.StatusCode != 410 {
				t.Errorf("the second upload: %s", a.Status)
			}
		})
	}
}

func TestUploadMayOverwriteWhenPermitted(t *testing.T) {
	g := newGate(t, http1)
	if a := g.put(g.mint(limited(tokens.Upload{Overwrite: true})), "new"); a.StatusCode != 200 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if stored, _ := g.s3.object(); stored != "new" {
		t.Errorf("stored %q", stored)
	}
	if sent := g.s3.log()[0].header; sent.Get("If-None-Match") != "" {
		t.Errorf("s3 got %v", sent)
	}
}

// The limits of a grant are those of the declared type and size.
func TestUploadLimits(t *testing.T) {
	limits := tokens.Upload{MaxBytes: 4, ContentTypes: []string{"text/plain", "image/*"}}
	for _, test := range []struct {
		body, contentType string
		want              int
	}{
		{"1234", "text/plain", 200},
		{"", "text/plain", 200},
		{"1234", "Text/Plain; charset=UTF-8", 200},
		{"1234", "image/svg+xml", 200},
		{"12345", "text/plain", 413},
		{"1234", "text/html", 415},
		{"1234", "imagex/png", 415},
		{"1234", "image", 415},
		{"1234", "text/plain, text/html", 415},
		{"1234", "text/plain; charset", 415},
		{"1234", "", 415},
	} {
		g := newGate(t, http1)
		g.s3.clear()
		var header []string
		if test.contentType != "" {
			header = []string{"Content-Type", test.contentType}
		}
		if a := g.put(g.mint(limited(limits)), test.body, header...); a.StatusCode != test.want {
			t.Errorf("%q of type %q: %s, want %d", test.body, test.contentType, a.Status, test.want)
		}
	}
}

// A body goes straight through: S3 sees its beginning before the client has
// sent its end.
func TestUploadStreams(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			g.s3.clear()
			first := make(chan struct{})
			g.s3.only("PUT", func(w http.ResponseWriter, r *http.Request) {
				head := make([]byte, 32<<10)
				io.ReadFull(r.Body, head)
				close(first)
				rest, _ := io.ReadAll(r.Body)
				if int64(len(head)+len(rest)) == r.ContentLength {
					w.Header().Set("ETag", etag)
				}
			})
			body, w := io.Pipe()
			answered := make(chan answer, 1)
			go func() {
				r := g.request("PUT", g.mint(put()), body)
				r.ContentLength = 128 << 10
				answered <- g.do(r)
			}()
			w.Write(make([]byte, 64<<10))
			receive(t, "the beginning at s3", first)
			w.Write(make([]byte, 64<<10))
			w.Close()
			if a := receive(t, "an answer", answered); a.StatusCode != 200 || a.Header.Get("ETag") != etag {
				t.Errorf("%s %s", a.Status, a.body)
			}
		})
	}
}

// A link whose upload failed may be used again.
func TestUploadMayBeRepeatedAfterAFailure(t *testing.T) {
	g := newGate(t, http1)
	failing(refuse(500, "InternalError"), false)(g)
	token := g.mint(put())
	if a := g.put(token, content); a.StatusCode != 502 {
		t.Fatalf("the first: %s", a.Status)
	}
	g.s3.answer(nil)
	if a := g.put(token, content); a.StatusCode != 200 {
		t.Errorf("the second: %s %s", a.Status, a.body)
	}
}

// While the outcome of an upload is unknown the use stays taken: a second
// upload could be one too many.
func TestUploadOfUnknownOutcomeKeepsTheUse(t *testing.T) {
	g := newGate(t, http1)
	failing(hangUp(""), false)(g)
	token := g.mint(put())
	if a := g.put(token, content); a.StatusCode != 504 {
		t.Fatalf("the first: %s", a.Status)
	}
	g.s3.answer(nil)
	if a := g.put(token, content); a.StatusCode != 409 {
		t.Errorf("the second: %s %s", a.Status, a.body)
	}
}

// An object that somebody else stored is not taken for the upload whose
// answer was lost.
func TestUploadIsRecognizedByItsMark(t *testing.T) {
	g := newGate(t, http1)
	g.s3.only("PUT", reading(refuse(500, "InternalError"))) // content is there, by somebody else
	token := g.mint(limited(tokens.Upload{Overwrite: true}))
	if a := g.put(token, content); a.StatusCode != 502 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	g.wantCharge(token, "free")
}

// net/http reports no body where HTTP/2 announced one that does not come, and
// for a length that it cannot read. Neither may be stored as an empty object
// (S8).
func TestAnnouncedBodyThatDoesNotCome(t *testing.T) {
	for _, test := range []struct {
		name, length string
		want         int
	}{
		{"announced", "100", 400},
		{"unreadable", "18446744073709551616", 400},
		{"negative", "-1", 400},
		{"absent", "", 411},
		{"empty", "0", 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, http1)
			g.s3.clear()
			token := g.mint(put())
			r := httptest.NewRequest("PUT", "/"+token.Reveal(), nil)
			r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
			if test.length != "" {
				r.Header.Set("Content-Length", test.length)
			}
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			if _, stored := g.s3.object(); w.Code != test.want || stored != (test.want == 200) {
				t.Errorf("%d, stored %v; want %d", w.Code, stored, test.want)
			}
		})
	}
}

// A PUT that says nothing of a body is a mistake and not an empty object.
func TestUploadWithoutABody(t *testing.T) {
	g := newGate(t, http1)
	g.s3.clear()
	token := g.mint(put())
	if a := g.raw("PUT /" + token.Reveal() + " HTTP/1.1\r\nHost: gate\r\n\r\n"); a.StatusCode != 411 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	g.wantCharge(token, "free")
}

// What follows the announced body is not part of the object (S8).
func TestLongBody(t *testing.T) {
	g := newGate(t, http1)
	g.s3.clear()
	c := g.dial()
	io.WriteString(c, "PUT /"+g.mint(put()).Reveal()+" HTTP/1.1\r\nHost: gate\r\nContent-Length: 4\r\n\r\nbody and more of it\r\n\r\n")
	reply, _ := io.ReadAll(c)
	if !bytes.HasPrefix(reply, []byte("HTTP/1.1 200 ")) || !bytes.Contains(reply, []byte("HTTP/1.1 400 ")) {
		t.Errorf("answers:\n%s", reply)
	}
	if data, _ := g.s3.object(); data != "body" {
		t.Errorf("stored %q", data)
	}
	if n := len(g.s3.log()); n != 1 {
		t.Errorf("%d requests reached s3", n)
	}
}

// A client that asks before it sends is asked for the body only when the link
// permits the upload and S3 wants it (H8).
func TestExpectContinue(t *testing.T) {
	large := 100 << 10
	for _, test := range []struct {
		name    string
		grant   tokens.Grant
		arrange func(g *gate, token tokens.Token)
		want    string
		asked   bool // s3
	}{
		{"permitted", put(), to((*gate).empty), "HTTP/1.1 100 ", true},
		{"revoked", put(), func(g *gate, token tokens.Token) { g.revoke(token) }, "HTTP/1.1 410 ", false},
		{"too large", limited(tokens.Upload{MaxBytes: 10}), nil, "HTTP/1.1 413 ", false},
		{"without a checksum", limited(tokens.Upload{Checksum: "sha256"}), nil, "HTTP/1.1 400 ", false},
		{"refused by the store", put(), to(func(g *gate) { g.Storage = keeps(proxy.RefuseUploads) }), "HTTP/1.1 501 ", false},
		{"redis away", put(), func(g *gate, _ tokens.Token) { g.redis.SetError("LOADING") }, "HTTP/1.1 503 ", false},
		{"refused by s3", put(), s3(refuse(403, "AccessDenied")), "HTTP/1.1 502 ", true},
		{"object exists", put(), nil, "HTTP/1.1 412 ", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, http1)
			token := g.mint(test.grant)
			if test.arrange != nil {
				test.arrange(g, token)
			}
			c := g.dial()
			r := g.request("PUT", token, bytes.NewReader(make([]byte, large)), "Expect", "100-continue")
			var raw bytes.Buffer
			r.Write(&raw)
			head, body, _ := bytes.Cut(raw.Bytes(), []byte("\r\n\r\n"))
			c.Write(append(head, "\r\n\r\n"...))
			reply := bufio.NewReader(c)
			line, err := reply.ReadString('\n')
			if !strings.HasPrefix(line, test.want) {
				t.Fatalf("%q, %v; want %s", line, err, test.want)
			}
			if asked := len(g.s3.log()) > 0; asked != test.asked {
				t.Errorf("s3 was asked: %v, want %v", asked, test.asked)
			}
			if test.want != "HTTP/1.1 100 " {
				return
			}
			reply.ReadString('\n')
			c.Write(body)
			if line, err := reply.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 200 ") {
				t.Errorf("%q, %v after the body", line, err)
			}
		})
	}
}

// A client that stalls after its upload was refused, or while it is, holds
// nothing for longer than the grace of five seconds (H5).
func TestStalledUploadIsReleased(t *testing.T) {
	t.Parallel()
	const head = " HTTP/1.1\r\nHost: gate\r\nContent-Length: 1000\r\n\r\nonly this"
	type stall struct {
		*gate
		token tokens.Token
		conn  *net.TCPConn
	}
	tests := []struct {
		name    string
		request string // after the path
		idle    time.Duration
		arrange func(g *gate, token tokens.Token)
		during  func(g *gate, token tokens.Token) // once s3 has the beginning
		want    string
		stall
	}{
		{name: "revoked before", request: head, want: "410",
			arrange: func(g *gate, token tokens.Token) { g.revoke(token) }},
		{name: "refused by s3", request: head, want: "502",
			arrange: s3(hangUp("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))},
		{name: "without a length", request: " HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n", want: "408", idle: time.Second},
		{name: "revoked during", request: head, want: "410", idle: 20 * time.Second,
			during: func(g *gate, token tokens.Token) { g.revoke(token) }},
		// Whether the gate was writing or waiting when it happened is chance.
		{name: "s3 hangs up", request: head, want: "408 or 502", idle: time.Second,
			during: func(g *gate, _ tokens.Token) { g.s3.server.CloseClientConnections() }},
		{name: "idle", request: head, want: "408", idle: time.Second},
	}
	// All stall at the same time, so that the test takes the grace once.
	for i := range tests {
		test := &tests[i]
		g := newGate(t, http1)
		g.UploadIdle = test.idle
		g.s3.clear()
		begun := make(chan struct{}, 1)
		g.s3.only("PUT", func(w http.ResponseWriter, r *http.Request) {
			begun <- struct{}{}
			if g.s3.take(r) {
				t.Errorf("%s: s3 got the whole body", test.name)
			}
		})
		test.stall = stall{g, g.mint(put()), g.dial()}
		if test.arrange != nil {
			test.arrange(g, test.token)
		}
		io.WriteString(test.conn, "PUT /"+test.token.Reveal()+test.request)
		if test.during != nil {
			<-begun
			test.during(g, test.token)
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.t = t
			reply, err := io.ReadAll(test.conn)
			if status, _, _ := strings.Cut(strings.TrimPrefix(string(reply), "HTTP/1.1 "), " "); err != nil || len(status) != 3 || !strings.Contains(test.want, status) {
				t.Errorf("%v\n%s", err, reply)
			}
			test.wantCharge(test.token, "free")
		})
	}
}

// A client that goes on sending is not idle, however slow it is.
func TestSlowUploadIsNotIdle(t *testing.T) {
	t.Parallel()
	for _, proto := range []protocol{http1, http2} {
		t.Run(proto.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, proto)
			g.UploadIdle = time.Second
			g.s3.clear()
			body, w := io.Pipe()
			go func() {
				for range 8 {
					time.Sleep(150 * time.Millisecond)
					w.Write([]byte("x"))
				}
				w.Close()
			}()
			r := g.request("PUT", g.mint(put()), body)
			r.ContentLength = 8
			if a := g.do(r); a.StatusCode != 200 {
				t.Errorf("%s %s", a.Status, a.body)
			}
		})
	}
}

// The time to send is not the time to wait for S3.
func TestIdleTimeEndsWithTheBody(t *testing.T) {
	t.Parallel()
	for _, proto := range []protocol{http1, http2} {
		t.Run(proto.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, proto)
			g.UploadIdle = 200 * time.Millisecond
			g.s3.clear()
			g.s3.only("PUT", func(w http.ResponseWriter, r *http.Request) {
				g.s3.take(r)
				time.Sleep(time.Second)
				w.Header().Set("ETag", etag)
			})
			token := g.mint(put())
			if a := g.put(token, content); a.StatusCode != 200 || a.Header.Get("ETag") != etag {
				t.Errorf("%s %s", a.Status, a.body)
			}
			g.wantCharge(token, "charged")
		})
	}
}
