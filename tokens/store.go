package tokens

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/fault"
	"s3gate/internal/script"
)

// Redis is what a [Store] needs of a go-redis client: a standalone, Sentinel
// or Cluster client serves. It must be safe for concurrent use and stays the
// caller's to close, after the Store. Without ContextTimeoutEnabled in its
// options a call may outlast its context by the client's own timeouts. It may
// repeat commands: none has an effect twice.
type Redis interface {
	redis.Scripter
	Time(ctx context.Context) *redis.TimeCmd
	ZRem(ctx context.Context, key string, members ...any) *redis.IntCmd
	ZRange(ctx context.Context, key string, start, stop int64) *redis.StringSliceCmd
	ZRangeArgs(ctx context.Context, z redis.ZRangeArgs) *redis.StringSliceCmd
	Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error)
}

// Options configure a [Store]. The zero Options are ready to use.
type Options struct {
	// Limits bound what may be minted.
	Limits Limits
	// Retention is how long a dead token is remembered after its expiry, so
	// that it answers "expired" rather than "unknown"; 0 means 30 days.
	Retention time.Duration
	// ReserveTimeout is how long a download may hold a use without charging
	// it, before another may take the use: so that a gate that dies between
	// the two does not keep it. It should be longer than S3 takes to answer.
	// 0 means two minutes.
	ReserveTimeout time.Duration
	// BusyWait is how long a redemption waits for a use that another request
	// has reserved and not yet charged, and a transfer for a slot; 0 means one
	// second, negative not at all.
	BusyWait time.Duration
	// Receipts is how many receipts of a token's uses are kept with it; 0 means
	// 100.
	Receipts int64
	// Ended is told of each use that could be resumed, when that is over. The
	// store that notices first tells it, of whatever store the use was; after
	// a crash another may tell it again. It must not block. A store whose Ended
	// is nil does not look for them.
	Ended func(Receipt)
	// PasscodeTries is how many wrong passcodes one token takes within
	// PasscodeWindow, over all gates; 0 means 10.
	PasscodeTries int
	// PasscodeWindow is how long a wrong passcode counts; 0 means 15 minutes.
	PasscodeWindow time.Duration
	// MinAcks is how many replicas must have acknowledged what a token must not
	// lose, before it counts: its minting, uploads' reservations, charges, how
	// uses ended, revocation. With fewer there is [ErrUnproven]. 0 asks none.
	MinAcks int
	// AckTimeout is how long the replicas may take; 0 means a second.
	AckTimeout time.Duration
	// MintSecrets derive the tokens of requests that may come again; see
	// [Store.Reserve]. The first is for new requests, the others for those that
	// began under them. Each has [MinSecretBytes] at least. None takes no such
	// request.
	MintSecrets [][]byte
	// IdempotencyWindow is how long such a request is remembered; 0 means a day.
	IdempotencyWindow time.Duration
	// Cache says which grants are kept in memory; the zero value keeps none.
	Cache CacheOptions
	// Logger hears of uses that could not be settled; nil discards.
	Logger *slog.Logger

	// Tests have no patience, and small objects. 0 means the constant.
	sweepEvery, sweepAgain, holdFor time.Duration
	slice                           int64
	underWay                        time.Duration
}

// Store keeps grants and their uses in Redis. It is safe for concurrent use;
// any number of stores on one Redis act as one.
type Store struct {
	rdb     Redis
	scripts *script.Runner
	opts    Options // without what is adjusted
	settler *settler
	watched *script.Agenda
	cache   *grantCache // nil unless grants are kept
	counts  counts

	secrets  []mintSecret
	adjusted atomic.Pointer[Adjustable]

	stop  context.CancelFunc
	swept chan struct{}
}

