package s3client_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"s3gate/s3client"
)

// wireServer answers each request with bytes as they are.
type wireServer struct {
	net.Listener
	connections, requests atomic.Int64
	// answer writes the answer to the n-th request of a connection, from 0; false
	// closes it.
	answer func(c net.Conn, n int) bool
	open   sync.WaitGroup
}

func newWireServer(t testing.TB, answer func(c net.Conn, n int) bool) *wireServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &wireServer{Listener: l, answer: answer}
	s.open.Go(s.serve)
	t.Cleanup(func() { l.Close(); s.open.Wait() })
	return s
}

func (s *wireServer) serve() {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		s.connections.Add(1)
		s.open.Go(func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for n := 0; ; n++ {
				_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				s.requests.Add(1)
				if !s.answer(c, n) {
					return
				}
			}
		})
	}
}

// sending answers each request with text.
func sending(text string, keep bool) func(net.Conn, int) bool {
	return func(c net.Conn, _ int) bool {
		_, err := io.WriteString(c, text)
		return err == nil && keep
	}
}

// bucketAt opens a bucket at a server, by a transport that change has changed.
func bucketAt(t testing.TB, url string, change func(*http.Transport) http.RoundTripper) *s3client.Bucket {
	t.Helper()
	transport := s3client.NewTransport(s3client.TransportConfig{ResponseTimeout: 5 * time.Second})
	cfg := s3client.Config{Name: "media", Endpoint: url, PathStyle: true, Credentials: static, Transport: transport}
	if change != nil {
		cfg.Transport = change(transport)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return open(t, cfg)
}

func (s *wireServer) url() string { return "http://" + s.Addr().String() }

// get is what becomes of a GET.
type got struct {
	status  int
	length  int64
	chunked bool
	header  http.Header
	body    string
	failed  bool // to answer
	broken  bool // while its body was read
}

func get(b *s3client.Bucket, method string) got {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resp, err := b.Do(ctx, &s3client.Request{Method: method, Key: "a"})
	if err != nil {
		return got{failed: true}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.ContentLength, len(resp.TransferEncoding) > 0, resp.Header, string(body), false, err != nil}
}

func (g got) equal(other got) bool {
	same := maps.EqualFunc(g.header, other.header, func(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") })
	g.header, other.header = nil, nil
	return same && fmt.Sprint(g) == fmt.Sprint(other)
}

// netHTTP hides that a transport is one of net/http, which then carries all.
func netHTTP(t *http.Transport) http.RoundTripper { return roundTrip(t.RoundTrip) }

// answers are right and wrong ones.
var answers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nEtag: \"x\"\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\n\r\nto the end",
	"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\nContent-Length: 5\r\n\r\n",
	"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 9) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
	"HTTP/1.1 301 Moved\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\n<Error>",
	"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
	"HTTP/1.1 200 OK\r\n Content-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nBad Name: 2\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 20 OK\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "SSH-2.0-x\r\n", "\r\n\r\n", "HTTP/1.1 200", "",
}

// Whatever a store answers, it is taken as net/http takes it.
func TestAnswersAsNetHTTP(t *testing.T) {
	for i, text := range answers {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(fmt.Sprint(method, i), func(t *testing.T) { sameAsNetHTTP(t, method, text) })
		}
	}
}

func sameAsNetHTTP(t *testing.T, method, text string) {
	s := newWireServer(t, sending(text, false))
	direct, plain := bucketAt(t, s.url(), nil), bucketAt(t, s.url(), netHTTP)
	ours, theirs := get(direct, method), get(plain, method)
	if theirs.status == http.StatusSwitchingProtocols && ours.failed {
		return // nobody has asked for that
	}
	if !ours.equal(theirs) {
		t.Errorf("%s %q:\n%+v, and by net/http\n%+v", method, text, ours, theirs)
	}
}

func FuzzAnswersAsNetHTTP(f *testing.F) {
	for _, text := range answers {
		f.Add("GET", text)
	}
	f.Fuzz(func(t *testing.T, method, text string) {
		if method != "HEAD" {
			method = "GET"
		}
		sameAsNetHTTP(t, method, text)
	})
}

// A connection carries one request after the other, however its answers end.
func TestConnectionsAreKept(t *testing.T) {
	for name, text := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"empty":   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"none":    "HTTP/1.1 304 Not Modified\r\n\r\n",
		"large":   "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000),
	} {
		t.Run(name, func(t *testing.T) {
			s := newWireServer(t, sending(text, true))
			b := bucketAt(t, s.url(), nil)
			for range 5 {
				if g := get(b, "GET"); g.failed || g.broken {
					t.Fatalf("%+v", g)
				}
			}
			if s.connections.Load() != 1 || s.requests.Load() != 5 {
				t.Errorf("%d connections for %d requests", s.connections.Load(), s.requests.Load())
			}
		})
	}
}

