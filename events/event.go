// Package events tells what has happened, to whoever should know.
//
// An [Event] is a fact that is over: a token was minted, a use of it has ended.
// It is a CloudEvent (specification 1.0, JSON format), holds no secret, and goes
// through a [Bus] to each sink: the audit log ([File]), the stream in Redis that
// the API reads ([Stream]), webhooks ([Hooks]) and topics of SNS ([Topic]).
//
// The invariants:
//
//   - Whoever emits never waits: each sink has a bounded queue, and what finds it
//     full is dropped and counted. A use that is refused, charged or revoked does
//     not depend on whether somebody hears of it.
//   - A sink gets its events in the order in which they were emitted, and again
//     after an error. Who has seen an event's ID has seen the event.
//   - A token, a passcode or a JWT is in no event. Bucket aliases and keys are:
//     events are for operators.
package events

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// Type says what has happened, and with its version what the data look like.
type Type string

// The types. Those of buckets are for whoever guards them.
const (
	// TokenMinted: somebody minted a token.
	TokenMinted Type = "s3gate.token.minted.v1"
	// TokenChanged: somebody made a token permit less.
	TokenChanged Type = "s3gate.token.changed.v1"
	// TokenRedeemed: a use of a token began.
	TokenRedeemed Type = "s3gate.token.redeemed.v1"
	// TokenReceipt: a use of a token has ended.
	TokenReceipt Type = "s3gate.token.receipt.v1"
	// TokenRefused: one or several requests for links were refused.
	TokenRefused Type = "s3gate.token.refused.v1"
	// RuleRevoked and RuleLifted: somebody made a revocation rule, or ended one.
	RuleRevoked Type = "s3gate.rule.revoked.v1"
	RuleLifted  Type = "s3gate.rule.lifted.v1"
	// TransferCut: somebody ended a transfer without its link.
	TransferCut Type = "s3gate.transfer.cut.v1"
	// BucketLocked and BucketUnlocked: a bucket was seen to be so, and was not
	// when it was looked at before. BucketUnverified: it cannot be said any more.
	BucketLocked     Type = "s3gate.bucket.locked.v1"
	BucketUnlocked   Type = "s3gate.bucket.unlocked.v1"
	BucketUnverified Type = "s3gate.bucket.unverified.v1"
	// LeakSeen: a log of the bucket has a request that was signed in its URL.
	LeakSeen Type = "s3gate.leak.seen.v1"
	// Gap: events were dropped from the stream before somebody came to read
	// them. It is only ever in an answer, and in no sink.
	Gap Type = "s3gate.events.gap.v1"
)

// Types returns all types but Gap.
func Types() []Type {
	return []Type{
		TokenMinted, TokenChanged, TokenRedeemed, TokenReceipt, TokenRefused, RuleRevoked, RuleLifted, TransferCut,
		BucketLocked, BucketUnlocked, BucketUnverified, LeakSeen,
	}
}

// Known reports whether there is such a type.
func (t Type) Known() bool { return t == Gap || slices.Contains(Types(), t) }

// Event is something that has happened. Its JSON form is that of a CloudEvent.
type Event struct {
	// SpecVersion is that of CloudEvents: "1.0".
	SpecVersion string `json:"specversion"`
	// ID is different for each event: "evt_" and 26 characters.
	ID string `json:"id"`
	// Source names the gate that tells it, as a reference: "/gates/{name}".
	Source string `json:"source"`
	// Type says what Data is.
	Type Type `json:"type"`
	// Time is when the gate learnt of it, by its clock.
	Time time.Time `json:"time"`
	// Subject is the ID of the token that it is about; "" if there is none.
	Subject string `json:"subject,omitempty"`
	// DataContentType is that of Data: "application/json".
	DataContentType string `json:"datacontenttype"`
	// Data is one of the structs of this package, by Type; nobody changes it once
	// the event was emitted.
	Data any `json:"data"`
}

// New returns an event of now. The source is the name of a gate, the subject the
// ID of a token or "".
func New(t Type, gate, subject string, data any) Event {
	return newEvent(t, Source(gate), subject, data)
}

func newEvent(t Type, source, subject string, data any) Event {
	return Event{
		SpecVersion: "1.0", ID: newID(), Source: source, Type: t,
		Time: time.Now().UTC().Truncate(time.Millisecond), Subject: subject, DataContentType: "application/json", Data: data,
	}
}

// newID allocates once, since it is on the way of every request.
func newID() string {
	var text [4 + ulid.EncodedSize]byte
	copy(text[:], "evt_")
	_ = ulid.Make().MarshalTextTo(text[4:]) // it fits
	return string(text[:])
}

// Source is the source of events that a gate tells.
func Source(gate string) string { return "/gates/" + gate }

// Record is an event on its way to the sinks. It is safe for concurrent use.
type Record struct {
	Event

	once sync.Once
	raw  []byte
	err  error
}

// JSON is the event as JSON without a line end, which nobody changes. It is made
// once, for all sinks.
func (r *Record) JSON() ([]byte, error) {
	r.once.Do(func() { r.raw, r.err = json.Marshal(&r.Event) })
	return r.raw, r.err
}
