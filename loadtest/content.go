package loadtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
)

// content is what an object of a run consists of: a tile of random bytes over and
// over, so that each byte of any range is known without keeping the object, and
// compared rather than hashed. The length of the tile has no divisor in common with
// those of blocks and parts: bytes that are out of place do not fit.
type content struct {
	tile []byte
	size int64
}

const tileSize = 1<<20 + 7

func newContent(seed uint64, size int64) *content {
	c := &content{tile: make([]byte, min(tileSize, size)), size: size}
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	rand.NewChaCha8(key).Read(c.tile)
	return c
}

// reader reads the bytes from to to, without to.
func (c *content) reader(from, to int64) io.ReadSeeker { return &contentReader{c, from, from, to} }

type contentReader struct {
	*content
	from, at, to int64
}

func (r *contentReader) Read(p []byte) (int, error) {
	if r.at >= r.to {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.to-r.at)], r.tile[r.at%int64(len(r.tile)):])
	r.at += int64(n)
	return n, nil
}

func (r *contentReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		offset += r.from
	case io.SeekCurrent:
		offset += r.at
	default:
		offset += r.to
	}
	if offset < r.from {
		return 0, errors.New("seeking before the beginning")
	}
	r.at = offset
	return offset - r.from, nil
}

// errBytes is a body that is not what it should be.
var errBytes = errors.New("wrong bytes")

// comparer is written to; it fails at the first byte that is not the content's.
type comparer struct {
	*content
	at, to int64
}

func (c *comparer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if c.at >= c.to {
			return n, fmt.Errorf("%w: more than %d bytes", errBytes, c.to)
		}
		want := c.tile[c.at%int64(len(c.tile)):]
		k := min(len(p), len(want), int(min(c.to-c.at, tileSize)))
		if !bytes.Equal(p[:k], want[:k]) {
			return n, fmt.Errorf("%w between offsets %d and %d", errBytes, c.at, c.at+int64(k))
		}
		c.at += int64(k)
		n += k
		p = p[k:]
	}
	return n, nil
}

// whole says whether everything has come.
func (c *comparer) whole() error {
	if c.at != c.to {
		return fmt.Errorf("%w: %d missing", errBytes, c.to-c.at)
	}
	return nil
}
