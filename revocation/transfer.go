package revocation

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"s3gate/tokens"
)

// Why a transfer may not go on; see [Transfer.Err].
var (
	// ErrCut: its permission was taken back.
	ErrCut = errors.New("transfer cut")
	// ErrShutdown: the gate stops. The permission stands.
	ErrShutdown = errors.New("transfer stopped by shutdown")
	// ErrExpired: its token has expired, and does not let transfers go on.
	ErrExpired = errors.New("transfer ended by expiry")
)

// patience is how long a reset may wait for a shared connection to take it.
const patience = time.Second

// Transfers are the transfers that run on one gate. The zero Transfers is
// ready to use, and safe for concurrent use.
type Transfers struct {
	mu  sync.Mutex
	all map[*Transfer]struct{}
}

// Transfer is one request's streaming of a body, up or down.
type Transfer struct {
	// ID names the transfer in logs and receipts: the request's ID.
	ID string
	// Token is the token under which it runs.
	Token tokens.ID

	owner  *Transfers
	ctx    context.Context
	cancel context.CancelCauseFunc
	conn   *conn // nil when it is not ours to cut
	shared bool  // other requests use the connection too (HTTP/2)
	rc     *http.ResponseController
	bytes  atomic.Int64

	mu      sync.Mutex // held during every write to the client
	started atomic.Bool
	state   atomic.Int32

	// ending is held while the transfer is interrupted and while it ends, so
	// that nothing is done to a connection that serves the next request.
	ending sync.Mutex
	timer  *time.Timer // nil unless EndAfter was called
}

// The states of a transfer. Only running leads anywhere.
const (
	running int32 = iota
	committing
	cut
	shut
	expired
	ended
)

// Begin registers a transfer before its permission is asked for, so that no
// revocation slips between. The caller must call [Transfer.End].
func (ts *Transfers) Begin(id string, token tokens.ID, w http.ResponseWriter, r *http.Request) *Transfer {
	t := &Transfer{ID: id, Token: token, owner: ts, rc: http.NewResponseController(w)}
	t.ctx, t.cancel = context.WithCancelCause(r.Context())
	t.conn, _ = r.Context().Value(connKey{}).(*conn)
	t.shared = r.ProtoMajor > 1
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.all == nil {
		ts.all = map[*Transfer]struct{}{}
	}
	ts.all[t] = struct{}{}
	return t
}

// End forgets the transfer. Call it before the handler returns, and after
// [Transfer.Flush] if a body was written.
func (t *Transfer) End() {
	t.ending.Lock()
	t.state.CompareAndSwap(running, ended)
	if t.timer != nil {
		t.timer.Stop()
	}
	t.ending.Unlock()
	t.owner.mu.Lock()
	delete(t.owner.all, t)
	t.owner.mu.Unlock()
	t.cancel(nil)
}

// EndAfter stops the transfer with [ErrExpired] when d has passed, if it still
// runs then. It is called once at most.
func (t *Transfer) EndAfter(d time.Duration) {
	t.ending.Lock()
	defer t.ending.Unlock()
	t.timer = time.AfterFunc(d, func() { t.interrupt(expired) })
}

// Context ends when the request does or the transfer is cut; then its cause
// is that of [Transfer.Err]. Requests to S3 for this transfer run under it.
func (t *Transfer) Context() context.Context { return t.ctx }

// Write hands p to w, the client, unless the transfer has been cut; then it
// returns the error of [Transfer.Err].
func (t *Transfer) Write(w http.ResponseWriter, p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.start(); err != nil {
		return 0, err
	}
	n, err := w.Write(p)
	t.bytes.Add(int64(n))
	return n, err
}

// Flush sends what net/http holds back of the body. Otherwise that would
// leave after [Transfer.End], when nothing can stop it any more.
func (t *Transfer) Flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.start(); err != nil {
		return err
	}
	if err := t.rc.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// start begins a write: either it sees the cut, or the cut sees that writing
