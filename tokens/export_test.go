package tokens

import (
	"context"
	"errors"
	"time"
)

// What the tests need of the inside: the record's form, and the single steps
// of an attempt, which they send twice, late or in another order.
var (
	EncodeGrant = encodeGrant
	DecodeGrant = decodeGrant
	ErrRecord   = errRecord
	NewNonce    = newNonce
)

const MaxBacklog = maxBacklog

// HoldFor is how long a place is kept for a mint that is under way.
func HoldFor(d time.Duration) Options { return Options{holdFor: d} }

// Unsettled is how much Redis has still to be told.
func (s *Store) Unsettled() int { return s.settler.len() }

// Keys are the names of what Redis keeps of one attempt on a token.
func Keys(id ID, nonce string) (record, reserved, charged, cancelled string) {
	return recordKey(id), reservedKey(id), chargedKey(id), cancelledKey(id, nonce)
}

// RedeemNonce redeems under a nonce of the caller's choice.
func (s *Store) RedeemNonce(ctx context.Context, id ID, op Operation, nonce string) (*Use, error) {
	return s.redeem(ctx, id, Ask{Operation: op}, nonce)
}

// Nonce names the attempt of a use.
func (u *Use) Nonce() string { return u.nonce }

// SendRedeem, SendCharge, SendCommit and SendRefund send one command and have
// no other effect.
func (s *Store) SendRedeem(ctx context.Context, id ID, nonce string) error {
	status, _, err := s.run(ctx, redeemScript, id, append(useKeys(id, nonce), openKey(id)), opGet, nonce, s.opts.ReserveTimeout.Milliseconds(), 0, 0, "")
	return errors.Join(err, statusErrorIf(err, status))
}

func (s *Store) SendCharge(ctx context.Context, id ID, nonce string) error {
	status, _, err := s.run(ctx, chargeScript, id, useKeys(id, nonce), nonce)
	return errors.Join(err, statusErrorIf(err, status))
}

func (s *Store) SendCommit(ctx context.Context, id ID, nonce string) error {
	return s.settler.tell(ctx, &settlement{id: id, nonce: nonce, outcome: commit})
}

func (s *Store) SendRefund(ctx context.Context, id ID, nonce string) error {
	return s.settler.tell(ctx, &settlement{id: id, nonce: nonce, outcome: refund})
}

// SendOccupy asks for a slot under a nonce of the caller's choice, and keeps
// it if max is 0; nobody refreshes it.
func (s *Store) SendOccupy(ctx context.Context, id ID, nonce string, max int64) error {
	return (&Slot{store: s, id: id, nonce: nonce}).take(ctx, max, slotWait)
}

// SlotsKey is the name of what Redis keeps of the running transfers.
func SlotsKey(id ID) string { return slotsKey(id) }

func statusErrorIf(err error, status string) error {
	if err != nil {
		return nil
	}
	return statusError(status)
}

// Hasty sets how often a store looks for uses whose window has closed, and
// when another takes over those of one that died.
func (o Options) Hasty(every, again time.Duration) Options {
	o.sweepEvery, o.sweepAgain = every, again
	return o
}

// Sliced sets how many bytes are reserved at a time.
func (o Options) Sliced(bytes int64) Options {
	o.slice = bytes
	return o
}

// UnderWay sets how long a request may take until another may finish it.
func (o Options) UnderWay(d time.Duration) Options {
	o.underWay = d
	return o
}

// FromSeed is the token of 256 bits.
var FromSeed = fromSeed

// OpenKeys are the names of what Redis keeps of open uses: the uses of a
// token, one of them, and the receipts.
func OpenKeys(id ID, use string) (open, one, receipts string) {
	return openKey(id), openUseKey(id, use), receiptsKey(id)
}

const MaxOpenRequests = maxOpenRequests

// SendAsk, SendPin, SendExtend and SendEnd send one command and have no other
// effect. SendAsk returns the use to go on with, "" for a new one, and its
// object; SendPin and SendExtend return what may be given out in all.
func (s *Store) SendAsk(ctx context.Context, id ID, nonce string, span Span) (use string, of Object, err error) {
	status, r, err := s.run(ctx, redeemScript, id, append(useKeys(id, nonce), openKey(id)), opGet, nonce, s.opts.ReserveTimeout.Milliseconds(), span.From, span.To, "")
	if err = errors.Join(err, statusErrorIf(err, status)); err != nil {
		return "", Object{}, err
	}
	if open := readOpen(r); open != nil {
		return open.use, open.Object, nil
	}
	return "", Object{}, nil
}

func (s *Store) SendPin(ctx context.Context, id ID, nonce, use string, o Object, length int64) (int64, error) {
	u := &Use{Grant: Grant{ID: id}, nonce: nonce, meter: &meter{use: use}}
	status, r, err := s.run(ctx, pinScript, id, u.openKeys(), nonce, use,
		o.Size, o.ETag, o.VersionID, min(s.opts.slice, length), maxOpenRequests, "req", "192.0.2.1")
	return r.Number(0), errors.Join(err, statusErrorIf(err, status))
}

func (s *Store) SendExtend(ctx context.Context, id ID, nonce, use string, wanted int64) (int64, error) {
	u := &Use{Grant: Grant{ID: id}, store: s, nonce: nonce, meter: &meter{use: use}}
	err := u.extend(ctx, wanted)
	return u.meter.granted, err
}

func (s *Store) SendEnd(ctx context.Context, id ID, nonce, use string, first, bytes int64, given bool) error {
	return s.settler.tell(ctx, &settlement{id: id, nonce: nonce, outcome: endRequest, use: use, first: first, bytes: bytes, given: given})
}

// Watch announces a use as Pin does before it charges it.
func (u *Use) Watch(ctx context.Context) error { return u.store.watch(ctx, u) }

// Due takes uses to report, as Sweep does first.
func (s *Store) Due(ctx context.Context) []string {
	due, _ := s.watched.Due(ctx, sweepMost, s.opts.sweepAgain)
	return due
}

// SendWatch announces a use, whose window begins now.
func (s *Store) SendWatch(ctx context.Context, id ID, nonce string, window time.Duration) error {
	return s.watch(ctx, &Use{Grant: Grant{ID: id, ResumeWindow: Duration(window)}, nonce: nonce})
}

// SendReceipt keeps a receipt of an open use.
func (s *Store) SendReceipt(ctx context.Context, id ID, use string, at time.Time, receipt string) error {
	return s.keepReceipt(ctx, id, use, at, receipt)
}

// CleanUpCache does at once what the cache of grants does in the background.
func (s *Store) CleanUpCache() { s.cache.entries.CleanUp() }
