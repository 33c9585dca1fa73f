package api_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/api"
	"s3gate/auth"
	"s3gate/tokens"
)

// clock is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// limited is a gate with limits, a clock, and the names of limits that have
// refused something.
type limited struct {
	*gate
	clock *clock

	mu      sync.Mutex
	refused []string
}

func (g *limited) refuse(limit string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = append(g.refused, limit)
}

func newLimited(t *testing.T, l api.Limits, change ...func(*api.Config)) *limited {
	t.Helper()
	g := &limited{clock: &clock{now: start}}
	g.gate = newGate(t, append(change, func(c *api.Config) {
		c.Limits, c.Clock, c.Limited = l, g.clock.Now, g.refuse
	})...)
	return g
}

// caller is the Authorization header of an administrator, which limits are for
// too.
func caller(t testing.TB, subject string) string {
	return bearer(t, auth.Caller{Issuer: "https://id.example", Subject: subject, Admin: true})
}

// many is a batch of so many downloads.
func many(n int) string {
	requests := make([]string, n)
	for i := range requests {
		requests[i] = get()
	}
	return batchOf(requests...)
}

func TestMintRate(t *testing.T) {
	g := newLimited(t, api.Limits{MintRate: 2, MintBurst: 4})
	old := g.as(caller(t, "root"), "POST", "/v1/tokens", strings.NewReader(get())).object(t)["id"].(string)
	for _, tt := range []struct {
		name                string
		pass                time.Duration
		caller, target      string
		body                string
		status              int
		left, retry, policy string
	}{
		{"the first", 0, "ada", "/v1/tokens", get(), 201, `"mint";r=3;t=1`, "", `"mint";q=4;w=2`},
		{"a batch", 0, "ada", batchTarget, many(3), 201, `"mint";r=0;t=2`, "", `"mint";q=4;w=2`},
		{"one too many", 0, "ada", "/v1/tokens", get(), 429, `"mint";r=0;t=2`, "1", `"mint";q=4;w=2`},
		{"a batch too many", 0, "ada", batchTarget, many(4), 429, `"mint";r=0;t=2`, "2", `"mint";q=4;w=2`},
		{"a batch that can never be", 0, "ada", batchTarget, many(5), 400, `"mint";r=0;t=2`, "", `"mint";q=4;w=2`},
		{"somebody else", 0, "eve", "/v1/tokens", get(), 201, `"mint";r=3;t=1`, "", `"mint";q=4;w=2`},
		{"what is wrong costs nothing", 0, "eve", "/v1/tokens", "{", 400, `"mint";r=3;t=1`, "", `"mint";q=4;w=2`},
		{"nor does a wrong parameter", 0, "eve", "/v1/tokens?x=1", get(), 400, `"mint";r=3;t=1`, "", `"mint";q=4;w=2`},
		{"a reissue", 0, "eve", "/v1/tokens/" + old + ":reissue", "{}", 201, `"mint";r=2;t=1`, "", `"mint";q=4;w=2`},
		{"too early", 499 * time.Millisecond, "ada", "/v1/tokens", get(), 429, `"mint";r=0;t=2`, "1", `"mint";q=4;w=2`},
		{"in time", time.Millisecond, "ada", "/v1/tokens", get(), 201, `"mint";r=0;t=2`, "", `"mint";q=4;w=2`},
		{"a reissue too early", 0, "ada", "/v1/tokens/" + old + ":reissue", "{}", 429, `"mint";r=0;t=2`, "1", `"mint";q=4;w=2`},
		{"after a while", time.Hour, "ada", batchTarget, many(4), 201, `"mint";r=0;t=2`, "", `"mint";q=4;w=2`},
	} {
		g.clock.pass(tt.pass)
		a := g.as(caller(t, tt.caller), "POST", tt.target, strings.NewReader(tt.body))
		if left, retry := a.header.Get("RateLimit"), a.header.Get("Retry-After"); a.status != tt.status || left != tt.left || retry != tt.retry || a.header.Get("RateLimit-Policy") != tt.policy {
			t.Errorf("%s: %d %s, Retry-After %q, want %d %s %q\n%s", tt.name, a.status, left, retry, tt.status, tt.left, tt.retry, a.body)
		}
		p := a.problem()
		if tt.status == 429 && (p.Limit != "mint_rate" || p.Allowed != "2 a second, 4 at once" || !strings.Contains(p.Detail, "api.limits.mint_rate")) {
			t.Errorf("%s: %s", tt.name, a.body)
		}
		if tt.name == "a batch that can never be" && (p.Field != "tokens" || p.Allowed != "a list of 1 to 4 entries" || !strings.Contains(p.Detail, "api.limits.mint_burst, got 5")) {
			t.Errorf("%s: %s", tt.name, a.body)
		}
	}
	if want := slices.Repeat([]string{"mint_rate"}, 4); !slices.Equal(g.refused, want) {
		t.Errorf("%q were told, want %q", g.refused, want)
	}
	if a := g.do("GET", "/v1/tokens", ""); a.header.Get("RateLimit") != "" || a.header.Get("RateLimit-Policy") != "" {
		t.Errorf("a list has %v", a.header)
	}
}

