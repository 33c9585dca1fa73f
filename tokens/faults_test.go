package tokens_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"s3gate/internal/s3gatetest"
	"s3gate/tokens"
)

// Only the time of Redis decides when a token begins and ends, however wrong
// the clock of the gate is (T17).
func TestRedisTimeDecides(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		ahead time.Duration // of Redis, to the local clock
	}{
		{"gate an hour behind", time.Hour},
		{"gate an hour ahead", -time.Hour},
		{"gate years behind", 20 * 365 * 24 * time.Hour},
		{"gate years ahead", -20 * 365 * 24 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := t.Context()
			m := miniredis.RunT(t)
			now := time.Now().Add(tt.ahead).Truncate(time.Millisecond).UTC()
			m.SetTime(now)
			s := newStore(t, newClient(t, m.Addr(), -1), tokens.Options{})
			token, g, err := s.Mint(ctx, tokens.Grant{
				Operation: tokens.Get, Bucket: "b", Key: "k", NotBefore: now.Add(time.Second),
			}, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if !g.IssuedAt.Equal(now) || !g.ExpiresAt.Equal(now.Add(time.Minute)) {
				t.Errorf("issued at %s, expires at %s; want %s and a minute later", g.IssuedAt, g.ExpiresAt, now)
			}
			for _, step := range []struct {
				at    time.Duration
				want  error
				state tokens.State
			}{
				{0, tokens.ErrNotYet, tokens.Pending},
				{time.Second - time.Millisecond, tokens.ErrNotYet, tokens.Pending},
				{time.Second, nil, tokens.Active},
				{time.Minute - time.Millisecond, nil, tokens.Active},
				{time.Minute, tokens.ErrExpired, tokens.Expired},
				{29 * 24 * time.Hour, tokens.ErrExpired, tokens.Expired},
			} {
				m.SetTime(now.Add(step.at))
				if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, step.want) {
					t.Errorf("after %s: %v, want %v", step.at, err, step.want)
				}
				if st, err := s.Show(ctx, token.ID()); err != nil || st.State != step.state {
					t.Errorf("after %s: shown as %q, %v; want %q", step.at, st.State, err, step.state)
				}
			}
			// What is in the past is judged by Redis as well.
			_, _, err = s.Mint(ctx, tokens.Grant{Operation: tokens.Get, Bucket: "b", Key: "k", ExpiresAt: now.Add(time.Hour)}, 0)
			var field *tokens.FieldError
			if !errors.As(err, &field) || field.Field != "expires_at" {
				t.Errorf("minting into the past of Redis: %v, want an error of expires_at", err)
			}
		})
	}
}

// While Redis is away nothing is permitted, and when it is back it hears how
// the uses ended that were under way.
func TestSettlementsOutliveAnOutage(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := newRelay(t, s3gatetest.Redis(t))
	s := newStore(t, newClient(t, r.Addr, -1), tokens.Options{})
	committed, refunded, waiting := mint(t, s, 1), mint(t, s, 1), mint(t, s, 1)
	commit, refund := redeem(t, s, committed), redeem(t, s, refunded)

	r.Cut(true)
	calls := map[string]func() error{
		"Redeem": func() error { _, err := s.Redeem(ctx, waiting, tokens.Ask{Operation: tokens.Get}); return err },
		"Look":   func() error { _, err := s.Look(ctx, waiting, tokens.Ask{Operation: tokens.Get}); return err },
		"Charge": func() error { return commit.Charge(ctx) },
		"Occupy": func() error { _, err := s.Occupy(ctx, waiting.ID(), 1); return err },
		"Show":   func() error { _, err := s.Show(ctx, waiting.ID()); return err },
		"List":   func() error { _, err := s.List(ctx, tokens.Query{}); return err },
		"Revoke": func() error { return s.Revoke(ctx, waiting.ID(), "", "") },
		"Now":    func() error { _, err := s.Now(ctx); return err },
		"Mint": func() error {
			_, _, err := s.Mint(ctx, tokens.Grant{Operation: tokens.Get, Bucket: "b", Key: "k"}, time.Hour)
			return err
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, tokens.ErrUnproven) {
			t.Errorf("%s without Redis: %v, want ErrUnproven", name, err)
		}
	}
	commit.Commit(ctx)
	refund.Refund(ctx)

	r.Cut(false)
	eventually(t, "the commit and the refund have arrived", func() bool {
		one, err1 := s.Show(ctx, committed.ID())
		two, err2 := s.Show(ctx, refunded.ID())
		return err1 == nil && err2 == nil && one.Uses == 1 && one.InUse == 0 && two.Uses == 0 && two.InUse == 0
	})
	// The redemption that got no answer took nothing.
	redeem(t, s, waiting).Commit(ctx)
	redeem(t, s, refunded).Commit(ctx)
	if _, err := s.Redeem(ctx, committed, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("redeeming what was committed during the outage: %v, want ErrUsed", err)
	}
}

