package revocation

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"s3gate/internal/fault"
	"s3gate/internal/script"
	"s3gate/tokens"
)

var processStart = time.Now()

func monotonic() time.Duration { return time.Since(processStart) }

// MemberOptions configure a [Member]. The zero MemberOptions are ready to use.
type MemberOptions struct {
	// Name is the gate's name for people.
	Name string
	// Lease is how long the gate may serve after Redis has answered that it
	// knows everything; 0 means one second. It must be the same for all gates
	// on one Redis.
	Lease time.Duration
	// Fresh says that nobody else can have used this Redis, so that there is
	// nothing that it could have lost. Otherwise no gate gets a lease for two
	// leases after Redis has begun a new life, while gates give it back what it
	// has lost.
	Fresh bool
	// Replicas is how many replicas each primary of Redis should have, and
	// MinAcks how many of them must have acknowledged a lease and a rule before
	// they count. With fewer there is no lease, and nothing is revoked: so a
	// primary that was cut off from its replicas ends the leases that it gave.
	Replicas, MinAcks int
	// AckTimeout is how long the replicas may take; 0 means a second.
	AckTimeout time.Duration
	// Check finds further reasons not to rely on Redis. It is asked at the
	// beginning of each of its lives, and once a minute; nil finds none.
	Check func(context.Context) error
	// AllowUnsafe serves also from a Redis that cannot be relied on, as one
	// that may evict keys when its memory is full, and only warns.
	AllowUnsafe bool
	// Held is told that the lease has come, or was lost; nil is told nothing. It must
	// not block.
	Held func(bool)
	// Apply is told of every rule that has come or changed, after it counts
	// and before that is acknowledged. It must make sure that nothing of what
	// the rule covers goes on, return then, and say what it has stopped.
	Apply func(*Rule) Effect
	// Answer answers what another gate asks; see [Transfers.Answer]. It must be
	// safe for concurrent use.
	Answer func(question string) string
	// MaxLife is the longest life that this gate may give to a token, and all gates
	// know of before there is a lease: rules are kept as long as tokens may live
	// that they cover. See [Member.Permit].
	MaxLife time.Duration
	// Logger hears when the lease is lost and when it is back; nil discards.
	Logger *slog.Logger
	// Clock is a clock that also runs while the machine is suspended; nil
	// takes the system's.
	Clock func() time.Duration
}

// Member is a gate's part in revocation: it follows the log, acknowledges what
// it has applied, and holds a lease while Redis has confirmed lately that it
// knows everything. It is safe for concurrent use.
type Member struct {
	log  log
	id   string
	opts MemberOptions

	rules   atomic.Pointer[Rules]
	until   atomic.Int64 // of the lease, by the clock
	permits atomic.Int64 // the longest life that this gate may permit
	known   atomic.Int64 // and that any gate may have permitted, as Redis has it
	held    atomic.Bool  // whether the lease was there last, for the logger

	onDisk  atomic.Bool     // Redis has on disk what it acknowledges
	refused atomic.Bool     // Redis is not one to be relied on
	warned  atomic.Bool     // of that
	seen    map[string]bool // questions; for keep only

	mu      sync.Mutex
	at      place
	now     time.Time     // of Redis, when it was last heard of
	renewed chan struct{} // closed at the next renewal of the lease

	kick   chan struct{}
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Join starts to follow the log. The lease comes as soon as Redis has
// answered; see [Member.Await]. [Member.Leave] ends it.
func Join(rdb Redis, opts MemberOptions) *Member {
	opts.Lease = cmp.Or(opts.Lease, time.Second)
	if opts.Apply == nil {
		opts.Apply = func(*Rule) Effect { return Effect{} }
	}
	if opts.Answer == nil {
		opts.Answer = func(string) string { return "" }
	}
	if opts.Clock == nil {
		opts.Clock = BootClock
	}
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
	scripts := script.NewRunner(rdb, script.Acks{Replicas: opts.MinAcks, Timeout: opts.AckTimeout})
	m := &Member{log: log{rdb, scripts}, id: ulid.Make().String(), opts: opts, renewed: make(chan struct{}), kick: make(chan struct{}, 1)}
	m.rules.Store(NewRules(nil))
	m.permits.Store(int64(opts.MaxLife))
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.wg.Go(func() { m.keep(ctx) })
	go m.follow(ctx)
	return m
}

// Leave stops following and hands the lease back, so that nobody has to wait
// for this gate. A wait for entries that is under way ends a little later.
func (m *Member) Leave(ctx context.Context) {
	m.cancel()
	m.wg.Wait()
	m.until.Store(0)
	_, members, err := m.log.gates(ctx)
	if err == nil {
		_ = m.log.leave(ctx, m.id, members[m.id])
	}
}

// Rules are the rules that count now.
func (m *Member) Rules() *Rules { return m.rules.Load() }

// Position is how much of the log the gate has applied.
func (m *Member) Position() Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at.Position
}

// Remaining is how long the lease still lasts; not more than 0 without one.
func (m *Member) Remaining() time.Duration {
	if fault.On(fault.LeaseIgnored) {
		return m.opts.Lease
	}
	return time.Duration(m.until.Load()) - m.opts.Clock()
}

