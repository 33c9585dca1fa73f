package revocation

import "sync"

// held is what waits to leave together while a transfer gathers it: the headers of
// an answer and its body, or several records of TLS, which so take one call of the
// kernel and not one each.
type held struct {
	mu  sync.Mutex      // held during every write; TLS also writes while it reads
	buf *[heldMost]byte // nil while nobody gathers
	n   int
}

// heldMost is what a chunk of [Transfer.Write] takes with headers, and with what TLS
// adds.
const heldMost = 72 << 10

var heldBuffers = sync.Pool{New: func() any { return new([heldMost]byte) }}

// gather holds what is written from now on.
func (c *conn) gather() {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	c.held.buf = heldBuffers.Get().(*[heldMost]byte)
}

// release writes what was gathered since. It returns how many bytes were taken of
// what was held at last, and how many not.
func (c *conn) release() (sent, unsent int, err error) {
	h := &c.held
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.n
	sent, err = c.letGo()
	heldBuffers.Put(h.buf)
	h.buf = nil
	return sent, n - sent, err
}

// put holds p if somebody gathers and there is room, after it has let go of the rest.
func (c *conn) put(p []byte) (ok bool, err error) {
	h := &c.held
	if h.buf == nil {
		return false, nil
	}
	if len(p) > len(h.buf)-h.n {
		if _, err := c.letGo(); err != nil || len(p) > len(h.buf) {
			return false, err
		}
	}
	h.n += copy(h.buf[h.n:], p)
	return true, nil
}

// letGo writes what is held.
func (c *conn) letGo() (n int, err error) {
	h := &c.held
	if h.n > 0 {
		n, err = c.feed(h.n, func(n int) (int, error) { return c.Conn.Write(h.buf[n:h.n]) })
		h.n = 0
	}
	return n, err
}
