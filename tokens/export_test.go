package tokens

import (
	"context"
	"errors"
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
	status, _, err := s.run(ctx, redeemScript, id, append(useKeys(id, nonce), openKey(id)), opGet, nonce, s.opts.ReserveTimeout.Milliseconds(), 0, 0)
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