// A Redis that is restarted gets what was not told to it before.
func TestSettlementsOutliveARestartOfRedis(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := s3gatetest.RedisServer(t, "--appendonly", "yes", "--appendfsync", "always")
	s := newStore(t, newClient(t, server.Addr, -1), tokens.Options{})
	token := mint(t, s, 2)
	first, second := redeem(t, s, token), redeem(t, s, token)
	server.Kill()
	first.Commit(ctx)
	second.Refund(ctx)
	server.Restart()
	eventually(t, "both are settled", func() bool {
		st, err := s.Show(ctx, token.ID())
		return err == nil && st.Uses == 1 && st.InUse == 0
	})
}

// A Redis that hangs holds nobody up for long.
func TestSettlingAHangingRedisIsBounded(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := s3gatetest.RedisServer(t)
	s := newStore(t, newClient(t, server.Addr, -1), tokens.Options{})
	token := mint(t, s, 1)
	use := redeem(t, s, token)
	server.Pause()
	begin := time.Now()
	use.Commit(ctx)
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("committing took %s", took)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	begin = time.Now()
	if _, err := s.Redeem(short, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("redeeming: %v, want ErrUnproven", err)
	}
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("redeeming took %s, want its context to end it", took)
	}
	server.Resume()
	eventually(t, "the use is charged", func() bool {
		st, err := s.Show(ctx, token.ID())
		return err == nil && st.Uses == 1 && st.InUse == 0
	})
}

// The reply to a redemption is lost: a client that repeats the command is
// allowed once, and one that does not gets its use back (T2).
func TestLostReplyTakesAtMostOneUse(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := newRelay(t, s3gatetest.Redis(t))
	loseNext := func() { r.set(func() { r.lose = 1 }) }

	repeating := newStore(t, newClient(t, r.Addr, 2), tokens.Options{})
	token := mint(t, repeating, 1)
	loseNext()
	use, err := repeating.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		t.Fatalf("redeeming, reply lost and repeated: %v", err)
	}
	wantUses(t, repeating, token, 0, 1)
	loseNext()
	if err := use.Charge(ctx); err != nil {
		t.Errorf("charging, reply lost and repeated: %v", err)
	}
	wantUses(t, repeating, token, 1, 0)
	use.Commit(ctx)

	once := newStore(t, newClient(t, r.Addr, -1), tokens.Options{BusyWait: 5 * time.Second})
	token = mint(t, once, 1)
	loseNext()
	if _, err := once.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUnproven) {
		t.Fatalf("redeeming, reply lost: %v, want ErrUnproven", err)
	}
	use = redeem(t, once, token) // as soon as it has come back
	loseNext()
	if err := use.Charge(ctx); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("charging, reply lost: %v, want ErrUnproven", err)
	}
	use.Refund(ctx)
	wantUses(t, once, token, 0, 0)
	use = redeem(t, once, token)
	loseNext()
	use.Commit(ctx)
	eventually(t, "the commit is repeated", func() bool {
		st, err := once.Show(ctx, token.ID())
		return err == nil && st.Uses == 1 && st.InUse == 0
	})
}

