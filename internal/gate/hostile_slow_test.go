package gate_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"s3gate/client"
	"s3gate/internal/config"
)

// hasty is a gate that loses its patience with slow clients soon.
func hasty(c *config.Config) {
	c.Download = config.Download{IdleTimeout: 2 * time.Second, MinRate: 10_000}
	c.Links.HeaderTimeout, c.Upload.IdleTimeout, c.Upload.MinRate = 2*time.Second, 2*time.Second, 10_000
}

// ended waits until the gate has ended a connection, and says how.
func ended(t *testing.T, c net.Conn) error {
	t.Helper()
	_, err := io.Copy(io.Discard, c)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Error("the connection goes on")
	}
	return err
}

// H5: who sends the headers of a request slowly, or a handshake of TLS, or nothing, is
// closed at the end of links.header_timeout, whether bytes trickle or not.
func TestSlowHeaders(t *testing.T) {
	for _, secure := range []bool{false, true} {
		b := besiege(t, secure, hasty)
		for name, first := range map[string]string{"nothing": "", "a half": "GET / HT", "headers without an end": "GET / HTTP/1.1\r\nHost: gate\r\n"} {
			t.Run(fmt.Sprint(name, " secure ", secure), func(t *testing.T) {
				t.Parallel()
				_, addr, _ := strings.Cut(b.LinksURL(), "://")
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(3 * patience))
				io.WriteString(c, first)
				done := make(chan struct{})
				defer close(done)
				go func() {
					for i := 0; first != ""; i++ {
						select {
						case <-done:
							return
						case <-time.After(100 * time.Millisecond):
							fmt.Fprintf(c, "X-%d: y\r\n", i)
						}
					}
				}()
				ended(t, c)
			})
		}
	}
}

// H5: who sends a body slowly hears 408, also where bytes trickle, and the place in the
// link's uses is free again.
func TestSlowBody(t *testing.T) {
	b := &besieged{testGate: newEmbedded(t).gate(hasty)}
	for _, head := range []string{"Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		token := b.mint("put", "p", uses(1))
		c := b.dial()
		fmt.Fprintf(c, "PUT /%s HTTP/1.1\r\nHost: gate\r\n%s\r\n\r\n", token.Token, head)
		done := make(chan struct{})
		go func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(100 * time.Millisecond):
					io.WriteString(c, "1\r\nx\r\n")
				}
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		close(done)
		if err != nil || resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%s: %v, %v", head, resp, err)
		}
		c.Close()
		await(t, "the use is free", func() bool {
			s, err := b.api.Show(t.Context(), token.ID)
			return err == nil && s.Uses == 0 && s.InUse == 0
		})
	}
}

// H5: a body that nobody wants, and that does not come, holds nothing for long, on no
// listener. One that comes is no harm.
func TestNeedlessBody(t *testing.T) {
	w := newEmbedded(t)
	b := &besieged{testGate: w.gate(func(c *config.Config) {
		hasty(c)
		c.API.BodyTimeout, c.Ops.Addr = 2*time.Second, "localhost:0"
	})}
	size := int64(600_000)
	w.store("slow", "", make([]byte, size))
	token := b.mint("get", "slow", func(r *client.MintRequest) { r.Bandwidth = 100_000 })
	once := b.mint("get", "slow", uses(1))
	inbox := b.mint("put", "in", uses(1))
	for _, tt := range []struct {
		url, request string
		status       int
	}{
		{b.LinksURL(), "OPTIONS /x", 400}, {b.LinksURL(), "GET /" + once.Token, 400}, {b.LinksURL(), "HEAD /" + once.Token, 400}, {b.LinksURL(), "DELETE /" + once.Token, 400},
		{b.LinksURL(), "POST /" + inbox.Token + " HTTP/1.1\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 5", 201},
		{b.LinksURL(), "PATCH /" + inbox.Token + " HTTP/1.1\r\nTus-Resumable: 1.0.0", 405},
		{b.LinksURL(), "POST /nothing", 404},
		{b.APIURL(), "GET /healthz", 200}, {b.APIURL(), "GET /nothing", 404}, {b.APIURL(), "POST /console/sign-in", 0},
		{b.OpsURL(), "GET /metrics", 400},
	} {
		t.Run(tt.request, func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", strings.TrimPrefix(tt.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(3 * patience))
			line, headers, ok := strings.Cut(tt.request, " HTTP/1.1\r\n")
			if ok {
				headers += "\r\n"
			}
			fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: gate\r\n%sContent-Length: 1\r\n\r\n", line, headers)
			r := bufio.NewReader(c)
			resp, err := http.ReadResponse(r, nil)
			if err != nil || tt.status != 0 && resp.StatusCode != tt.status {
				t.Errorf("%v, %v", resp, err)
			}
			ended(t, c)
		})
	}
	t.Run("that comes", func(t *testing.T) {
		t.Parallel()
		c := b.dial()
		defer c.Close()
		c.SetDeadline(time.Now().Add(3 * patience))
		r := bufio.NewReader(c)
		for range 2 { // for longer than a body may take, and on one connection
			fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: gate\r\nContent-Length: 2\r\n\r\n{}", token.Token)
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
				t.Errorf("%s: %d bytes, %v", resp.Status, n, err)
			}
		}
	})
}

