package tokens_test

import (
	"net"
	"sync"
	"testing"

	"s3gate/internal/s3gatetest"
)

// relay stands between a client and Redis and spoils what passes.
type relay struct {
	*s3gatetest.Relay

	mu sync.Mutex
	// lose is the number of replies still to be lost: the command is carried
	// out, and the connection ends instead of the reply.
	lose int
	// shift makes every reply come one command late.
	shift bool
}

func newRelay(t testing.TB, upstream string) *relay {
	t.Helper()
	r := &relay{}
	r.Relay = s3gatetest.NewRelay(t, upstream, s3gatetest.Pass{Down: r.replies})
	return r
}

func (r *relay) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// replies passes replies on. They are short and asked for one at a time, so
// that one read is one reply.
func (r *relay) replies(client, server net.Conn) {
	buf := make([]byte, 64<<10)
	var previous []byte
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		lost, shifted := r.lose > 0, r.shift
		if lost {
			r.lose--
		}
		r.mu.Unlock()
		if lost {
			return
		}
		reply := append([]byte(nil), buf[:n]...)
		if shifted && previous != nil {
			reply, previous = previous, reply
		} else {
			previous = reply
		}
		if _, err := client.Write(reply); err != nil {
			return
		}
	}
}
