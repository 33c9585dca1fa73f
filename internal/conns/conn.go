package conns

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"s3gate/internal/pace"
)

// conn is a connection that holds its places in the counts until it is closed.
type conn struct {
	net.Conn
	l      *Listener
	limits *Limits // as of its beginning
	peer   netip.Addr
	pace   pace.Watch
	handed atomic.Int64 // bytes that this kernel has taken

	headed func() error  // reads the header; nil where none may come
	rest   *bufio.Reader // what came after the header; nil when that was read
	client net.Addr      // by the header; nil is the peer

	mu     sync.Mutex
	closed bool
	leave  func() // the network's count; nil if it is in none
}

// join takes a place in the count of a network, which the connection's end gives
// back; false if there is none.
func (c *conn) join(a netip.Addr) bool {
	leave, ok := c.l.networks.Take(a, c.limits.PerNetwork)
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		leave()
	}
	c.leave = leave
	return true
}

// refuse counts a connection that is over a limit and resets it.
func (c *conn) refuse(reason string) {
	c.l.metrics.refused(reason)
	c.reset()
}

// reset ends the connection at once: the kernel keeps nothing of it.
func (c *conn) reset() {
	_ = c.SetLinger(0)
	c.Close()
}

// Close gives back what the connection holds.
func (c *conn) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	leave := c.leave
	c.mu.Unlock()
	if first {
		c.pace.Stop()
		c.l.total.Add(-1)
		c.l.metrics.closed()
		if leave != nil {
			leave()
		}
	}
	return c.Conn.Close()
}

// RemoteAddr is the client's address: that of the header, or the peer's. It waits for
// the header.
func (c *conn) RemoteAddr() net.Addr {
	if c.headed != nil && c.headed() == nil && c.client != nil {
		return c.client
	}
	return c.Conn.RemoteAddr()
}

// Read reads what comes after the header.
func (c *conn) Read(p []byte) (int, error) {
	if c.headed != nil {
		if err := c.headed(); err != nil {
			return 0, err
		}
	}
	if c.rest == nil {
		return c.Conn.Read(p)
	}
	n, err := c.rest.Read(p[:min(len(p), c.rest.Buffered())])
	if c.rest.Buffered() == 0 {
		c.rest = nil
	}
	return n, err
}

// Write hands p to the kernel, and says [ErrSlow] if the client was reset because of
// its pace.
func (c *conn) Write(p []byte) (int, error) {
	c.pace.Begin()
	n, err := c.Conn.Write(p)
	c.handed.Add(int64(n))
	return n, c.written(err)
}

// written says how a write has ended.
func (c *conn) written(err error) error {
	if slow := c.pace.End(); slow && err != nil {
		return ErrSlow
	}
	return err
}

// watch begins to watch how much the client takes: what its kernel has acknowledged,
// where this one says that, for a write returns only when there is room for much.
func (c *conn) watch() {
	c.pace.Limits = pace.Limits{Idle: c.limits.Idle, MinRate: c.limits.MinRate, Grain: grain}
	c.pace.Taken = func() int64 { return acknowledged(c.Conn, c.handed.Load()) }
	c.pace.Slow = func() {
		c.l.metrics.wasSlow()
		c.reset()
	}
}

// SyscallConn is the socket. What is written through it is under the same pace.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	s, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := s.SyscallConn()
	return rawConn{raw, c}, err
}

type rawConn struct {
	syscall.RawConn
	c *conn
}

func (r rawConn) Write(f func(fd uintptr) bool) error {
	r.c.pace.Begin()
	return r.c.written(r.RawConn.Write(f))
}

// SetLinger is that of [net.TCPConn].
func (c *conn) SetLinger(sec int) error {
	if t, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return t.SetLinger(sec)
	}
	return errors.ErrUnsupported
}

// CloseWrite is that of [net.TCPConn].
func (c *conn) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return errors.ErrUnsupported
}

// headerTime is until when the header may come.
func (c *conn) headerTime() time.Time {
	d := c.limits.HeaderTimeout
	if d <= 0 {
		d = 10 * time.Second
	}
	return time.Now().Add(d)
}
