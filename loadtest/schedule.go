package loadtest

import (
	"math"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// schedule says when each operation is due: at a constant rate, up to which it grows
// in the time of the ramp. It paces vegeta.
type schedule struct {
	rate float64 // a second; 0 for a closed loop
	ramp time.Duration
	most uint64 // operations; 0 is no limit
}

var _ vegeta.Pacer = schedule{}

// due is when operation n is, counted from 0 and from the beginning of the run. In
// a closed loop everything is due at once.
func (s schedule) due(n uint64) time.Duration {
	if s.rate == 0 {
		return 0
	}
	ramp := s.ramp.Seconds()
	// While it grows the rate is rate*t/ramp, and its integral the operations.
	climbed := s.rate * ramp / 2
	if float64(n) < climbed {
		return seconds(math.Sqrt(2 * ramp * float64(n) / s.rate))
	}
	return seconds(ramp + (float64(n)-climbed)/s.rate)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Pace implements [vegeta.Pacer].
func (s schedule) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if s.most > 0 && hits >= s.most {
		return 0, true
	}
	return max(0, s.due(hits)-elapsed), false
}

// Rate implements [vegeta.Pacer].
func (s schedule) Rate(elapsed time.Duration) float64 {
	if elapsed < s.ramp {
		return s.rate * elapsed.Seconds() / s.ramp.Seconds()
	}
	return s.rate
}
