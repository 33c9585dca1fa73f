package revocation

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"s3gate/internal/fault"
	"s3gate/internal/splice"
)

// Listen wraps a listener so that the connections it accepts can be cut, and
// hand nothing of a transfer to the kernel while the gate has no lease. Put it
// below TLS, and right on top of TCP: a connection without the SetLinger of
// [net.TCPConn] is closed but not reset. A nil gate has its lease for ever.
// What waits longer than stall for the lease is cut; 0 means a minute.
func Listen(l net.Listener, gate Gate, stall time.Duration) net.Listener {
	return listener{l, gate, cmp.Or(stall, time.Minute)}
}

type listener struct {
	net.Listener
	gate  Gate
	stall time.Duration
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	keepUnsentLow(c)
	own := &conn{Conn: c, gate: l.gate, stall: l.stall}
	if s, ok := c.(syscall.Conn); ok {
		own.socket, _ = s.SyscallConn()
	}
	own.ctx, own.cancel = context.WithCancel(context.Background())
	return own, nil
}

// conn is a client's connection below TLS and HTTP/2.
type conn struct {
	net.Conn
	gate  Gate
	stall time.Duration

	socket    syscall.RawConn // nil where there is none
	ctx       context.Context // ends with the connection
	cancel    context.CancelFunc
	transfers atomic.Int32 // that use it

	held   held   // what waits to leave together
	stalls stalls // how long it has waited for the lease

	mu    sync.Mutex
	wish  time.Time // the write deadline that the server has set
	armed time.Time // the one that the connection has
}

// cut ends the connection at once and visibly: the kernel throws away what it
// has not sent yet and resets the connection, so that no client takes the
// truncated transfer for a complete one.
func (c *conn) cut() {
	if t, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		t.SetLinger(0) // fails only on a closed connection, which is as good
	}
	c.Close()
}

// Close also ends a wait for the lease.
func (c *conn) Close() error {
	c.cancel()
	return c.Conn.Close()
}

// Write hands p to the kernel while the gate has its lease. When that runs out
// in the middle the rest waits for the next one: to the server above that is
// one slow write, and no error, which would be the end of a TLS connection.
func (c *conn) Write(p []byte) (n int, err error) {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	if ok, err := c.put(p); ok {
		return len(p), nil
	} else if err != nil {
		return 0, err
	}
	n, err = c.feed(len(p), func(n int) (int, error) { return c.Conn.Write(p[n:]) })
	c.held.out += n
	return n, err
}

// feed writes so many bytes: write writes those after the first n.
func (c *conn) feed(size int, write func(n int) (int, error)) (n int, err error) {
	for {
		free := c.gate == nil || c.transfers.Load() == 0
		if !free && c.gate.Remaining() <= 0 {
			if err := c.await(); err != nil {
				return n, err
			}
		}
		if free || fault.On(fault.StallFeeds) {
			c.arm(time.Time{})
		} else {
			c.arm(time.Now().Add(c.gate.Remaining() - armGrain))
		}
		m, err := write(n)
		n += m
		switch {
		case n == size:
			return n, nil
		case err == nil && m > 0: // a part, as the kernel gives it
		case err == nil:
			return n, io.ErrShortWrite
		case free, !errors.Is(err, os.ErrDeadlineExceeded), c.wished():
			return n, err
		}
	}
}

// splice hands bytes of a pipe to the kernel on the same terms.
func (c *conn) splice(p *splice.Pipe, size int) (n int, err error) {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	return c.feed(size, func(n int) (int, error) { return p.Drain(c.socket, size-n) })
}

// booked are bytes that were spliced, for a server that has to count them.
type booked int64

func (booked) Read([]byte) (int, error) { return 0, io.EOF }

// ReadFrom is how net/http gives a body to its connection, and learns how much of
// it was sent.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	if n, ok := r.(booked); ok {
		return int64(n), nil
	}
	return io.Copy(struct{ io.Writer }{c}, r)
}

// errStalled is a connection that has waited for the lease for too long.
var errStalled = errors.New("no lease for too long")

// await waits for the lease; after a while the connection is cut.
func (c *conn) await() error {
	defer c.stalls.begin()()
	ctx, cancel := context.WithTimeout(c.ctx, c.stall)
	defer cancel()
	c.mu.Lock()
	if !c.wish.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, c.wish)
		defer stop()
	}
	c.mu.Unlock()
	if c.gate.Await(ctx) == nil {
		return nil
	}
	if c.wished() {
		return os.ErrDeadlineExceeded
	}
	c.cut()
	return errStalled
}

// armGrain is how exactly the deadline of a write follows the lease: setting a
// deadline is not free.
const armGrain = time.Millisecond

// arm lets a write go on until then, or until the deadline of the server if
// that is earlier. Zero stands for no deadline.
func (c *conn) arm(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until.IsZero() || !c.wish.IsZero() && c.wish.Before(until) {
		until = c.wish
	}
	if until.Sub(c.armed).Abs() < armGrain {
		return
	}
	c.armed = until
	_ = c.Conn.SetWriteDeadline(until)
}

// wished reports whether the server's own deadline has passed.
func (c *conn) wished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.wish.IsZero() && !time.Now().Before(c.wish)
}

// SetWriteDeadline keeps the server's deadline apart from that of the lease.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wish = t
	if c.armed.IsZero() || !t.IsZero() && t.Before(c.armed) {
		c.armed = t
		return c.Conn.SetWriteDeadline(t)
	}
	return nil
}

// SetDeadline is both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.Conn.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

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
