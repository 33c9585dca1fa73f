package gate_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"s3gate/internal/config"
)

// patience is how long a gate may take to be done with a hostile client.
const patience = 20 * time.Second

// besieged is a gate that hostile clients are let loose on, in front of an S3 that
// counts what it is asked.
type besieged struct {
	*testGate
	asked atomic.Int64 // requests to S3
	read  atomic.Int64 // of them those for an object
	link  string       // a path of an object
	whole string       // what it holds
}

// besiege starts one, with TLS if secure; change may be nil.
func besiege(t *testing.T, secure bool, change func(*config.Config)) *besieged {
	t.Helper()
	b := &besieged{whole: strings.Repeat("0123456789", 100)}
	s3 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		if r.Method == http.MethodGet {
			b.read.Add(1)
		}
		if r.Method == http.MethodPut {
			io.Copy(io.Discard, r.Body)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/p") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Etag", `"whole"`)
		http.ServeContent(w, r, "", time.Unix(1e9, 0), strings.NewReader(b.whole))
	}))
	t.Cleanup(s3.Close)
	w := newEmbedded(t)
	b.testGate = w.gate(func(c *config.Config) {
		docs := c.Buckets["docs"]
		docs.Endpoint = s3.URL
		c.Buckets["docs"] = docs
		if secure {
			c.Links.Cert, c.Links.Key, _ = selfSigned(t)
		}
		if change != nil {
			change(c)
		}
	})
	b.link = "/" + b.mint("get", "o", nil).Token
	return b
}

// dial connects to the gate, with TLS for a gate that has it.
func (b *besieged) dial(protos ...string) net.Conn {
	b.t.Helper()
	secure := strings.HasPrefix(b.LinksURL(), "https://")
	_, addr, _ := strings.Cut(b.LinksURL(), "://")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	c.(*net.TCPConn).SetReadBuffer(64 << 10)
	c.SetDeadline(time.Now().Add(patience))
	if secure {
		return tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: protos})
	}
	return c
}

// send sends what is no proper request perhaps, and returns all that comes back until
// the gate closes the connection.
func (b *besieged) send(text string) string {
	b.t.Helper()
	c := b.dial("http/1.1")
	defer c.Close()
	go io.WriteString(c, text)
	all, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.t.Errorf("the connection goes on after %.60q", text)
	}
	return string(all)
}

// serves asserts that the gate serves others.
func (b *besieged) serves() {
	b.t.Helper()
	c := b.dial("http/1.1")
	defer c.Close()
	io.WriteString(c, "GET "+b.link+" HTTP/1.1\r\nHost: gate\r\nRange: bytes=0-99\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		b.t.Errorf("another client: %v", err)
		return
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != b.whole[:100] {
		b.t.Errorf("another client got %s, %d bytes, %v", resp.Status, len(body), err)
	}
}

// statuses lists the statuses of the answers in what a gate has sent.
func statuses(text string) (all []string) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "HTTP/1."); ok && len(rest) > 5 {
			all = append(all, rest[2:5])
		}
	}
	return all
}

// framed is a connection on which a test writes the frames of HTTP/2 by itself.
type framed struct {
	*http2.Framer
	t    *testing.T
	conn net.Conn
	pack *hpack.Encoder
	text strings.Builder
	err  error // how it has ended
}

// frames opens one and sends its settings.
func (b *besieged) frames(settings ...http2.Setting) *framed {
	b.t.Helper()
	c := b.dial("h2")
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		b.t.Fatal(err)
	}
	f := &framed{Framer: http2.NewFramer(c, c), t: b.t, conn: c}
	f.pack = hpack.NewEncoder(&f.text)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(settings...); err != nil {
		b.t.Fatal(err)
	}
	return f
}

// fields are the headers of a request, in HPACK (RFC 7541); pairs hold names and values
// in turn.
func (f *framed) fields(method, path string, pairs ...string) []byte {
	f.text.Reset()
	pairs = append([]string{":method", method, ":scheme", "https", ":authority", "gate", ":path", path}, pairs...)
	for i := 0; i < len(pairs); i += 2 {
		f.pack.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return []byte(f.text.String())
}

// ask sends the headers of a request without a body.
func (f *framed) ask(stream uint32, path string, pairs ...string) error {
	return f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: f.fields("GET", path, pairs...), EndStream: true, EndHeaders: true,
	})
}

// until reads frames until one is wanted, and returns nil when the connection ends.
func (f *framed) until(wanted func(http2.Frame) bool) http2.Frame {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			if _, stream := err.(http2.StreamError); stream {
				continue
			}
			f.err = err
			return nil
		}
		if wanted(frame) {
			return frame
		}
	}
}
