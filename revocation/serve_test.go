package revocation_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"s3gate/revocation"
	"s3gate/tokens"
)

// soon is how long what should happen at once may take on a busy machine.
const soon = 5 * time.Second

// protocols are the ways in which a client reaches a gate.
var protocols = []struct {
	name       string
	tls, http2 bool
}{
	{"HTTP/1.1", false, false},
	{"HTTP/1.1 over TLS", true, false},
	{"HTTP/2", true, true},
}

// watchedListener counts what the gate hands to the kernel, below the wrapper
// under test.
type watchedListener struct {
	net.Listener
	written atomic.Int64
	blocked atomic.Int64 // writes in progress
}

func (l *watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	tcp.SetWriteBuffer(64 << 10)
	return &watchedConn{tcp, l}, nil
}

type watchedConn struct {
	*net.TCPConn
	l *watchedListener
}

func (c *watchedConn) Write(p []byte) (int, error) {
	c.l.blocked.Add(1)
	defer c.l.blocked.Add(-1)
	n, err := c.TCPConn.Write(p)
	c.l.written.Add(int64(n))
	return n, err
}

// serve runs handler on a real server behind the wrapper.
func serve(t *testing.T, tlsOn, http2 bool, handler http.HandlerFunc) (*httptest.Server, *watchedListener) {
	t.Helper()
	return serveUnder(t, nil, 0, tlsOn, http2, handler)
}

// serveUnder is serve, with a gate and how long a stall may last.
func serveUnder(t *testing.T, gate revocation.Gate, stall time.Duration, tlsOn, http2 bool, handler http.HandlerFunc) (*httptest.Server, *watchedListener) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	watched := &watchedListener{Listener: s.Listener}
	s.Listener = revocation.Listen(watched, gate, stall)
	s.Config.ConnContext = revocation.ConnContext
	s.EnableHTTP2 = http2
	if tlsOn {
		s.StartTLS()
	} else {
		s.Start()
	}
	// A client that reads little holds little back.
	transport := s.Client().Transport.(*http.Transport)
	transport.DialContext = dialSmall
	t.Cleanup(s.Close)
	t.Cleanup(transport.CloseIdleConnections)
	return s, watched
}

// dialSmall connects with a receive buffer of 64 KiB.
func dialSmall(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return c, c.(*net.TCPConn).SetReadBuffer(64 << 10)
}

// endless writes to the client as token until it may not.
func endless(transfers *revocation.Transfers, token tokens.ID, ended chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		transfer := transfers.Begin("req_1", token, w, r)
		defer transfer.End()
		chunk := make([]byte, 64<<10)
		for {
			if _, err := transfer.Write(w, chunk); err != nil {
				ended <- err
				panic(http.ErrAbortHandler)
			}
		}
	}
}

func only(id tokens.ID) func(*revocation.Transfer) bool {
	return func(t *revocation.Transfer) bool { return t.Token == id }
}

// eventually waits for what other goroutines are about to do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// awaitBlocked waits until the gate has stopped writing, because its clients
// do not read.
func awaitBlocked(t *testing.T, l *watchedListener) {
	t.Helper()
	last, since := int64(0), time.Now()
	eventually(t, "the writers are blocked", func() bool {
		if now := l.written.Load(); now != last {
			last, since = now, time.Now()
		}
		return last > 0 && time.Since(since) > 250*time.Millisecond
	})
}

// within fails the test if f does not return in time.
func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s: still waiting after %s", what, d)
	}
}

// isReset reports whether err shows a client that the transfer broke off.
func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