// A mint whose reply was lost and that the client repeats is no collision.
func TestLostReplyToAMintIsNoCollision(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := newRelay(t, s3gatetest.Redis(t))
	rdb := newClient(t, r.Addr, 2)
	mint(t, newStore(t, rdb, tokens.Options{}), 1) // Redis knows the script now
	// The replies of a mint: the time, the indexes, the record.
	for n := range 3 {
		lossy := &countdown{Redis: rdb, left: n, do: func() { r.set(func() { r.lose = 1 }) }}
		s := newStore(t, lossy, tokens.Options{})
		token, g, err := s.Mint(ctx, tokens.Grant{Operation: tokens.Get, Bucket: "b", Key: "k", MaxUses: 1}, time.Hour)
		if err != nil {
			t.Errorf("minting, reply %d lost: %v", n, err)
			continue
		}
		if st, err := s.Show(ctx, g.ID); err != nil || st.ID != token.ID() || st.State != tokens.Active {
			t.Errorf("reply %d lost: shown %+v, %v", n, st, err)
		}
	}
}

// countdown does something before one of the commands of a mint.
type countdown struct {
	tokens.Redis
	left int
	do   func()
}

func (c *countdown) step() {
	if c.left == 0 {
		c.do()
	}
	c.left--
}

func (c *countdown) Time(ctx context.Context) *redis.TimeCmd {
	c.step()
	return c.Redis.Time(ctx)
}

func (c *countdown) Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error) {
	c.step()
	return c.Redis.Pipelined(ctx, fn)
}

func (c *countdown) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	c.step()
	return c.Redis.EvalSha(ctx, sha, keys, args...)
}

// A connection that has lost its place gives every command the reply of the
// one before. None of them is believed, not even one about the same token,
// and nothing is given out twice (T16).
func TestShiftedRepliesProveNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := newRelay(t, s3gatetest.Redis(t))
	one := redis.NewClient(&redis.Options{
		Addr: r.Addr, MaxRetries: -1, PoolSize: 1, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { one.Close() })
	s := newStore(t, one, tokens.Options{})
	token, free := mint(t, s, 1), mint(t, s, 0)
	redeem(t, s, token).Refund(ctx)
	wantUses(t, s, token, 0, 0) // Redis knows all scripts now

	r.set(func() { r.shift = true })
	for i := range 20 {
		if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUnproven) {
			t.Fatalf("redemption %d: %v, want ErrUnproven", i, err)
		}
		if _, err := s.Redeem(ctx, free, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUnproven) {
			t.Fatalf("redemption %d of another token: %v, want ErrUnproven", i, err)
		}
		if _, err := s.Show(ctx, token.ID()); !errors.Is(err, tokens.ErrUnproven) {
			t.Fatalf("showing %d: %v, want ErrUnproven", i, err)
		}
	}
	r.set(func() { r.shift = false })
	r.Cut(false)
	eventually(t, "every use is back", func() bool {
		st, err := s.Show(ctx, token.ID())
		return err == nil && st.Uses == 0 && st.InUse == 0
	})
	redeem(t, s, token).Commit(ctx)
}

// stub is a Redis that only runs scripts, by a function.
type stub struct {
	tokens.Redis
	run func(keys []string, args []any) (any, error)
}

func (s *stub) EvalSha(ctx context.Context, _ string, keys []string, args ...any) *redis.Cmd {
	val, err := s.run(keys, args)
	return redis.NewCmdResult(val, err)
}

