package gate_test

import (
	"context"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/internal/s3gatetest"
)

// counted is the sum of the values of a metric whose labels have all of these, as
// "name=value"; of a histogram, how often something was measured.
func counted(t *testing.T, g *testGate, name string, labels ...string) float64 {
	t.Helper()
	families, err := gate.Registry(g.Gate).Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			have := ""
			for _, l := range m.GetLabel() {
				have += l.GetName() + "=" + l.GetValue() + ";"
			}
			for _, want := range labels {
				if !strings.Contains(";"+have, ";"+want+";") {
					continue next
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func (g *testGate) counts(what string, want float64, name string, labels ...string) {
	g.t.Helper()
	eventually(g.t, what, func() bool { return counted(g.t, g, name, labels...) == want })
}

// What a gate does is counted as what it is.
func TestWhatIsCounted(t *testing.T) {
	w := newEmbedded(t)
	w.store("a.txt", "text/plain", []byte("content"))
	g := w.gate(func(c *config.Config) {
		away := c.Buckets["docs"]
		away.Endpoint, away.Verify = "http://127.0.0.1:1", false
		c.Buckets["away"] = away
	})
	do(t, "GET", g.mint("get", "a.txt", uses(1)).URL, nil)
	do(t, "GET", g.mint("get", "missing.txt", uses(1)).URL, nil)
	do(t, "PUT", g.mint("put", "b.txt", uses(1)).URL, []byte("b"))
	lost, err := g.api.Mint(t.Context(), mintIn("away"))
	if err != nil {
		t.Fatal(err)
	}
	do(t, "GET", lost.URL, nil)
	g.counts("the first bytes of three downloads", 3, "s3gate_link_first_byte_seconds", "method=GET")
	g.counts("the charge of a download and an upload", 2, "s3gate_uses_charged_total")
	g.counts("the uses of what is missing or away", 2, "s3gate_uses_handed_back_total")
	g.counts("no use that is not settled", 0, "s3gate_uses_unsettled")
	g.counts("the download that has ended", 1, "s3gate_uses_total", "operation=get", "outcome=complete")
	g.counts("the answer of S3", 1, "s3gate_s3_requests_total", "bucket=docs", "operation=GetObject", "result=2xx")
	g.counts("its refusal", 1, "s3gate_s3_requests_total", "bucket=docs", "operation=GetObject", "result=4xx")
	g.counts("no answer at all", 1, "s3gate_s3_requests_total", "bucket=away", "result=unreachable")
	// A script that Redis does not know yet is sent twice.
	for script, least := range map[string]float64{"redeem.lua": 4, "charge.lua": 1, "settle.lua": 3} {
		if n := counted(t, g, "s3gate_redis_command_seconds", "client=requests", "command="+script); n < least {
			t.Errorf("%s was run %v times, want %v", script, n, least)
		}
	}
	g.counts("the calls", 4, "s3gate_api_requests_total", "route=POST /v1/tokens", "code=2xx")
	do(t, "GET", g.APIURL()+"/nowhere/"+lost.ID, nil)
	g.counts("a call of nothing", 1, "s3gate_api_requests_total", "route=none", "code=4xx")
	if _, err := g.api.Revoke(t.Context(), lost.ID, ""); err != nil {
		t.Fatal(err)
	}
	g.counts("the revocation", 1, "s3gate_revocations_total", "result=ok")
	g.counts("how long it took", 1, "s3gate_revocation_seconds")
	g.counts("how long it took here", 1, "s3gate_revocation_apply_seconds")
	for _, kind := range []string{"timeout", "pool", "unreachable"} { // the embedded Redis refuses to tell of itself
		g.counts("no errors of Redis", 0, "s3gate_redis_errors_total", "client=requests", "kind="+kind)
	}
}

// A Redis that does all that is asked of it is seen to do so.
func TestNoErrorsAreCountedOfAGoodRedis(t *testing.T) {
	w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
	w.store("a.txt", "text/plain", []byte("content"))
	g := w.gate(nil)
	if a := do(t, "GET", g.mint("get", "a.txt", uses(1)).URL, nil); a.status != 200 {
		t.Fatalf("answers %d", a.status)
	}
	if n := counted(t, g, "s3gate_redis_errors_total"); n != 0 {
		t.Errorf("%v errors", n)
	}
}

// A Redis that goes away is seen in what it does not answer, and in the lease.
func TestWhatIsCountedWithoutRedis(t *testing.T) {
	redis := miniredis.RunT(t)
	w := newWorld(t, s3gatetest.DevS3(t), redis.Addr())
	g := w.gate(func(c *config.Config) { c.Audit.File = t.TempDir() + "/audit.log" })
	g.counts("a lease that was never lost", 0, "s3gate_lease_lost_total")
	if left := counted(t, g, "s3gate_lease_remaining_seconds"); left <= 0 || left > 3 {
		t.Errorf("a lease for %v s", left)
	}
	before := counted(t, g, "s3gate_lease_missing_seconds_total")
	redis.Close()
	g.counts("the lease is lost", 1, "s3gate_lease_lost_total")
	g.counts("and shown as lost", 0, "s3gate_lease_remaining_seconds")
	eventually(t, "errors of the lease's client", func() bool { return counted(t, g, "s3gate_redis_errors_total", "client=lease", "kind=unreachable") > 0 })
	eventually(t, "time without a lease", func() bool { return counted(t, g, "s3gate_lease_missing_seconds_total") > before })
	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := g.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lease is back", func() bool { return counted(t, g, "s3gate_lease_remaining_seconds") > 0 })
	eventually(t, "the time without one stands still", func() bool {
		at := counted(t, g, "s3gate_lease_missing_seconds_total")
		return math.Abs(counted(t, g, "s3gate_lease_missing_seconds_total")-at) == 0 && at > 0
	})
}

// A transfer that waits for a lease is seen while it does.
func TestStallsAreCounted(t *testing.T) {
	redis := miniredis.RunT(t)
	w := newWorld(t, s3gatetest.DevS3(t), redis.Addr())
	w.store("big", "application/octet-stream", make([]byte, 64<<20))
	g := w.gate(nil)
	link := g.mint("get", "big", nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body := opened(ctx, t, link.URL)
	redis.Close()
	eventually(t, "the lease is lost", func() bool { return counted(t, g, "s3gate_lease_remaining_seconds") == 0 })
	read := make(chan struct{})
	go func() { defer close(read); drain(body) }()
	eventually(t, "a write waits", func() bool { return counted(t, g, "s3gate_stalled_writes") == 1 })
	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on", func() bool { return counted(t, g, "s3gate_stalls_total", "end=resumed") > 0 })
	<-read
	g.counts("nothing waits", 0, "s3gate_stalled_writes")
	g.counts("and nothing was cut", 0, "s3gate_stalls_total", "end=cut")
}

func mintIn(bucket string) client.MintRequest {
	n := int64(1)
	return client.MintRequest{Operation: "get", Bucket: bucket, Key: "a.txt", MaxUses: &n}
}

// opened is the body of an answer of which little was read.
func opened(ctx context.Context, t *testing.T, url string) io.ReadCloser {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if _, err := io.CopyN(io.Discard, resp.Body, 1<<10); err != nil {
		t.Fatal(err)
	}
	return resp.Body
}

func drain(r io.Reader) { _, _ = io.Copy(io.Discard, r) }
