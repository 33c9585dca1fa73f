package gate_test

import (
	"encoding/json"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// oracle knows what gates have handed to the kernel: it lies right on top of
// TCP, below all that is tested, and keeps every write(2) to a client. It is
// safe for concurrent use.
type oracle struct {
	out io.Writer // a line of JSON for each write; nil keeps them in memory

	mu      sync.Mutex
	writes  []write
	running int // writes that have not returned
}

// write is one call. It may have been blocked all the time in between.
type write struct {
	Client       string        // its connection: both addresses, since a port may serve for several gates
	Began, Ended time.Duration // monotonic
	Bytes        int           // that the kernel has taken
}

// listen is for gate.Options.
func (o *oracle) listen(network, addr string) (net.Listener, error) {
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	return oracleListener{l, o}, nil
}

type oracleListener struct {
	net.Listener
	oracle *oracle
}

func (l oracleListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &oracleConn{c.(*net.TCPConn), l.oracle}, nil
}

// oracleConn has all the methods of its connection.
type oracleConn struct {
	*net.TCPConn
	oracle *oracle
}

func (c *oracleConn) Write(p []byte) (int, error) {
	w := write{Client: connection(c.RemoteAddr(), c.LocalAddr()), Began: monotonic()}
	c.oracle.begin()
	n, err := c.TCPConn.Write(p)
	w.Ended, w.Bytes = monotonic(), n
	c.oracle.end(w)
	return n, err
}

// ReadFrom does not pass by Write.
func (c *oracleConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

func connection(client, gate net.Addr) string { return client.String() + " to " + gate.String() }

func (o *oracle) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running++
}

func (o *oracle) end(w write) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running--
	if o.out == nil {
		o.writes = append(o.writes, w)
		return
	}
	if err := json.NewEncoder(o.out).Encode(w); err != nil {
		panic(err) // a log with gaps proves nothing
	}
}

// to returns the writes to some clients. Nothing may be on its way to any of
// them any more.
func (o *oracle) to(t *testing.T, clients map[string]bool) trace {
	t.Helper()
	for range 500 {
		if o.idle() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running != 0 {
		t.Fatalf("%d writes have not returned", o.running)
	}
	var found trace
	for _, w := range o.writes {
		if clients[w.Client] {
			found = append(found, w)
		}
	}
	return found
}

func (o *oracle) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.running == 0
}

// trace is what was written, in the order in which the calls returned.
type trace []write

// bytes is what the kernel has taken.
func (t trace) bytes() (n int) {
	for _, w := range t {
		n += w.Bytes
	}
	return n
}

// after returns the writes that may have handed over something after the
// instant: those that had not returned by then. One that the kernel took
// nothing of, since the connection was closed, has handed over nothing.
func (t trace) after(instant time.Duration) trace {
	var found trace
	for _, w := range t {
		if w.Ended > instant && w.Bytes > 0 {
			found = append(found, w)
		}
	}
	return found
}

// before returns the writes that had returned.
func (t trace) before(instant time.Duration) trace {
	var found trace
	for _, w := range t {
		if w.Ended <= instant {
			found = append(found, w)
		}
	}
	return found
}

// last is when the last write returned that handed over something.
func (t trace) last() (last time.Duration) {
	for _, w := range t {
		if w.Bytes > 0 {
			last = max(last, w.Ended)
		}
	}
	return last
}

// byClient is how many bytes each client's connection took.
func (t trace) byClient() map[string]int {
	n := map[string]int{}
	for _, w := range t {
		n[w.Client] += w.Bytes
	}
	return n
}
