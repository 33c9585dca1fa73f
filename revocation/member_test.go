package revocation_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"s3gate/internal/s3gatetest"
	"s3gate/revocation"
	"s3gate/tokens"
)

const lease = 300 * time.Millisecond

// tombstones is a store that answers err.
type tombstones struct {
	mu     sync.Mutex
	err    error
	marked []tokens.ID
}

func (s *tombstones) Revoke(_ context.Context, id tokens.ID, _, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marked = append(s.marked, id)
	return s.err
}

func (s *tombstones) Restore(_ context.Context, id tokens.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marked = slices.DeleteFunc(s.marked, func(marked tokens.ID) bool { return marked == id })
	return s.err
}

func (s *tombstones) Show(context.Context, tokens.ID) (tokens.Status, error) {
	return tokens.Status{Grant: tokens.Grant{ExpiresAt: time.Now().Add(time.Hour)}}, nil
}

// member is a gate's part, and what it was told to stop.
type member struct {
	*revocation.Member
	rdb     *redis.Client
	ahead   atomic.Int64 // of its clock
	mu      sync.Mutex
	applied []string     // rule IDs
	stopped atomic.Int64 // by rules that hold
	hold    chan struct{}
}

func newClient(t testing.TB, addr string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *redis.Client {
	rdb := redis.NewClient(&redis.Options{
		Addr: addr, Dialer: dial, MaxRetries: -1, ContextTimeoutEnabled: true, DialTimeout: 200 * time.Millisecond, DialerRetries: 1, ReadTimeout: time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// join adds a gate and waits for its lease.
func join(t testing.TB, addr, name string) *member {
	t.Helper()
	return joinWith(t, addr, revocation.MemberOptions{Name: name})
}

// joinWith adds a gate with some options of its own.
func joinWith(t testing.TB, addr string, opts revocation.MemberOptions) *member {
	t.Helper()
	return joinOver(t, addr, opts, nil)
}

// joinOver adds a gate that reaches Redis in a way of its own; nil is the usual
// one.
func joinOver(t testing.TB, addr string, opts revocation.MemberOptions, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *member {
	t.Helper()
	m := &member{rdb: newClient(t, addr, dial)}
	begin := time.Now()
	opts.Lease = lease
	opts.Clock = func() time.Duration { return time.Since(begin) + time.Hour + time.Duration(m.ahead.Load()) }
	opts.Apply = func(r *revocation.Rule) revocation.Effect {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.applied = append(m.applied, r.ID)
		if !r.Lifted() {
			m.stopped.Add(1)
		}
		if m.hold != nil {
			<-m.hold
		}
		return revocation.Effect{Stopped: 1, Committing: []string{"req_" + opts.Name}}
	}
	m.Member = revocation.Join(m.rdb, opts)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		m.Leave(ctx)
	})
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := m.Await(ctx); err != nil {
		t.Fatalf("%s has no lease: %v", opts.Name, err)
	}
	return m
}

func (m *member) revoker(s revocation.Tombstones) *revocation.Revoker {
	return &revocation.Revoker{Member: m.Member, Tombstones: s, Now: func(ctx context.Context) (time.Time, error) { return m.rdb.Time(ctx).Result() }}
}

// counted is how many transfers the gates say that a rule has stopped.
func (m *member) counted(t *testing.T, rule string) (sum int) {
	t.Helper()
	for field, value := range m.rdb.HGetAll(t.Context(), "s3g:{rev}:effect:"+rule).Val() {
		if n, err := strconv.Atoi(value); strings.HasPrefix(field, "n ") && err == nil {
			sum += n
		}
	}
	return sum
}

func (m *member) told() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.applied)
}

// eachRedis runs a test on the embedded Redis and on a real one.
func eachRedis(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("miniredis", func(t *testing.T) { t.Parallel(); test(t, miniredis.RunT(t).Addr()) })
	t.Run("Redis", func(t *testing.T) { t.Parallel(); test(t, s3gatetest.Redis(t)) })
}

// When Revoke has answered, every gate has applied the rule and stopped what
// it covers; the receipt says who, and what that was (R1).
func TestRevokeIsAcknowledgedByAll(t *testing.T) {
	eachRedis(t, func(t *testing.T, addr string) {
		a, b, c := join(t, addr, "a"), join(t, addr, "b"), join(t, addr, "c")
		store := &tombstones{}
		time.Sleep(2 * lease) // a new Redis is watched for so long
		for range 20 {
			receipt, err := b.revoker(store).Revoke(t.Context(), revocation.Rule{Subject: "ada", Author: "ops", Reason: "left"})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range []*member{a, b, c} {
				if m.Rules().Covers(&tokens.Grant{Subject: "ada"}) == nil || !slices.Contains(m.told(), receipt.ID) {
					t.Fatalf("not everybody has applied %+v", receipt)
				}
			}
			if !slices.Equal(receipt.AcknowledgedBy, []string{"a", "b", "c"}) || len(receipt.ExpiredLeases) != 0 ||
				receipt.Cut != 3 || len(receipt.Committing) != 3 || receipt.TookMS <= 0 {
				t.Fatalf("receipt %+v", receipt)
			}
		}
		if n := a.Rules().Len(); n != 20 || c.Rules().Len() != 20 {
			t.Errorf("%d rules, want 20", n)
		}
		d := join(t, addr, "d") // knows them from the beginning
		if d.Rules().Len() != 20 || d.Position() != a.Position() {
			t.Errorf("a new gate has %d rules at %v, want 20 at %v", d.Rules().Len(), d.Position(), a.Position())
		}
		rule := d.Rules().All()[0]
		if rule.Author != "ops" || rule.Reason != "left" || rule.At.IsZero() || rule.Version != 1 || rule.Position.Seq != 20 {
			t.Errorf("the rule came as %+v", rule)
		}
	})
}

func TestLift(t *testing.T) {
	eachRedis(t, func(t *testing.T, addr string) {
		a, b := join(t, addr, "a"), join(t, addr, "b")
		r := a.revoker(&tombstones{})
		receipt, err := r.Revoke(t.Context(), revocation.Rule{Bucket: "docs", Prefix: "x/", Standing: true})
		if err != nil {
			t.Fatal(err)
		}
		g := &tokens.Grant{Bucket: "docs", Key: "x/y", RevGen: 1 << 60}
		if b.Rules().Refuses(g) == nil {
			t.Fatal("it does not stand")
		}
		for range 2 { // lifting twice is no error
			if _, err := b.revoker(&tombstones{}).Lift(t.Context(), receipt.ID, "ops", "over"); err != nil {
				t.Fatal(err)
			}
			if a.Rules().Covers(g) != nil || b.Rules().Refuses(g) != nil {
				t.Error("it holds after it was lifted")
			}
		}
		if l := a.Rules().Rule(receipt.ID); l == nil || !l.Lifted() || l.LiftedBy != "ops" || l.LiftReason != "over" || l.Version != 2 {
			t.Errorf("lifted: %+v", l)
		}
		store := &tombstones{}
		r.Tombstones = store
		id := tokens.Generate().ID()
		var rules []string
		for range 2 {
			receipt, err := r.Revoke(t.Context(), revocation.Rule{Token: id})
			if err != nil {
				t.Fatal(err)
			}
			rules = append(rules, receipt.ID)
		}
		for i, rule := range rules {
			if len(store.marked) == 0 {
				t.Errorf("after %d of 2 rules were lifted the token is not marked any more", i)
			}
			if _, err := r.Lift(t.Context(), rule, "", ""); err != nil {
				t.Fatal(err)
			}
		}
		if len(store.marked) != 0 {
			t.Error("after both rules were lifted the token is still marked")
		}
		if _, err := r.Lift(t.Context(), "rev_none", "", ""); !errors.Is(err, revocation.ErrNoRule) {
			t.Errorf("lifting what is not there: %v", err)
		}
	})
}

// A gate that is silent is named, after its lease has run out, and then not
// waited for again (R3, R5).
func TestRevokeNamesTheSilent(t *testing.T) {
	t.Parallel()
	addr := s3gatetest.Redis(t)
	a, b := join(t, addr, "a"), join(t, addr, "b")
	time.Sleep(2 * lease)
	b.hold = make(chan struct{}) // it hangs in what it has to stop
	begin := time.Now()
	receipt, err := a.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{All: true})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < lease || !slices.Equal(receipt.AcknowledgedBy, []string{"a"}) || !slices.Equal(receipt.ExpiredLeases, []string{"b"}) {
		t.Errorf("after %s: %+v", took, receipt)
	}
	if b.Lease() == nil {
		t.Error("the silent gate has a lease")
	}
	first := receipt.ID
	// It may have been heard of since, and then once more; not for ever.
	for range 2 {
		if receipt, err = a.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{All: true}); err != nil {
			t.Fatal(err)
		}
	}
	if len(receipt.ExpiredLeases) != 0 {
		t.Errorf("the third time: %+v", receipt)
	}
	close(b.hold)
	eventually(t, "the gate that was silent has caught up", func() bool { return b.Lease() == nil && b.Rules().Len() == 3 })
	if n := a.counted(t, first); n != 2 {
		t.Errorf("%d transfers were counted; want also what the gate took long to stop", n)
	}
}

