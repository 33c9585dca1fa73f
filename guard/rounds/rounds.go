// Package rounds makes the rounds of a gate's buckets: it verifies each with
// real requests when the first gate starts and then at an interval, and tells
// when one is not locked any more.
//
// The gates share one round for each bucket and interval, and what it has found,
// through Redis. The invariants: a bucket is called locked only after
// [guard.VerifyWith] has seen it; a store or a Redis that cannot be reached makes
// a bucket's state unknown, and neither locked nor unlocked; and a change of
// state is told once, by the gate that found it, unless that dies in between.
//
// Without Redis there are no rounds, but for those that somebody asks for, since
// nobody could say whose turn it is. What was known counts for two intervals then,
// and no longer.
//
// Nothing here is on the path of a link's request.
package rounds

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"s3gate/guard"
	"s3gate/s3client"
)

// Board is where gates share what rounds find. It must be safe for concurrent
// use. Errors wrap [ErrBoard].
type Board interface {
	// Claim reports whether this gate is to make the round of what [Bucket.Key]
	// names. If it notes nothing within life another gate is to.
	Claim(ctx context.Context, of string, life time.Duration) (bool, error)
	// Note notes a finding and returns the state of the one before, "" if there
	// was none. The next round is to be made again later.
	Note(ctx context.Context, of string, f Finding, again time.Duration) (before State, err error)
	// Read returns the last finding; Unknown without a time if there is none.
	Read(ctx context.Context, of string) (Finding, error)
}

// Bucket is a bucket to verify.
type Bucket struct {
	// Alias is what the gates call it.
	Alias string
	// Key names what is verified, and how: gates share a finding under one name, so
	// it must be another one for another bucket, or part of one. "" is the alias.
	Key string
	// Signing is the form in which the gate signs.
	Signing s3client.Signing
	// Verify makes the requests, such as with [guard.VerifyWith]; nil for a bucket
	// that is not to be verified.
	Verify func(ctx context.Context) (guard.Report, error)
}

// Rounds verifies buckets. Fill the fields, then Run it; its methods are safe for
// concurrent use.
type Rounds struct {
	Buckets []Bucket
	Board   Board
	// Interval is how often each bucket is verified by one of the gates; more
	// than 0.
	Interval time.Duration
	// Gate names this gate in what it finds.
	Gate string
	// Told hears of each change of a bucket's state that this gate has found, and
	// of the first; nil hears nothing. It must not block.
	Told func(before State, f Finding)
	// Metrics count and show; nil does not.
	Metrics *Metrics
	// Logger hears of rounds that came to nothing; nil discards.
	Logger *slog.Logger

	mu    sync.Mutex
	known map[string]Finding
}

const (
	// look is how often a gate asks, on average, whether a round is due, and what
	// others have found.
	look = 10 * time.Second
	// retry is after how long a round is made again that came to nothing, unless
	// Interval is less.
	retry = time.Minute
	// patience bounds one round.
	patience = 25 * time.Second
	// noting bounds how long it takes to note what was found.
	noting = 10 * time.Second
	// claimLife is how long others wait for what a gate finds: one that dies in
	// a round costs that, and not an interval.
	claimLife = 2 * patience
)

// ErrBucket is an alias of no bucket that is verified.
var ErrBucket = errors.New("no such bucket is verified")

// Run makes the rounds until ctx is done.
func (r *Rounds) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, b := range r.watched() {
		wg.Go(func() { r.watch(ctx, b) })
	}
	wg.Wait()
}

func (r *Rounds) watched() []Bucket {
	return slices.DeleteFunc(slices.Clone(r.Buckets), func(b Bucket) bool { return b.Verify == nil })
}

func (r *Rounds) watch(ctx context.Context, b Bucket) {
	for ctx.Err() == nil {
		r.step(ctx, b)
		select {
		case <-ctx.Done():
		case <-time.After(look/2 + rand.N(look)): // gates drift apart
		}
	}
}

// step makes a round if one is due, or learns what others have found.
func (r *Rounds) step(ctx context.Context, b Bucket) {
	mine, err := r.Board.Claim(ctx, b.key(), claimLife)
	if err == nil && mine {
		_, err = r.round(ctx, b)
	} else if err == nil {
		err = r.learn(ctx, b)
	}
	if f := r.last(b.Alias); r.stale(f) {
		r.Metrics.forget(b.Alias)
	}
	if err != nil && ctx.Err() == nil {
		r.Metrics.failed(b.Alias)
		r.logger().Debug("asking what is known of a bucket", "bucket", b.Alias, "err", err)
	}
}

