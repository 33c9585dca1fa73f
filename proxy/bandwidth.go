package proxy

import (
	"context"
	"io"
	"sync"

	"golang.org/x/time/rate"

	"s3gate/tokens"
)

// Bandwidth shares what a token's grant allows a second among the transfers
// of the token on one gate. The zero Bandwidth is ready to use, and safe for
// concurrent use.
type Bandwidth struct {
	mu    sync.Mutex
	pipes map[tokens.ID]*pipe
}

// pipe is what transfers of one token share while there are any.
type pipe struct {
	limiter *rate.Limiter
	chunk   int // the most bytes to take at once
	users   int
}

// maxChunk is the most that is copied at once, so that a limited transfer
// flows and does not come in bursts.
const maxChunk = 64 << 10

// open joins the transfers of the grant's token. It returns nil, which limits
// nothing, if the grant does not; the caller calls close in any case.
func (b *Bandwidth) open(g *tokens.Grant) (p *pipe, close func()) {
	if g.Bandwidth <= 0 {
		return nil, func() {}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p = b.pipes[g.ID]
	if p == nil {
		// Four chunks a second, or as many more as a large bandwidth needs.
		chunk := int(min(maxChunk, g.Bandwidth/4))
		p = &pipe{limiter: rate.NewLimiter(rate.Limit(g.Bandwidth), chunk), chunk: chunk}
		if b.pipes == nil {
			b.pipes = map[tokens.ID]*pipe{}
		}
		b.pipes[g.ID] = p
	}
	p.users++
	return p, func() { b.close(g.ID, p) }
}

func (b *Bandwidth) close(id tokens.ID, p *pipe) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.users--; p.users == 0 {
		delete(b.pipes, id)
	}
}

// reader returns r with the pipe's bandwidth. Its reads wait until what they
// have read is allowed, and end with ctx.
func (p *pipe) reader(ctx context.Context, r io.Reader) io.Reader {
	if p == nil {
		return r
	}
	return &pipeReader{ctx, p, r}
}

type pipeReader struct {
	ctx context.Context
	*pipe
	src io.Reader
}

func (r *pipeReader) Read(buf []byte) (int, error) {
	n, err := r.src.Read(buf[:min(len(buf), r.chunk)])
	if n > 0 {
		if waitErr := r.limiter.WaitN(r.ctx, n); waitErr != nil {
			return 0, waitErr
		}
	}
	return n, err
}
