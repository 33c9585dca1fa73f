package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"s3gate/internal/s3gatetest"
	"s3gate/tokens"
)

// oracle is a Redis that permits what its grants permit, and counts how often
// it is asked.
type oracle struct {
	tokens.Redis
	asked atomic.Int64

	mu     sync.Mutex
	now    time.Time
	grants map[tokens.ID]tokens.Grant
	// replying runs before each reply, and after it was decided on; nil does
	// nothing.
	replying func()
}

func newOracle(grants ...tokens.Grant) *oracle {
	o := &oracle{now: noon, grants: map[tokens.ID]tokens.Grant{}}
	for _, g := range grants {
		o.grants[g.ID] = g
	}
	return o
}

func (o *oracle) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

// EvalSha answers redeem.lua as it is, and every other script with "ok".
func (o *oracle) EvalSha(_ context.Context, _ string, keys []string, args ...any) *redis.Cmd {
	o.asked.Add(1)
	id, _, _ := strings.Cut(strings.TrimPrefix(keys[0], "s3g:{"), "}")
	o.mu.Lock()
	g, ok := o.grants[tokens.ID(id)]
	answer := []any{args[0], "unknown"}
	switch {
	case len(keys) == 1:
		answer[1] = "ok"
	case ok:
		answer = []any{args[0], "ok", string(g.Operation[:1]), string(tokens.EncodeGrant(&g)), millis(g.ExpiresAt), "",
			strconv.FormatInt(g.MaxUses, 10), "", "", "", "1", millis(o.now)}
	}
	replying := o.replying
	o.mu.Unlock()
	if replying != nil {
		replying()
	}
	return redis.NewCmdResult(answer, nil)
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// lease is what a store with a cache asks of its gate, under a test's control.
type lease struct {
	life  atomic.Int64
	lost  atomic.Bool
	clock atomic.Int64
}

func (l *lease) valid() (int64, bool) { return l.life.Load(), !l.lost.Load() }

// cache are options for a cache that never fills up, which asks again after a
// minute.
func (l *lease) cache() tokens.CacheOptions {
	return tokens.CacheOptions{
		MaxEntries: 1000, Valid: l.valid,
		Clock: func() time.Duration { return time.Duration(l.clock.Load()) },
	}
}

// elapse lets the gate's time pass.
func (l *lease) elapse(d time.Duration) { l.clock.Add(int64(d)) }

// cached is a store with a cache on an oracle that knows one unlimited token.
type cached struct {
	*tokens.Store
	*oracle
	*lease
	t     *testing.T
	token tokens.Token
}

func newCached(t *testing.T) *cached {
	token, g := cachedGrant()
	c := &cached{oracle: newOracle(g), lease: &lease{}, t: t, token: token}
	c.Store = newStore(t, c.oracle, tokens.Options{Cache: c.cache()})
	return c
}

func cachedGrant() (tokens.Token, tokens.Grant) {
	token, g := tokens.Generate(), typicalGrant()
	g.ID, g.MaxUses = token.ID(), 0
	return token, g
}

// look redeems the token.
func (c *cached) look() *tokens.Use {
	c.t.Helper()
	return redeem(c.t, c.Store, c.token)
}

// wantAsked redeems the token and says how often Redis was asked for that.
func (c *cached) wantAsked(what string, want int64) *tokens.Use {
	c.t.Helper()
	before := c.asked.Load()
	use := c.look()
	if n := c.asked.Load() - before; n != want {
		c.t.Errorf("%s: Redis was asked %d times, want %d", what, n, want)
	}
	return use
}

// counter counts the commands of a client.
type counter struct{ n atomic.Int64 }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

func eachRedis(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("miniredis", func(t *testing.T) { test(t, miniredis.RunT(t).Addr()) })
	t.Run("Redis", func(t *testing.T) { test(t, s3gatetest.Redis(t)) })
}

// Under a lease a use of a token without limit takes no command from its
// redemption to its end, and every other token takes one at least.
func TestCacheSparesRedisForUnlimitedTokens(t *testing.T) {
	passcode, err := tokens.HashPasscode("1234")
	if err != nil {
		t.Fatal(err)
	}
	eachRedis(t, func(t *testing.T, addr string) {
		rdb, count := newClient(t, addr, -1), &counter{}
		rdb.AddHook(count)
		s := newStore(t, rdb, tokens.Options{Cache: (&lease{}).cache()})
		for _, tt := range []struct {
			name  string
			grant tokens.Grant
			kept  bool
		}{
			{"get", tokens.Grant{}, true},
			{"put", tokens.Grant{Operation: tokens.Put}, true},
			{"of a folder, listed", tokens.Grant{Prefix: "a/", List: true}, true},
			{"with networks, rate and bandwidth", tokens.Grant{Clients: []string{"192.0.2.0/24"}, RequestsPerSecond: 1, Bandwidth: 1024}, true},
			{"cut at expiry", tokens.Grant{CutAtExpiry: true}, true},
			{"limited", tokens.Grant{MaxUses: 100}, false},
			{"limited, resumable", tokens.Grant{MaxUses: 100, ResumeWindow: tokens.Duration(time.Minute)}, false},
			{"with a passcode", tokens.Grant{Passcode: passcode}, false},
			{"with a limit of transfers", tokens.Grant{MaxConcurrent: 5}, false},
		} {
			g := tt.grant
			g.Bucket, g.Operation = "media", tokens.Operation(strings.TrimSpace(string(g.Operation)))
			if g.Operation == "" {
				g.Operation = tokens.Get
			}
			if g.Prefix == "" {
				g.Key = "k"
			}
			token, _, err := s.Mint(t.Context(), g, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			use := func() int64 {
				t.Helper()
				before := count.n.Load()
				ask := tokens.Ask{Operation: g.Operation}
				if _, err := s.Look(t.Context(), token, ask); err != nil {
					t.Fatal(err)
				}
				u, err := s.Redeem(t.Context(), token, ask)
				if err == nil {
					err = u.Pin(t.Context(), tokens.Object{Size: 3, ETag: `"e"`}, 0, 3)
				}
				if err != nil {
					t.Fatal(err)
				}
				u.Commit(t.Context())
				if n, err := u.Allow(t.Context(), 3); n != 3 || err != nil {
					t.Fatal(n, err)
				}
				u.End(t.Context(), 3)
				return count.n.Load() - before
			}
			use()
			if n := use(); (n == 0) != tt.kept {
				t.Errorf("%s: %d commands", tt.name, n)
			}
		}
	})
}

// What Redis refuses is asked again each time, and so is what it does not
// know: the next answer may be another.
func TestCacheKeepsNoRefusals(t *testing.T) {
	eachRedis(t, func(t *testing.T, addr string) {
		rdb, count := newClient(t, addr, -1), &counter{}
		rdb.AddHook(count)
		l := &lease{}
		s := newStore(t, rdb, tokens.Options{Cache: l.cache()})
		now, err := s.Now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		early, _ := mintGrant(t, s, tokens.Grant{NotBefore: now.Add(time.Hour)}, 2*time.Hour)
		revoked := mint(t, s, 0)
		if err := s.Revoke(t.Context(), revoked.ID(), "", ""); err != nil {
			t.Fatal(err)
		}
		expired, _ := mintGrant(t, s, tokens.Grant{}, time.Hour)
		record, _, _, _ := tokens.Keys(expired.ID(), "")
		rdb.HSet(t.Context(), record, "x", 1)
		upload, _ := mintGrant(t, s, tokens.Grant{Operation: tokens.Put}, time.Hour)
		for _, tt := range []struct {
			name  string
			token tokens.Token
			want  error
		}{
			{"unknown", tokens.Generate(), tokens.ErrUnknown},
			{"early", early, tokens.ErrNotYet},
			{"revoked", revoked, tokens.ErrRevoked},
			{"expired", expired, tokens.ErrExpired},
			{"another operation", upload, tokens.ErrOperation},
		} {
			for range 3 {
				before := count.n.Load()
				if _, err := s.Redeem(t.Context(), tt.token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tt.want) {
					t.Errorf("%s: %v", tt.name, err)
				}
				if n := count.n.Load() - before; n == 0 {
					t.Errorf("%s: Redis was not asked", tt.name)
				}
			}
		}
		// Nor does a token that is kept permit another operation.
		if _, err := s.Redeem(t.Context(), upload, tokens.Ask{Operation: tokens.Put}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Redeem(t.Context(), upload, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrOperation) {
			t.Errorf("get with an upload token that is kept: %v", err)
		}
		if got := s.CacheStats(); got.Entries != 1 || got.Hits != 0 || got.Misses != 1 {
			t.Errorf("%+v, want one entry and one miss", got)
		}
	})
}

// An answer from memory is the one that Redis would give.
func TestCacheAnswersAsRedisDoes(t *testing.T) {
	c := newCached(t)
	first := c.wantAsked("first", 1)
	c.elapse(10 * time.Second)
	second := c.wantAsked("second", 0)
	if !reflect.DeepEqual(first.Grant, second.Grant) {
		t.Errorf("grants\n%+v\n%+v", first.Grant, second.Grant)
	}
	// Up to a millisecond is lost because Redis has cut its time to one.
	if got := first.ExpiresIn - second.ExpiresIn - 10*time.Second; got < 0 || got > time.Millisecond {
		t.Errorf("expires in %s and 10 s later in %s", first.ExpiresIn, second.ExpiresIn)
	}
	if first.Mark() == second.Mark() {
		t.Error("two uses have one mark")
	}
	for i, use := range []*tokens.Use{first, second} {
		if err := use.Pin(t.Context(), tokens.Object{Size: 5}, 0, 5); err != nil {
			t.Fatal(err)
		}
		use.Commit(t.Context())
		r, ended := use.End(t.Context(), 5)
		want := noon.Add(time.Duration(i) * 10 * time.Second)
		if !ended || r.Outcome != tokens.Complete || r.Token != c.token.ID() || !r.Began.Equal(want) {
			t.Errorf("use %d: receipt %+v, %t; want it to begin at %s", i, r, ended, want)
		}
	}
	c.CleanUpCache()
	if got := c.CacheStats(); got.Hits != 1 || got.Misses != 1 || got.Entries != 1 || got.Bytes == 0 {
		t.Errorf("%+v, want one of each", got)
	}
}

// The end of a token is judged by the time of Redis when it was asked and by
// what has passed on a clock since the question was sent, however long the
// answer took.
func TestCacheEndsWithTheToken(t *testing.T) {
	const took = 5 * time.Second
	c := newCached(t)
	// 20 s are left when Redis answers, and 5 s later the answer is here.
	c.oracle.set(func() {
		c.now = c.grants[c.token.ID()].ExpiresAt.Add(-20 * time.Second)
		c.replying = func() { c.elapse(took) }
	})
	c.wantAsked("first", 1)
	c.elapse(15*time.Second - time.Millisecond - 1)
	if use := c.wantAsked("at its end", 0); use.ExpiresIn != 1 {
		t.Errorf("expires in %s, want 1ns", use.ExpiresIn)
	}
	c.elapse(1)
	c.wantAsked("after it", 1)
}

// Redis is asked again when a grant is as old as it may be, counted from when
// the question was sent.
func TestCacheAge(t *testing.T) {
	c := newCached(t)
	c.oracle.set(func() { c.replying = func() { c.elapse(time.Second) } })
	c.wantAsked("first", 1)
	c.oracle.set(func() { c.replying = nil })
	c.elapse(59*time.Second - 1)
	c.wantAsked("just young enough", 0)
	c.elapse(1)
	c.wantAsked("a minute old", 1)
	c.wantAsked("fresh again", 0)
}

// Without a lease nothing is served from memory, and nothing in another life
// of Redis.
func TestCacheNeedsTheLease(t *testing.T) {
	c := newCached(t)
	c.wantAsked("first", 1)
	c.lost.Store(true)
	c.wantAsked("without a lease", 1)
	c.wantAsked("without a lease, again", 1)
	c.lost.Store(false)
	c.wantAsked("with a lease again", 0)
	c.life.Add(1)
	c.wantAsked("in another life", 1)
	c.wantAsked("in another life, again", 0)

	// What was asked without a lease, or in another life, is not kept.
	for _, tt := range []struct {
		name           string
		asking, answer func()
	}{
		{"asked without a lease", func() { c.lost.Store(true) }, func() { c.lost.Store(false) }},
		{"asked in another life", func() {}, func() { c.life.Add(1) }},
	} {
		c.Forget(c.token.ID())
		tt.asking()
		c.oracle.set(func() { c.replying = tt.answer })
		c.wantAsked(tt.name, 1)
		c.oracle.set(func() { c.replying = nil })
		c.wantAsked(tt.name+", and then", 1)
		c.wantAsked(tt.name+", and kept", 0)
	}
}

// drops are the ways in which a grant is thrown out of memory.
var drops = []struct {
	name string
	drop func(*tokens.Store, context.Context, tokens.ID) error
}{
	{"by its ID", func(s *tokens.Store, _ context.Context, id tokens.ID) error { s.Forget(id); return nil }},
	{"by what it permits", func(s *tokens.Store, _ context.Context, _ tokens.ID) error {
		s.ForgetFunc(func(g *tokens.Grant) bool { return g.Subject == "alice@example.com" })
		return nil
	}},
	{"by revoking", func(s *tokens.Store, ctx context.Context, id tokens.ID) error { return s.Revoke(ctx, id, "", "") }},
	{"by restoring", func(s *tokens.Store, ctx context.Context, id tokens.ID) error { return s.Restore(ctx, id) }},
}

func TestCacheForgets(t *testing.T) {
	for _, tt := range drops {
		c := newCached(t)
		other, g := cachedGrant()
		g.Subject = "bob"
		c.oracle.set(func() { c.grants[g.ID] = g })
		redeem(t, c.Store, other)
		c.look()
		if err := tt.drop(c.Store, t.Context(), c.token.ID()); err != nil {
			t.Fatal(err)
		}
		c.wantAsked("dropped "+tt.name, 1)
		before := c.asked.Load()
		redeem(t, c.Store, other)
		if c.asked.Load() != before {
			t.Errorf("dropped %s: another token went too", tt.name)
		}
	}
}

// An answer that was on its way when its grant was thrown out is not kept: it
// tells how things stood before.
func TestCacheDiscardsAnswersFromBeforeADrop(t *testing.T) {
	for _, tt := range drops {
		c := newCached(t)
		decided, deliver := make(chan struct{}), make(chan struct{})
		c.oracle.set(func() {
			c.replying = sync.OnceFunc(func() {
				close(decided)
				<-deliver
			})
		})
		done := make(chan error, 1)
		go func() {
			_, err := c.Redeem(t.Context(), c.token, tokens.Ask{Operation: tokens.Get})
			done <- err
		}()
		<-decided
		c.oracle.set(func() { c.replying = nil })
		if err := tt.drop(c.Store, t.Context(), c.token.ID()); err != nil {
			t.Fatal(err)
		}
		close(deliver)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := c.CacheStats().Entries; n != 0 {
			t.Errorf("dropped %s: %d entries, want none", tt.name, n)
		}
		c.wantAsked("dropped "+tt.name+" while it was asked", 1)
		c.wantAsked("asked after it was dropped "+tt.name, 0)
	}
}

// What changes and is thrown out then is never served as it was before to who
// asks after that, however many ask and throw out.
func TestCacheUnderParallelHitsAndDrops(t *testing.T) {
	const changes = 60
	c := newCached(t)
	id := c.token.ID()
	var known atomic.Int64 // what everybody must know by now
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := known.Load()
				use, err := c.Redeem(t.Context(), c.token, tokens.Ask{Operation: tokens.Get})
				if err != nil {
					t.Error(err)
					return
				}
				if got, _ := strconv.ParseInt(use.Grant.Labels["version"], 10, 64); got < least {
					t.Errorf("version %d was served after %d was known", got, least)
					return
				}
				if i == 0 {
					c.CacheStats()
				}
			}
		})
	}
	for n := range int64(changes) {
		c.oracle.set(func() {
			g := c.grants[id]
			g.Labels = map[string]string{"version": strconv.FormatInt(n, 10)}
			c.grants[id] = g
		})
		if n%2 == 0 {
			c.Forget(id)
		} else {
			c.ForgetFunc(func(g *tokens.Grant) bool { return len(g.Labels) > 0 })
		}
		known.Store(n)
		// Until somebody has it from memory, so that the next change finds it there.
		for hits := c.CacheStats().Hits; c.CacheStats().Hits == hits && !t.Failed(); {
			runtime.Gosched()
		}
	}
	c.look()
	c.wantAsked("in the end", 0)
	close(stop)
	wg.Wait()
}