// ErrNoLease is returned while Redis has not confirmed for too long that the
// gate knows everything. It is a [tokens.ErrUnproven].
var ErrNoLease = fmt.Errorf("%w: no lease", tokens.ErrUnproven)

// Lease returns nil while the gate may serve, and else [ErrNoLease].
func (m *Member) Lease() error {
	if m.Remaining() <= 0 {
		return ErrNoLease
	}
	return nil
}

// Await returns when there is a lease, or the error of ctx.
func (m *Member) Await(ctx context.Context) error {
	for {
		m.mu.Lock()
		renewed := m.renewed
		m.mu.Unlock()
		if m.Remaining() > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-renewed:
		}
	}
}

// Permit returns when all gates keep rules for as long as tokens of this life may
// live, or the error of ctx. Until then this gate must not give out any. It never
// becomes shorter.
func (m *Member) Permit(ctx context.Context, life time.Duration) error {
	m.mu.Lock()
	m.permits.Store(max(m.permits.Load(), int64(life)))
	m.mu.Unlock()
	for {
		m.mu.Lock()
		renewed := m.renewed
		m.mu.Unlock()
		if m.known.Load() >= int64(life.Truncate(time.Millisecond)) {
			return nil
		}
		m.wake()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-renewed:
		}
	}
}

// longest is the longest life that any gate may have permitted.
func (m *Member) longest() time.Duration { return time.Duration(max(m.known.Load(), m.permits.Load())) }

// keep renews the lease three times in its life, and when it is woken.
func (m *Member) keep(ctx context.Context) {
	var pruned, inspected time.Time
	var life int64 // of Redis
	for {
		pause := m.opts.Lease / 3
		if gen := m.Position().Gen; inspected.IsZero() || gen != life || time.Since(inspected) > inspectEvery {
			first := inspected.IsZero() || gen != life
			inspected, life = time.Now(), gen
			m.inspection(ctx, first && m.Remaining() <= 0)
		}
		err := m.renew(ctx)
		if err != nil {
			pause = min(pause, 100*time.Millisecond)
		}
		m.note(err)
		if m.Position().Gen != life {
			pause = 0 // to be looked at
		}
		if time.Since(pruned) > pruneEvery && err == nil {
			pruned = time.Now()
			m.prune(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.kick:
		case <-time.After(pause):
		}
	}
}

const (
	// inspectEvery is how often Redis is asked about itself, besides at the
	// beginning of each of its lives.
	inspectEvery = time.Minute
	// pruneEvery is how often rules are forgotten, and pruneMost how many at
	// a time.
	pruneEvery = time.Minute
	pruneMost  = 500
)

// prune forgets rules that have outlived what they cover.
func (m *Member) prune(ctx context.Context) {
	m.mu.Lock()
	now := m.now
	m.mu.Unlock()
	rules := m.rules.Load()
	ids := rules.over(now, m.longest(), pruneMost)
	if len(ids) == 0 {
		return
	}
	m.rules.Store(rules.without(ids))
	if err := m.log.prune(ctx, ids); err != nil {
		m.opts.Logger.Warn("forgetting old revocation rules", "err", err)
	}
}

// note logs that the lease was lost, and that it is back.
func (m *Member) note(err error) {
	held := m.Remaining() > 0
	if m.held.Swap(held) == held {
		return
	}
	if m.opts.Held != nil {
		m.opts.Held(held)
	}
	if held {
		m.opts.Logger.Info("lease held")
	} else {
		m.opts.Logger.Warn("lease lost, nothing is served until it is back", "err", err)
	}
}

// followBlock bounds one wait for an entry, since a blocked command does not
// hear that the member leaves.
const followBlock = 250 * time.Millisecond

// follow waits for entries, so that they need not wait for the next renewal.
func (m *Member) follow(ctx context.Context) {
	for ctx.Err() == nil {
		seen := m.Position().Seq
		found, err := m.log.rdb.XRead(ctx, &redis.XReadArgs{
			Streams: []string{logKey, strconv.FormatInt(seen, 10) + "-0"}, Count: 1, Block: followBlock,
		}).Result()
		switch {
		case err == nil && len(found) > 0:
			m.wake()
			m.settle(ctx, seen)
		case err != nil && err != redis.Nil:
			pause(ctx, 100*time.Millisecond)
		}
	}
}

// settle waits a little until an entry that was seen is applied.
func (m *Member) settle(ctx context.Context, seen int64) {
	for range 20 {
		if m.Position().Seq > seen || ctx.Err() != nil {
			return
		}
		pause(ctx, 5*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (m *Member) wake() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// catchUp bounds how often a renewal is repeated because there was something
// to apply. Each of them renews the lease, so a constant stream of entries
// does not starve it.
const catchUp = 20

// watch is for how long a new life of Redis is watched.
func (m *Member) watch() time.Duration {
	if m.opts.Fresh {
		return 0
	}
	return 2 * m.opts.Lease
}

// renew asks until everything that Redis has is applied and acknowledged.
func (m *Member) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(m.opts.Lease, 200*time.Millisecond))
	defer cancel()
	for range catchUp {
		m.mu.Lock()
		at := m.at
		m.mu.Unlock()
		sent := m.opts.Clock()
		r, err := m.log.renew(ctx, m.id, string(m.Durability())+" "+m.opts.Name, at, m.watch(), time.Duration(m.permits.Load()))
		if err != nil {
			return err
		}
		if r.off || len(r.entries) == renewMost || !m.applyEntries(ctx, r.entries) {
			if err := m.reload(ctx); err != nil {
				return err
			}
			continue
		}
		m.known.Store(int64(r.longest))
		m.mu.Lock()
		m.now = r.now
		m.mu.Unlock()
		if fault.On(fault.NotSettled) {
			r.settling = false
		}
		m.answer(ctx, r.questions)
		if m.reached(r.head) && !r.settling && !m.refused.Load() {
			m.extend(sent + m.opts.Lease)
		}
		if len(r.entries) == 0 {
			return nil
		}
	}
	return nil
}

// reached reports whether everything up to head is applied.
func (m *Member) reached(head place) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.Seq != head.Seq || m.at.chain != head.chain {
		return false
	}
	m.at.Gen = head.Gen
	return true
}

// extend makes the lease last until then.
func (m *Member) extend(until time.Duration) {
	m.until.Store(int64(until))
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.renewed)
	m.renewed = make(chan struct{})
}

