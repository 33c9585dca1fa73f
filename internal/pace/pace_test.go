package pace_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"s3gate/internal/pace"
)

// reader takes what is written to it at a rate of its own. It runs in a bubble, where
// time costs nothing.
type reader struct {
	pace.Watch
	rate  float64 // bytes a second; less than 0 stops for ever
	taken atomic.Int64
	grain bool // Taken knows of whole writes only
	slow  atomic.Bool
}

func newReader(limits pace.Limits, rate float64) *reader {
	r := &reader{rate: rate}
	r.Limits = limits
	r.Taken = r.taken.Load
	r.Slow = func() { r.slow.Store(true) }
	return r
}

// write writes so many bytes, a hundredth at a time, until the reader was found slow.
func (r *reader) write(bytes int64) {
	r.Begin()
	defer r.End()
	for i := range int64(100) {
		if r.slow.Load() {
			return
		}
		if r.rate <= 0 {
			time.Sleep(time.Second)
			continue
		}
		time.Sleep(time.Duration(float64(bytes) / 100 / r.rate * float64(time.Second)))
		if !r.grain {
			r.taken.Add(bytes/100 + bytes%100*(i/99))
		}
	}
	if r.grain {
		r.taken.Add(bytes)
	}
}

var limits = pace.Limits{Idle: time.Minute, MinRate: 1 << 10}

// Ten gigabytes over a slow line, a megabit a second, take a day less an hour, and
// nobody minds.
func TestSlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader(limits, 1e6/8)
		defer r.Stop()
		begin := time.Now()
		for sent := int64(0); sent < 10<<30 && !r.slow.Load(); sent += 64 << 10 {
			r.write(64 << 10)
		}
		if r.slow.Load() || time.Since(begin) < 20*time.Hour {
			t.Errorf("slow %v after %s", r.slow.Load(), time.Since(begin))
		}
	})
}

// Who takes next to nothing is found out, however they go about it, and whoever is just
// fast enough is not.
func TestRates(t *testing.T) {
	grained := limits
	grained.Grain = 64 << 10
	lenient := limits
	lenient.MinRate = 0
	for _, tt := range []struct {
		name   string
		limits pace.Limits
		rate   float64
		chunk  int64
		slow   bool
		least  time.Duration
		most   time.Duration
	}{
		{"nothing", limits, 0, 64 << 10, true, time.Minute, 2 * time.Minute},
		{"a byte a minute", limits, 1. / 60, 100, true, time.Minute, 2 * time.Minute},
		{"half of the rate", limits, 512, 16 << 10, true, time.Minute, 3 * time.Minute},
		{"a little more than the rate", limits, 1100, 64 << 10, false, 0, 0},
		{"ten times the rate", limits, 10 << 10, 64 << 10, false, 0, 0},
		{"nothing, of whole writes", grained, 0, 64 << 10, true, time.Minute, 3 * time.Minute},
		{"half of the rate, of whole writes", grained, 512, 16 << 10, true, time.Minute, 4 * time.Minute},
		{"twice the rate, of whole writes", grained, 2048, 64 << 10, false, 0, 0},
		{"nothing, where one may be slow", lenient, 0, 64 << 10, true, time.Minute, 2 * time.Minute},
		{"ten bytes a second, where one may be slow", lenient, 10, 100, false, 0, 0},
		{"nothing, where nobody watches", pace.Limits{}, 0, 64 << 10, false, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReader(tt.limits, tt.rate)
				r.grain = tt.limits.Grain > 0
				defer r.Stop()
				begin := time.Now()
				for time.Since(begin) < time.Hour && !r.slow.Load() {
					r.write(tt.chunk)
				}
				took := time.Since(begin)
				if r.slow.Load() != tt.slow || tt.slow && (took < tt.least || took > tt.most) {
					t.Errorf("slow %v after %s, want %v", r.slow.Load(), took, tt.slow)
				}
			})
		})
	}
}

// A client that stops after it was fast is found out as soon as one that never was.
func TestStopsAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader(limits, 1<<20)
		defer r.Stop()
		for range 6000 {
			r.write(64 << 10)
		}
		r.rate = 0
		begin := time.Now()
		for !r.slow.Load() {
			r.write(64 << 10)
		}
		if took := time.Since(begin); took > 100*time.Second {
			t.Errorf("after %s", took)
		}
	})
}

// Time that passes between writes does not count, nor does that in which a write waits
// for something else.
func TestTimeOfTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader(limits, 2048)
		defer r.Stop()
		for range 100 { // a write takes a second, and then the gate has nothing
			r.write(2048)
			time.Sleep(10 * time.Minute)
		}
		begin, stalls := time.Now(), atomic.Bool{}
		r2 := newReader(limits, 0)
		defer r2.Stop()
		r2.Stalled = func() time.Duration {
			if stalls.Load() {
				return time.Since(begin)
			}
			return 0
		}
		stalls.Store(true)
		for range 10 {
			r2.write(64 << 10)
		}
		if r.slow.Load() || r2.slow.Load() {
			t.Errorf("slow: %v between writes, %v while something else stalls", r.slow.Load(), r2.slow.Load())
		}
	})
}

// Without writes nothing runs, and after Stop nobody is slow.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader(limits, 0)
		r.Begin()
		r.Stop()
		time.Sleep(time.Hour)
		if r.End() || r.slow.Load() {
			t.Error("slow after Stop")
		}
		var none *pace.Watch
		none.Begin()
		none.Stop()
		if none.End() {
			t.Error("a nil Watch watches")
		}
	})
}