// Both bounds hold: the number of grants, also of the smallest, and their
// bytes, also of few that are large.
func TestCacheBounds(t *testing.T) {
	for _, tt := range []struct {
		name       string
		entries    int
		bytes      int64
		text       int // bytes of a label
		atMost     int
		bytesCount int64 // the most
	}{
		{"entries", 10, 64 << 20, 1, 10, 64 << 20},
		{"a number that does not divide", 7, 64<<20 + 3, 1, 7, 64<<20 + 3},
		{"bytes", 1000, 20_000, 250, 10, 20_000},
		{"one", 1, 1 << 40, 1, 1, 1 << 40},
		{"too small for any", 10, 100, 1, 0, 0},
	} {
		l, o := &lease{}, newOracle()
		opts := l.cache()
		opts.MaxEntries, opts.MaxBytes = tt.entries, tt.bytes
		s := newStore(t, o, tokens.Options{Cache: opts})
		for range 5 * (tt.entries%100 + 10) {
			token, g := cachedGrant()
			g.Labels = map[string]string{"text": strings.Repeat("x", tt.text)}
			o.set(func() { o.grants[g.ID] = g })
			redeem(t, s, token)
		}
		s.CleanUpCache()
		got := s.CacheStats()
		if got.Entries > tt.atMost || got.Entries < tt.atMost/2 || got.Bytes > uint64(tt.bytesCount) {
			t.Errorf("%s: %+v, want at most %d entries and %d bytes", tt.name, got, tt.atMost, tt.bytesCount)
		}
	}
}

