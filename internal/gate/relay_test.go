package gate_test

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"s3gate/internal/s3gatetest"
)

// relay stands between a gate and Redis.
type relay struct {
	*s3gatetest.Relay

	mu     sync.Mutex
	deaf   bool // what follows the log hears nothing any more
	cuts   bool // and loses its connection
	missed int  // times that happened
}

func newRelay(t *testing.T, upstream string) *relay {
	t.Helper()
	r := &relay{}
	r.Relay = s3gatetest.NewRelay(t, upstream, s3gatetest.Pass{Up: r.commands})
	return r
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
