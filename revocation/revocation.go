// Package revocation takes permission back, on all gates that share a Redis.
//
// A [Rule] covers grants: one token, a subject's, a prefix's, all. It is
// appended to a log that every gate follows as a [Member]. A gate may serve
// only under a lease, which it gets for having applied everything in the log;
// so [Revoker.Revoke] can say when a rule is true: when every gate has
// acknowledged it or its lease has run out.
//
// The invariant: once Revoke has returned without error, no gate authorizes a
// request that the rule covers, and no gate hands a further byte of a transfer
// that it covers to the kernel. Bytes that are in kernel buffers already are
// thrown away with the connection (HTTP/1.1) or may still arrive (HTTP/2,
// whose connection others share); uploads whose last bytes were on their way
// are named in the [Receipt], not stopped.
package revocation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"s3gate/internal/fault"
	"s3gate/tokens"
)

// Receipt is what a revocation can show for itself.
type Receipt struct {
	// ID names the rule.
	ID string `json:"id"`
	// AcknowledgedBy names the gates that have stopped everything that the
	// rule covers.
	AcknowledgedBy []string `json:"acknowledged_by"`
	// ExpiredLeases names the gates that were silent. Their leases have run
	// out, so they serve nothing until they have caught up.
	ExpiredLeases []string `json:"expired_leases"`
	// Cut is the number of transfers that were stopped.
	Cut int `json:"cut"`
	// Committing lists uploads that could not be stopped: their last bytes
	// had been sent when the rule arrived, and S3 may have stored them.
	Committing []string `json:"committing,omitempty"`
	// Durability is what the rule's being in Redis is worth.
	Durability Durability `json:"durability"`
	// TookMS is the time from the call to this receipt in milliseconds.
	TookMS float64 `json:"took_ms"`
}

// Tombstones marks a token as revoked in the store. When Revoke returns nil
// every later redemption of the token fails that asks Redis; a gate that keeps
// its grant in memory forgets it when it applies the rule. Restore takes the mark
// away. It must be safe for concurrent use, and either may be called twice
// for one token.
type Tombstones interface {
	Revoke(ctx context.Context, id tokens.ID, author, reason string) error
	Restore(ctx context.Context, id tokens.ID) error
	// Show says, among other things, how long the token could live.
	Show(ctx context.Context, id tokens.ID) (tokens.Status, error)
}

// Revoker revokes. It is safe for concurrent use.
type Revoker struct {
	// Member is this gate's place among the gates. Required.
	Member *Member
	// Tombstones is the store. Required.
	Tombstones Tombstones
	// Now is the time of Redis. Required.
	Now func(context.Context) (time.Time, error)
	// Told hears of every rule that was made or lifted, with the error if that
	// could not be shown to hold; nil hears nothing. It must not block.
	Told func(rule Rule, receipt Receipt, err error)
	// MaxLife is the longest life of a token. A rule is forgotten when nothing
	// can live any more that it covers; 0 keeps rules for ever.
	MaxLife time.Duration
	// MaxAway is the longest time for which a gate that hears nothing keeps a grant
	// or a transfer. A change is forgotten some time after it; 0 keeps changes as
	// long as what they change may live.
	MaxAway time.Duration
}

// Errors of a Revoker, besides [ErrRule] and [tokens.ErrUnproven].
var (
	// ErrNoRule: there is no rule of that ID.
	ErrNoRule = errors.New("no such revocation rule")
)

// Revoke applies the rule and returns when that is true everywhere. Errors:
// [ErrRule], tokens.ErrUnknown, and a tokens.ErrUnproven that is an
// [*UnprovenError]. What runs on this gate is stopped also then.
func (r *Revoker) Revoke(ctx context.Context, rule Rule) (Receipt, error) {
	if err := rule.Validate(); err != nil {
		return Receipt{}, err
	}
	receipt, err := r.revoke(ctx, &rule)
	if !errors.Is(err, tokens.ErrUnknown) {
		r.tell(rule, receipt, err)
	}
	if err != nil {
		rule.Position = Position{Gen: math.MaxInt64}
		r.Member.opts.Apply(&rule)
	}
	return receipt, err
}

func (r *Revoker) tell(rule Rule, receipt Receipt, err error) {
	if r.Told != nil {
		r.Told(rule, receipt, err)
	}
}

func (r *Revoker) revoke(ctx context.Context, rule *Rule) (Receipt, error) {
	begin := time.Now()
	now, err := r.Now(ctx)
	if err != nil {
		return Receipt{}, rule.at(NotMade, fmt.Errorf("%w: %w", tokens.ErrUnproven, err))
	}
	rule.ID, rule.Version, rule.At, rule.Position = "rev_"+ulid.Make().String(), 1, now, Position{}
	if r.MaxLife > 0 && !rule.Standing {
		rule.Until = now.Add(r.MaxLife + afterlife)
	}
	if rule.Token != "" {
		// The record first says whether there is such a token. A request that
		// asks Redis from now on is refused, and one that asked before, or has
		// its grant from memory, has registered its transfer before it asked.
		if err := r.Tombstones.Revoke(ctx, rule.Token, rule.Author, rule.Reason); err != nil {
			return Receipt{}, rule.at(MaybeMade, err)
		}
		status, err := r.Tombstones.Show(ctx, rule.Token)
		if err != nil {
			return Receipt{}, rule.at(MaybeMade, err)
		}
		rule.Until = status.ExpiresAt.Add(afterlife)
	}
	return r.announce(ctx, rule, begin)
}

// afterlife is for how long a use may be resumed after its token has expired,
// and some.
const afterlife = tokens.MaxResumeWindow + time.Hour

