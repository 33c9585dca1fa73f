package gate_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// relay stands between a gate and Redis.
type relay struct {
	listener net.Listener
	redis    string
	wg       sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	down   bool // connections end at once
	deaf   bool // what follows the log hears nothing any more
	cuts   bool // and loses its connection
	missed int  // times that happened
}

func newRelay(t *testing.T, redis string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, redis: redis, conns: map[net.Conn]bool{}}
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		l.Close()
		r.cut(true)
		r.wg.Wait()
	})
	return r
}

func (r *relay) addr() string { return r.listener.Addr().String() }

// cut ends all connections; while it is down new ones end at once.
func (r *relay) cut(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
	for c := range r.conns {
		c.Close()
	}
}

// silence has those who follow the log hear nothing of it, or with cuts lose
// their connections when they ask.
func (r *relay) silence(cuts bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaf, r.cuts = true, cuts
}

// times is how often somebody who follows the log heard nothing.
func (r *relay) times() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.missed
}

func (r *relay) accept() {
	for {
		gate, err := r.listener.Accept()
		if err != nil {
			return
		}
		redis, err := net.Dial("tcp", r.redis)
		if err != nil || !r.keep(gate, redis) {
			gate.Close()
			if redis != nil {
				redis.Close()
			}
			continue
		}
		r.wg.Go(func() { r.commands(redis, gate); r.drop(gate, redis) })
		r.wg.Go(func() { io.Copy(gate, redis); r.drop(gate, redis) })
	}
}

func (r *relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		r.conns[c] = true
	}
	return !r.down
}

func (r *relay) drop(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(r.conns, c)
	}
}

// commands passes commands on. A gate sends one at a time, so that one read
// is one command. One that follows the log is kept back, and so never answered.
func (r *relay) commands(redis, gate net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := gate.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(bytes.ToLower(buf[:n]), []byte("xread\r\n")) {
			kept, cuts := r.keepBack()
			if cuts {
				return
			}
			if kept {
				continue
			}
		}
		if _, err := redis.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (r *relay) keepBack() (kept, cuts bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deaf {
		r.missed++
	}
	return r.deaf, r.deaf && r.cuts
}