// await waits for what a gate is about to do.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// slowReader asks for an object and reads of it so many bytes every tenth of a second,
// 0 for nothing, until it was found slow, and then what is left for it. It returns how
// many bytes came.
func (b *besieged) slowReader(link string, step int64) (n int64, err error) {
	c := b.dial("http/1.1")
	defer c.Close()
	io.WriteString(c, "GET "+link+" HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n")
	for deadline := time.Now().Add(3 * patience); err == nil && time.Now().Before(deadline) && !b.foundSlow(); time.Sleep(100 * time.Millisecond) {
		var m int64
		m, err = io.CopyN(io.Discard, c, step)
		n += m
	}
	if err != nil {
		return n, err
	}
	m, err := io.Copy(io.Discard, c)
	return n + m, err
}

func (b *besieged) foundSlow() bool {
	return b.number(`s3gate_connections_slow_total{listener="links"}`) > 0
}

// number is the value of a metric of the gate.
func (g *testGate) number(name string) float64 {
	g.t.Helper()
	value, err := strconv.ParseFloat(g.metric(name), 64)
	if err != nil {
		g.t.Fatalf("%s: %v", name, err)
	}
	return value
}

// H5: who reads nothing, or next to nothing, is reset when the gate has waited for them
// for download.idle_timeout, be it that the kernel carries the bytes, TLS, or HTTP/2;
// the use is charged as that of any download that breaks off. Who reads slowly, but
// fast enough, gets all.
func TestSlowReaders(t *testing.T) {
	const large = 24 << 20
	for _, secure := range []bool{false, true} {
		for name, tt := range map[string]struct {
			step  int64
			size  int
			whole bool
		}{
			"nothing":      {0, large, false},
			"a trickle":    {10, large, false},
			"slow enough":  {64 << 10, 3 << 20, true},
			"a small file": {1000, 30_000, true},
		} {
			t.Run(fmt.Sprint(name, " secure ", secure), func(t *testing.T) {
				t.Parallel()
				b := besiege(t, secure, hasty)
				b.whole = strings.Repeat("0123456789abcdef", tt.size/16)
				token := b.mint("get", "o", uses(1))
				n, err := b.slowReader("/"+token.Token, tt.step)
				if got := n >= int64(len(b.whole)); got != tt.whole {
					t.Errorf("read %d of %d bytes, %v", n, len(b.whole), err)
				}
				await(t, "no transfer runs", func() bool { return b.number("s3gate_transfers") == 0 })
				if b.foundSlow() == tt.whole {
					t.Errorf("slow: %v", b.foundSlow())
				}
				await(t, "the use is charged", func() bool {
					s, err := b.api.Show(t.Context(), token.ID)
					return err == nil && s.Uses == 1 && s.InUse == 0
				})
			})
		}
	}
}

// H5: the same for a stream of HTTP/2 whose client does not open the window, be it that
// of the stream or that of the connection, while another stream of the same connection
// goes on; also for an answer of the gate's own.
func TestSlowStreams(t *testing.T) {
	b := besiege(t, true, hasty)
	b.whole = strings.Repeat("0123456789abcdef", 1<<16)
	token := b.mint("get", "o", uses(1))
	f := b.frames(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	f.ask(1, "/"+token.Token)
	f.ask(3, "/nothing-at-all")
	reset := map[uint32]bool{}
	f.until(func(frame http2.Frame) bool {
		if r, ok := frame.(*http2.RSTStreamFrame); ok {
			reset[r.StreamID] = true
		}
		return len(reset) == 2
	})
	if !reset[1] || !reset[3] {
		t.Fatalf("streams that were reset: %v", reset)
	}
	await(t, "the use is charged", func() bool {
		s, err := b.api.Show(t.Context(), token.ID)
		return err == nil && s.Uses == 1 && s.InUse == 0
	})
	// The connection still serves a stream that is read.
	f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	f.WriteWindowUpdate(0, 2<<20)
	f.ask(5, b.link)
	got := 0
	last := f.until(func(frame http2.Frame) bool {
		d, ok := frame.(*http2.DataFrame)
		if ok && d.StreamID == 5 {
			got += len(d.Data())
		}
		return ok && d.StreamID == 5 && d.StreamEnded()
	})
	if last == nil || got != len(b.whole) {
		t.Errorf("another stream: %d of %d bytes, %v", got, len(b.whole), last)
	}
}

// H5: a client of HTTP/2 that reads nothing of the connection at all is reset too.
func TestSlowSharedConnection(t *testing.T) {
	b := besiege(t, true, hasty)
	b.whole = strings.Repeat("0123456789abcdef", 2<<20)
	f := b.frames(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	f.WriteWindowUpdate(0, 1<<30)
	f.ask(1, b.link)
	await(t, "the connection is found slow", func() bool {
		return b.number(`s3gate_connections_slow_total{listener="links"}`) == 1
	})
	await(t, "no transfer runs", func() bool { return b.number("s3gate_transfers") == 0 })
	if err := ended(t, f.conn); err == nil {
		t.Error("the connection ended cleanly")
	}
	b.serves()
}

// What the gate holds up itself is not the client's slowness: the bandwidth of a link
// that is far below the least rate, and an S3 that is slow.
func TestSlowGateIsNoSlowClient(t *testing.T) {
	b := besiege(t, false, func(c *config.Config) {
		c.Download = config.Download{IdleTimeout: time.Second, MinRate: 1 << 20}
	})
	b.whole = strings.Repeat("x", 40_000)
	token := b.mint("get", "o", func(r *client.MintRequest) { r.Bandwidth = 10_000 }).Token
	n, err := b.slowReader("/"+token, 1<<20)
	if n < int64(len(b.whole)) || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
