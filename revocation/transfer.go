package revocation

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"s3gate/internal/fault"
	"s3gate/internal/pace"
	"s3gate/internal/splice"
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

// How long a reset may wait for a shared connection to take it.
const (
	patienceMost  = time.Second
	patienceLeast = 50 * time.Millisecond
)

// Transfers are the transfers that run on one gate. The zero Transfers is
// ready to use, and safe for concurrent use; its field is set before.
type Transfers struct {
	// Gate says whether the gate may serve, and what was revoked; [Member] is
	// one. Nil permits everything.
	Gate Gate

	mu  sync.Mutex
	all map[*Transfer]struct{}
}

// Gate is what transfers must know of the gate that they run on. It must be
// safe for concurrent use.
type Gate interface {
	// Rules are the rules that count now.
	Rules() *Rules
	// Remaining is how long the gate may still serve; not more than 0 while it
	// may not.
	Remaining() time.Duration
	// Await returns when the gate may serve, or the error of ctx.
	Await(ctx context.Context) error
}

// Lease returns nil while the gate may serve, and else [ErrNoLease]: then Redis
// need not be asked, which may be a replica, or have forgotten.
func (ts *Transfers) Lease() error {
	if ts.Gate != nil && ts.Gate.Remaining() <= 0 {
		return ErrNoLease
	}
	return nil
}

// Permits says whether the gate may serve what a grant permits: nil, or
// [ErrNoLease], or tokens.ErrRevoked. For what has no body; transfers ask
// [Transfer.Permit].
func (ts *Transfers) Permits(g *tokens.Grant) error {
	if err := ts.Lease(); err != nil || ts.Gate == nil {
		return err
	}
	if ts.Gate.Rules().Covers(g) != nil {
		return tokens.ErrRevoked
	}
	return nil
}

// Transfer is one request's streaming of a body, up or down.
type Transfer struct {
	// ID names the transfer in logs and receipts: the request's ID.
	ID string
	// Token is the token under which it runs.
	Token tokens.ID

	owner    *Transfers
	ctx      context.Context
	cancel   context.CancelCauseFunc
	conn     *conn // nil when it is not ours to cut
	shared   bool  // other requests use the connection too (HTTP/2)
	secure   bool  // TLS is on it
	rc       *http.ResponseController
	bytes    atomic.Int64
	received atomic.Int64 // of an upload's body
	size     atomic.Int64 // of the body; 0 while that is unknown
	began    time.Time
	grant    atomic.Pointer[tokens.Grant] // nil until Permit

	pace    *pace.Watch // nil watches nothing
	mu      sync.Mutex  // held during every write to the client
	started atomic.Bool
	state   atomic.Int32

	// ending is held while the transfer is interrupted and while it ends, so
	// that nothing is done to a connection that serves the next request.
	// It also guards what follows.
	ending  sync.Mutex
	timer   *time.Timer   // nil unless EndAfter was called
	until   time.Time     // what that said
	given   *tokens.Grant // as it was read; nil until Permit
	changed *Rule         // the latest change of it that was heard of; nil for none
}

// The states of a transfer. Only running leads anywhere.
const (
	running int32 = iota
	committing
	cut
	shut
	expired
	slow
	ended
)

// Begin registers a transfer before its permission is asked for, so that no
// revocation slips between. The caller must call [Transfer.End].
func (ts *Transfers) Begin(id string, token tokens.ID, w http.ResponseWriter, r *http.Request) *Transfer {
	return ts.begin(r.Context(), &Transfer{ID: id, Token: token, rc: http.NewResponseController(w), shared: r.ProtoMajor > 1, secure: r.TLS != nil})
}

func (ts *Transfers) begin(ctx context.Context, t *Transfer) *Transfer {
	t.owner, t.began = ts, time.Now()
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	t.conn, _ = ctx.Value(connKey{}).(*conn)
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.all == nil {
		ts.all = map[*Transfer]struct{}{}
	}
	ts.all[t] = struct{}{}
	return t
}

