package gate_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// cutter stands between clients and a gate, and cuts connections.
type cutter struct {
	listener net.Listener
	gate     string
	wg       sync.WaitGroup

	mu    sync.Mutex
	ends  bool    // connections are ended as if the answer were over, and not reset
	after []int64 // bytes of answers after which the next connections are cut
	cuts  int
	conns map[net.Conn]bool
}

// newCutter cuts the first connections after so many bytes each. Later ones
// last.
func newCutter(t *testing.T, gate string, after ...int64) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(gate)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, gate: u.Host, after: after, conns: map[net.Conn]bool{}}
	c.wg.Go(c.accept)
	t.Cleanup(func() {
		l.Close()
		c.mu.Lock()
		for conn := range c.conns {
			conn.Close()
		}
		c.mu.Unlock()
		c.wg.Wait()
	})
	return c
}

func (c *cutter) url() string { return "http://" + c.listener.Addr().String() }

// made is how many connections were cut.
func (c *cutter) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts
}

func (c *cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		gate, err := net.Dial("tcp", c.gate)
		if err != nil {
			client.Close()
			continue
		}
		// What is on its way when the connection ends is lost: not much of it.
		gate.(*net.TCPConn).SetReadBuffer(256 << 10)
		limit := int64(-1)
		c.mu.Lock()
		c.conns[client], c.conns[gate] = true, true
		if len(c.after) > 0 {
			limit, c.after = c.after[0], c.after[1:]
		}
		c.mu.Unlock()
		c.wg.Go(func() { io.Copy(gate, client); gate.Close() })
		c.wg.Go(func() { c.answers(client, gate, limit) })
	}
}

func (c *cutter) answers(client, gate net.Conn, limit int64) {
	defer client.Close()
	defer gate.Close()
	if limit < 0 {
		io.Copy(client, gate)
		return
	}
	if n, _ := io.CopyN(client, gate, limit); n < limit {
		return // it ended by itself
	}
	c.mu.Lock()
	c.cuts++
	ends := c.ends
	c.mu.Unlock()
	if !ends {
		client.(*net.TCPConn).SetLinger(0)
	}
	gate.(*net.TCPConn).SetLinger(0)
}
