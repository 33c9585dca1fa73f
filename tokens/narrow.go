package tokens

import (
	"context"
	"errors"
	"maps"
	"time"
)

var (
	narrowScript = load("narrow")
	retireScript = load("retire")
)

// firstVersion is the version of a grant that was not changed since it was
// minted.
const firstVersion = 1

// Errors of [Store.Replace] and [Store.Retire].
var (
	// ErrVersion: the grant has been changed since it was read.
	ErrVersion = errors.New("grant has another version")
	// ErrReissued: another token was minted in its place, so it stays revoked.
	ErrReissued = errors.New("token was reissued")
)

// Narrowing is what is to become of a grant: less than it is. Zero fields leave
// it as it is.
type Narrowing struct {
	// ExpiresAt is when it stops working; or it does ExpiresIn from now.
	ExpiresAt time.Time
	ExpiresIn time.Duration
	// MaxUses is how many uses are granted in all, those included that were. Of a
	// grant without limit nothing was counted before.
	MaxUses *int64
	// Labels are set, or removed if nil. With NoLabels the others go too.
	Labels   map[string]*string
	NoLabels bool
}

// Narrow returns what becomes of a grant, with its next version, and changes
// nothing: that is for [Store.Replace]. A narrowing that would permit more is a
// [*FieldError] that names the field, what it is and what was asked. Other
// errors: [ErrUnproven].
func (s *Store) Narrow(ctx context.Context, g Grant, n Narrowing) (Grant, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return Grant{}, err
	}
	return g.narrow(n, s.adjusted.Load().Limits, now)
}

func (g Grant) narrow(n Narrowing, l Limits, now time.Time) (Grant, error) {
	if err := g.narrowTime(n, now); err != nil {
		return Grant{}, err
	}
	if n.MaxUses != nil {
		most := *n.MaxUses
		switch {
		case most < 0:
			return Grant{}, fieldErrorf("max_uses", "must not be less than 0, got %d", most)
		case g.Limited() && most == 0:
			return Grant{}, fieldErrorf("max_uses", "can only become less: it is %d, got 0, which is without limit", g.MaxUses)
		case g.Limited() && most > g.MaxUses:
			return Grant{}, fieldErrorf("max_uses", "can only become less: it is %d, got %d", g.MaxUses, most)
		}
		if err := validateRange("max_uses", most, l.MaxUses); err != nil {
			return Grant{}, err
		}
		g.MaxUses = most
	}
	g.relabel(n)
	g.Version++
	return g, g.validateNames(l)
}

func (g *Grant) narrowTime(n Narrowing, now time.Time) error {
	field, at := "expires_at", n.ExpiresAt
	if n.ExpiresIn != 0 {
		field, at = "expires_in", now.Add(n.ExpiresIn)
	}
	if at.IsZero() {
		return nil
	}
	at = millis(at)
	switch {
	case at.After(g.ExpiresAt):
		return fieldErrorf(field, "can only become earlier: it expires at %s, got %s", stamp(g.ExpiresAt), stamp(at))
	case !at.After(now):
		return fieldErrorf(field, "is in the past: %s, and it is %s; revoke the token instead", stamp(at), stamp(now))
	case !g.NotBefore.IsZero() && !g.NotBefore.Before(at):
		return fieldErrorf(field, "must be later than not_before (%s), got %s", stamp(g.NotBefore), stamp(at))
	}
	g.ExpiresAt = at
	return nil
}

// relabel leaves the grant's own map alone, which others share.
func (g *Grant) relabel(n Narrowing) {
	labels := maps.Clone(g.Labels)
	if labels == nil || n.NoLabels {
		labels = map[string]string{}
	}
	for name, value := range n.Labels {
		if value == nil {
			delete(labels, name)
		} else {
			labels[name] = *value
		}
	}
	if g.Labels = labels; len(labels) == 0 {
		g.Labels = nil
	}
}

// Replace writes a grant that Narrow has returned, if nobody has changed it
// since: from its return on every redemption that asks Redis is judged by it.
// Uses that are charged stay so, and a download whose use was only reserved does
// not begin when there is none left for it; an upload that has begun counts when
// it is stored, also beyond the limit. This store forgets what it keeps of the
// token; others must be told, see package revocation. Errors: [ErrVersion],
// [ErrUnknown], [ErrRevoked], [ErrExpired], [ErrUnproven].
func (s *Store) Replace(ctx context.Context, from, to Grant) error {
	// While both are in the index, readers take the one that the record has.
	before, err := member(&from)
	if err != nil {
		return err
	}
	after, err := member(&to)
	if err != nil {
		return err
	}
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	if err := s.index(ctx, now, &to); err != nil {
		return err
	}
	status, _, err := s.prove(ctx, narrowScript, to.ID, []string{recordKey(to.ID)},
		from.Version, to.Version, encodeGrant(&to), to.ExpiresAt.UnixMilli(), to.MaxUses,
		to.ExpiresAt.Add(s.opts.Retention).UnixMilli())
	s.Forget(to.ID) // also if the answer was lost
	if err != nil {
		return err
	}
	if err := statusError(status); err != nil {
		return err
	}
	if before != after {
		for _, key := range indexesOf(&to) {
			s.rdb.ZRem(ctx, key, before) // else it goes when it has expired
		}
	}
	return nil
}

// Retire marks a token as revoked, for another one that takes its place: once,
// so that of many who try it with different successors one alone may mint its.
// It stays revoked for good. From is the grant that the other one is made from.
// Repeating it is no error. Errors: [ErrVersion], [ErrUnknown], [ErrRevoked],
// [ErrExpired], [ErrUnproven].
func (s *Store) Retire(ctx context.Context, from Grant, successor ID, author, reason string) error {
	status, _, err := s.prove(ctx, retireScript, from.ID, []string{recordKey(from.ID)}, from.Version, string(successor), author, reason)
	s.Forget(from.ID)
	if err != nil {
		return err
	}
	return statusError(status)
}
