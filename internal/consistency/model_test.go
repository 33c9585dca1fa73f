package consistency_test

import (
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// The sequential specification of one token, to which everything that clients
// were told about it must fit.
//
// A token has max uses (0 means any number), of which granted are spent for
// good: a copy, or a byte of one, was given out. Further requests whose outcome
// nobody knows are open: each may hold a use, and may hand it back, at any time
// after it began. So
//
//   - a copy needs a use that is not granted; open ones never stand in its way,
//     because they may have come to nothing;
//   - "used" needs that granted and open ones together are all there are;
//   - the number of uses that the API shows lies between the two sums.
//
// Rules on the token hold, or may hold:
//
//   - a copy needs that no rule holds;
//   - "revoked" needs one that holds or may hold.
//
// A revocation that was answered with success takes effect at one moment
// between its call and its return, and so does the end of a rule. Those
// without an answer leave a rule that may hold, for ever. Some take
// effect gate by gate, so that between call and return their rule may hold: those
// that select more than one token, which leave no mark on its record; those of a
// token without limit, whose record other gates need not look at while they have
// their lease; and those that overlap with the end of another rule of the token,
// which takes that mark away.
//
// A token expires at one moment, by Redis time. After it nothing begins, and
// only after it "expired" is true. What was admitted before may be charged
// after.
//
// A token whose uses may be resumed yields twice the object for each use, and
// what is counted of it is bytes instead of uses; what it is told of the one
// says nothing of the other.
//
// "In use" and "unavailable" say nothing.

// step is what happens to a token at one moment.
type step struct {
	kind   kind
	number int // uses of mint, charge and show, rule of the others
}

type kind string

const (
	mints   kind = "mint"
	expires kind = "expire"
	// What a request was told, or what follows from that.
	admits  kind = "admit"   // it may begin
	charges kind = "charge"  // it was given the object, or a byte of it
	opens   kind = "open"    // its outcome is unknown
	looks   kind = "look"    // it was told that it could begin
	used    kind = "used"    // the answers 410
	revoked kind = "revoked" //
	expired kind = "expired" //
	hears   kind = "hear"    // it was told something that says nothing
	odd     kind = "odd"     // an answer that there is no reason for
	shows   kind = "show"    // so many uses are charged
	// What becomes of a rule.
	imposes  kind = "impose"
	doubts   kind = "doubt" // it may hold
	releases kind = "release"
)

// most is how many rules one token can have.
const most = 64

type state struct {
	max, granted, open int
	rules, doubted     uint64 // bits
	over               bool
}

// do returns the state after a step, and whether the step is possible.
func (s state) do(w step) (state, bool) {
	bit := uint64(1) << (w.number % most)
	left := s.max == 0 || s.granted < s.max
	switch w.kind {
	case mints:
		return state{max: w.number}, true
	case expires:
		s.over = true
	case hears:
	case admits:
		return s, !s.over
	case charges:
		s.granted += w.number
		return s, (s.max == 0 || s.granted <= s.max) && s.rules == 0
	case opens:
		s.open++
	case looks:
		return s, left && s.rules == 0 && !s.over
	case used:
		return s, s.max > 0 && s.granted+s.open >= s.max && !s.over
	case revoked:
		return s, s.rules|s.doubted != 0
	case expired:
		return s, s.over
	case shows:
		return s, s.max == 0 || s.granted <= w.number && w.number <= min(s.max, s.granted+s.open)
	case imposes:
		s.rules, s.doubted = s.rules|bit, s.doubted&^bit
	case doubts:
		s.rules, s.doubted = s.rules&^bit, s.doubted|bit
	case releases:
		s.rules, s.doubted = s.rules&^bit, s.doubted&^bit
	default:
		return s, false
	}
	return s, true
}

func (s state) String() string {
	text := fmt.Sprintf("%d of %d uses", s.granted, s.max)
	for _, part := range []struct {
		n    int
		name string
	}{{s.open, "open"}, {bits.OnesCount64(s.rules), "rules"}, {bits.OnesCount64(s.doubted), "doubted"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.name)
		}
	}
	if s.over {
		text += ", expired"
	}
	return text
}

var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(s, in, _ any) (bool, any) {
		next, ok := s.(state).do(in.(step))
		return ok, next
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%v: %v", in, out) },
	DescribeState:     func(s any) string { return s.(state).String() },
}

// moment is a time since the beginning of a test.
type moment = time.Duration

// event is a step, and between which moments it happens.
type event struct {
	client     int
	step       step
	begin, end moment
	note       string // what the client did and heard
}

// history is what happened to one token.
type history []event

func (h history) operations() []porcupine.Operation {
	ops := make([]porcupine.Operation, len(h))
	for i, e := range h {
		ops[i] = porcupine.Operation{ClientId: e.client, Input: e.step, Output: e.note, Call: int64(e.begin), Return: int64(e.end)}
	}
	return ops
}

// fits reports whether a history fits the specification. One that takes too
// long to decide does not.
func (h history) fits() bool {
	return porcupine.CheckOperationsTimeout(model, h.operations(), time.Minute) == porcupine.Ok
}

func (h history) String() string {
	var b strings.Builder
	for _, e := range h {
		fmt.Fprintf(&b, "%10.3f ms .. %10.3f ms  client %d  %-9s %d  %s\n",
			float64(e.begin.Microseconds())/1000, float64(e.end.Microseconds())/1000, e.client, e.step.kind, e.step.number, e.note)
	}
	return b.String()
}
