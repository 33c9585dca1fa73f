package conns_test

import (
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"s3gate/internal/conns"
)

// soon is how long what should happen at once may take on a busy machine.
const soon = 10 * time.Second

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// bench is a listener under test with its metrics.
type bench struct {
	t testing.TB
	*conns.Listener
	reg      *prometheus.Registry
	accepted chan net.Conn
}

func listen(t testing.TB, limits conns.Limits) *bench {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, reg: prometheus.NewRegistry(), accepted: make(chan net.Conn, 1000)}
	b.Listener = conns.Listen(l, "links", limits, conns.NewMetrics(b.reg))
	t.Cleanup(func() { b.Close() })
	go func() {
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			b.accepted <- c
		}
	}()
	return b
}

// dial connects a client, which sends something and ends with the test.
func (b *bench) dial(first string) net.Conn {
	b.t.Helper()
	c, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * soon))
	if _, err := io.WriteString(c, first); err != nil && first != "" {
		b.t.Fatal(err)
	}
	return c
}

// next is the server's side of a connection that was let in.
func (b *bench) next() net.Conn {
	b.t.Helper()
	select {
	case c := <-b.accepted:
		b.t.Cleanup(func() { c.Close() })
		return c
	case <-time.After(soon):
		b.t.Fatal("no connection was accepted")
		return nil
	}
}

// refused connects a client that is closed at once, which may be before it knows that it
// is connected.
func (b *bench) refused(first string) {
	b.t.Helper()
	c, err := net.Dial("tcp", b.Addr().String())
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, first)
	isClosed(b.t, c)
}

// isClosed waits until the server has ended a connection.
func isClosed(t testing.TB, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(soon))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection goes on: %d bytes, %v", n, err)
	}
}

// metric waits until a metric has a value.
func (b *bench) metric(line string) {
	b.t.Helper()
	var all string
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		w := httptest.NewRecorder()
		promhttp.HandlerFor(b.reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if all = w.Body.String(); strings.Contains(all, line+"\n") {
			return
		}
	}
	b.t.Errorf("not %s:\n%v", line, all)
}

// One more than there may be is reset, and a place is free again when a connection
// ends, however often it is closed.
func TestTotal(t *testing.T) {
	b := listen(t, conns.Limits{Max: 2})
	b.dial("")
	first := b.next()
	b.dial("")
	b.next()
	b.refused("")
	b.metric(`s3gate_connections_refused_total{listener="links",reason="total"} 1`)
	b.metric(`s3gate_connections{listener="links"} 2`)
	first.Close()
	first.Close()
	b.metric(`s3gate_connections{listener="links"} 1`)
	b.dial("")
	b.next()
	b.refused("")
}

// One network has its share and no more, but for trusted proxies.
func TestPerNetwork(t *testing.T) {
	b := listen(t, conns.Limits{PerNetwork: 1})
	b.dial("")
	first := b.next()
	b.refused("")
	b.metric(`s3gate_connections_refused_total{listener="links",reason="network"} 1`)
	b.Adjust(conns.Limits{PerNetwork: 1, Trusted: loopback})
	for range 3 {
		b.dial("")
		b.next()
	}
	b.Adjust(conns.Limits{PerNetwork: 1})
	first.Close()
	b.dial("")
	b.next()
}

// However many come and go at once, no place is lost and none is given twice.
func TestPlacesUnderRaces(t *testing.T) {
	b := listen(t, conns.Limits{Max: 20, PerNetwork: 2, Trusted: loopback, Proxy: conns.ProxyRequired})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				c, err := net.Dial("tcp", b.Addr().String())
				if errors.Is(err, syscall.ECONNRESET) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(c, v1("TCP4", "192.0."+string(rune('0'+i%3))+".7", "10.0.0.1"))
				c.Close()
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var served sync.WaitGroup
		defer served.Wait()
		for {
			select {
			case c := <-b.accepted:
				served.Go(func() {
					wg.Go(func() { c.Close() }) // as a server that stops does, in the middle of the header
					c.RemoteAddr()
					io.Copy(io.Discard, c)
					c.Close()
				})
			case <-time.After(500 * time.Millisecond):
				return
			}
		}
	}()
	<-ended
	wg.Wait()
	b.metric(`s3gate_connections{listener="links"} 0`)
	if n := conns.CountedNetworks(b.Listener); n != 0 {
		t.Errorf("%d networks are still counted", n)
	}
	b.dial(v1("TCP4", "192.0.1.7", "10.0.0.1"))
	c := b.next()
	if got := c.RemoteAddr().String(); got != "192.0.1.7:1000" {
		t.Errorf("after it: %s", got)
	}
}

// What revocation and splicing need of a connection is there.
func TestMethodsOfTCP(t *testing.T) {
	b := listen(t, conns.Limits{})
	client := b.dial("x")
	c := b.next()
	tcp, ok := c.(interface {
		syscall.Conn
		CloseWrite() error
		SetLinger(int) error
	})
	if !ok {
		t.Fatalf("%T lacks methods", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Write(func(fd uintptr) bool { return fd != 0 }); err != nil {
		t.Error(err)
	}
	if err := tcp.CloseWrite(); err != nil {
		t.Error(err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after CloseWrite the client reads %d, %v", n, err)
	}
	if err := tcp.SetLinger(0); err != nil {
		t.Error(err)
	}
}
