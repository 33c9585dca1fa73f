package proxy

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// memory is what the parts of all uploads share. Who wants a part's worth
// waits in line until that much is free, and gets all of it: nobody holds a
// piece while waiting for another, so that no two wait for each other.
type memory struct {
	size   int64
	block  int64 // what is taken in bytes is a multiple of it, or all
	free   *semaphore.Weighted
	blocks sync.Pool // of *[]byte, each of block bytes
	held   atomic.Int64
	peak   atomic.Int64 // of held, ever
}

func newMemory(size, block int64) *memory {
	m := &memory{size: size, block: min(block, size), free: semaphore.NewWeighted(size)}
	m.blocks.New = func() any {
		b := make([]byte, m.block)
		return &b
	}
	return m
}

// take returns a buffer for n bytes, at most size, when that much is free, or
// the error of ctx. The caller releases it.
func (m *memory) take(ctx context.Context, n int64) (*buffer, error) {
	n = min((n+m.block-1)/m.block*m.block, m.size)
	if err := m.free.Acquire(ctx, n); err != nil {
		return nil, err
	}
	held := m.held.Add(n)
	for peak := m.peak.Load(); held > peak && !m.peak.CompareAndSwap(peak, held); peak = m.peak.Load() {
	}
	return &buffer{memory: m, taken: n}, nil
}

// buffer holds one part. It is filled first, by one goroutine, and then read
// through any number of its readers.
type buffer struct {
	memory *memory
	taken  int64

	mu     sync.RWMutex
	blocks []*[]byte
	size   int64 // bytes that are in it
}

// fill reads until so many bytes are in the buffer, or r ends: then its error
// is io.EOF.
func (b *buffer) fill(r io.Reader, size int64) error {
	for b.size < size {
		at := b.size % b.memory.block
		if at == 0 && int(b.size/b.memory.block) == len(b.blocks) {
			b.blocks = append(b.blocks, b.memory.blocks.Get().(*[]byte))
		}
		last := *b.blocks[len(b.blocks)-1]
		n, err := r.Read(last[at:min(b.memory.block, at+size-b.size)])
		b.size += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// md5 is the Content-MD5 of what is in the buffer.
func (b *buffer) md5() string {
	sum := md5.New()
	b.mu.RLock()
	defer b.mu.RUnlock()
	left := b.size
	for _, block := range b.blocks {
		n := min(left, b.memory.block)
		sum.Write((*block)[:n])
		left -= n
	}
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// release gives the memory back. Readers of the buffer read no more.
func (b *buffer) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, block := range b.blocks {
		b.memory.blocks.Put(block)
	}
	b.blocks = nil
	b.memory.held.Add(-b.taken)
	b.memory.free.Release(b.taken)
	b.taken = 0
}

// reader returns a reader of all that is in the buffer.
func (b *buffer) reader() io.ReadCloser { return &bufferReader{b: b} }

// bufferReader copies under the buffer's lock: a transport may go on reading
// when it has answered, and must not see what the memory is used for then.
type bufferReader struct {
	b  *buffer
	at int64
}

func (r *bufferReader) Read(p []byte) (n int, err error) {
	r.b.mu.RLock()
	defer r.b.mu.RUnlock()
	switch {
	case r.at == r.b.size:
		return 0, io.EOF
	case r.b.blocks == nil:
		return 0, errReleased
	}
	for n < len(p) && r.at < r.b.size {
		block := *r.b.blocks[r.at/r.b.memory.block]
		from := r.at % r.b.memory.block
		k := copy(p[n:], block[from:min(r.b.memory.block, from+r.b.size-r.at)])
		n += k
		r.at += int64(k)
	}
	return n, nil
}

func (r *bufferReader) Close() error { return nil }
