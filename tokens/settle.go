package tokens

import (
	"context"
	"fmt"
	"sync"
	"time"
)

type outcome string

const (
	commit outcome = "commit"
	refund outcome = "refund"
	// handBack is refund, but for a use that was charged.
	handBack outcome = "return"
	// endRequest ends a request of a use that may be resumed.
	endRequest outcome = "end"
	// keepReceipt adds the receipt of a use that has ended.
	keepReceipt outcome = "receipt"
)

// settlement is how one use ended.
type settlement struct {
	id      ID
	nonce   string
	outcome outcome

	// Of endRequest: the use, and the bytes that were given out.
	use          string
	first, bytes int64
	given        bool
	// Of keepReceipt.
	receipt string
	ended   time.Time
}

const (
	// settleTimeout bounds one attempt to reach Redis.
	settleTimeout = 2 * time.Second
	// settleFailures is how many settlements may fail before Redis is given a
	// rest. More than one, so that those for a part of a Cluster that is away
	// do not hold up the others.
	settleFailures = 16
	// maxBacklog is how many settlements are remembered while Redis is away.
	// Past it the oldest are dropped: their uses stay taken.
	maxBacklog = 100_000
	// A refunded nonce is remembered for longer than a command of its attempt
	// can still be under way: heldMemory if it held a use, so that only a
	// repetition can be, and lateMemory if it held none, so that the
	// redemption itself may come late. These marks are what a flood of free
	// requests leaves in Redis.
	heldMemory = time.Minute
	lateMemory = 10 * time.Minute
)

// settler makes sure that Redis hears how each use ended.
type settler struct {
	store *Store
	wake  chan struct{}
	stop  context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex
	backlog []*settlement
	dropped int
}

func startSettler(s *Store) *settler {
	ctx, stop := context.WithCancel(context.Background())
	st := &settler{store: s, wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
	go st.loop(ctx)
	return st
}

// settle tells Redis at once, or else later. The caller's cancellation does
// not count: a client that went away is the usual reason to settle.
func (st *settler) settle(ctx context.Context, what *settlement) {
	if err := st.tell(context.WithoutCancel(ctx), what); err != nil {
		st.later(what)
	}
}

// later remembers a settlement for the loop.
func (st *settler) later(what *settlement) {
	st.mu.Lock()
	if len(st.backlog) >= maxBacklog {
		st.backlog = st.backlog[1:]
		if st.dropped++; st.dropped == 1 {
			st.store.opts.Logger.Error("too many unsettled uses, the oldest stay taken", "remembered", maxBacklog)
		}
	}
	st.backlog = append(st.backlog, what)
	st.mu.Unlock()
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

func (st *settler) tell(ctx context.Context, what *settlement) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	var status string
	var err error
	id, keys, retention := what.id, useKeys(what.id, what.nonce), st.store.opts.Retention.Milliseconds()
	switch what.outcome {
	case keepReceipt:
		return st.store.keepReceipt(ctx, id, "", what.ended, what.receipt)
	case endRequest:
		status, _, err = st.store.prove(ctx, endScript, id, append(keys, openKey(id), openUseKey(id, what.use)),
			what.nonce, what.use, what.first, what.bytes, flag(what.given), heldMemory.Milliseconds(), retention)
	default:
		status, _, err = st.store.prove(ctx, settleScript, id, keys,
			what.nonce, string(what.outcome), heldMemory.Milliseconds(), lateMemory.Milliseconds(), retention)
	}
	if err != nil {
		return err
	}
	return statusError(status)
}

func (st *settler) loop(ctx context.Context) {
	defer close(st.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-st.wake:
		}
		for pause := 50 * time.Millisecond; !st.drain(ctx); pause = min(2*pause, 2*time.Second) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	}
}

// drain tells Redis what is remembered, each once and oldest first, until too
// many have failed. It reports whether nothing is left.
func (st *settler) drain(ctx context.Context) bool {
	failures := 0
	for range st.len() {
		what, ok := st.oldest()
		if !ok {
			break
		}
		err := st.tell(ctx, what)
		st.passed(what, err == nil)
		if err != nil {
			failures++
		}
		if failures == settleFailures || ctx.Err() != nil {
			break
		}
	}
	return st.len() == 0
}

func (st *settler) len() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.backlog)
}

func (st *settler) oldest() (*settlement, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.backlog) == 0 {
		return nil, false
	}
	return st.backlog[0], true
}

// passed takes from the head what Redis has acknowledged, and puts at the end
// what it has not; meanwhile the backlog may have lost its head to the bound.
func (st *settler) passed(what *settlement, acknowledged bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.backlog) == 0 || st.backlog[0] != what {
		return
	}
	st.backlog = st.backlog[1:]
	if !acknowledged {
		st.backlog = append(st.backlog, what)
	}
}

// drainAtLast drains, and again for a moment if not enough replicas are there: one
// may just be coming back.
func (st *settler) drainAtLast(ctx context.Context) {
	for pause := 100 * time.Millisecond; !st.drain(ctx) && st.store.opts.MinAcks > 0 && pause < time.Second; pause *= 2 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (st *settler) close(ctx context.Context) error {
	st.stop()
	select {
	case <-st.done:
		st.drainAtLast(ctx)
	case <-ctx.Done():
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if n := len(st.backlog) + st.dropped; n > 0 {
		st.store.opts.Logger.Error("closing token store", "unsettled", n)
		return fmt.Errorf("%w: %d uses not settled, they stay taken", ErrUnproven, n)
	}
	return nil
}