// What a script may answer, if it is not one of ours that answers (T16).
func TestStrangeRepliesProveNothing(t *testing.T) {
	token := tokens.Generate()
	id := string(token.ID())
	good := []any{nil, "ok", "g", "\x01", "1800000000000", "", "0"}
	with := func(change func([]any)) func(string) (any, error) {
		return func(call string) (any, error) {
			reply := append([]any{call}, good[1:]...)
			change(reply)
			return reply, nil
		}
	}
	for _, tt := range []struct {
		name  string
		reply func(call string) (any, error)
		want  error
	}{
		{"as it should be", with(func([]any) {}), nil},
		{"nothing", func(string) (any, error) { return nil, redis.Nil }, tokens.ErrUnproven},
		{"no list", func(call string) (any, error) { return call, nil }, tokens.ErrUnproven},
		{"empty", func(string) (any, error) { return []any{}, nil }, tokens.ErrUnproven},
		{"no status", func(call string) (any, error) { return []any{call}, nil }, tokens.ErrUnproven},
		{"the ID alone", with(func(r []any) { r[0] = id }), tokens.ErrUnproven},
		{"another call", with(func(r []any) { r[0] = r[0].(string) + "x" }), tokens.ErrUnproven},
		{"another token", with(func(r []any) { r[0] = string(tokens.Generate().ID()) }), tokens.ErrUnproven},
		{"invented status", with(func(r []any) { r[1] = "granted" }), tokens.ErrUnproven},
		{"empty status", with(func(r []any) { r[1] = "" }), tokens.ErrUnproven},
		{"no operation", with(func(r []any) { r[2] = nil }), tokens.ErrUnproven},
		{"no grant", with(func(r []any) { r[3] = nil }), tokens.ErrUnproven},
		{"no expiry", with(func(r []any) { r[4] = "" }), tokens.ErrUnproven},
		{"no limit", with(func(r []any) { r[6] = nil }), tokens.ErrUnproven},
		{"limit is no number", with(func(r []any) { r[6] = "many" }), tokens.ErrUnproven},
		{"cut short", func(call string) (any, error) { return []any{call, "ok", "g"}, nil }, tokens.ErrUnproven},
		{"status alone", func(call string) (any, error) { return []any{call, "ok"}, nil }, tokens.ErrUnproven},
		{"out of memory", func(string) (any, error) { return nil, errors.New("OOM command not allowed") }, tokens.ErrUnproven},
		{"read only", func(string) (any, error) { return nil, errors.New("READONLY") }, tokens.ErrUnproven},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rdb := &stub{run: func(_ []string, args []any) (any, error) {
				if len(args) > 2 && args[2] == "refund" { // the settlement
					return []any{args[0], "ok"}, nil
				}
				return tt.reply(args[0].(string))
			}}
			s := newStore(t, rdb, tokens.Options{})
			use, err := s.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Get})
			if !errors.Is(err, tt.want) || (err == nil) != (use != nil) {
				t.Errorf("%+v, %v; want %v", use, err, tt.want)
			}
			if errors.Is(err, redis.Nil) && !errors.Is(err, tokens.ErrUnproven) {
				t.Errorf("redis.Nil leaks: %v", err)
			}
		})
	}
}

// A part of a Cluster that is away does not hold up the settlements for the
// others.
func TestOneStuckSettlementDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var away atomic.Bool
	var mu sync.Mutex
	settled := map[string]bool{}
	stuck := tokens.Generate()
	rdb := &stub{run: func(keys []string, args []any) (any, error) {
		isStuck := strings.Contains(keys[0], string(stuck.ID()))
		if args[2] != "refund" && args[2] != "commit" { // the redemption
			return []any{args[0], "ok", "g", "\x01", "1800000000000", "", "1"}, nil
		}
		if away.Load() && isStuck || !isStuck && !settledOnce(&mu, settled, keys[0]) {
			return nil, errors.New("CLUSTERDOWN")
		}
		mu.Lock()
		defer mu.Unlock()
		settled[keys[0]+"!"] = true
		return []any{args[0], "ok"}, nil
	}}
	away.Store(true)
	s := newStore(t, rdb, tokens.Options{})
	first := redeem(t, s, stuck)
	first.Refund(ctx) // remembered first, and fails until the end
	for range 10 {
		redeem(t, s, tokens.Generate()).Refund(ctx) // fails once
	}
	eventually(t, "the others are settled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for key := range settled {
			if strings.HasSuffix(key, "!") {
				n++
			}
		}
		return n == 10
	})
	away.Store(false)
	eventually(t, "and then the stuck one", func() bool {
		mu.Lock()
		defer mu.Unlock()
		record, _, _, _ := tokens.Keys(stuck.ID(), "")
		return settled[record+"!"]
	})
}

// settledOnce reports whether it was asked for the key before.
func settledOnce(mu *sync.Mutex, seen map[string]bool, key string) bool {
	mu.Lock()
	defer mu.Unlock()
	before := seen[key]
	seen[key] = true
	return before
}

