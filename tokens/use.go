package tokens

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"
)

// Use is one permission to carry out a grant's operation once. A use of a
// limited token holds a reservation in Redis, which its owner ends with one
// of Commit, Refund and Keep; what comes after the first does nothing, and so
// do all of them for a token without limit. A Use is not for concurrent use.
type Use struct {
	// Grant is what may be done.
	Grant Grant

	store *Store
	nonce string
	held  bool // a reservation stands in Redis
	spent bool // it was charged
}

// Mark names the use in the metadata of what it stores: a hash, from which
// the attempt's nonce cannot be derived.
func (u *Use) Mark() string {
	sum := sha256.Sum256([]byte(u.nonce))
	return idEncoding.EncodeToString(sum[:idBytes])
}

// Redeem asks whether the token permits op now and reserves a use of it. A
// use that another request has reserved and not yet charged is waited for, up
// to Options.BusyWait. Errors: [ErrUnknown], [ErrExpired], [ErrNotYet],
// [ErrRevoked], [ErrUsed], [ErrInUse], [ErrOperation], [ErrUnproven]. With
// ErrOperation, and with every other error but ErrUnknown and ErrUnproven,
// the grant is returned in a Use that reserves nothing.
func (s *Store) Redeem(ctx context.Context, token Token, op Operation) (*Use, error) {
	return s.redeem(ctx, token.ID(), op, newNonce())
}

// Look asks what Redeem would answer, without reserving a use or waiting for
// one.
func (s *Store) Look(ctx context.Context, token Token, op Operation) (*Use, error) {
	return s.tryRedeem(ctx, token.ID(), op, "")
}

func (s *Store) redeem(ctx context.Context, id ID, op Operation, nonce string) (*Use, error) {
	deadline := time.Now().Add(s.opts.BusyWait)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		use, err := s.tryRedeem(ctx, id, op, nonce)
		if !errors.Is(err, ErrInUse) || time.Until(deadline) < pause {
			return use, err
		}
		select {
		case <-ctx.Done():
			return use, err
		case <-time.After(pause):
		}
	}
}

// tryRedeem runs redeem.lua once. When the answer is lost or cannot be read
// the reservation may stand; it is handed back, since nothing was given out
// for it.
func (s *Store) tryRedeem(ctx context.Context, id ID, op Operation, nonce string) (*Use, error) {
	status, r, err := s.run(ctx, redeemScript, id, useKeys(id, nonce), opCode(op), nonce,
		s.opts.ReserveTimeout.Milliseconds())
	if err == nil {
		err = statusError(status)
	}
	if errors.Is(err, ErrUnknown) {
		return nil, err
	}
	var g Grant
	if !errors.Is(err, ErrUnproven) {
		var unreadable error
		if g, unreadable = r.grant(id); unreadable != nil {
			err = unreadable
		}
	}
	if errors.Is(err, ErrUnproven) {
		if nonce != "" {
			s.settler.later(settlement{id, nonce, refund})
		}
		return nil, err
	}
	held := err == nil && g.Limited() && nonce != ""
	return &Use{Grant: g, store: s, nonce: nonce, held: held}, err
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
		return unproven(errors.New("charging a use that is not held"))
	}
	id := u.Grant.ID
	status, _, err := u.store.run(ctx, chargeScript, id, useKeys(id, u.nonce), u.nonce)
	if err == nil {
		err = statusError(status)
	}
	u.spent = err == nil
	return err
}

// Commit records that the use was spent. It is remembered and repeated until
// Redis has acknowledged it.
func (u *Use) Commit(ctx context.Context) {
	if u.spent {
		u.held = false
	}
	u.settle(ctx, commit)
}

// Keep leaves the reservation as it stands, for a use of which nobody knows
// how it ended: it stays taken.
func (u *Use) Keep() { u.held = false }

// Refund hands the use back. Call it only when not one byte of the object was
// given out, and, for an upload, when S3 is known to have stored nothing. It
// is remembered and repeated until Redis has acknowledged it.
func (u *Use) Refund(ctx context.Context) { u.settle(ctx, refund) }

func (u *Use) settle(ctx context.Context, o outcome) {
	if !u.held {
		return
	}
	u.held = false
	u.store.settler.settle(ctx, settlement{u.Grant.ID, u.nonce, o})
}

// newNonce returns 96 random bits, which name one attempt.
func newNonce() string {
	var b [12]byte
	rand.Read(b[:])
	return string(b[:])
}