// round verifies a bucket and notes what came of it.
func (r *Rounds) round(ctx context.Context, b Bucket) (Finding, error) {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	report, err := b.Verify(bounded)
	if ctx.Err() != nil { // this gate ends: that says nothing of the bucket
		return Finding{}, ctx.Err()
	}
	f, readErr := r.Board.Read(ctx, b.key())
	if readErr != nil {
		f = r.last(b.Alias)
	}
	f.Bucket, f.Signing, f.Watched = b.Alias, b.Signing, true
	f.take(report, err, time.Now().UTC(), r.Gate)
	again := r.Interval
	if again > 0 {
		again -= rand.N(max(again/10, 1))
	} else {
		again = claimLife // nobody makes rounds, and somebody asked for this one
	}
	if f.State == Unknown {
		again = min(retry, again)
		r.Metrics.failed(b.Alias)
	}
	r.keep(f)
	// Once noted it counts as told, so a gate that ends now still tells it.
	noted, done := context.WithTimeout(context.WithoutCancel(ctx), noting)
	defer done()
	before, err := r.Board.Note(noted, b.key(), f, again)
	if err != nil {
		return f, err
	}
	r.tell(before, f, report.Left)
	return f, nil
}

// tell says what has changed.
func (r *Rounds) tell(before State, f Finding, left []string) {
	if len(left) > 0 {
		r.logger().Warn("canaries could not be removed", "bucket", f.Bucket, "keys", left)
	}
	if before == f.State {
		return
	}
	level := slog.LevelInfo
	if f.State == Unlocked || f.State == Unknown {
		level = slog.LevelWarn
	}
	r.logger().Log(context.Background(), level, "bucket verified", "bucket", f.Bucket, "state", f.State, "before", before, "err", f.Error)
	if r.Told != nil {
		r.Told(before, f)
	}
}

// learn takes over what another gate has found.
func (r *Rounds) learn(ctx context.Context, b Bucket) error {
	f, err := r.Board.Read(ctx, b.key())
	if err == nil {
		f.Bucket = b.Alias
		r.keep(f)
	}
	return err
}

func (r *Rounds) keep(f Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]Finding{}
	}
	r.known[f.Bucket] = f
	r.Metrics.show(f)
}

// last is what this gate knows without asking.
func (r *Rounds) last(alias string) Finding {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f, ok := r.known[alias]; ok {
		return f
	}
	return Finding{Bucket: alias, State: Unknown}
}

// stale reports whether nothing was heard of a bucket for so long that what was
// known counts no more: rounds are not made, or Redis cannot be asked for them.
func (r *Rounds) stale(f Finding) bool {
	return r.Interval > 0 && time.Since(f.TriedAt) > 2*r.Interval
}

// Unsafe names the buckets that are not locked, or of which this gate does not
// know, or has heard nothing for two intervals. A round that came to nothing
// leaves what was known before.
func (r *Rounds) Unsafe() (aliases []string) {
	for _, b := range r.watched() {
		if f := r.last(b.Alias); !f.Safe() || r.stale(f) {
			aliases = append(aliases, b.Alias)
		}
	}
	return aliases
}

// Finding returns what was found of a bucket last. Errors: [ErrBoard]. Of a
// bucket that is not verified nothing is known.
func (r *Rounds) Finding(ctx context.Context, alias string) (Finding, error) {
	b := r.bucket(alias)
	if b == nil {
		return Finding{Bucket: alias, State: Unknown}, nil
	}
	f, err := r.Board.Read(ctx, b.key())
	f.Bucket, f.Signing, f.Watched = alias, b.Signing, b.Verify != nil
	return f, err
}

// Verify makes a round of one bucket now. Errors: [ErrBucket], [ErrBoard]; that
// the bucket could not be verified is in the finding.
func (r *Rounds) Verify(ctx context.Context, alias string) (Finding, error) {
	b := r.bucket(alias)
	if b == nil || b.Verify == nil {
		return Finding{}, ErrBucket
	}
	return r.round(ctx, *b)
}

// key names the bucket's findings.
func (b *Bucket) key() string { return cmp.Or(b.Key, b.Alias) }

// bucket returns the one with an alias, or nil.
func (r *Rounds) bucket(alias string) *Bucket {
	i := slices.IndexFunc(r.Buckets, func(b Bucket) bool { return b.Alias == alias })
	if i < 0 {
		return nil
	}
	return &r.Buckets[i]
}

func (r *Rounds) logger() *slog.Logger {
	if r.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Logger
}