// Commit asks whether the gate may complete by itself an upload whose client is
// not there, right before it does. With nil a revocation that comes before done
// is called names it; after an error, [ErrNoLease] or tokens.ErrRevoked, nothing
// may be sent.
func (ts *Transfers) Commit(ctx context.Context, id string, g *tokens.Grant) (done func(), err error) {
	t := ts.begin(ctx, &Transfer{ID: id, Token: g.ID})
	if err = t.Permit(g); err == nil {
		err = t.Commit()
	}
	if errors.Is(err, ErrCut) {
		err = tokens.ErrRevoked
	}
	if err != nil {
		t.End()
		return nil, err
	}
	return t.End, nil
}

// Permit asks whether the transfer may run, once its grant is known, which
// nobody changes after. From then on rules stop it that come later. Errors:
// those of [Transfers.Permits].
func (t *Transfer) Permit(g *tokens.Grant) error {
	// First known, then asked: a rule that comes in between finds one or the
	// other.
	return t.owner.Permits(t.know(g))
}

// Grant is what permits the transfer; nil until that is known.
func (t *Transfer) Grant() *tokens.Grant { return t.grant.Load() }

// End forgets the transfer. Call it before the handler returns, and after
// [Transfer.Flush] if a body was written.
func (t *Transfer) End() {
	t.ending.Lock()
	t.state.CompareAndSwap(running, ended)
	if t.timer != nil {
		t.timer.Stop()
	}
	t.ending.Unlock()
	t.pace.Stop()
	t.owner.mu.Lock()
	delete(t.owner.all, t)
	t.owner.mu.Unlock()
	if t.conn != nil && t.started.Load() {
		t.conn.transfers.Add(-1)
	}
	t.cancel(nil)
}

// EndAfter stops the transfer with [ErrExpired] when d has passed, if it still
// runs then: for so long lives the token by the grant that [Transfer.Permit] was
// told, which comes before. If the token expires earlier meanwhile, so does the
// transfer end. It is called once at most.
func (t *Transfer) EndAfter(d time.Duration) {
	t.ending.Lock()
	defer t.ending.Unlock()
	t.until = time.Now().Add(d)
	t.timer = time.AfterFunc(d, func() { t.interrupt(expired) })
	t.arm()
}

// Context ends when the request does or the transfer is cut; then its cause
// is that of [Transfer.Err]. Requests to S3 for this transfer run under it.
func (t *Transfer) Context() context.Context { return t.ctx }

// Write hands p to w, the client, unless the transfer has been cut; then it
// returns the error of [Transfer.Err].
func (t *Transfer) Write(w http.ResponseWriter, p []byte) (int, error) {
	return t.write(w, p, t.secure && len(p) > tlsRecord, false)
}

// Push is Write and [Transfer.Flush], with as few calls of the kernel as there can
// be.
func (t *Transfer) Push(w http.ResponseWriter, p []byte) (int, error) {
	return t.write(w, p, true, true)
}

// tlsRecord is how much of a body a record of TLS takes (RFC 8446, section 5.1).
const tlsRecord = 16 << 10

func (t *Transfer) write(w http.ResponseWriter, p []byte, gather, flush bool) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.start(); err != nil {
		return 0, err
	}
	gather = gather && t.conn != nil && !t.shared
	if gather {
		t.conn.gather()
	}
	t.pace.Begin()
	n, err := w.Write(p)
	if err == nil && flush {
		err = t.flush()
	}
	t.pace.End()
	if gather {
		out, failed := t.conn.release()
		if err = cmp.Or(err, failed); err != nil {
			// With headers and what TLS adds: more than were given out, rather than less.
			n = min(len(p), out)
		}
	}
	t.bytes.Add(int64(n))
	return n, err
}

// Splices reports whether [Transfer.Splice] can be used for w: for HTTP/1.1 without
// TLS, on a connection of [Listen].
func (t *Transfer) Splices(w http.ResponseWriter) bool {
	_, ok := w.(io.ReaderFrom)
	return ok && t.conn != nil && t.conn.socket != nil && !t.shared && !t.secure
}

