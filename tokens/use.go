package tokens

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	"s3gate/internal/fault"
)

// Span is the part of an object that a request asks for. The zero Span is the
// whole.
type Span struct {
	// From is the first byte; if it is negative, so many bytes from the end.
	From int64
	// To is the byte before which it ends; 0 means the end of the object.
	To int64
}

// Ask is what a request wants of a token.
type Ask struct {
	// Operation is what it would do.
	Operation Operation
	// Span is the part of the object that it asks for. It matters to tokens
	// whose uses may be resumed, and to them only.
	Span Span
	// Attempt is the [Use.Attempt] of an upload that an earlier request has
	// begun, on this gate or another, and that this one goes on with: it has the
	// same use, also when the token has expired meanwhile, unless its grant says
	// CutAtExpiry. Whoever says so vouches for it. "" begins a use.
	Attempt string
	// Request names the request, and Client its client, in the receipt of the
	// use; both may be empty.
	Request, Client string
}

// Use is one permission to carry out a grant's operation once, or to go on
// with a use that was begun. A use of a limited token holds a reservation in
// Redis, which its owner ends: an upload, that calls Stay before it sends
// anything, with one of Commit, Refund and Keep,
// a download with End. What comes after the first does nothing, and so do all
// of them for a token without limit. A Use is not for concurrent use.
type Use struct {
	// Grant is what may be done. Other uses share its maps and slices, which
	// must not be changed.
	Grant Grant
	// Open is the use that the request goes on with; nil if it begins one.
	Open *Open
	// ExpiresIn is how long the token still works, by Redis time; it is less
	// than 0 for an open use that goes on after that.
	ExpiresIn time.Duration

	store *Store
	ask   Ask
	nonce string
	held  bool // a reservation stands in Redis
	spent bool // it was charged
	given bool // Commit was called: something was given out, or is about to be
	over  bool // End was called
	now   time.Time
	begun time.Time // by the local clock
	meter *meter    // nil unless the use may be resumed
	span  Span      // what is given out, once it was pinned
	of    Object
}

// Mark names the use in the metadata of what it stores, and in receipts: a
// hash, from which the attempt's nonce cannot be derived. Requests of one open
// use have one mark.
func (u *Use) Mark() string {
	if u.Open != nil {
		return mark(u.Open.use)
	}
	return mark(u.nonce)
}

// Attempt names the use for a later request that goes on with it; see
// [Ask.Attempt]. It is for the gates alone: who knows it can end the use.
func (u *Use) Attempt() string { return u.nonce }

// MarkOf is the [Use.Mark] of an upload's attempt.
func MarkOf(attempt string) string { return mark(attempt) }

func mark(nonce string) string {
	sum := sha256.Sum256([]byte(nonce))
	return idEncoding.EncodeToString(sum[:idBytes])
}

// Redeem asks whether the token permits what is asked now. It reserves a use,
// or finds an open one to go on with. A use that another request has reserved
// and not yet charged is waited for, up to Options.BusyWait. Errors:
// [ErrUnknown], [ErrExpired], [ErrNotYet], [ErrRevoked], [ErrUsed] (also a
// [*SpentError]), [ErrInUse], [ErrOperation], [ErrUnproven]. With every error
// but ErrUnknown and ErrUnproven the grant is returned in a Use that reserves
// nothing. A canary is unknown, whatever else it is: a [*CanaryError].
func (s *Store) Redeem(ctx context.Context, token Token, ask Ask) (*Use, error) {
	return s.redeem(ctx, token.ID(), ask, cmp.Or(ask.Attempt, newNonce()))
}

// Look asks what Redeem would answer, without reserving a use or waiting for
// one.
func (s *Store) Look(ctx context.Context, token Token, ask Ask) (*Use, error) {
	return s.tryRedeem(ctx, token.ID(), ask, "", false)
}

// Recover returns the use of an upload whose gate has died, so that somebody
// else can end it as its owner would have: with Commit or Refund, and then End.
// It asks for no permission; whether the token still lives is the error, one of
// those of Redeem, and the Use is returned all the same, but for [ErrUnknown]
// and [ErrUnproven].
func (s *Store) Recover(ctx context.Context, id ID, attempt string) (*Use, error) {
	u, err := s.tryRedeem(ctx, id, Ask{Operation: Put, Attempt: attempt}, "", false)
	if u != nil {
		u.nonce, u.held = attempt, u.Grant.Limited()
	}
	return u, err
}

func (s *Store) redeem(ctx context.Context, id ID, ask Ask, nonce string) (*Use, error) {
	deadline := time.Now().Add(s.adjusted.Load().BusyWait)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		last := time.Until(deadline) < pause
		use, err := s.tryRedeem(ctx, id, ask, nonce, !last)
		if !errors.Is(err, ErrInUse) || last {
			return use, err
		}
		select {
		case <-ctx.Done():
			return use, err
		case <-time.After(pause):
		}
	}
}

