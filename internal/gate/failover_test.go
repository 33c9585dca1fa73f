package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
	"s3gate/revocation"
	"s3gate/tokens"
)

// topology is a Redis of several servers.
type topology struct {
	nodes     []*s3gatetest.RedisProcess
	sentinels []*s3gatetest.RedisProcess
	replicas  int                                       // of each primary
	configure func(*config.Redis)                       // says where it is
	primary   func(key string) *s3gatetest.RedisProcess // who has the key
	failover  func(old *s3gatetest.RedisProcess)        // waits until another one has taken over
}

// logKey is a key of the revocation log.
const logKey = "s3g:{rev}:head"

// eachTopology runs a test behind sentinels and in a Cluster.
func eachTopology(t *testing.T, test func(*testing.T, *topology)) {
	t.Run("Sentinel", func(t *testing.T) { t.Parallel(); test(t, sentinels(t)) })
	t.Run("Cluster", func(t *testing.T) { t.Parallel(); test(t, clustered(t)) })
}

func sentinels(t *testing.T) *topology {
	s := s3gatetest.Sentinel(t, 2, 3)
	return &topology{
		nodes: s.Nodes, sentinels: s.Sentinels, replicas: 2,
		configure: func(c *config.Redis) { c.Addrs, c.Master, c.Replicas = s.Addrs, s.Master, 2 },
		primary:   func(string) *s3gatetest.RedisProcess { return s.Primary() },
		failover:  func(old *s3gatetest.RedisProcess) { s.AwaitFailover(old) },
	}
}

func clustered(t *testing.T) *topology {
	s := s3gatetest.Cluster(t, 3, 1)
	return &topology{
		nodes: s.Nodes, replicas: 1,
		configure: func(c *config.Redis) { c.Addrs, c.Cluster, c.Replicas = s.Addrs, true, 1 },
		primary:   s.PrimaryOf,
		failover:  func(old *s3gatetest.RedisProcess) { s.AwaitFailover(old) },
	}
}

// over is a world on a topology, with an object "o".
func over(t *testing.T, top *topology) *world {
	w := newWorld(t, s3gatetest.DevS3(t), "")
	w.shared = true // a new life of Redis is watched
	w.store("o", "text/plain", []byte("object"))
	return w
}

// on makes a gate use the topology.
func (top *topology) on(change func(*config.Config)) func(*config.Config) {
	return func(c *config.Config) {
		top.configure(&c.Redis)
		c.Redis.AckTimeout = 500 * time.Millisecond
		if change != nil {
			change(c)
		}
	}
}

