package tokens_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// relay stands between a client and Redis and spoils what passes.
type relay struct {
	listener net.Listener
	upstream string
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	down  bool
	// lose is the number of replies still to be lost: the command is carried
	// out, and the connection ends instead of the reply.
	lose int
	// shift makes every reply come one command late.
	shift bool
}

func newRelay(t testing.TB, upstream string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, upstream: upstream, conns: map[net.Conn]bool{}}
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

func (r *relay) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.upstream)
		if err != nil || !r.keep(client, server) {
			client.Close()
			if server != nil {
				server.Close()
			}
			continue
		}
		r.wg.Go(func() { io.Copy(server, client); r.drop(client, server) })
		r.wg.Go(func() { r.replies(client, server); r.drop(client, server) })
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