// A lease ends by the gate's own clock, also while the machine was suspended,
// and comes back when Redis has answered (R4, R6).
func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	server := s3gatetest.RedisServer(t)
	m := join(t, server.Addr, "a")
	if r := m.Remaining(); r <= 0 || r > lease {
		t.Errorf("the lease lasts %s, want up to %s", r, lease)
	}
	server.Pause()                  // so that it cannot ask
	m.ahead.Store(int64(time.Hour)) // suspended for an hour
	if err := m.Lease(); !errors.Is(err, revocation.ErrNoLease) || !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("after an hour: %v, want ErrNoLease", err)
	}
	server.Resume()
	eventually(t, "the lease is back", func() bool { return m.Lease() == nil })

	server.Pause()
	eventually(t, "the lease is lost", func() bool { return m.Lease() != nil })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.Await(ctx); err == nil {
		t.Error("a lease without Redis")
	}
	back := make(chan error, 1)
	go func() { back <- m.Await(t.Context()) }()
	server.Resume()
	if err := <-back; err != nil || m.Lease() != nil {
		t.Errorf("with Redis again: %v, %v", err, m.Lease())
	}
}

// A Redis that comes back empty gets the rules back from the gates, before any
// of them may serve (D4).
func TestRulesAreGivenBack(t *testing.T) {
	t.Parallel()
	server := s3gatetest.RedisServer(t)
	a, b := join(t, server.Addr, "a"), join(t, server.Addr, "b")
	for _, subject := range []string{"ada", "bob", "eve"} {
		if _, err := a.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{Subject: subject}); err != nil {
			t.Fatal(err)
		}
	}
	old := a.Position()
	server.Restart()
	begin := time.Now()
	c := join(t, server.Addr, "c") // knows nothing of it
	if took := time.Since(begin); took < lease {
		t.Errorf("a lease %s after Redis began a new life, want the others to have time", took)
	}
	for _, subject := range []string{"ada", "bob", "eve"} {
		g := &tokens.Grant{Subject: subject, RevGen: old.Gen}
		if c.Rules().Covers(g) == nil {
			t.Errorf("the rule for %s is lost", subject)
		}
	}
	if n := c.Rules().Len(); n != 3 {
		t.Errorf("%d rules, want 3", n)
	}
	// What was minted with all of it known is not covered by it, and what comes
	// later covers it.
	if c.Rules().Covers(&tokens.Grant{Subject: "ada", RevGen: old.Gen, RevSeq: old.Seq}) != nil {
		t.Error("a rule covers what came after it")
	}
	if _, err := b.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{All: true}); err != nil {
		t.Fatal(err)
	}
	if a.Rules().Covers(&tokens.Grant{RevGen: old.Gen, RevSeq: old.Seq + 100}) == nil {
		t.Error("a new rule does not cover what was minted in the former life of Redis")
	}
}