// Without limits nothing is said of them, and nothing is kept.
func TestNoLimits(t *testing.T) {
	g := newLimited(t, api.Limits{MintBurst: 1})
	a := g.do("POST", batchTarget, many(3))
	if a.status != 201 || a.header.Get("RateLimit") != "" || a.header.Get("RateLimit-Policy") != "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	for _, key := range g.stored() {
		if strings.HasPrefix(key, "s3g:quota:") {
			t.Errorf("Redis has %s", key)
		}
	}
}

func TestOpenTokens(t *testing.T) {
	g := newLimited(t, api.Limits{OpenPerCaller: 3, OpenPerSubject: 2})
	var last string
	for _, tt := range []struct {
		name, caller, body, limit, retry string
	}{
		{"one", "ada", get(`"subject": "zoe"`, `"expires_in": "10m"`), "", ""},
		{"two", "ada", get(`"subject": "zoe"`, `"expires_in": "20m"`), "", ""},
		{"a third of the subject", "ada", get(`"subject": "zoe"`), "open_per_subject", "600"},
		{"that of another caller", "eve", get(`"subject": "zoe"`), "open_per_subject", "600"},
		{"another subject: what was refused has no place", "ada", get(`"subject": "bob"`, `"expires_in": "30d"`), "", ""},
		{"a fourth of the caller", "ada", get(), "open_per_caller", "600"},
		{"the caller comes first", "ada", get(`"subject": "zoe"`), "open_per_caller", "600"},
		{"another caller", "eve", get(`"expires_in": "30d"`), "", ""},
		{"without a subject", "eve", get(`"expires_in": "30d"`), "", ""},
		{"nor is there a quota of none", "eve", get(`"expires_in": "30d"`), "", ""},
		{"an hour at most", "eve", get(), "open_per_caller", "3600"},
	} {
		a := g.as(caller(t, tt.caller), "POST", "/v1/tokens", strings.NewReader(tt.body))
		p := a.problem()
		if (a.status == 201) != (tt.limit == "") || tt.limit != "" && a.status != 429 || p.Limit != tt.limit || a.header.Get("Retry-After") != tt.retry {
			t.Errorf("%s: %d, limit %q, Retry-After %q, want %q, %q\n%s", tt.name, a.status, p.Limit, a.header.Get("Retry-After"), tt.limit, tt.retry, a.body)
		}
		if want := map[string]string{"open_per_caller": "3", "open_per_subject": "2"}[tt.limit]; a.status == 429 && (p.Allowed != want || !strings.Contains(p.Detail, "api.limits."+tt.limit+" permits, which is "+want) || strings.Contains(a.body, "zoe")) {
			t.Errorf("%s: %s", tt.name, a.body)
		}
		if a.status == 201 {
			last = a.object(t)["id"].(string)
		}
		if a.header.Get("RateLimit") != "" {
			t.Errorf("%s: there is no rate, and yet %v", tt.name, a.header)
		}
	}
	// Room is made by a revocation and by time, and a reissue needs none.
	eve := caller(t, "eve")
	if a := g.as(eve, "POST", "/v1/tokens/"+last+":reissue", nil); a.status != 201 {
		t.Errorf("reissue: %d %s", a.status, a.body)
	} else {
		last = a.object(t)["id"].(string)
	}
	if a := g.as(eve, "POST", "/v1/tokens", strings.NewReader(get())); a.status != 429 {
		t.Errorf("after a reissue: %d %s", a.status, a.body)
	}
	g.as(eve, "DELETE", "/v1/tokens/"+last, nil)
	if a := g.as(eve, "POST", "/v1/tokens", strings.NewReader(get())); a.status != 201 {
		t.Errorf("after a revocation: %d %s", a.status, a.body)
	}
	g.redis.SetTime(start.Add(10 * time.Minute))
	if a := g.as(caller(t, "ada"), "POST", "/v1/tokens", strings.NewReader(get(`"subject": "zoe"`))); a.status != 201 {
		t.Errorf("after an expiry: %d %s", a.status, a.body)
	}
}