// What is counted against the bytes is at least what is taken, and not many
// times that.
func TestCacheBytesAreReal(t *testing.T) {
	const n = 4000
	small := tokens.Grant{Operation: tokens.Get, Bucket: "media", Key: "k"}
	labelled := small
	labelled.Labels = map[string]string{"a": "b"}
	large := typicalGrant()
	large.Labels = map[string]string{}
	for i := range 16 {
		large.Labels[fmt.Sprint("label-", i)] = strings.Repeat("v", i)
	}
	large.Clients = slices.Repeat([]string{"192.0.2.1/32"}, 16)
	for name, g := range map[string]tokens.Grant{"small": small, "with a label": labelled, "typical": typicalGrant(), "large": large} {
		g.MaxUses, g.ExpiresAt = 0, noon.Add(time.Hour)
		opts := (&lease{}).cache()
		opts.MaxEntries, opts.MaxBytes = 1<<22, 1<<30 // the share of each is less than it takes
		o := newOracle()
		s := newStore(t, o, tokens.Options{Cache: opts})
		before := heap()
		for range n {
			token := tokens.Generate()
			g.ID = token.ID()
			o.grants[g.ID] = g
			redeem(t, s, token)
			clear(o.grants)
		}
		s.CleanUpCache()
		taken := heap() - before
		counted := int64(s.CacheStats().Bytes)
		t.Logf("%s: a grant takes %d bytes and counts as %d", name, taken/n, counted/n)
		if s.CacheStats().Entries != n || counted < taken || counted > 4*taken {
			t.Errorf("%s: %d entries take %d bytes and count as %d", name, s.CacheStats().Entries, taken, counted)
		}
		runtime.KeepAlive(s)
	}
}