// command sends one command to a server. An error is in the answer: the server
// may be dead.
func command(t *testing.T, r *s3gatetest.RedisProcess, args ...any) *redis.Cmd {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{
		Addr: r.Addr, MaxRetries: -1, DialerRetries: 1, Protocol: 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer rdb.Close()
	return rdb.Do(t.Context(), args...)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 2000 {
		if holds() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// awaitReady waits for a gate that may have to find another primary first.
func awaitReady(t *testing.T, gates ...*testGate) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for _, g := range gates {
		if err := g.Await(ctx); err != nil {
			t.Fatalf("the gate does not get its lease: %v", err)
		}
	}
}

// redeem asks for a link until the gate can decide, and returns the status.
func redeem(t *testing.T, url string) int {
	t.Helper()
	for range 300 {
		a := do(t, "GET", url, nil)
		if a.status != http.StatusServiceUnavailable {
			return a.status
		}
		if a.header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		time.Sleep(100 * time.Millisecond)
	}
	return http.StatusServiceUnavailable
}

// revokeSoon revokes as soon as the gate can: right after a failover a replica may
// still be on its way.
func revokeSoon(t *testing.T, g *testGate, rule string) (receipt revocation.Receipt) {
	t.Helper()
	eventually(t, "the gate can revoke", func() bool {
		a := callAPI(t, g, "POST", "/v1/revocations", rule)
		if a.status != http.StatusServiceUnavailable && (a.status != 200 || json.Unmarshal(a.body, &receipt) != nil) {
			t.Fatalf("revoking %s: %d %s", rule, a.status, a.body)
		}
		return a.status == 200
	})
	return receipt
}

// mintSoon mints a token for an object as soon as the gate can, like revokeSoon.
func mintSoon(t *testing.T, g *testGate, change func(*client.MintRequest)) (token *client.Token) {
	t.Helper()
	r := client.MintRequest{Operation: "get", Bucket: "docs", Key: "o"}
	if change != nil {
		change(&r)
	}
	eventually(t, "the gate can mint", func() bool {
		var err error
		var refused *client.Error
		if token, err = g.api.Mint(t.Context(), r); err != nil && (!errors.As(err, &refused) || refused.Status != 503) {
			t.Fatal(err)
		}
		return err == nil
	})
	return token
}

// tokenKey is a key of a token.
func tokenKey(id string) string { return fmt.Sprintf("s3g:{%s}:t", id) }

// A primary is killed right after it has acknowledged a burn, a revocation of a
// token and a rule: all of them hold when another one has taken over (D1).
func TestPrimaryKilled(t *testing.T) {
	t.Parallel()
	eachTopology(t, func(t *testing.T, top *topology) {
		w := over(t, top)
		one, two := w.gate(top.on(nil)), w.gate(top.on(nil))
		awaitReady(t, one, two)
		for round := range 2 {
			subject := fmt.Sprintf("round %d", round)
			burnt, fresh := mintSoon(t, one, uses(1)), mintSoon(t, one, uses(1))
			named := mintSoon(t, one, nil)
			ruled := mintSoon(t, one, func(r *client.MintRequest) { r.Subject = subject })
			if got := redeem(t, burnt.URL); got != 200 {
				t.Fatalf("redeeming: %d", got)
			}
			if receipt := revokeSoon(t, one, fmt.Sprintf(`{"subject": %q}`, subject)); receipt.Durability != revocation.Replicated {
				t.Errorf("receipt %+v, want it replicated", receipt)
			}
			revokeSoon(t, two, fmt.Sprintf(`{"token": %q}`, named.ID))
			// The one of the burn, and in the next round that of the log.
			victim := top.primary(tokenKey(burnt.ID))
			if round == 1 {
				victim = top.primary(logKey)
			}
			victim.Kill()
			top.failover(victim)
			victim.Restart()
			for _, g := range []*testGate{one, two} {
				for _, dead := range []string{burnt.Token, named.Token, ruled.Token} {
					if got := redeem(t, g.LinksURL()+"/"+dead); got != 410 {
						t.Errorf("round %d: %d after the failover, want 410", round, got)
					}
				}
			}
			if got := redeem(t, two.LinksURL()+"/"+fresh.Token); got != 200 {
				t.Errorf("round %d: a fresh token after the failover: %d", round, got)
			}
			awaitReady(t, one, two)
		}
	})
}

// A primary that was cut off from its replicas and from the sentinels proves
// nothing any more: a gate that talks to it answers 503 when its lease is over,
// while the others go on with the one that has taken over (D2).
func TestIsolatedPrimary(t *testing.T) {
	t.Parallel()
	top := sentinels(t)
	w := over(t, top)
	old := top.primary(logKey)
	// On the side of the old primary nobody hears of the new one.
	there := w.gate(func(c *config.Config) { c.Redis.Addrs, c.Redis.Replicas = []string{old.Addr}, 2 })
	here := w.gate(top.on(nil))
	awaitReady(t, there, here)
	free, once := there.mint("get", "o", nil), there.mint("get", "o", uses(1))

	old.Isolate()
	wantReadyz(t, there, 503)
	for _, token := range []string{free.Token, once.Token} {
		if a := do(t, "GET", there.LinksURL()+"/"+token, nil); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("a gate on the isolated primary: %d %s", a.status, a.body)
		}
	}
	if a := callAPI(t, there, "POST", "/v1/revocations", `{"subject": "ada"}`); a.status != 503 {
		t.Errorf("revoking there: %d %s", a.status, a.body)
	}
	if a := callAPI(t, there, "POST", "/v1/tokens", `{"operation": "get", "bucket": "docs", "key": "o"}`); a.status != 503 {
		t.Errorf("minting there: %d %s", a.status, a.body)
	}
	top.failover(old)
	old.Heal()
	awaitReady(t, here)
	revokeSoon(t, here, fmt.Sprintf(`{"token": %q}`, free.ID))
	if got := redeem(t, here.LinksURL()+"/"+free.Token); got != 410 {
		t.Errorf("revoked at the new primary: %d", got)
	}
	if got := redeem(t, here.LinksURL()+"/"+once.Token); got != 200 {
		t.Errorf("a use that the isolated primary could not prove: %d", got)
	}
	// The old one is a replica now.
	if a := do(t, "GET", there.LinksURL()+"/"+once.Token, nil); a.status != 503 {
		t.Errorf("a gate on a replica: %d", a.status)
	}
}

// With fewer acknowledgements than replicas every answer says so, and a replica
// that sentinels would prefer although it has less keeps the gate from serving
// (D3, I6).
func TestBestEffort(t *testing.T) {
	t.Parallel()
	top := sentinels(t)
	w := over(t, top)
	less := func(c *config.Config) { c.Redis.MinAcks = 1 }
	g := w.gate(top.on(less))
	awaitReady(t, g)
	if receipt := revokeSoon(t, g, `{"subject": "ada"}`); receipt.Durability != revocation.BestEffort {
		t.Errorf("receipt: %+v", receipt)
	}
	for _, path := range []string{"/readyz", "/v1/gates"} {
		if a := callAPI(t, g, "GET", path, ""); !strings.Contains(string(a.body), `"durability":"best-effort"`) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if a := callAPI(t, g, "POST", "/v1/tokens", `{"operation": "get", "bucket": "docs", "key": "o"}`); !strings.Contains(string(a.body), `"durability":"best-effort"`) {
		t.Errorf("minting: %s", a.body)
	}
	preferred := top.nodes[1]
	if preferred == top.primary(logKey) {
		preferred = top.nodes[2]
	}
	command(t, preferred, "CONFIG", "SET", "replica-priority", 7)
	for _, s := range top.sentinels {
		eventually(t, "the sentinels know of it", func() bool {
			return strings.Contains(command(t, s, "SENTINEL", "REPLICAS", "s3gate").String(), "slave-priority 7")
		})
	}
	refusing := w.gate(top.on(less))
	eventually(t, "the gate says why it does not serve", func() bool {
		return strings.Contains(w.log.String(), "replica-priority")
	})
	if a := do(t, "GET", refusing.APIURL()+"/readyz", nil); a.status != 503 {
		t.Errorf("readiness with a replica that is preferred: %d", a.status)
	}
	all := w.gate(top.on(nil))
	awaitReady(t, all) // whoever is promoted has everything
}

// A replica that is promoted has lost a revocation, because nobody waited for
// it: the gates know the rule and give it back before anything is served.
func TestLostRevocationComesBack(t *testing.T) {
	t.Parallel()
	top := sentinels(t)
	w := over(t, top)
	g := w.gate(top.on(func(c *config.Config) { c.Redis.MinAcks = 0 }))
	awaitReady(t, g)
	named, ruled := g.mint("get", "o", nil), g.mint("get", "o", nil)
	fresh := g.mint("get", "o", nil)
	for _, r := range top.nodes {
		if r != top.primary(logKey) {
			eventually(t, "the replica has the tokens", func() bool { return command(t, r, "EXISTS", tokenKey(fresh.ID)).Val() == int64(1) })
			r.Detach()
		}
	}
	revokeSoon(t, g, fmt.Sprintf(`{"token": %q}`, named.ID))
	revokeSoon(t, g, fmt.Sprintf(`{"token": %q, "standing": true}`, ruled.ID))
	old := top.primary(logKey)
	old.Kill()
	asking := []*hammer{newHammer(t, named), newHammer(t, ruled)}
	for _, h := range asking {
		h.hit(g)
	}
	top.failover(old)
	awaitReady(t, g)
	for _, token := range []string{named.Token, ruled.Token} {
		if got := redeem(t, g.LinksURL()+"/"+token); got != 410 {
			t.Errorf("a revocation that Redis had lost: %d", got)
		}
	}
	if got := redeem(t, g.LinksURL()+"/"+fresh.Token); got != 200 {
		t.Errorf("a token that was not revoked: %d", got)
	}
	for _, h := range asking {
		h.end([]int{410, 503})
	}
	// A gate that has never heard of the rules learns them from Redis.
	late := w.gate(top.on(func(c *config.Config) { c.Redis.MinAcks = 0 }))
	awaitReady(t, late)
	if got := redeem(t, late.LinksURL()+"/"+named.Token); got != 410 {
		t.Errorf("at a gate that came later: %d", got)
	}
}

// A replica is missing: what would need it is refused and never answered with
// 200, and works when it is back (R10).
func TestReplicaStopped(t *testing.T) {
	t.Parallel()
	eachTopology(t, func(t *testing.T, top *topology) {
		w := over(t, top)
		g := w.gate(top.on(nil))
		awaitReady(t, g)
		token := g.mint("get", "o", nil)
		var replicas []*s3gatetest.RedisProcess
		owner := top.primary(logKey)
		for _, r := range top.nodes {
			if strings.Contains(command(t, r, "INFO", "replication").String(), "role:slave") {
				replicas = append(replicas, r)
				r.Pause()
			}
		}
		if len(replicas) == 0 || owner == nil {
			t.Fatal("no replicas")
		}
		if a := callAPI(t, g, "POST", "/v1/revocations", fmt.Sprintf(`{"token": %q}`, token.ID)); a.status != 503 {
			t.Errorf("revoking without replicas: %d %s", a.status, a.body)
		}
		wantReadyz(t, g, 503)
		for _, r := range replicas {
			r.Resume()
		}
		awaitReady(t, g)
		revokeSoon(t, g, fmt.Sprintf(`{"token": %q}`, token.ID))
		if got := redeem(t, token.URL); got != 410 {
			t.Errorf("revoked: %d", got)
		}
	})
}

// The memory of Redis is full: minting and limited links are refused for now,
// while revoking and leases go on (D8).
func TestMemoryFull(t *testing.T) {
	t.Parallel()
	server := s3gatetest.RedisServer(t)
	w := newWorld(t, s3gatetest.DevS3(t), server.Addr)
	w.store("o", "text/plain", []byte("object"))
	g := w.gate(nil)
	free, once, other := g.mint("get", "o", nil), g.mint("get", "o", uses(1)), g.mint("get", "o", uses(1))
	command(t, server, "CONFIG", "SET", "maxmemory", 1)
	time.Sleep(1500 * time.Millisecond) // leases that were given before are over
	if a := do(t, "GET", once.URL, nil); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("a limited link: %d %s", a.status, a.body)
	}
	if a := do(t, "GET", free.URL, nil); a.status != 200 {
		t.Errorf("a link without limit: %d %s", a.status, a.body)
	}
	if a := callAPI(t, g, "POST", "/v1/tokens", `{"operation": "get", "bucket": "docs", "key": "o"}`); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("minting: %d %s", a.status, a.body)
	}
	revokeSoon(t, g, fmt.Sprintf(`{"token": %q}`, other.ID))
	lifted := revokeSoon(t, g, `{"all": true, "standing": true}`)
	if a := do(t, "GET", free.URL, nil); a.status != 410 {
		t.Errorf("revoked: %d", a.status)
	}
	if a := callAPI(t, g, "DELETE", "/v1/revocations/"+lifted.ID, ""); a.status != 200 {
		t.Errorf("lifting: %d %s", a.status, a.body)
	}
	command(t, server, "CONFIG", "SET", "maxmemory", 0)
	if a := do(t, "GET", once.URL, nil); a.status != 200 {
		t.Errorf("with memory again, the use is still there: %d %s", a.status, a.body)
	}
	if a := do(t, "GET", other.URL, nil); a.status != 410 {
		t.Errorf("revoked when the memory was full: %d", a.status)
	}
}

