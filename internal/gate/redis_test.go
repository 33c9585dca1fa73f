package gate_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// The follower of one gate hears nothing of the log, or loses its connection
// whenever it asks. The renewal of the lease tells the gate: the revocation is
// acknowledged by it, and nothing is written after (R3).
func TestOracleFollowerHearsNothing(t *testing.T) {
	for _, cuts := range []bool{false, true} {
		t.Run(fmt.Sprintf("connection cut: %v", cuts), func(t *testing.T) {
			t.Parallel()
			var between *relay
			s := newStage(t, false, false, func(i int, c *config.Config) {
				if i == 2 {
					between = newRelay(t, c.Redis.Addrs[0])
					c.Redis.Addrs = []string{between.Addr}
				}
			})
			between.silence(cuts)
			for i := range 4 {
				r := s.revoke(fmt.Sprintf("round-%d/", i), 6, i%2 == 1)
				s.judge(r)
				t.Logf("acknowledged in %s", micro(r.acked-r.sent))
			}
			if between.times() == 0 {
				t.Error("nobody asked the relay")
			}
		})
	}
}

// A gate loses its way to Redis while it serves downloads: they stall, and new
// requests are told to come back. A revocation is then answered when the lease
// of that gate has run out, and nothing follows. What was not revoked goes on
// when Redis is back, and is whole (R3, R4).
func TestOracleGateLosesRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
	w.writes = &oracle{}
	body := make([]byte, 16<<20)
	rand.Read(body)
	w.store("secret/film", "video/mp4", body)
	w.store("public/film", "video/mp4", body)
	relay := newRelay(t, w.redis)
	const lease = time.Second
	near := w.gate(func(c *config.Config) { c.Revocation.Lease = lease })
	far := w.gate(func(c *config.Config) { c.Revocation.Lease, c.Redis.Addrs = lease, []string{relay.Addr} })
	mint := func(key string) string {
		token := near.mint("get", key, func(r *client.MintRequest) { r.Bandwidth = 4 << 20 })
		return far.LinksURL() + "/" + token.Token
	}
	open := func(url string, into *received) *download {
		t.Helper()
		d, err := reader{into: into}.open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	var whole received
	doomed, spared := open(mint("secret/film"), &received{}), open(mint("public/film"), &whole)
	late := mint("public/film")

	relay.Cut(true)
	lost := monotonic()
	receipt, _, acked := revokeTimed(t, near, `{"bucket": "docs", "prefix": "secret/"}`)
	if len(receipt.AcknowledgedBy) != 1 || len(receipt.ExpiredLeases) != 1 {
		t.Errorf("receipt %+v; want the gate without Redis in expired_leases", receipt)
	}
	a := do(t, "GET", late, nil, "Range: bytes=0-0")
	if a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("without Redis: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	time.Sleep(time.Second)
	back := monotonic()
	relay.Cut(false)
	if err := doomed.wait(t); err == nil {
		t.Error("a revoked download ended as if it were complete")
	}
	if err := spared.wait(t); err != nil || !slices.Equal(whole.all(), body) {
		t.Errorf("a download outside of the rule: %d bytes, %v", spared.got.Load(), err)
	}
	if n := w.writes.to(t, map[string]bool{doomed.client: true}).after(acked).bytes(); n > 0 {
		t.Errorf("%d bytes of what was revoked were handed to the kernel after the answer", n)
	}
	all := w.writes.to(t, map[string]bool{doomed.client: true, spared.client: true})
	if n := all.before(back).after(lost + lease + lease/10).bytes(); n > chunk {
		t.Errorf("%d bytes were handed to the kernel without a lease", n)
	}
	t.Logf("one of two gates without Redis: acknowledged after %.0f ms; its last write was %s after it lost Redis",
		receipt.TookMS, micro(all.before(back).last()-lost))
	wantReadyz(t, far, 200)
	if a := do(t, "GET", late, nil, "Range: bytes=0-0"); a.status != 206 {
		t.Errorf("with Redis again: %d", a.status)
	}
}

// A gate that does not find back to Redis cuts what has waited for
// stall_timeout (R4).
func TestOracleStallTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
	w.writes = &oracle{}
	w.store("film", "video/mp4", make([]byte, 8<<20))
	relay := newRelay(t, w.redis)
	g := w.gate(func(c *config.Config) {
		c.Redis.Addrs = []string{relay.Addr}
		c.Revocation.Lease, c.Revocation.StallTimeout = 500*time.Millisecond, 1500*time.Millisecond
	})
	d, err := reader{}.open(t.Context(), g.mint("get", "film", func(r *client.MintRequest) { r.Bandwidth = 1 << 20 }).URL)
	if err != nil {
		t.Fatal(err)
	}
	relay.Cut(true)
	lost := monotonic()
	if err := d.wait(t); err == nil {
		t.Error("it ended as if it were complete")
	}
	if took := monotonic() - lost; took < 1500*time.Millisecond {
		t.Errorf("it was cut after %s, before the stall was over", took)
	}
	if n := w.writes.to(t, map[string]bool{d.client: true}).after(lost + 600*time.Millisecond).bytes(); n > chunk {
		t.Errorf("%d bytes were handed to the kernel without a lease", n)
	}
	relay.Cut(false)
	wantReadyz(t, g, 200)
}