// The subjects of one issuer do not take the places of another's.
func TestIssuersDoNotFillEachOthersQuotas(t *testing.T) {
	g := newIssuers(t)
	g.handler.Adjust(api.Limits{OpenPerCaller: 10, OpenPerSubject: 1})
	body := `{"operation": "get", "bucket": "docs", "key": "users/ada/x", "subject": "zoe"}`
	for _, tt := range []struct {
		who  string
		want int
	}{{"ada@acme", 201}, {"ada@acme", 429}, {"ada@other", 201}, {"ada@other", 429}} {
		if a := g.as(as(t, tt.who, "minter"), "POST", "/v1/tokens", strings.NewReader(body)); a.status != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.who, a.status, tt.want, a.body)
		}
	}
}

// A batch that would exceed a quota mints nothing, and takes no place.
func TestBatchOverQuota(t *testing.T) {
	g := newLimited(t, api.Limits{OpenPerCaller: 3, OpenPerSubject: 2})
	zoe := get(`"subject": "zoe"`)
	for _, tt := range []struct{ name, body, field, limit string }{
		{"caller", many(4), "tokens.3", "open_per_caller"},
		{"subject", batchOf(zoe, get(), zoe, zoe), "tokens.3", "open_per_caller"},
		{"subject first", batchOf(zoe, zoe, zoe, get()), "tokens.2", "open_per_subject"},
	} {
		a := g.keyed(tt.name, batchTarget, tt.body)
		if p := a.problem(); a.status != 429 || p.Field != tt.field || p.Limit != tt.limit || !strings.HasPrefix(p.Detail, tt.field+": ") {
			t.Errorf("%s: %d %s", tt.name, a.status, a.body)
		}
	}
	if keys := g.stored(); len(keys) != 0 {
		t.Errorf("refused batches leave %q", keys)
	}
	if a := g.do("POST", batchTarget, batchOf(zoe, zoe, get())); a.status != 201 {
		t.Errorf("as many as there may be: %d %s", a.status, a.body)
	}
	if want := []string{"open_per_caller", "open_per_caller", "open_per_subject"}; !slices.Equal(g.refused, want) {
		t.Errorf("%q were told, want %q", g.refused, want)
	}
}

// A request that comes again counts against the rate and against no quota. One
// that was refused does not take its key.
func TestLimitsOfRequestsThatComeAgain(t *testing.T) {
	g := newLimited(t, api.Limits{MintRate: 1, MintBurst: 4, OpenPerCaller: 1})
	first := g.keyed("k", "/v1/tokens", get())
	for _, left := range []string{"2", "1"} {
		a := g.keyed("k", "/v1/tokens", get())
		if a.status != 201 || a.body != first.body || a.header.Get(replayed) != "true" || !strings.HasPrefix(a.header.Get("RateLimit"), `"mint";r=`+left) {
			t.Errorf("%d %v %s", a.status, a.header, a.body)
		}
	}
	if a := g.keyed("l", "/v1/tokens", get()); a.status != 429 || a.problem().Limit != "open_per_caller" {
		t.Errorf("another: %d %s", a.status, a.body)
	}
	for _, key := range []string{"k", "l"} {
		if a := g.keyed(key, "/v1/tokens", get()); a.status != 429 || a.problem().Limit != "mint_rate" {
			t.Errorf("%s too fast: %d %s", key, a.status, a.body)
		}
	}
	g.clock.pass(time.Minute)
	g.do("DELETE", "/v1/tokens/"+first.object(t)["id"].(string), "")
	if a := g.keyed("l", "/v1/tokens", get(`"max_uses": 3`)); a.status != 201 {
		t.Errorf("another request with a key that was refused: %d %s", a.status, a.body)
	}
}