// Scripts are flushed all the time while many clients race for the uses of a
// token: each use is had once (D6).
func TestScriptsFlushed(t *testing.T) {
	t.Parallel()
	eachTopology(t, func(t *testing.T, top *topology) {
		w := over(t, top)
		gates := []*testGate{w.gate(top.on(nil)), w.gate(top.on(nil))}
		awaitReady(t, gates...)
		for range 6 {
			finish := race(t, gates)
			for range 10 {
				for _, r := range top.nodes {
					command(t, r, "SCRIPT", "FLUSH")
				}
			}
			finish()
		}
	})
}

// race lets clients race for the uses of a token, at all gates. What it returns
// waits for them, wants every use to be had exactly once, and says how often a
// gate could not tell.
func race(t *testing.T, gates []*testGate) (finish func() (unproven int64)) {
	t.Helper()
	const most, racers = 3, 8
	token := gates[0].mint("get", "o", uses(most)).Token
	return raceFor(t, gates, token, most, racers)
}

func raceFor(t *testing.T, gates []*testGate, token string, most int64, racers int) (finish func() (unproven int64)) {
	t.Helper()
	var had, unproven atomic.Int64
	var wg sync.WaitGroup
	for r := range racers {
		wg.Go(func() {
			for range 300 {
				a, err := try(t.Context(), http.DefaultTransport, "GET", gates[r%len(gates)].LinksURL()+"/"+token, nil)
				switch {
				case err != nil:
					t.Errorf("racing: %v", err)
					return
				case a.status == 200 && a.err == nil:
					had.Add(1)
				case a.status == 410:
					return
				case a.status == 503:
					unproven.Add(1)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	return func() int64 {
		t.Helper()
		wg.Wait()
		n := had.Load()
		if n > most {
			t.Errorf("%d uses were had, want at most %d", n, most)
		} else if rest := redeemRest(t, gates[0], token); n+rest != most {
			t.Errorf("%d uses were had and %d are left, want %d", n, rest, most)
		}
		return unproven.Load()
	}
}

// redeemRest takes what is left of a token.
func redeemRest(t *testing.T, g *testGate, token string) (n int64) {
	t.Helper()
	for redeem(t, g.LinksURL()+"/"+token) == 200 {
		n++
	}
	return n
}

// Slots move to another server while clients race for uses: with MOVED, ASK and
// TRYAGAIN each use is had once, or the answer is 503 (D7). That of the
// revocation log moves too: the gates pause, and go on.
func TestSlotsMove(t *testing.T) {
	t.Parallel()
	s := s3gatetest.Cluster(t, 3, 1)
	top := &topology{configure: func(c *config.Redis) { c.Addrs, c.Cluster, c.Replicas = s.Addrs, true, 1 }}
	w := over(t, top)
	gates := []*testGate{w.gate(top.on(nil)), w.gate(top.on(nil))}
	awaitReady(t, gates...)
	unproven := int64(0)
	for range 5 {
		const most = 100
		token := gates[0].mint("get", "o", uses(most)).Token
		key := tokenKey(tokenID(t, token))
		move := s.BeginMove(key, elsewhere(s, key))
		finish := raceFor(t, gates, token, most, 8)
		time.Sleep(50 * time.Millisecond) // uses are reserved and charged
		for move.MoveKeys(1) > 0 {
			time.Sleep(50 * time.Millisecond) // keys are in two places
		}
		move.Finish()
		unproven += finish()
	}
	t.Logf("%d answers of 503", unproven)

	token := gates[0].mint("get", "o", nil)
	s.MoveSlot(logKey, elsewhere(s, logKey))
	revokeSoon(t, gates[1], fmt.Sprintf(`{"token": %q}`, token.ID))
	awaitReady(t, gates...)
	for _, g := range gates {
		if got := redeem(t, g.LinksURL()+"/"+token.Token); got != 410 {
			t.Errorf("revoked after the log has moved: %d", got)
		}
	}
}

// elsewhere is a primary that does not have the key.
func elsewhere(s *s3gatetest.ClusterSet, key string) *s3gatetest.RedisProcess {
	if s.PrimaryOf(key) == s.Nodes[0] {
		return s.Nodes[1]
	}
	return s.Nodes[0]
}

func tokenID(t *testing.T, text string) string {
	t.Helper()
	token, err := tokens.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(token.ID())
}

// A server takes over whose clock is an hour behind: uses and revocations do not
// depend on clocks, and what is minted then is not covered by the rules of
// before, although it was minted earlier by the clock.
func TestPromotedClockBehind(t *testing.T) {
	t.Parallel()
	s := s3gatetest.Sentinel(t, 2, 3)
	top := &topology{configure: func(c *config.Redis) { c.Addrs, c.Master, c.Replicas = s.Addrs, s.Master, 2 }}
	old := s.Primary()
	for _, r := range s.Nodes {
		if r != old {
			r.RestartWithClock(-time.Hour)
			r.AwaitReplica(old)
		}
	}
	w := over(t, top)
	one, two := w.gate(top.on(nil)), w.gate(top.on(nil))
	awaitReady(t, one, two)
	mint := func(subject string, uses int64) string {
		return mintSoon(t, one, func(r *client.MintRequest) { r.Subject, r.MaxUses, r.ExpiresIn = subject, &uses, "3h" }).Token
	}
	burnt, ruled, fresh := mint("bob", 1), mint("ada", 0), mint("bob", 1)
	if got := redeem(t, one.LinksURL()+"/"+burnt); got != 200 {
		t.Fatalf("redeeming: %d", got)
	}
	revokeSoon(t, one, `{"subject": "ada"}`)
	old.Kill()
	s.AwaitFailover(old)
	old.Restart()
	awaitReady(t, one, two)
	for _, g := range []*testGate{one, two} {
		for what, token := range map[string]string{"burnt": burnt, "revoked": ruled} {
			if got := redeem(t, g.LinksURL()+"/"+token); got != 410 {
				t.Errorf("%s, after the failover: %d", what, got)
			}
		}
	}
	if got := redeem(t, two.LinksURL()+"/"+mint("ada", 0)); got != 200 {
		t.Errorf("minted after the rule: %d", got)
	}
	revokeSoon(t, two, `{"subject": "bob"}`)
	if got := redeem(t, one.LinksURL()+"/"+fresh); got != 410 {
		t.Errorf("revoked by a rule that is earlier than the token by the clock: %d", got)
	}
}
