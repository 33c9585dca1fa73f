package revocation

import "sync"

// held is what waits to leave together while a transfer gathers it: the headers of
// an answer and its body, or several records of TLS, which so take one call of the
// kernel and not one each.
type held struct {
	mu  sync.Mutex      // held during every write; TLS also writes while it reads
	buf *[heldMost]byte // nil while nobody gathers
	n   int             // bytes in it
	out int             // bytes that have left since it was begun
}

// heldMost is what a chunk of [Transfer.Write] takes with headers, and with what TLS
// adds; what is more leaves in between.
const heldMost = 72 << 10

var heldBuffers = sync.Pool{New: func() any { return new([heldMost]byte) }}

// gather holds what is written from now on.
func (c *conn) gather() {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	c.held.buf, c.held.out = heldBuffers.Get().(*[heldMost]byte), 0
}

// release writes what is held still. It returns how many bytes have left since gather
// was called.
func (c *conn) release() (out int, err error) {
	h := &c.held
	h.mu.Lock()
	defer h.mu.Unlock()
	err = c.letGo()
	heldBuffers.Put(h.buf)
	h.buf = nil
	return h.out, err
}

// put holds p if somebody gathers and there is room, after it has let go of the rest.
func (c *conn) put(p []byte) (ok bool, err error) {
	h := &c.held
	if h.buf == nil {
		return false, nil
	}
	if len(p) > len(h.buf)-h.n {
		if err := c.letGo(); err != nil || len(p) > len(h.buf) {
			return false, err
		}
	}
	h.n += copy(h.buf[h.n:], p)
	return true, nil
}

// letGo writes what is held.
func (c *conn) letGo() error {
	h := &c.held
	if h.n == 0 {
		return nil
	}
	n, err := c.feed(h.n, func(n int) (int, error) { return c.Conn.Write(h.buf[n:h.n]) })
	h.n = 0
	h.out += n
	return err
}