func heap() int64 {
	var m runtime.MemStats
	for range 2 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A store keeps nothing unless it is told how much, and when that may be
// served.
func TestCacheIsOffByDefault(t *testing.T) {
	l := &lease{}
	noEntries, noLease := l.cache(), l.cache()
	noEntries.MaxEntries, noLease.Valid = 0, nil
	for name, opts := range map[string]tokens.CacheOptions{"zero": {}, "no entries": noEntries, "no lease": noLease} {
		token, g := cachedGrant()
		o := newOracle(g)
		s := newStore(t, o, tokens.Options{Cache: opts})
		for range 3 {
			redeem(t, s, token)
		}
		s.Forget(token.ID())
		s.ForgetFunc(func(*tokens.Grant) bool { return true })
		if n := o.asked.Load(); n != 3 || s.CacheStats() != (tokens.CacheStats{}) {
			t.Errorf("%s: Redis was asked %d times of 3, %+v", name, n, s.CacheStats())
		}
	}
}

// A Store's own clock is good enough where the machine is never suspended.
func TestCacheWithoutClock(t *testing.T) {
	l := &lease{}
	opts := l.cache()
	opts.Clock = nil
	token, g := cachedGrant()
	o := newOracle(g)
	s := newStore(t, o, tokens.Options{Cache: opts})
	redeem(t, s, token)
	if use := redeem(t, s, token); o.asked.Load() != 1 || use.ExpiresIn <= 0 || use.ExpiresIn > g.ExpiresAt.Sub(noon) {
		t.Errorf("asked %d times, expires in %s", o.asked.Load(), use.ExpiresIn)
	}
	if !maps.Equal(g.Labels, redeem(t, s, token).Grant.Labels) {
		t.Error("another grant came back")
	}
}
