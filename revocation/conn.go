package revocation

import (
	"context"
	"errors"
	"io"
	"net"
)

// Listen wraps a listener so that the connections it accepts can be cut. Put
// it below TLS, and right on top of TCP: a connection without the SetLinger of
// [net.TCPConn] is closed but not reset.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	keepUnsentLow(c)
	return &conn{c}, nil
}

// conn is a client's connection below TLS and HTTP/2.
type conn struct{ net.Conn }

// cut ends the connection at once and visibly: the kernel throws away what it
// has not sent yet and resets the connection, so that no client takes the
// truncated transfer for a complete one.
func (c *conn) cut() {
	if t, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		t.SetLinger(0) // fails only on a closed connection, which is as good
	}
	c.Close()
}

// ReadFrom keeps the kernel's zero-copy paths reachable through the wrapper.
func (c *conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// CloseWrite lets net/http end its half of a connection first, so that a
// client still sending gets to read why its upload was refused.
func (c *conn) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return errors.ErrUnsupported
}

type connKey struct{}

// ConnContext is for http.Server.ConnContext: it makes the connection of a
// request known to [Transfers.Begin].
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		c = t.NetConn()
	}
	if own, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, own)
	}
	return ctx
}