// What comes unasked after an answer is not the answer to the next request,
// whether it comes with it or later.
func TestUnaskedAnswersAreNotTaken(t *testing.T) {
	const right, wrong = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	late := make(chan struct{})
	for name, answer := range map[string]func(net.Conn, int) bool{
		"together": sending(right+wrong, true),
		"later": func(c net.Conn, n int) bool {
			io.WriteString(c, right)
			time.Sleep(20 * time.Millisecond)
			io.WriteString(c, wrong)
			late <- struct{}{}
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWireServer(t, answer)
			b := bucketAt(t, s.url(), nil)
			for range 3 {
				if g := get(b, "GET"); g.body != "ok" {
					t.Fatalf("%+v", g)
				}
				if name == "later" {
					<-late
				}
			}
			if s.connections.Load() != 3 {
				t.Errorf("%d connections, want a new one for each", s.connections.Load())
			}
		})
	}
}

// A connection that has died while it was idle costs nothing but another one. One
// that dies in an answer is an error, and nothing is asked twice.
func TestDeadConnections(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	t.Run("idle", func(t *testing.T) {
		s := newWireServer(t, sending(ok, false))
		b := bucketAt(t, s.url(), nil)
		for range 5 {
			if g := get(b, "GET"); g.body != "ok" {
				t.Fatalf("%+v", g)
			}
		}
	})
	t.Run("when asked", func(t *testing.T) {
		s := newWireServer(t, func(c net.Conn, n int) bool { return n == 0 && sending(ok, true)(c, n) })
		b := bucketAt(t, s.url(), nil)
		for range 3 {
			if g := get(b, "GET"); g.body != "ok" {
				t.Fatalf("%+v", g)
			}
		}
		if s.requests.Load() != 5 { // the second and the third came twice
			t.Errorf("%d requests", s.requests.Load())
		}
	})
	t.Run("in an answer", func(t *testing.T) {
		s := newWireServer(t, func(c net.Conn, n int) bool { return sending([]string{ok, "HTTP/1.1 2"}[n], n == 0)(c, n) })
		b := bucketAt(t, s.url(), nil)
		get(b, "GET")
		if g := get(b, "GET"); !g.failed || s.requests.Load() != 2 {
			t.Errorf("%+v after %d requests", g, s.requests.Load())
		}
	})
}

