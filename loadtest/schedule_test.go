package loadtest

import (
	"context"
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	for _, test := range []struct {
		name string
		s    schedule
		n    uint64
		want time.Duration
	}{
		{"the first", schedule{rate: 100}, 0, 0},
		{"a constant rate", schedule{rate: 100}, 50, 500 * time.Millisecond},
		{"a closed loop", schedule{}, 1000, 0},
		{"in the middle of a ramp", schedule{rate: 100, ramp: 8 * time.Second}, 100, 4 * time.Second},
		{"at its end", schedule{rate: 100, ramp: 8 * time.Second}, 400, 8 * time.Second},
		{"after it", schedule{rate: 100, ramp: 8 * time.Second}, 500, 9 * time.Second},
	} {
		if got := test.s.due(test.n); (got - test.want).Abs() > time.Microsecond {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestSchedulePaces(t *testing.T) {
	s := schedule{rate: 10, most: 3}
	if wait, stop := s.Pace(50*time.Millisecond, 1); wait != 50*time.Millisecond || stop {
		t.Errorf("%v, %v", wait, stop)
	}
	if wait, stop := s.Pace(5*time.Second, 2); wait != 0 || stop {
		t.Errorf("behind time: %v, %v", wait, stop)
	}
	if _, stop := s.Pace(0, 3); !stop {
		t.Error("it does not end")
	}
}

// A gate that stands still is not asked less often: what was due meanwhile counts
// from when it was due.
func TestStandstillIsNotOmitted(t *testing.T) {
	cfg := Config{Rate: 100, Workers: 1, Duration: 500 * time.Millisecond, Timeout: time.Second}
	r := newRecorder(cfg)
	n := 0
	attack(t.Context(), cfg, func(_ context.Context, _ uint64) outcome {
		if n++; n == 10 {
			time.Sleep(300 * time.Millisecond)
		}
		return outcome{}
	}, r)
	// Thirty were due in the 300 ms, so that a third of some fifty waited for 100 ms.
	if got := milliseconds(r.latency, 75); got < 90 {
		t.Errorf("p75 is %v ms after a standstill of 300 ms in 500 ms", got)
	}
}
