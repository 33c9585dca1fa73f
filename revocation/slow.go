package revocation

import (
	"errors"
	"sync"
	"time"

	"s3gate/internal/pace"
)

// ErrSlow: its client took too little of it for too long; see [Transfer.Watch].
var ErrSlow = errors.New("transfer ended because its client takes too little of it")

// sharedGrain is what a client of HTTP/2 may have taken of a write that has not
// returned.
const sharedGrain = 64 << 10

// Watch stops the transfer with [ErrSlow] if its client takes nothing for the idle time,
// or on average over it less than so many bytes a second, which 0 lets it. Only the time
// counts in which a write waits for it, and none that the gate has no lease. An idle time
// of 0 watches nothing. It is called once at most, before anything is written.
//
// It is for HTTP/2, where a client holds up one stream by not opening its window. Who
// holds up a whole connection is noticed below it, by whoever accepted it.
func (t *Transfer) Watch(idle time.Duration, minRate int64) {
	if !t.shared || idle <= 0 {
		return
	}
	t.pace = &pace.Watch{
		Limits: pace.Limits{Idle: idle, MinRate: minRate, Grain: sharedGrain},
		Taken:  t.Bytes, Slow: t.tooSlow,
	}
	if t.conn != nil {
		t.pace.Stalled = t.conn.stalls.total
	}
}

// tooSlow stops the transfer, and with it its connection if that cannot take even the
// reset of a stream.
func (t *Transfer) tooSlow() {
	if t.interrupt(slow) {
		time.AfterFunc(t.owner.patience(), t.force)
	}
}

// stalls counts for how long a connection has waited for the lease.
type stalls struct {
	mu    sync.Mutex
	since time.Time // of the one that is going on; zero for none
	sum   time.Duration
}

// begin begins one; the caller calls what it returns at its end.
func (s *stalls) begin() (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Now()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sum += time.Since(s.since)
		s.since = time.Time{}
	}
}

func (s *stalls) total() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() {
		return s.sum
	}
	return s.sum + time.Since(s.since)
}