// While there is no Redis a revocation is not called one.
func TestRevokeWithoutRedis(t *testing.T) {
	t.Parallel()
	server := s3gatetest.RedisServer(t)
	m := join(t, server.Addr, "a")
	server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	receipt, err := m.revoker(&tombstones{}).Revoke(ctx, revocation.Rule{Subject: "ada"})
	if !errors.Is(err, tokens.ErrUnproven) || receipt.ID != "" {
		t.Errorf("%+v, %v; want ErrUnproven", receipt, err)
	}
	if len(m.told()) != 1 {
		t.Error("what runs on this gate was not stopped")
	}
	if _, err := m.revoker(&tombstones{err: tokens.ErrUnknown}).Revoke(ctx, revocation.Rule{Token: "x"}); !errors.Is(err, revocation.ErrRule) {
		t.Errorf("%v, want ErrRule", err)
	}
}

// A rule is forgotten when nothing can live any more that it covers; a standing
// one is not, and neither does anybody give back what was forgotten.
func TestRulesAreForgotten(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.SetTime(noon)
	join := func(name string) *member {
		return joinWith(t, server.Addr(), revocation.MemberOptions{Name: name, Fresh: true})
	}
	a := join("a")
	r := a.revoker(&tombstones{})
	r.MaxLife = time.Hour
	for _, rule := range []revocation.Rule{{Subject: "ada"}, {Subject: "bob", Standing: true}, {Token: tokens.Generate().ID()}} {
		if _, err := r.Revoke(t.Context(), rule); err != nil {
			t.Fatal(err)
		}
	}
	known := func() int { n, _ := server.HKeys("s3g:{rev}:rules"); return len(n) }
	server.SetTime(noon.Add(25 * time.Hour)) // one may be resumed for a day after it has expired
	if b := join("b"); b.Rules().Len() != 3 || known() != 3 {
		t.Errorf("after 25 hours: %d rules, %d in Redis, want 3", b.Rules().Len(), known())
	}
	later := time.Now().Add(48 * time.Hour) // the token's life is by the real clock
	server.SetTime(later)
	c := join("c")
	eventually(t, "two of three rules are forgotten", func() bool { return c.Rules().Len() == 1 && known() == 1 })
	// The first gate still knows them. It gives back only what counts.
	time.Sleep(lease) // it has heard what time it is
	server.FlushAll()
	server.SetTime(later)
	eventually(t, "the standing rule is given back", func() bool { return known() > 0 && a.Lease() == nil && c.Lease() == nil })
	if known() != 1 || c.Rules().Covers(&tokens.Grant{Subject: "bob"}) == nil {
		t.Errorf("%d rules in Redis, want the standing one", known())
	}
}