// tryRedeem answers from memory or runs redeem.lua once; a patient request comes
// again if it is told to wait. When the answer is lost or cannot be read the
// reservation may stand; it is handed back, since nothing was given out for it.
func (s *Store) tryRedeem(ctx context.Context, id ID, ask Ask, nonce string, patient bool) (*Use, error) {
	if u := s.fromMemory(id, ask, nonce); u != nil {
		return u, nil
	}
	decide := s.run
	if ask.Operation == Put && nonce != "" {
		// What is uploaded is there before it is charged. A download gives
		// nothing out before that, and its charge is proven.
		decide = s.prove
	}
	asked := s.cache.ask()
	status, r, err := decide(ctx, redeemScript, id, append(useKeys(id, nonce), openKey(id)), opCode(ask.Operation), nonce,
		s.opts.ReserveTimeout.Milliseconds(), ask.Span.From, ask.Span.To, flag(patient), flag(ask.Attempt != ""))
	switch {
	case err != nil:
	case status == "busy" && fault.On(fault.BusyIsUsed):
		err = ErrUsed
	case status == "spent":
		err = &SpentError{Left: r.Number(redeemLeft)}
	default:
		err = statusError(status)
	}
	if errors.Is(err, ErrUnknown) {
		return nil, err
	}
	var g Grant
	if !errors.Is(err, ErrUnproven) {
		var unreadable error
		if g, unreadable = readGrant(id, r); unreadable != nil {
			err = unreadable
		}
	}
	if g.Canary { // it has no limit of uses, so nothing was reserved
		return nil, &CanaryError{Grant: g}
	}
	if errors.Is(err, ErrUnproven) {
		if nonce != "" && ask.Attempt == "" {
			s.settler.later(&settlement{id: id, nonce: nonce, outcome: refund})
		}
		return nil, err
	}
	u := &Use{Grant: g, store: s, ask: ask, nonce: nonce, begun: time.Now(), now: r.Time(redeemNow)}
	u.ExpiresIn = g.ExpiresAt.Sub(u.now)
	if err == nil {
		u.Open = readOpen(r)
		u.held = g.Limited() && nonce != ""
		s.cache.keep(asked, u, len(r.Text(1)))
	}
	return u, err
}

// Charge makes the use count, before its first byte is given out. On any
// error nothing may be given out, and the use is still the caller's to
// refund. A use of a limited token that is not held, because it was only
// looked at, was refused or has ended, cannot be charged. Errors:
// [ErrUnknown], [ErrRevoked], [ErrUsed], [ErrUnproven].
func (u *Use) Charge(ctx context.Context) error {
	if !u.Grant.Limited() {
		return nil
	}
	if !u.held {
		return errNotHeld
	}
	if fault.On(fault.ChargeUnchecked) {
		return nil
	}
	id := u.Grant.ID
	status, _, err := u.store.prove(ctx, chargeScript, id, useKeys(id, u.nonce), u.nonce)
	if err == nil {
		err = statusError(status)
	}
	u.charged(err == nil)
	return err
}

// charged notes that the use counts.
func (u *Use) charged(is bool) {
	if u.spent = is; is && u.Open == nil {
		u.store.counts.charged.Add(1)
	}
}

var errNotHeld = unproven(errors.New("charging a use that is not held"))

// Stay keeps the reservation of an upload from lapsing, before anything is sent
// that S3 could store: from then on only Commit and Refund end it, also those of
// somebody else; see [Store.Recover]. On any error nothing may be sent, and the
// use is still the caller's to refund. Errors: [ErrInUse] if it has lapsed
// already, [ErrUnproven].
func (u *Use) Stay(ctx context.Context) error {
	if !u.Grant.Limited() {
		return nil
	}
	if !u.held {
		return errNotHeld
	}
	id := u.Grant.ID
	status, _, err := u.store.prove(ctx, stayScript, id, useKeys(id, u.nonce), u.nonce)
	switch {
	case err != nil:
		return err
	case status == "lapsed":
		return ErrInUse
	}
	return statusError(status)
}

// Commit records that the use was spent. It is remembered and repeated until
// Redis has acknowledged it.
func (u *Use) Commit(ctx context.Context) {
	u.given = true
	if u.meter != nil {
		return // End tells how much it was
	}
	if u.spent {
		u.held = false
	}
	u.settle(ctx, commit)
}

// Keep leaves the reservation as it stands, for a use of which nobody knows
// how it ended: it stays taken.
func (u *Use) Keep() { u.held = false }

// Refund hands the use back. Call it only when not one byte of the object was
// given out, and, for an upload, when S3 is known to have stored nothing. The use
// of an upload that an earlier request has begun comes back only if nobody has
// charged it: what it has stored may have been moved since. It is remembered and
// repeated until Redis has acknowledged it.
func (u *Use) Refund(ctx context.Context) {
	switch {
	case u.meter != nil:
		if u.spent && u.Open == nil {
			u.store.counts.handedBack.Add(1)
		}
		u.endOpen(ctx, 0)
	case u.Open != nil:
		u.held = false // nothing was reserved for it
	case fault.On(fault.ReservationKept):
		u.held = false
	case u.ask.Attempt != "":
		u.settle(ctx, handBack)
	default:
		u.settle(ctx, refund)
	}
}

func (u *Use) settle(ctx context.Context, o outcome) {
	if !u.held {
		return
	}
	u.held = false
	if o == commit {
		u.store.counts.charged.Add(1)
	} else {
		u.store.counts.handedBack.Add(1)
	}
	u.store.settler.settle(ctx, &settlement{id: u.Grant.ID, nonce: u.nonce, outcome: o})
}

// newNonce returns 96 random bits, which name one attempt.
func newNonce() string {
	var b [12]byte
	if fault.On(fault.NoNonce) {
		return string(b[:])
	}
	rand.Read(b[:])
	return string(b[:])
}