// The end of a request ends it wherever it is, and for its own reason.
func TestRequestsEndWithTheirContext(t *testing.T) {
	reason := errors.New("the transfer was cut")
	for name, text := range map[string]string{
		"waiting for headers": "", "in the headers": "HTTP/1.1 200 OK\r\nContent", "in the body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
		"in a chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			s := newWireServer(t, sending(text, true))
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(50*time.Millisecond, func() { cancel(reason) })
			resp, err := bucketAt(t, s.url(), nil).Do(ctx, &s3client.Request{Method: "GET", Key: "a"})
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, reason) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Who says nothing, or too much, is not listened to for ever.
func TestAnswersAreBounded(t *testing.T) {
	quiet := newWireServer(t, sending("", true))
	b := bucketAt(t, quiet.url(), func(tr *http.Transport) http.RoundTripper {
		tr.ResponseHeaderTimeout = 30 * time.Millisecond
		return tr
	})
	if _, err := b.Do(t.Context(), &s3client.Request{Method: "GET", Key: "a"}); !errors.Is(err, os.ErrDeadlineExceeded) || quiet.requests.Load() != 1 {
		t.Errorf("silence: %v after %d requests", err, quiet.requests.Load())
	}
	loud := newWireServer(t, sending("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 100<<10)+"\r\nContent-Length: 0\r\n\r\n", true))
	b = bucketAt(t, loud.url(), func(tr *http.Transport) http.RoundTripper {
		tr.MaxResponseHeaderBytes = 50 << 10
		return tr
	})
	if g := get(b, "GET"); !g.failed {
		t.Error("100 KiB of headers were taken where 50 are the limit")
	}
}

// Of idle connections so many are kept, and for so long.
func TestIdleConnections(t *testing.T) {
	gate := make(chan struct{})
	s := newWireServer(t, func(c net.Conn, n int) bool {
		if n == 0 {
			<-gate
		}
		return sending("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true)(c, n)
	})
	b := bucketAt(t, s.url(), func(tr *http.Transport) http.RoundTripper {
		tr.MaxIdleConnsPerHost, tr.IdleConnTimeout = 2, 50*time.Millisecond
		return tr
	})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { get(b, "GET") })
	}
	for s.requests.Load() < 4 {
		time.Sleep(time.Millisecond)
	}
	close(gate)
	all.Wait()
	for range 2 {
		all.Go(func() { get(b, "GET") })
	}
	all.Wait()
	if n := s.connections.Load(); n != 4 {
		t.Errorf("%d connections, want 4", n)
	}
	time.Sleep(200 * time.Millisecond)
	if get(b, "GET"); s.connections.Load() != 5 {
		t.Errorf("%d connections, want one more when the idle ones were closed", s.connections.Load())
	}
}

// Who closes a body in the middle closes the connection.
func TestBodiesThatAreClosedEarly(t *testing.T) {
	s := newWireServer(t, sending("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true))
	b := bucketAt(t, s.url(), nil)
	for range 3 {
		resp, err := b.Do(t.Context(), &s3client.Request{Method: "GET", Key: "a"})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("read after close: %v", err)
		}
	}
	if s.connections.Load() != 3 {
		t.Errorf("%d connections, want 3", s.connections.Load())
	}
}

// Over TLS connections are kept as well, certificates are checked, and nothing that
// comes unasked is taken.
func TestDirectOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	t.Cleanup(s.Close)
	content := strings.Repeat("0123456789abcdef", 200_000)
	large := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		io.WriteString(w, content)
	}))
	t.Cleanup(large.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	var dials atomic.Int64
	trusting := func(tr *http.Transport) http.RoundTripper {
		tr.TLSClientConfig = &tls.Config{RootCAs: roots}
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return dial(ctx, network, addr)
		}
		return tr
	}
	b := bucketAt(t, s.URL, trusting)
	for range 3 {
		if g := get(b, "GET"); g.body != "hello" {
			t.Fatalf("%+v", g)
		}
	}
	if dials.Load() != 1 {
		t.Errorf("%d connections, want 1", dials.Load())
	}
	if g := get(bucketAt(t, s.URL, nil), "GET"); !g.failed {
		t.Error("a certificate that nobody trusts was taken")
	}
	// Many records are whole, whatever of them comes together.
	if g := get(bucketAt(t, large.URL, trusting), "GET"); g.body != content || g.broken {
		t.Errorf("%d bytes of %d, broken %v", len(g.body), len(content), g.broken)
	}
}

// The bytes of a body can be had from its socket, once those that came with the
// headers were read.
func TestBodiesFromTheirSocket(t *testing.T) {
	s := newWireServer(t, func(c net.Conn, n int) bool {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhe")
		time.Sleep(20 * time.Millisecond)
		io.WriteString(c, "ll, you")
		return true
	})
	b := bucketAt(t, s.url(), nil)
	resp, err := b.Do(t.Context(), &s3client.Request{Method: "GET", Key: "a"})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := resp.Body.(interface {
		Socket() (syscall.RawConn, int64)
		Took(n int, err error) error
	})
	if socket, _ := body.Socket(); socket != nil {
		t.Fatal("bytes that are here already would be passed over")
	}
	if n, _ := io.ReadFull(resp.Body, make([]byte, 2)); n != 2 {
		t.Fatal("no bytes with the headers")
	}
	if socket, left := body.Socket(); socket == nil || left != 6 {
		t.Fatalf("%v, %d left", socket, left)
	}
	if err := body.Took(2, nil); err != nil {
		t.Error(err)
	}
	if err := body.Took(0, io.EOF); err != io.ErrUnexpectedEOF {
		t.Errorf("an early end: %v", err)
	}
	if socket, _ := body.Socket(); socket != nil {
		t.Error("a broken body still has a socket")
	}
}
