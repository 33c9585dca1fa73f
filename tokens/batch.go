package tokens

import (
	"context"
	"errors"
	"fmt"
	"time"

	"s3gate/internal/script"
)

// Minting is one grant of many that are to be minted.
type Minting struct {
	// Grant and Life are as for [Store.Mint].
	Grant Grant
	Life  time.Duration
	// Quotas are those that it counts against.
	Quotas []Quota
	// Token is the token to mint, from [Reservation.Token]: if it was minted
	// before, that counts. The zero Token is for a fresh one.
	Token Token
}

// Minted is what has become of a [Minting].
type Minted struct {
	Token Token
	Grant Grant
	// Err is an [ErrUnproven]: the token may or may not be there, and nobody has
	// it.
	Err error
}

// ItemError is what is wrong with one of many.
type ItemError struct {
	// Item is its place, from 0 on.
	Item int
	Err  error
}

func (e *ItemError) Error() string { return fmt.Sprintf("item %d: %v", e.Item, e.Err) }

// Unwrap returns the cause.
func (e *ItemError) Unwrap() error { return e.Err }

// MintAll mints many grants, or none if one is not valid: then the error is an
// [*ItemError] of a [*FieldError] or a [*QuotaError]. After that each stands for itself. What goes
// to one server of Redis goes there in one round trip. Other errors:
// [ErrUnproven]; nothing was minted.
func (s *Store) MintAll(ctx context.Context, all []Minting) ([]Minted, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return nil, err
	}
	minted := make([]Minted, len(all))
	for i := range all {
		m := &all[i]
		grant, err := s.complete(m.Grant, m.Life, now)
		if err != nil {
			return nil, &ItemError{i, err}
		}
		minted[i] = Minted{Token: m.Token, Grant: grant}
		if m.Token.IsZero() {
			minted[i].Token = Generate()
		}
		minted[i].Grant.ID = minted[i].Token.ID()
	}
	taken, err := s.admitAll(ctx, all, minted)
	if err != nil {
		return nil, err
	}
	grants := make([]*Grant, len(minted))
	for i := range minted {
		grants[i] = &minted[i].Grant
	}
	if err := s.index(ctx, now, grants...); err != nil {
		s.leaveAll(ctx, taken, minted)
		return nil, err
	}
	calls := make([]script.Call, len(minted))
	for i := range minted {
		g := &minted[i].Grant
		calls[i] = script.Call{Name: string(g.ID), Keys: []string{recordKey(g.ID)}, Args: s.mintArgs(g)}
	}
	for i, result := range s.scripts.WriteAll(ctx, mintScript, calls) {
		minted[i].settle(ctx, s, &all[i], result)
		if minted[i].Err != nil {
			s.leave(ctx, minted[i].Grant.ID, taken[i])
		} else {
			s.hold(ctx, &minted[i].Grant, all[i].Quotas)
		}
	}
	return minted, nil
}

// admitAll takes a place for each in its quotas, or none for any, and returns
// what [Store.admit] does of each.
func (s *Store) admitAll(ctx context.Context, all []Minting, minted []Minted) ([][]Quota, error) {
	taken := make([][]Quota, len(all))
	for i := range all {
		var err error
		if taken[i], err = s.admit(ctx, minted[i].Grant.ID, all[i].Quotas); err != nil {
			s.leaveAll(ctx, taken[:i], minted)
			return nil, &ItemError{i, err}
		}
	}
	return taken, nil
}

func (s *Store) leaveAll(ctx context.Context, taken [][]Quota, minted []Minted) {
	for i := range taken {
		s.leave(ctx, minted[i].Grant.ID, taken[i])
	}
}

// Check says what is wrong with a grant, as [Store.Mint] would, and changes
// nothing. Errors: a [*FieldError], [ErrUnproven].
func (s *Store) Check(ctx context.Context, g Grant, life time.Duration) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	_, err = s.complete(g, life, now)
	return err
}

// CheckAll is Check for many: the error is an [*ItemError] of what is wrong.
func (s *Store) CheckAll(ctx context.Context, all []Minting) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if _, err := s.complete(all[i].Grant, all[i].Life, now); err != nil {
			return &ItemError{i, err}
		}
	}
	return nil
}

// settle reads what has become of one. A token that was chosen may have been
// minted by somebody who did not live to tell it: then that grant counts.
func (m *Minted) settle(ctx context.Context, s *Store, asked *Minting, result script.Result) {
	status, _, err := answer(result.Status, result.Reply, result.Err)
	if err == nil {
		err = statusError(status)
	}
	if errors.Is(err, ErrExists) && !asked.Token.IsZero() {
		var st Status
		if st, err = s.Show(ctx, m.Grant.ID); err == nil {
			m.Grant = st.Grant
		}
	}
	if err != nil && !isUnproven(err) {
		err = unproven(err)
	}
	if m.Err = err; err != nil {
		m.Token = Token{}
	}
}

// complete fills in what a grant gets by being minted, but for its ID, and
// checks it.
func (s *Store) complete(g Grant, life time.Duration, now time.Time) (Grant, error) {
	if life != 0 {
		g.ExpiresAt = now.Add(life)
	}
	if err := g.Validate(s.adjusted.Load().Limits, now); err != nil {
		return Grant{}, err
	}
	if g.Canary {
		// Nothing is to be reserved for whoever tries it: writing, and waiting for
		// replicas, would tell it from a token that is not there.
		g.MaxUses, g.ResumeWindow, g.ResumeSlack = 0, 0, 0
	}
	g.IssuedAt, g.Version = millis(now), firstVersion
	g.ExpiresAt, g.NotBefore = millis(g.ExpiresAt), millis(g.NotBefore)
	g.ResumeWindow = Duration(time.Duration(g.ResumeWindow).Truncate(time.Millisecond))
	return g, nil
}

// mintArgs are what mint.lua is told.
func (s *Store) mintArgs(g *Grant) []any {
	notBefore := any("")
	if !g.NotBefore.IsZero() {
		notBefore = g.NotBefore.UnixMilli()
	}
	return []any{
		encodeGrant(g), opCode(g.Operation), g.ExpiresAt.UnixMilli(), notBefore,
		g.MaxUses, time.Duration(g.ResumeWindow).Milliseconds(), g.ResumeSlack, flag(g.CutAtExpiry),
		g.ExpiresAt.Add(s.opts.Retention).UnixMilli(),
	}
}