// The backlog is bounded; what falls out of it stays taken, and is reported.
func TestBacklogIsBoundedAndReported(t *testing.T) {
	t.Parallel()
	const extra = 10
	var logged bytes.Buffer
	rdb := &stub{run: func([]string, []any) (any, error) { return nil, errors.New("away") }}
	s := tokens.New(rdb, tokens.Options{BusyWait: -1, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	token := tokens.Generate()
	for range tokens.MaxBacklog + extra {
		if _, err := s.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUnproven) {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	err := s.Close(t.Context())
	if !errors.Is(err, tokens.ErrUnproven) || !strings.Contains(err.Error(), "100010 uses not settled") {
		t.Errorf("closing: %v, want it to count what is not settled", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("closing took %s", took)
	}
	if n := strings.Count(logged.String(), "level=ERROR"); n != 2 {
		t.Errorf("logged %d errors, want one for the first that is dropped and one at the end: %s", n, logged.String())
	}
}

// Close keeps to its context while Redis hangs, and may be called twice.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	server := s3gatetest.RedisServer(t)
	s := tokens.New(newClient(t, server.Addr, -1), tokens.Options{BusyWait: -1})
	token := mint(t, s, 1)
	use := redeem(t, s, token)
	server.Pause()
	defer server.Resume()
	gone, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Redeem(gone, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUnproven) {
		t.Fatal(err)
	}
	use.Keep()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		begin := time.Now()
		if err := s.Close(ctx); !errors.Is(err, tokens.ErrUnproven) {
			t.Errorf("closing: %v, want ErrUnproven", err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("closing took %s, want its context to end it", took)
		}
		cancel()
	}
}

// A client that keeps to no context holds up neither a use nor Close for long.
func TestStubbornClientIsLeftAlone(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var stubborn atomic.Bool
	rdb := &stub{run: func(_ []string, args []any) (any, error) {
		if stubborn.Load() {
			<-release
		}
		return nil, errors.New("away")
	}}
	s := tokens.New(rdb, tokens.Options{BusyWait: -1})
	defer close(release)
	if _, err := s.Redeem(t.Context(), tokens.Generate(), tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUnproven) {
		t.Fatal(err)
	}
	stubborn.Store(true)
	time.Sleep(100 * time.Millisecond) // the settler is in its next attempt
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := s.Close(ctx); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("closing: %v, want ErrUnproven", err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("closing took %s", took)
	}
}

// An obedient client is given two seconds to settle a use.
func TestSettlingIsBounded(t *testing.T) {
	t.Parallel()
	rdb := &waiting{stub{run: func(_ []string, args []any) (any, error) {
		return []any{args[0], "ok", "g", "\x01", "1800000000000", "", "1"}, nil
	}}}
	s := tokens.New(rdb, tokens.Options{BusyWait: -1})
	use := redeem(t, s, tokens.Generate())
	begin := time.Now()
	use.Commit(t.Context())
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("committing took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Close(ctx); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("closing: %v, want ErrUnproven", err)
	}
}

// waiting is a Redis whose answers to settlements never come.
type waiting struct{ stub }

func (w *waiting) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	if len(args) > 2 && args[2] == "commit" { // a settlement
		<-ctx.Done()
		return redis.NewCmdResult(nil, ctx.Err())
	}
	return w.stub.EvalSha(ctx, sha, keys, args...)
}

// Committing what was charged needs no word with Redis.
func TestCommitAfterChargeAsksNothing(t *testing.T) {
	var commands atomic.Int64
	s := newStore(t, &stub{run: func(_ []string, args []any) (any, error) {
		commands.Add(1)
		return []any{args[0], "ok", "g", "\x01", "1800000000000", "", "1"}, nil
	}}, tokens.Options{})
	use := redeem(t, s, tokens.Generate())
	if err := use.Charge(t.Context()); err != nil {
		t.Fatal(err)
	}
	use.Commit(t.Context())
	if n := commands.Load(); n != 2 {
		t.Errorf("%d commands, want one to redeem and one to charge", n)
	}
}

// Close delivers what is remembered when Redis is there again.
func TestCloseDelivers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := miniredis.RunT(t)
	rdb := newClient(t, m.Addr(), -1)
	s := tokens.New(rdb, tokens.Options{BusyWait: -1})
	token := mint(t, s, 1)
	use := redeem(t, s, token)
	m.SetError("LOADING")
	use.Commit(ctx)
	m.SetError("")
	if err := s.Close(ctx); err != nil {
		t.Errorf("closing: %v", err)
	}
	wantUses(t, newStore(t, rdb, tokens.Options{}), token, 1, 0)
}