// Lift ends a rule. What it covered works again, if no other rule covers it.
// Errors: [ErrNoRule], tokens.ErrReissued for a token in whose place another one
// was minted, and tokens.ErrUnproven, which is an [*UnprovenError] if the rule is
// known.
func (r *Revoker) Lift(ctx context.Context, id, author, reason string) (Receipt, error) {
	begin := time.Now()
	known := r.Member.Rules().Rule(id)
	if known == nil {
		return Receipt{}, cmp.Or(r.Member.Lease(), ErrNoRule) // without a lease it may not have heard of it
	}
	now, err := r.Now(ctx)
	if err != nil {
		return Receipt{}, known.at(NotMade, fmt.Errorf("%w: %w", tokens.ErrUnproven, err))
	}
	if err := r.mayRestore(ctx, known); err != nil {
		return Receipt{}, err
	}
	lifted := *known
	if !lifted.Lifted() {
		lifted.Version++
		lifted.LiftedAt, lifted.LiftedBy, lifted.LiftReason = now, author, reason
	}
	receipt, err := r.lift(ctx, &lifted, begin)
	r.tell(lifted, receipt, err)
	return receipt, err
}

// mayRestore asks whether the token of a rule may work again.
func (r *Revoker) mayRestore(ctx context.Context, known *Rule) error {
	if known.Token == "" {
		return nil
	}
	status, err := r.Tombstones.Show(ctx, known.Token)
	switch {
	case errors.Is(err, tokens.ErrUnknown):
		return nil // there is nothing to restore
	case err != nil:
		return known.at(NotMade, err)
	case status.ReissuedAs != "":
		return tokens.ErrReissued
	}
	return nil
}

func (r *Revoker) lift(ctx context.Context, lifted *Rule, begin time.Time) (Receipt, error) {
	receipt, err := r.announce(ctx, lifted, begin)
	// This gate may be one of those that were silent, and know it as it was.
	if err != nil || lifted.Token == "" || r.Member.Rules().names(lifted.Token, lifted.ID) {
		return receipt, err
	}
	// The mark goes last: until then the token is refused, which is safe.
	if err := r.Tombstones.Restore(ctx, lifted.Token); err != nil && !errors.Is(err, tokens.ErrUnknown) {
		return Receipt{}, lifted.at(MaybeMade, err)
	}
	return receipt, nil
}

// announce appends a rule, or its later version, and waits until it counts
// everywhere.
func (r *Revoker) announce(ctx context.Context, rule *Rule, begin time.Time) (Receipt, error) {
	m := r.Member
	lease := m.opts.Lease
	a, err := m.log.append(ctx, rule, m.Position().Gen, m.watch())
	if err != nil {
		return Receipt{}, rule.at(MaybeMade, err)
	}
	// A gate that renewed its lease before the append may serve until then,
	// whatever it has heard.
	deadline := m.opts.Clock() + lease + lease/10
	m.wake()
	receipt := Receipt{ID: rule.ID, Durability: m.Durability(), AcknowledgedBy: []string{}, ExpiredLeases: []string{}}
	if err := r.collect(ctx, &a, deadline, &receipt); err != nil {
		return Receipt{}, rule.at(Made, err)
	}
	if known := m.Rules().entry(rule.ID); a.doubtful && (known == nil || known.Version < rule.Version) {
		return Receipt{}, rule.at(MaybeMade, fmt.Errorf("%w: redis may have lost the rule", tokens.ErrUnproven))
	}
	effect, err := m.log.effect(ctx, rule.ID, Effect{})
	if err != nil {
		return Receipt{}, rule.at(Made, err)
	}
	receipt.Cut, receipt.Committing = effect.Stopped, effect.Committing
	receipt.TookMS = float64(time.Since(begin).Microseconds()) / 1000
	return receipt, nil
}

// collect waits until every gate has acknowledged the entry or cannot hold a
// lease any more.
func (r *Revoker) collect(ctx context.Context, a *appended, deadline time.Duration, receipt *Receipt) error {
	m := r.Member
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		head, members, err := m.log.gates(ctx)
		over := m.opts.Clock() >= deadline
		if err != nil && (over || ctx.Err() != nil) {
			return err
		}
		if err == nil {
			a.doubtful = a.doubtful || head.Gen != a.head.Gen || head.Seq < a.head.Seq
			a.settle(members, receipt)
			if len(a.members) == 0 && (!a.fresh && !a.doubtful || over) || fault.On(fault.RevokeUnwaited) {
				break
			}
		}
		if over {
			return r.expire(ctx, a, receipt)
		}
		pause(ctx, wait)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", tokens.ErrUnproven, ctx.Err())
		}
	}
	slices.Sort(receipt.AcknowledgedBy)
	return nil
}

// settle takes those off the list who have acknowledged, or have left. Whom a new
// life of Redis does not know may also have been forgotten.
func (a *appended) settle(members map[string]string, receipt *Receipt) {
	for id := range a.members {
		renewal, there := members[id]
		gate := readRenewal(renewal)
		if there && gate.at.Seq < a.head.Seq || !there && a.doubtful {
			continue
		}
		if there {
			receipt.AcknowledgedBy = append(receipt.AcknowledgedBy, gate.name)
		}
		delete(a.members, id)
	}
}

// expire names those who were silent, and takes them off the list of gates, so
// that nobody waits for them again.
func (r *Revoker) expire(ctx context.Context, a *appended, receipt *Receipt) error {
	for id, renewal := range a.members {
		receipt.ExpiredLeases = append(receipt.ExpiredLeases, readRenewal(renewal).name)
		if err := r.Member.log.leave(ctx, id, renewal); err != nil {
			return err
		}
	}
	slices.Sort(receipt.AcknowledgedBy)
	slices.Sort(receipt.ExpiredLeases)
	return nil
}
