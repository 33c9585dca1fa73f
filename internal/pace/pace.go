// Package pace watches how much somebody takes of what is written to them, and says so
// if it is too little. Only the time in which a write waits for them counts: nothing
// does that the writer waits for elsewhere.
package pace

import (
	"sync"
	"time"
)

// Limits are how slow somebody may be. The zero Limits let them be as slow as they
// like.
type Limits struct {
	// Idle is how long they may take nothing; 0 watches nothing.
	Idle time.Duration
	// MinRate is how many bytes a second they have to take on average over Idle; 0
	// lets them be slow.
	MinRate int64
	// Grain is how many bytes they may have taken of which Taken does not know yet: so
	// much longer may they seem to take nothing.
	Grain int64
}

// Watch watches the writes to one of them. Begin and End are called around each write,
// one at a time; all else is safe for concurrent use. Its fields are set before. A nil
// Watch watches nothing.
//
// While there are writes a timer looks four times in Limits.Idle; without them there is
// none.
type Watch struct {
	Limits
	// Taken is how many bytes they have taken so far. It is called with a lock of the
	// Watch held.
	Taken func() int64
	// Stalled is for how long writes have waited for something else so far; nil is
	// never.
	Stalled func() time.Duration
	// Slow is called once if they are too slow, by a goroutine of its own.
	Slow func()

	mu      sync.Mutex
	timer   *time.Timer // nil until the first write
	armed   bool        // it is going to look
	slow    bool
	stopped bool
	began   time.Time     // of the write that is going on, as far as it was not counted; zero for none
	stalled time.Duration // as of then
	wait    time.Duration // since the last look

	known  bool          // there was a look since writes began
	first  int64         // what was taken when the average was begun
	latest int64         // at the last look
	waited time.Duration // since the average was begun
	quiet  time.Duration // since they took something
}

// looks is how often the timer looks in the idle time.
const looks = 4

// Begin says that a write begins.
func (w *Watch) Begin() {
	if w == nil || w.Idle <= 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began, w.stalled = time.Now(), w.stall()
	switch {
	case w.armed || w.stopped:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(w.Idle/looks, w.look)
	default:
		w.timer.Reset(w.Idle / looks)
	}
	w.armed = true
}

// End says that the write has ended. It reports whether Slow was called, or is about to
// be.
func (w *Watch) End() (slow bool) {
	if w == nil || w.Idle <= 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count()
	w.began = time.Time{}
	return w.slow
}

// Stop ends the watch.
func (w *Watch) Stop() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// count counts the time until now.
func (w *Watch) count() {
	if w.began.IsZero() {
		return
	}
	now, stalled := time.Now(), w.stall()
	w.wait += max(0, now.Sub(w.began)-(stalled-w.stalled))
	w.began, w.stalled = now, stalled
}

func (w *Watch) stall() time.Duration {
	if w.Stalled == nil {
		return 0
	}
	return w.Stalled()
}

func (w *Watch) look() {
	if w.judge() {
		w.Slow()
	}
}

// judge looks again later, unless nobody writes.
func (w *Watch) judge() (slow bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed = false; w.stopped {
		return false
	}
	w.count()
	wait := w.wait
	w.wait = 0
	if wait == 0 && w.began.IsZero() {
		w.known = false // the next write begins anew
		return false
	}
	if w.slow = w.tooSlow(w.Taken(), wait); w.slow {
		w.stopped = true
		return true
	}
	w.armed = true
	w.timer.Reset(w.Idle / looks)
	return false
}

// tooSlow adds what was taken so far, and for how long writes have waited since the last
// look.
func (w *Watch) tooSlow(taken int64, wait time.Duration) bool {
	if !w.known {
		w.known, w.first, w.latest, w.waited, w.quiet = true, taken, taken, 0, 0
		return false
	}
	w.waited += wait
	if w.quiet += wait; taken > w.latest {
		w.latest, w.quiet = taken, 0
	}
	if w.quiet >= w.Idle+w.behind() {
		return true
	}
	if w.waited < w.Idle || w.Grain > 0 && w.quiet > 0 {
		return false // or it would end in the middle of what Taken does not know yet
	}
	slow := float64(taken-w.first) < float64(w.MinRate)*w.waited.Seconds()
	w.first, w.waited = taken, 0
	return slow
}

// behind is how long it may take until Taken knows of something.
func (w *Watch) behind() time.Duration {
	if w.Grain > 0 && w.MinRate <= 0 {
		return w.Idle
	}
	return time.Duration(float64(w.Grain) / float64(max(w.MinRate, 1)) * float64(time.Second))
}