// A rule outlives all tokens that any gate may have minted, also if the gate that
// made it permits less and the one that permitted more is gone.
func TestRulesOutliveTheLongestLife(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.SetTime(noon)
	join := func(name string, life time.Duration) *member {
		return joinWith(t, server.Addr(), revocation.MemberOptions{Name: name, Fresh: true, MaxLife: life})
	}
	a := join("a", time.Hour)
	if err := a.Permit(t.Context(), 1000*time.Hour); err != nil {
		t.Fatal(err)
	}
	a.Leave(t.Context())
	r := join("b", time.Hour).revoker(&tombstones{})
	r.MaxLife, r.Now = time.Hour, func(context.Context) (time.Time, error) { return noon, nil }
	if _, err := r.Revoke(t.Context(), revocation.Rule{Subject: "ada"}); err != nil {
		t.Fatal(err)
	}
	server.SetTime(noon.Add(1000 * time.Hour))
	c := join("c", time.Hour)
	time.Sleep(lease) // it has forgotten what there is to forget
	if c.Rules().Len() != 1 {
		t.Error("the rule was forgotten while tokens may live that it covers")
	}
	server.SetTime(noon.Add(1026 * time.Hour))
	d := join("d", time.Hour)
	eventually(t, "it is forgotten", func() bool { return d.Rules().Len() == 0 })
}