// received is the body that a client has got.
type received struct {
	mu   sync.Mutex
	body []byte
}

func (r *received) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.body = append(r.body, p...)
	return len(p), nil
}

func (r *received) all() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.body
}

// Redis comes back without a rule: empty, or with the state of before. While it
// is away and when it is back clients ask all gates, also one that has just been
// started, again and again. What was revoked is never served, since the gates
// know it and give it back before anything is served (D4).
func TestRedisComesBackWithoutARule(t *testing.T) {
	for _, v := range []struct {
		name              string
		saved             bool // what there was before the revocation
		revoked, other    int  // statuses at the end
		whileAway, remain []int
	}{
		{"empty", false, 404, 404, []int{410, 503, 404}, []int{200, 503, 404}},
		{"as before", true, 410, 200, []int{410, 503}, []int{200, 503}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			server := s3gatetest.RedisServer(t)
			w := newWorld(t, s3gatetest.DevS3(t), server.Addr)
			w.shared = true
			w.store("secret/o", "text/plain", []byte("object"))
			w.store("public/o", "text/plain", []byte("object"))
			// Who asks so often for what is not there would be taken for guessing.
			patient := func(c *config.Config) { c.Guesses.Burst = 0 }
			gates := []*testGate{w.gate(patient), w.gate(patient)}
			for _, g := range gates {
				wantReadyz(t, g, 200)
			}
			secret, public := gates[0].mint("get", "secret/o", nil), gates[0].mint("get", "public/o", nil)
			if v.saved {
				rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
				defer rdb.Close()
				if err := rdb.Save(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
			}
			revoke(t, gates[0], `{"bucket": "docs", "prefix": "secret/"}`)
			revoke(t, gates[1], `{"subject": "ada", "standing": true}`)

			revoked, other := newHammer(t, secret), newHammer(t, public)
			hit := func(g *testGate) { revoked.hit(g); other.hit(g) }
			hit(gates[0])
			hit(gates[1])
			time.Sleep(100 * time.Millisecond)
			server.Restart()
			gates = append(gates, w.gate(patient))
			hit(gates[2])
			for _, g := range gates {
				wantReadyz(t, g, 200)
			}
			time.Sleep(300 * time.Millisecond)
			t.Logf("revoked: %v; other: %v", revoked.end(v.whileAway), other.end(v.remain))
			for i, g := range gates {
				for token, want := range map[*client.Token]int{secret: v.revoked, public: v.other} {
					if a := do(t, "GET", g.LinksURL()+"/"+token.Token, nil); a.status != want {
						t.Errorf("gate %d: %d at the end, want %d", i, a.status, want)
					}
				}
				a := callAPI(t, g, "POST", "/v1/tokens", `{"operation": "get", "bucket": "docs", "key": "o", "subject": "ada"}`)
				if a.status != 403 {
					t.Errorf("gate %d: minting against a standing revocation that Redis had lost: %d %s", i, a.status, a.body)
				}
			}
		})
	}
}

// hammer asks for one object without a pause.
type hammer struct {
	t     *testing.T
	token *client.Token
	stop  chan struct{}
	wg    sync.WaitGroup

	mu       sync.Mutex
	statuses map[int]int
}

func newHammer(t *testing.T, token *client.Token) *hammer {
	return &hammer{t: t, token: token, stop: make(chan struct{}), statuses: map[int]int{}}
}

// hit begins to ask a gate.
func (h *hammer) hit(g *testGate) {
	h.wg.Go(func() {
		for {
			a, err := try(h.t.Context(), http.DefaultTransport, "GET", g.LinksURL()+"/"+h.token.Token, nil)
			if err != nil {
				h.t.Errorf("asking a gate: %v", err)
				return
			}
			h.mu.Lock()
			h.statuses[a.status]++
			h.mu.Unlock()
			select {
			case <-h.stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
}

// end returns how often each status came, all of which must be among those.
func (h *hammer) end(allowed []int) map[int]int {
	h.t.Helper()
	close(h.stop)
	h.wg.Wait()
	for status, times := range h.statuses {
		if !slices.Contains(allowed, status) {
			h.t.Errorf("%d came %d times", status, times)
		}
	}
	return h.statuses
}