// applyEntries applies what follows on what is applied already; it reports
// false if something does not follow or cannot be read. A rule that has changed
// since counts as it is now: it may have been lifted.
func (m *Member) applyEntries(ctx context.Context, entries []entry) bool {
	m.mu.Lock()
	at := m.at
	m.mu.Unlock()
	last := map[string]int64{}
	for _, e := range entries {
		last[e.id] = e.seq
	}
	var rules []*Rule
	sound := true
	for _, e := range entries {
		if sound = e.follows(at); !sound {
			break
		}
		r, err := decodeRule(e.id, e.value)
		if err != nil {
			m.opts.Logger.Error("applying a revocation rule", "err", err)
			sound = false
			break
		}
		if last[e.id] == e.seq {
			rules = append(rules, r)
		}
		at = place{Position{e.gen, e.seq}, e.chain}
	}
	m.apply(ctx, rules)
	m.mu.Lock()
	m.at = at
	m.mu.Unlock()
	return sound
}

// apply makes rules count that are new or have changed: all at once, since the
// lease is not renewed meanwhile.
func (m *Member) apply(ctx context.Context, rules []*Rule) {
	known := m.rules.Load()
	rules = slices.DeleteFunc(rules, func(r *Rule) bool {
		old := known.entry(r.ID)
		return fault.On(fault.EntrySkipped) || r.Lifted() && fault.On(fault.LiftSkipped) || old != nil && old.Version >= r.Version
	})
	if len(rules) == 0 {
		return
	}
	m.rules.Store(known.With(rules...))
	for _, r := range rules {
		if err := m.enforce(ctx, r); err != nil {
			m.opts.Logger.Warn("telling what a revocation stopped", "rule", r.ID, "err", err)
		}
	}
}

// enforce stops what a rule covers, and tells what that was: the transfers
// are stopped whether that arrives or not.
func (m *Member) enforce(ctx context.Context, r *Rule) error {
	e := m.opts.Apply(r)
	if e.Stopped == 0 && len(e.Committing) == 0 {
		return nil
	}
	// Stopping may have taken as long as the renewal may.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.opts.Lease)
	defer cancel()
	_, err := m.log.effect(ctx, r.ID, e)
	return err
}

// reload reads everything, and gives Redis back what it has lost.
func (m *Member) reload(ctx context.Context) error {
	head, theirs, err := m.log.load(ctx)
	if err != nil {
		return err
	}
	mine := m.rules.Load()
	if fault.On(fault.SeqTrusted) {
		theirs = slices.DeleteFunc(theirs, func(r *Rule) bool { return r.Position.Seq <= m.Position().Seq })
	}
	merged := NewRules(append(theirs, mine.entries()...))
	m.rules.Store(merged)
	known := NewRules(theirs)
	for _, r := range merged.entries() {
		if old := mine.entry(r.ID); old == nil || old.Version < r.Version {
			_ = m.enforce(ctx, r)
		}
	}
	m.mu.Lock()
	gen, now := m.at.Gen, m.now
	m.mu.Unlock()
	for _, r := range mine.entries() {
		if there := known.entry(r.ID); there != nil && there.Version >= r.Version || r.over(now, m.longest()) || fault.On(fault.NotGivenBack) {
			continue
		}
		if _, err := m.log.append(ctx, r, gen, m.watch()); err != nil {
			return err
		}
		m.opts.Logger.Warn("a revocation rule that Redis had lost was given back", "rule", r.ID)
	}
	// Only now: from a place in another log the next renewal comes back here, if
	// not everything could be given back.
	m.mu.Lock()
	m.at = head
	m.mu.Unlock()
	return nil
}
