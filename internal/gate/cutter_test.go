package gate_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"s3gate/internal/s3gatetest"
)

// cutter stands between clients and a gate, and cuts connections.
type cutter struct {
	*s3gatetest.Relay

	mu    sync.Mutex
	ends  bool    // connections are ended as if the answer were over, and not reset
	after []int64 // bytes of answers after which the next connections are cut
	cuts  int
}

// newCutter cuts the first connections after so many bytes each. Later ones
// last.
func newCutter(t *testing.T, gate string, after ...int64) *cutter {
	t.Helper()
	u, err := url.Parse(gate)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{after: after}
	c.Relay = s3gatetest.NewRelay(t, u.Host, s3gatetest.Pass{Down: c.answers})
	return c
}

func (c *cutter) url() string { return "http://" + c.Addr }

// made is how many connections were cut.
func (c *cutter) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts
}

func (c *cutter) answers(client, gate net.Conn) {
	// What is on its way when the connection ends is lost: not much of it.
	gate.(*net.TCPConn).SetReadBuffer(256 << 10)
	limit := int64(-1)
	c.mu.Lock()
	if len(c.after) > 0 {
		limit, c.after = c.after[0], c.after[1:]
	}
	c.mu.Unlock()
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
