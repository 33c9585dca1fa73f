package s3gatetest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Relay stands between clients and a server on this machine. Its connections
// can be cut. It is safe for concurrent use.
type Relay struct {
	Addr     string // where clients find it, host:port
	Upstream string // the server

	listener net.Listener
	pass     Pass
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	down  bool
}

// Pass is how a [Relay] passes on what one side sends, until either side ends:
// both connections are closed when one of its functions returns. Nil copies.
type Pass struct {
	// Up passes on what a client sends to the server, Down what the server
	// answers.
	Up, Down func(to, from net.Conn)
}

// NewRelay starts a relay, which ends with the test.
func NewRelay(t testing.TB, upstream string, pass Pass) *Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{Addr: l.Addr().String(), Upstream: upstream, listener: l, pass: pass, conns: map[net.Conn]bool{}}
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		l.Close()
		r.Cut(true)
		r.wg.Wait()
	})
	return r
}

// Cut ends all connections; while it is down new ones end at once.
func (r *Relay) Cut(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
	for c := range r.conns {
		c.Close()
	}
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.Upstream)
		if err != nil {
			client.Close()
			continue
		}
		if !r.keep(client, server) {
			r.drop(client, server)
			continue
		}
		r.wg.Go(func() { copyOr(r.pass.Up, server, client); r.drop(client, server) })
		r.wg.Go(func() { copyOr(r.pass.Down, client, server); r.drop(client, server) })
	}
}

func copyOr(pass func(to, from net.Conn), to, from net.Conn) {
	if pass == nil {
		io.Copy(to, from)
		return
	}
	pass(to, from)
}

func (r *Relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		r.conns[c] = true
	}
	return !r.down
}

func (r *Relay) drop(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(r.conns, c)
	}
}