// A change is forgotten when no gate can go by the grant as it was, however long the
// token lives.
func TestChangesAreForgotten(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		away, life time.Duration
		kept, gone time.Duration
	}{
		{"a long life", 4 * time.Minute, 1000 * time.Hour, time.Hour, 2 * time.Hour},
		{"a short life", 1000 * time.Hour, time.Hour, 24 * time.Hour, 27 * time.Hour},
		{"no limit", 0, 1000 * time.Hour, 1000 * time.Hour, 1026 * time.Hour},
	} {
		server := miniredis.RunT(t)
		server.SetTime(noon)
		join := func(name string) *member {
			return joinWith(t, server.Addr(), revocation.MemberOptions{Name: name, Fresh: true})
		}
		r := join("a").revoker(nil)
		r.MaxAway, r.Now = tt.away, func(context.Context) (time.Time, error) { return noon, nil }
		from := &tokens.Grant{ID: tokens.Generate().ID(), ExpiresAt: noon.Add(tt.life), Version: 1}
		to := *from
		to.Version = 2
		if _, err := r.Change(t.Context(), from, &to, ""); err != nil {
			t.Fatal(err)
		}
		server.SetTime(noon.Add(tt.kept))
		if b := join("b"); b.Rules().Len() != 1 {
			t.Errorf("%s: after %s: %d entries, want 1", tt.name, tt.kept, b.Rules().Len())
		}
		server.SetTime(noon.Add(tt.gone))
		c := join("c")
		eventually(t, tt.name+": it is forgotten", func() bool { return c.Rules().Len() == 0 })
	}
}

// A Redis that may throw keys away when its memory is full is not served from
// (D5), unless somebody says so.
func TestEvictingRedisIsRefused(t *testing.T) {
	t.Parallel()
	server := s3gatetest.RedisServer(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	opts := revocation.MemberOptions{Fresh: true, Lease: lease}
	strict := revocation.Join(newClient(t, server.Addr, nil), opts)
	defer strict.Leave(context.Background())
	joinWith(t, server.Addr, revocation.MemberOptions{Fresh: true, AllowUnsafe: true})
	short, cancel := context.WithTimeout(t.Context(), lease)
	defer cancel()
	if err := strict.Await(short); err == nil || strict.Lease() == nil {
		t.Error("a lease on a Redis that evicts keys")
	}
	fine := s3gatetest.RedisServer(t, "--maxmemory", "100mb", "--maxmemory-policy", "noeviction")
	joinWith(t, fine.Addr, revocation.MemberOptions{Fresh: true})
}

// What a gate has stopped counts once, also when its client repeats the command.
func TestEffectIsCountedOnce(t *testing.T) {
	eachRedis(t, func(t *testing.T, addr string) {
		m := join(t, addr, "a")
		m.rdb.AddHook(repeating{newClient(t, addr, nil), "s3g:{rev}:effect:"})
		receipt, err := m.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{All: true})
		if err != nil || receipt.Cut != 1 || !slices.Equal(receipt.Committing, []string{"req_a"}) {
			t.Errorf("%+v, %v; want one transfer stopped, and one named", receipt, err)
		}
		if n := m.counted(t, receipt.ID); n != 1 {
			t.Errorf("%d were counted", n)
		}
	})
}

// repeating sends scripts on one kind of key twice, as a client does whose
// answer was lost.
type repeating struct {
	rdb    *redis.Client // without the hook
	prefix string
}

func (r repeating) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r repeating) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); len(args) > 3 {
			if key, _ := args[3].(string); strings.HasPrefix(key, r.prefix) {
				r.rdb.Do(ctx, args...)
			}
		}
		return next(ctx, cmd)
	}
}

func (r repeating) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