// has started.
func (t *Transfer) start() error {
	t.started.Store(true)
	return t.Err()
}

// Reset closes the client's connection in a way that no client takes for the
// end of a body that has neither length nor chunks. It does nothing to a
// connection that other requests share.
func (t *Transfer) Reset() {
	if t.conn != nil && !t.shared {
		t.conn.cut()
	}
}

// Bytes is the number of body bytes handed to the client so far.
func (t *Transfer) Bytes() int64 { return t.bytes.Load() }

// Commit asks whether an upload may be completed, right before its last byte
// or its Complete request is sent. After it has returned nil a revocation no
// longer stops the upload but names it; after an error, that of
// [Transfer.Err], nothing may be sent.
func (t *Transfer) Commit() error {
	t.state.CompareAndSwap(running, committing)
	return t.Err()
}

// Err is nil while the transfer may go on, and else [ErrCut], [ErrShutdown] or
// [ErrExpired].
func (t *Transfer) Err() error {
	switch t.state.Load() {
	case cut:
		return ErrCut
	case shut:
		return ErrShutdown
	case expired:
		return ErrExpired
	}
	return nil
}

// Cut stops every transfer whose token matches. When it returns, no write to
// the clients of these transfers is in progress and none will start. It
// returns how many were stopped and the IDs of uploads past stopping.
func (ts *Transfers) Cut(match func(tokens.ID) bool) (stopped int, late []string) {
	return ts.stop(match, cut)
}

// CutAll stops every transfer with [ErrShutdown], as a gate does that has
// drained long enough.
func (ts *Transfers) CutAll() int {
	n, _ := ts.stop(func(tokens.ID) bool { return true }, shut)
	return n
}

func (ts *Transfers) stop(match func(tokens.ID) bool, state int32) (stopped int, late []string) {
	hit := ts.matching(match)
	for _, t := range hit {
		if t.interrupt(state) {
			stopped++
		} else if t.state.Load() == committing {
			late = append(late, t.ID)
		}
	}
	// A reset of a stream is written like everything else. A connection that
	// has taken nothing for so long is of no use to those who share it.
	stuck := time.AfterFunc(patience, func() {
		for _, t := range hit {
			t.force()
		}
	})
	defer stuck.Stop()
	// First interrupt all, then wait for each: a blocked write ends as soon as
	// its stream or connection is gone.
	for _, t := range hit {
		if t.Err() != nil {
			t.mu.Lock()
			t.mu.Unlock() //lint:ignore SA2001 waiting for a write in progress
		}
	}
	return stopped, late
}

func (ts *Transfers) matching(match func(tokens.ID) bool) []*Transfer {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var hit []*Transfer
	for t := range ts.all {
		if match(t.Token) {
			hit = append(hit, t)
		}
	}
	return hit
}

// interrupt stops a running transfer and ends what it is blocked in; it
// reports whether it was running. One that has given out nothing yet keeps its
// connection, to say on it why it ended.
func (t *Transfer) interrupt(state int32) bool {
	t.ending.Lock()
	defer t.ending.Unlock()
	if !t.state.CompareAndSwap(running, state) {
		return false
	}
	t.cancel(t.Err())
	switch {
	case !t.started.Load():
	case t.conn != nil && !t.shared:
		t.conn.cut()
	default:
		// HTTP/2: a deadline in the past resets the stream and leaves the
		// connection. An error means that there is no deadline to set.
		_ = t.rc.SetWriteDeadline(time.Unix(1, 0))
	}
	return true
}

// force closes the connection of a transfer that was interrupted and still
// hangs in a write.
func (t *Transfer) force() {
	if t.Err() == nil || t.conn == nil {
		return
	}
	if t.mu.TryLock() {
		t.mu.Unlock()
		return
	}
	t.conn.cut()
}

// Len is the number of transfers that run.
func (ts *Transfers) Len() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return len(ts.all)
}
