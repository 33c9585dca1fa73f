package gate_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// metric reads a metric without labels.
func metric(t *testing.T, g *testGate, name string) int {
	t.Helper()
	for line := range strings.Lines(string(do(t, "GET", g.OpsURL()+"/metrics", nil).body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// wantStatus gets a link, with header lines if there are any.
func wantStatus(t *testing.T, what, url string, status int, header ...string) {
	t.Helper()
	if a := do(t, "GET", url, nil, header...); a.status != status {
		t.Errorf("%s: %d, want %d: %s", what, a.status, status, a.body)
	}
}

// awaitStatus asks until the status is another than that of before, and wants this.
func awaitStatus(t *testing.T, what, url string, status int) {
	t.Helper()
	for before, n := do(t, "GET", url, nil).status, 0; n < 500; n++ {
		a := do(t, "GET", url, nil)
		if a.status == status {
			return
		}
		if a.status != before {
			t.Fatalf("%s: %d, want %d: %s", what, a.status, status, a.body)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: never %d", what, status)
}

// While Redis is frozen, and for as long as the lease lasts, links without a
// limit that were used before work as ever: nothing on their way asks Redis. All
// others wait for it and fail.
func TestGrantCacheNeedsNoRedisUnderTheLease(t *testing.T) {
	server := s3gatetest.RedisServer(t)
	w := newWorld(t, s3gatetest.DevS3(t), server.Addr)
	w.store("dir/o", "text/plain", []byte("object"))
	log := t.TempDir() + "/audit.log"
	g := w.gate(func(c *config.Config) {
		c.Revocation.Lease = time.Minute
		c.Redis.Timeout = 300 * time.Millisecond
		c.Audit.File = log
	})
	file := g.mint("get", "dir/o", nil)
	folder := g.mint("get", "", func(r *client.MintRequest) { r.Prefix, r.List = "dir/", true })
	inside := g.LinksURL() + "/" + folder.Token
	limited := g.mint("get", "dir/o", uses(5))
	fresh := g.mint("get", "dir/o", nil)
	wantStatus(t, "file", file.URL, 200)
	wantStatus(t, "limited", limited.URL, 200)
	wantStatus(t, "folder", inside+"/", 200)
	hits, misses := metric(t, g, "s3gate_grant_cache_hits_total"), metric(t, g, "s3gate_grant_cache_misses_total")

	server.Pause()
	defer server.Resume()
	for _, tt := range []struct {
		name, method, url string
		status            int
		header            []string
	}{
		{"a file", "GET", file.URL, 200, nil},
		{"a part", "GET", file.URL, 206, []string{"Range: bytes=1-2"}},
		{"a condition", "GET", file.URL, 304, []string{"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"}},
		{"for a browser", "GET", file.URL, 200, []string{"Accept: text/html"}},
		{"its headers", "HEAD", file.URL, 200, nil},
		{"a file of a folder", "GET", inside + "/o", 200, nil},
		{"a listing", "GET", inside + "/", 200, nil},
		{"a link that was not used before", "GET", fresh.URL, 503, nil},
		{"a limited link", "GET", limited.URL, 503, nil},
	} {
		if a := do(t, tt.method, tt.url, nil, tt.header...); a.status != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, a.status, tt.status)
		}
	}
	server.Resume()

	if n := metric(t, g, "s3gate_grant_cache_hits_total") - hits; n < 7 {
		t.Errorf("%d hits, want 7 at least", n)
	}
	if n := metric(t, g, "s3gate_grant_cache_misses_total") - misses; n != 0 {
		t.Errorf("%d misses", n)
	}
	if n := metric(t, g, "s3gate_grant_cache_entries"); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
	// Each download has its receipt, whether Redis was asked or not.
	n := 0
	for _, e := range auditLog(t, log, "s3gate.token.receipt.v1", 6) {
		if e.Subject == file.ID {
			n++
		}
	}
	if n != 4 {
		t.Errorf("%d receipts of the file, want 4", n)
	}
}

// Without a lease nothing is served from memory.
func TestGrantCacheNeedsTheLease(t *testing.T) {
	server := s3gatetest.RedisServer(t)
	w := newWorld(t, s3gatetest.DevS3(t), server.Addr)
	w.store("o", "text/plain", []byte("object"))
	g := w.gate(func(c *config.Config) {
		c.Revocation.Lease = 2 * time.Second
		c.Redis.Timeout = 300 * time.Millisecond
	})
	token := g.mint("get", "o", nil)
	wantStatus(t, "before", token.URL, 200)
	server.Pause()
	defer server.Resume()
	awaitStatus(t, "no lease any more", token.URL, 503)
	hits := metric(t, g, "s3gate_grant_cache_hits_total")
	wantStatus(t, "without a lease", token.URL, 503)
	if n := metric(t, g, "s3gate_grant_cache_hits_total"); n != hits {
		t.Errorf("%d hits without a lease", n-hits)
	}
	server.Resume()
	wantReadyz(t, g, 200)
	wantStatus(t, "with a lease again", token.URL, 200)
}

// A link that was revoked through one gate is dead on another that had its
// grant in memory when the answer comes, whatever the rule says of it, and
// works when that is lifted.
func TestGrantCacheAndRevocation(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.store("secret/o", "text/plain", []byte("object"))
		w.store("public/o", "text/plain", []byte("object"))
		one, two := w.gate(nil), w.gate(nil)
		spared := two.mint("get", "public/o", nil)
		on := func(g *testGate, token *client.Token) string { return g.LinksURL() + "/" + token.Token }
		warm := func(what string, token *client.Token) {
			for _, g := range []*testGate{one, two} {
				wantStatus(t, what, on(g, token), 200)
				wantStatus(t, what, on(g, token), 200)
			}
		}
		for name, rule := range map[string]string{
			"token": "", "subject": `{"subject": "ada"}`, "label": `{"labels": {"team": "a"}}`,
			"prefix": `{"bucket": "docs", "prefix": "secret/"}`, "standing": `{"subject": "ada", "standing": true}`,
		} {
			token := one.mint("get", "secret/o", func(r *client.MintRequest) {
				r.Subject, r.Labels = "ada", map[string]string{"team": "a"}
			})
			warm(name, token)
			warm("spared", spared)
			if n := metric(t, two, "s3gate_grant_cache_entries"); n != 2 {
				t.Errorf("%s: %d entries before, want 2", name, n)
			}
			revoked := ""
			if rule == "" {
				revokeToken(t, one, token.ID)
			} else {
				revoked = revoke(t, one, rule).ID
			}
			for _, g := range []*testGate{one, two} {
				if n := metric(t, g, "s3gate_grant_cache_entries"); n != 1 {
					t.Errorf("%s: %d entries after, want that of the other token", name, n)
				}
				hits := metric(t, g, "s3gate_grant_cache_hits_total")
				wantStatus(t, name+" revoked", on(g, token), 410)
				if n := metric(t, g, "s3gate_grant_cache_hits_total"); n != hits {
					t.Errorf("%s: a grant that was revoked is in memory", name)
				}
				wantStatus(t, name+" spares", on(g, spared), 200)
			}
			if revoked == "" {
				continue
			}
			if a := callAPI(t, two, "DELETE", "/v1/revocations/"+revoked, `{"reason": "found"}`); a.status != 200 {
				t.Fatalf("lifting: %d %s", a.status, a.body)
			}
			warm(name+" lifted", token)
			revokeToken(t, one, token.ID)
		}
	})
}

// revokeToken revokes a token by its ID.
func revokeToken(t *testing.T, g *testGate, id string) {
	t.Helper()
	if a := callAPI(t, g, "DELETE", "/v1/tokens/"+id, ""); a.status != 200 {
		t.Fatalf("revoking: %d %s", a.status, a.body)
	}
}

// A grant that was read in one life of Redis is not served in the next, which
// may know nothing of it.
func TestGrantCacheEndsWithALifeOfRedis(t *testing.T) {
	server := s3gatetest.RedisServer(t)
	w := newWorld(t, s3gatetest.DevS3(t), server.Addr)
	w.store("o", "text/plain", []byte("object"))
	w.shared = true
	g := w.gate(func(c *config.Config) { c.Revocation.Lease = 2 * time.Second })
	wait, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := g.Await(wait); err != nil {
		t.Fatal(err)
	}
	token := g.mint("get", "o", nil)
	wantStatus(t, "before", token.URL, 200)
	wantStatus(t, "before", token.URL, 200)
	server.Stop()
	awaitStatus(t, "without a lease", token.URL, 503)
	server.Restart() // empty
	awaitStatus(t, "in the next life", token.URL, 404)
}

// What limits a link holds for each request, also when its grant is in memory;
// and a gate can do without memory.
func TestGrantCacheLimitsHold(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", []byte("object"))
	g := w.gate(func(c *config.Config) { c.TrustedProxies = []string{"127.0.0.1"} })
	office := g.mint("get", "o", func(r *client.MintRequest) { r.Clients = []string{"192.0.2.0/24"} })
	wantStatus(t, "from the office", office.URL, 200, "X-Forwarded-For: 192.0.2.1")
	wantStatus(t, "from elsewhere", office.URL, 403, "X-Forwarded-For: 198.51.100.1")
	wantStatus(t, "from the office again", office.URL, 200, "X-Forwarded-For: 192.0.2.2")

	slow := g.mint("get", "o", func(r *client.MintRequest) { r.RequestsPerSecond = 1 })
	limited := false
	for range 100 {
		limited = limited || do(t, "GET", slow.URL, nil).status == 429
	}
	if !limited {
		t.Error("100 requests were let in at one a second")
	}
	if n := metric(t, g, "s3gate_grant_cache_misses_total"); n != 2 {
		t.Errorf("%d misses, want one for each link", n)
	}

	off := w.gate(func(c *config.Config) { c.Tokens.CacheEntries = 0 })
	token := off.mint("get", "o", nil)
	for range 3 {
		wantStatus(t, "without memory", token.URL, 200)
	}
	for _, name := range []string{"hits_total", "misses_total", "entries", "bytes"} {
		if n := metric(t, off, "s3gate_grant_cache_"+name); n != 0 {
			t.Errorf("without memory: %d %s", n, name)
		}
	}
}