// Splice is Write for n bytes of what is in a pipe. All that was written before must
// have been flushed, and the body's length must be among the headers.
func (t *Transfer) Splice(w http.ResponseWriter, p *splice.Pipe, n int) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.start(); err != nil {
		return 0, err
	}
	n, err := t.conn.splice(p, n)
	t.bytes.Add(int64(n))
	if _, bookErr := w.(io.ReaderFrom).ReadFrom(booked(n)); err == nil {
		err = bookErr
	}
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
	t.pace.Begin()
	defer t.pace.End()
	return t.flush()
}

func (t *Transfer) flush() error {
	if err := t.rc.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// start begins a write: either it sees the cut, or the cut sees that writing
// has started.
func (t *Transfer) start() error {
	if !t.started.Swap(true) && t.conn != nil {
		t.conn.transfers.Add(1)
	}
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

// Expect says how many bytes of body the transfer is to have; less than 0 says
// nothing.
func (t *Transfer) Expect(size int64) { t.size.Store(max(0, size)) }

// Bytes is the number of body bytes handed to the client so far.
func (t *Transfer) Bytes() int64 { return t.bytes.Load() }

// commitPatience is how long an upload waits for the gate's lease before it
// is given up. S3 drops uploads that are idle for about 20 s.
const commitPatience = 15 * time.Second

// Commit asks whether an upload may be completed, right before its last byte
// or its Complete request is sent. After it has returned nil a revocation no
// longer stops the upload but names it; after an error, that of
// [Transfer.Err] or [ErrNoLease], nothing may be sent. A gate without a lease
// waits for it for a while.
func (t *Transfer) Commit() error {
	if fault.On(fault.CommitUnasked) {
		return nil
	}
	if g := t.owner.Gate; g != nil && g.Remaining() <= 0 {
		ctx, cancel := context.WithTimeout(t.ctx, commitPatience)
		defer cancel()
		if g.Await(ctx) != nil {
			return cmp.Or(t.Err(), ErrNoLease)
		}
	}
	t.state.CompareAndSwap(running, committing)
	return t.Err()
}

// Err is nil while the transfer may go on, and else [ErrCut], [ErrShutdown],
// [ErrExpired] or [ErrSlow].
func (t *Transfer) Err() error {
	switch t.state.Load() {
	case cut:
		return ErrCut
	case shut:
		return ErrShutdown
	case expired:
		return ErrExpired
	case slow:
		return ErrSlow
	}
	return nil
}

// Cut stops every transfer that matches. When it returns, no write to
// the clients of these transfers is in progress and none will start. It
// returns how many were stopped and the IDs of uploads past stopping.
func (ts *Transfers) Cut(match func(*Transfer) bool) (stopped int, late []string) {
	return ts.stop(match, cut)
}

// CutAll stops every transfer with [ErrShutdown], as a gate does that has
// drained long enough.
func (ts *Transfers) CutAll() int {
	n, _ := ts.stop(func(*Transfer) bool { return true }, shut)
	return n
}

func (ts *Transfers) stop(match func(*Transfer) bool, state int32) (stopped int, late []string) {
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
	stuck := time.AfterFunc(ts.patience(), func() {
		for _, t := range hit {
			t.force()
		}
	})
	defer stuck.Stop()
	// First interrupt all, then wait for each: a blocked write ends as soon as
	// its stream or connection is gone.
	for _, t := range hit {
		if t.Err() != nil && !fault.On(fault.AckEarly) {
			t.mu.Lock()
			t.mu.Unlock() //lint:ignore SA2001 waiting for a write in progress
		}
	}
	return stopped, late
}

// patience is how long a reset may wait. A gate that applies a rule does not
// renew its lease meanwhile, and must not lose it to a client that does not
// read.
func (ts *Transfers) patience() time.Duration {
	if ts.Gate == nil {
		return patienceMost
	}
	return min(patienceMost, max(patienceLeast, ts.Gate.Remaining()/2))
}

func (ts *Transfers) matching(match func(*Transfer) bool) []*Transfer {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var hit []*Transfer
	for t := range ts.all {
		if match(t) {
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
