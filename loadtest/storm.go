package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"s3gate/client"
)

// stormSeconds is how long the downloads of a storm would take if nobody cut them:
// the token limits their bandwidth so that they are in the middle when it is revoked,
// and buffers on the way hold little.
const stormSeconds = 60

// prepareStorm revokes links with downloads on their way. The operation takes as long
// as the revocation, from the request to the acknowledgement.
func prepareStorm(ctx context.Context, w *world) (operation, error) {
	w.checks.expect(silence, deadLink, cutVisibly, rightBytes)
	key, err := w.furnish(ctx)
	return func(ctx context.Context, n uint64) outcome {
		t, err := w.mint(ctx, "get", key, func(r *client.MintRequest) {
			r.Bandwidth = max(64<<10, w.cfg.Size*int64(w.cfg.Clients)/stormSeconds)
		})
		if err != nil {
			return outcome{err: err}
		}
		return w.storm(ctx, n, t)
	}, err
}

// victim is one download that is to be cut.
type victim struct {
	received atomic.Int64
	last     atomic.Int64 // when the last byte came, in nanoseconds since 1970
	err      error
}

func (w *world) storm(ctx context.Context, n uint64, t *client.Token) outcome {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	victims := make([]*victim, w.cfg.Clients)
	var begun, over sync.WaitGroup
	begun.Add(len(victims))
	for i := range victims {
		victims[i] = &victim{}
		over.Go(func() { victims[i].err = w.suffer(ctx, w.link(t), victims[i], begun.Done) })
	}
	begun.Wait()
	asked := time.Now()
	_, err := w.api.Revoke(ctx, t.ID, "load test")
	w.holdAPI("a revocation", err)
	if err != nil {
		stop()
		over.Wait()
		return outcome{err: fmt.Errorf("revoking: %w", err)}
	}
	acknowledged := time.Now()
	w.judgeLink(ctx, n, t)
	time.Sleep(w.cfg.Grace)
	late := make([]int64, len(victims))
	for i, v := range victims {
		late[i] = v.received.Load()
	}
	// A gate that goes on is given time to show it.
	time.Sleep(w.cfg.Grace)
	o := outcome{took: acknowledged.Sub(asked)}
	for i, v := range victims {
		more := v.received.Load() - late[i]
		w.checks.hold(silence, more == 0, "storm %d, token %s: %d bytes later than %v after it", n, t.ID, more, w.cfg.Grace)
		o.received += v.received.Load()
		w.measures.record(lastByte, max(0, time.Unix(0, v.last.Load()).Sub(acknowledged)))
	}
	stop()
	over.Wait()
	for _, v := range victims {
		w.checks.hold(cutVisibly, v.err != nil, "storm %d, token %s", n, t.ID)
		_ = w.judgeBytes(v.err)
	}
	return o
}

// suffer downloads until it is cut; begun is called once, at the first byte or when
// there will be none.
func (w *world) suffer(ctx context.Context, link string, v *victim, begun func()) error {
	var once sync.Once
	defer once.Do(begun)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return cause(err)
	}
	resp, _, err := w.send(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &statusError{resp.StatusCode}
	}
	c := &comparer{w.content, 0, w.content.size}
	_, err = io.Copy(writerFunc(func(p []byte) (int, error) {
		v.received.Add(int64(len(p)))
		v.last.Store(time.Now().UnixNano())
		once.Do(begun)
		return c.Write(p)
	}), resp.Body)
	return cmp.Or(err, c.whole())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// judgeLink asks for the link once more.
func (w *world) judgeLink(ctx context.Context, n uint64, t *client.Token) {
	var status *statusError
	err := w.get(ctx, w.link(t), 0, 0).err
	gone := errors.As(err, &status) && status.status == http.StatusGone
	w.checks.hold(deadLink, gone, "storm %d, token %s: %v", n, t.ID, err)
}