// New returns a store on rdb. It starts goroutines, which [Store.Close] ends.
func New(rdb Redis, opts Options) *Store {
	opts.Retention = cmp.Or(opts.Retention, 30*24*time.Hour)
	opts.ReserveTimeout = cmp.Or(opts.ReserveTimeout, 2*time.Minute)
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
	opts.Receipts = cmp.Or(opts.Receipts, 100)
	opts.sweepEvery = cmp.Or(opts.sweepEvery, sweepEvery)
	opts.sweepAgain = cmp.Or(opts.sweepAgain, sweepAgain)
	opts.holdFor = cmp.Or(opts.holdFor, holdFor)
	opts.slice = cmp.Or(opts.slice, Slice)
	adjustable := opts.adjustable()
	opts.IdempotencyWindow = cmp.Or(opts.IdempotencyWindow, 24*time.Hour)
	opts.underWay = cmp.Or(opts.underWay, underWay)
	s := &Store{rdb: rdb, opts: opts, cache: newGrantCache(opts.Cache), swept: make(chan struct{})}
	s.Adjust(adjustable)
	s.scripts = script.NewRunner(rdb, script.Acks{Replicas: opts.MinAcks, Timeout: opts.AckTimeout})
	s.watched = &script.Agenda{Key: watchKey, Scripts: s.scripts, RDB: rdb}
	for _, secret := range opts.MintSecrets {
		s.secrets = append(s.secrets, mintSecret{&secret})
	}
	s.opts.MintSecrets = nil // no longer than needed where it could be printed
	s.settler = startSettler(s)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if opts.Ended == nil {
		close(s.swept)
	} else {
		go s.sweep(ctx)
	}
	return s
}

// Close tries once more to record uses whose end Redis has not acknowledged,
// until ctx is done. A use that stays unrecorded stays taken. Call it when no
// request is under way any more.
func (s *Store) Close(ctx context.Context) error {
	s.stop()
	select {
	case <-s.swept:
	case <-ctx.Done():
	}
	return s.settler.close(ctx)
}

// Now returns the time of Redis, the only clock that decides when a token
// begins and ends.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if fault.On(fault.LocalClock) {
		return fault.Now(), nil
	}
	t, err := s.rdb.Time(ctx).Result()
	if err != nil {
		return time.Time{}, unproven(err)
	}
	return t.UTC(), nil
}

// Mint stores a grant and returns the fresh token for it, with the grant as
// stored: ID and IssuedAt filled, times in UTC to the millisecond. If expires
// is not zero it replaces g.ExpiresAt by that long from now, by Redis time. It
// counts against the quotas. Errors: a [*FieldError] for a grant that is not
// valid, a [*QuotaError], [ErrUnproven].
//
// The token is returned here and never again.
func (s *Store) Mint(ctx context.Context, g Grant, expires time.Duration, quotas ...Quota) (Token, Grant, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return Token{}, Grant{}, err
	}
	if g, err = s.complete(g, expires, now); err != nil {
		return Token{}, Grant{}, err
	}
	token := Generate()
	g.ID = token.ID()
	taken, err := s.admit(ctx, g.ID, quotas)
	if err != nil {
		return Token{}, Grant{}, err
	}
	if err := s.mint(ctx, &g, now); err != nil {
		s.leave(ctx, g.ID, taken)
		return Token{}, Grant{}, err
	}
	s.hold(ctx, &g, quotas)
	return token, g, nil
}

func (s *Store) mint(ctx context.Context, g *Grant, now time.Time) error {
	if err := s.index(ctx, now, g); err != nil {
		return err
	}
	status, _, err := s.prove(ctx, mintScript, g.ID, []string{recordKey(g.ID)}, s.mintArgs(g)...)
	if err != nil {
		return err
	}
	return statusError(status)
}

// flag is how Redis has a yes or no.
func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}

func millis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Revoke marks a token as revoked: from its return on, no redemption of the
// token succeeds that asks Redis. This store forgets what it keeps of it;
// another that keeps grants in memory must be told to [Store.Forget] it.
// Revoking twice is no error and keeps the first author and reason. Errors:
// [ErrUnknown], [ErrUnproven].
//
// Other gates, and transfers that run, are not the store's concern; see package
// revocation.
func (s *Store) Revoke(ctx context.Context, id ID, author, reason string) error {
	status, _, err := s.prove(ctx, revokeScript, id, []string{recordKey(id)}, author, reason)
	s.Forget(id) // what was asked before Redis knew; also if its answer was lost
	if err != nil {
		return err
	}
	return statusError(status)
}

// Restore takes a revocation back: the token permits what it did before, as
// far as it is not used up or expired. Errors: [ErrUnknown], [ErrReissued],
// [ErrUnproven].
func (s *Store) Restore(ctx context.Context, id ID) error {
	status, _, err := s.prove(ctx, restoreScript, id, []string{recordKey(id)})
	s.Forget(id)
	if err != nil {
		return err
	}
	return statusError(status)
}
