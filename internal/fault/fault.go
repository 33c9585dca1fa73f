// Package fault makes a gate misbehave on purpose, in ways that have names. It
// is for tests only: they show that the checks notice.
//
// A fault is on in a program that was built with the tag faults and started
// with its name in S3GATE_FAULTS, several separated by commas. Without the tag
// none is ever on, the compiler drops what stands behind [On], and a gate that
// finds S3GATE_FAULTS in its environment refuses to start, as for every
// variable that names no setting.
package fault

// Fault is one way to misbehave.
type Fault string

// The faults.
const (
	// NoWait: what only the primary has is taken for durable.
	NoWait Fault = "no-wait"
	// NoNonce: uses are not told apart, so that each is answered as a
	// repetition of the first.
	NoNonce Fault = "no-nonce"
	// ChargeUnchecked: the first byte leaves whether the use could be charged or
	// not.
	ChargeUnchecked Fault = "charge-unchecked"
	// RefundAfterByte: a download that breaks off costs nothing, although bytes
	// of it were given out.
	RefundAfterByte Fault = "refund-after-byte"
	// ReservationKept: a use that came to nothing is not handed back.
	ReservationKept Fault = "reservation-kept"
	// BusyIsUsed: a use that another request may still hand back is called
	// used.
	BusyIsUsed Fault = "busy-is-used"
	// LocalClock: the gate's own clock decides when a token ends. It is wrong
	// by what follows the name, as in local-clock=-1h; an hour without that.
	LocalClock Fault = "local-clock"
	// StaleCache: a grant stays in the cache when a rule covers it.
	StaleCache Fault = "stale-cache"

	// LeaseIgnored: a gate serves without a lease.
	LeaseIgnored Fault = "lease-ignored"
	// EntrySkipped: a follower acknowledges what it has not applied.
	EntrySkipped Fault = "entry-skipped"
	// LiftSkipped: a follower acknowledges the end of a rule, and keeps it.
	LiftSkipped Fault = "lift-skipped"
	// SeqTrusted: after a failover an entry is taken for known because its
	// number is.
	SeqTrusted Fault = "seq-trusted"
	// NotSettled: a gate serves at once from a Redis that has begun a new life
	// and may have lost rules.
	NotSettled Fault = "not-settled"
	// NotGivenBack: a rule that Redis has lost is not given back.
	NotGivenBack Fault = "not-given-back"
	// RevokeUnwaited: a revocation is answered before the gates have
	// acknowledged it.
	RevokeUnwaited Fault = "revoke-unwaited"
	// AckEarly: a rule is acknowledged while a write that it stops is still in
	// progress.
	AckEarly Fault = "ack-early"
	// StallFeeds: a write that is blocked when the lease ends goes on without.
	StallFeeds Fault = "stall-feeds"
	// CommitUnasked: the last byte of an upload is sent without asking.
	CommitUnasked Fault = "commit-unasked"
)

// All are the faults.
var All = []Fault{
	NoWait, NoNonce, ChargeUnchecked, RefundAfterByte, ReservationKept, BusyIsUsed, LocalClock, StaleCache,
	LeaseIgnored, EntrySkipped, LiftSkipped, SeqTrusted, NotSettled, NotGivenBack, RevokeUnwaited, AckEarly, StallFeeds, CommitUnasked,
}