// Somebody who has no place left, and reissues what is another's, has revoked it:
// the answer says so, and the same request goes on.
func TestReissueOverQuota(t *testing.T) {
	g := newLimited(t, api.Limits{OpenPerCaller: 1})
	own := g.mint(get()).ID
	others := g.as(caller(t, "ada"), "POST", "/v1/tokens", strings.NewReader(get())).object(t)["id"].(string)
	target := "/v1/tokens/" + others + ":reissue"
	for range 2 {
		a := g.keyed("k", target, "{}")
		if p := a.problem(); a.status != 429 || p.Limit != "open_per_caller" || p.Outcome != "old_revoked" || p.Field != "" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if state := g.do("GET", "/v1/tokens/"+others, "").object(t)["state"]; state != "revoked" {
		t.Errorf("the old token is %s", state)
	}
	g.do("DELETE", "/v1/tokens/"+own, "")
	if a := g.keyed("k", target, "{}"); a.status != 201 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Two gates on one Redis have one quota, and a rate each.
func TestQuotasOverGates(t *testing.T) {
	var cfg api.Config
	limits := api.Limits{OpenPerCaller: 7, MintRate: 1, MintBurst: 100}
	g := newLimited(t, limits, func(c *api.Config) { cfg = *c })
	rdb := redis.NewClient(&redis.Options{Addr: g.redis.Addr()})
	store := tokens.New(rdb, tokens.Options{})
	t.Cleanup(func() {
		_ = store.Close(context.Background())
		rdb.Close()
	})
	cfg.Tokens, cfg.Limits, cfg.Clock = store, limits, g.clock.Now
	gates := []*gate{{TB: t, handler: g.handler}, {TB: t, handler: api.New(cfg)}}
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			a := gates[i%2].as(g.admin, "POST", "/v1/tokens", strings.NewReader(get()))
			mu.Lock()
			defer mu.Unlock()
			got[a.status]++
		})
	}
	all.Wait()
	if got[201] != 7 || got[429] != 13 {
		t.Errorf("by status: %v, want 7 of 201 and 13 of 429", got)
	}
	for i, one := range gates {
		a := one.as(g.admin, "POST", "/v1/tokens", strings.NewReader("{"))
		if left := a.header.Get("RateLimit"); left != `"mint";r=90;t=10` {
			t.Errorf("gate %d: %s", i, left)
		}
	}
}

// Limits count from when they are set, and who has minted much is not forgiven.
func TestAdjust(t *testing.T) {
	g := newLimited(t, api.Limits{MintRate: 1, MintBurst: 2})
	for _, tt := range []struct {
		name   string
		limits api.Limits
		mints  int // that succeed
		left   string
	}{
		{"as it began", api.Limits{MintRate: 1, MintBurst: 2}, 2, `"mint";r=0;t=2`},
		{"a larger burst has to be earned", api.Limits{MintRate: 1, MintBurst: 5}, 0, `"mint";r=0;t=5`},
		{"no rate", api.Limits{OpenPerCaller: 3}, 3, ""},
		{"a rate again", api.Limits{MintRate: 10, MintBurst: 5}, 0, `"mint";r=0;t=1`},
	} {
		g.handler.Adjust(tt.limits)
		for n := range tt.mints + 1 {
			a := g.do("POST", "/v1/tokens", get())
			if want := map[bool]int{true: 201, false: 429}[n < tt.mints]; a.status != want || n == tt.mints && a.header.Get("RateLimit") != tt.left {
				t.Errorf("%s, mint %d: %d %s, want %d %s", tt.name, n, a.status, a.header.Get("RateLimit"), want, tt.left)
			}
		}
	}
	g.clock.pass(400 * time.Millisecond)
	if a := g.do("POST", batchTarget, many(4)); a.status != 201 {
		t.Errorf("after four tenths of a second: %d %s", a.status, a.body)
	}
}

// Limits may change under load.
func TestAdjustWhileMinting(t *testing.T) {
	g := newLimited(t, api.Limits{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				if a := g.do("POST", "/v1/tokens", get()); a.status != 201 {
					t.Errorf("%d %s", a.status, a.body)
				}
			}
		})
	}
	for n := range 200 {
		g.handler.Adjust(api.Limits{MintRate: float64(n % 2 * 1000), MintBurst: 1000 + n, OpenPerCaller: int64(n%2) * 1000})
	}
	all.Wait()
}
