package proxy

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"s3gate/internal/splice"
)

// How much of a body is on its way through the gate at a time. A client that keeps
// the gate waiting gets less at a time, so that thousands of them take little memory.
const (
	bufferSize = 64 << 10
	smallSize  = 16 << 10
	spliceSize = splice.Most
	// slow is how many bytes a second a client takes that is slow, and quick how many
	// make it quick again.
	slow  = 3 << 20
	quick = 8 << 20
)

var (
	buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}
	smalls  = sync.Pool{New: func() any { return new([smallSize]byte) }}
)

// carrier takes the body of a download from S3 to the client: through a buffer, or
// within the kernel where both are plain TCP connections.
type carrier struct {
	x      *exchange
	source *source
	body   io.Reader // of source, at the pace of its token

	large *[bufferSize]byte // nil while it is not needed
	small *[smallSize]byte
	pipe  *splice.Pipe

	splices bool // until that turns out to be impossible
	flushed bool // net/http holds back nothing
	slow    bool // the client is
}

// buffer is what the next read goes to.
func (c *carrier) buffer() []byte {
	if c.slow {
		c.dropLarge()
		if c.small == nil {
			c.small = smalls.Get().(*[smallSize]byte)
		}
		return c.small[:]
	}
	if c.large == nil {
		c.large = buffers.Get().(*[bufferSize]byte)
	}
	return c.large[:]
}

func (c *carrier) dropLarge() {
	if c.large != nil {
		buffers.Put(c.large)
		c.large = nil
	}
}

func (c *carrier) dropSmall() {
	if c.small != nil {
		smalls.Put(c.small)
		c.small = nil
	}
}

// close gives back what it holds.
func (c *carrier) close() {
	c.dropLarge()
	c.dropSmall()
	if c.pipe != nil {
		c.pipe.Close()
	}
}

// carry gives the client what was read already, with the error of that, and then
// the rest of the body. It returns why that has ended: io.EOF at its end.
func (c *carrier) carry(ctx context.Context, p []byte, err error) error {
	for {
		if len(p) > 0 {
			c.give(ctx, p, err == io.EOF || c.splices && !c.flushed)
		}
		for err == nil && c.canSplice() {
			err = c.splice(ctx)
		}
		if err != nil {
			return err
		}
		buf := c.buffer()
		var n int
		n, err = c.body.Read(buf)
		p = buf[:n]
	}
}

// give hands over what was read; push says that nothing may be held back of it.
func (c *carrier) give(ctx context.Context, p []byte, push bool) {
	c.x.give(ctx, len(p), func(n int) (int, error) {
		defer c.pace(n, time.Now())
		if push {
			return c.x.transfer.Push(c.x.w, p[:n])
		}
		return c.x.transfer.Write(c.x.w, p[:n])
	})
	c.flushed = push
}

// pace says whether the client is slow, by how long the last chunk took.
func (c *carrier) pace(n int, began time.Time) {
	rate := float64(n) / time.Since(began).Seconds()
	c.slow = rate < slow || c.slow && rate < quick
}

// canSplice reports whether what comes next can go through the kernel.
func (c *carrier) canSplice() bool {
	if !c.splices {
		return false
	}
	socket, left := c.source.socket()
	if socket == nil || c.pipe == nil && left < splice.Least {
		return false
	}
	if c.pipe == nil {
		var err error
		if c.pipe, err = splice.Open(); err != nil {
			c.splices = false
			return false
		}
	}
	return true
}

// splice carries a chunk.
func (c *carrier) splice(ctx context.Context) error {
	c.dropLarge()
	c.dropSmall()
	if !c.flushed {
		if err := c.x.transfer.Flush(); err != nil {
			c.x.breakOff(fmt.Errorf("writing to the client: %w", err))
		}
		c.flushed = true
	}
	size := spliceSize
	if c.slow {
		size = smallSize
	}
	n, err := c.source.fill(c.pipe, size)
	if n > 0 {
		c.x.give(ctx, n, func(n int) (int, error) {
			defer c.pace(n, time.Now())
			return c.x.transfer.Splice(c.x.w, c.pipe, n)
		})
	}
	return err
}

// newCarrier returns one for the body of source. Bytes whose pace is limited are
// counted as they are read.
func (x *exchange) newCarrier(source *source, body io.Reader) *carrier {
	return &carrier{x: x, source: source, body: body, splices: x.grant().Bandwidth <= 0 && x.transfer.Splices(x.w)}
}
