package tokens

import "sync/atomic"

// Counts are what a [Store] has done to uses of tokens with a limit since it was made.
type Counts struct {
	// Charged are uses that count, and HandedBack those that do not, since nothing was
	// given out or stored; a use may be charged first.
	Charged, HandedBack uint64
	// Unsettled are ends of uses that Redis has not heard of yet.
	Unsettled int
}

type counts struct{ charged, handedBack atomic.Uint64 }

// Counts returns what was counted so far.
func (s *Store) Counts() Counts {
	return Counts{Charged: s.counts.charged.Load(), HandedBack: s.counts.handedBack.Load(), Unsettled: s.settler.len()}
}
