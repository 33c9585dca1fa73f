package gate_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/events"
	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/policy"
)

// lock locks the world's bucket, or unlocks it.
func (w *world) lock(on bool) {
	w.t.Helper()
	plan, err := guard.Unlock(w.t.Context(), w.bucket)
	if on {
		plan, err = guard.Lock(w.t.Context(), w.bucket, policy.LockOptions{Bucket: bucketName})
	}
	if err == nil {
		err = plan.Apply(w.t.Context(), w.bucket)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// asGate gives a gate the credentials that a lock is about, and has it verify.
func (w *world) asGate(c *config.Config) {
	b := c.Buckets["docs"]
	b.AccessKeyID, b.SecretAccessKey, b.Verify = w.s3.Gate.AccessKey, w.s3.Gate.Secret, true
	b.Principal = w.s3.Gate.ARN()
	c.Buckets["docs"] = b
	c.Buckets["other"] = config.Bucket{Name: bucketName, Region: b.Region, Endpoint: b.Endpoint, PathStyle: true, AccessKeyID: b.AccessKeyID, SecretAccessKey: b.SecretAccessKey}
}

// bucketEvents are those that tell of buckets, in order.
func bucketEvents(t *testing.T, g *testGate, n int) (all []events.Locked, types []string) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		all, types = nil, nil
		for _, e := range happened(t, g, client.EventQuery{After: "0"}) {
			if !strings.HasPrefix(e.Type, "s3gate.bucket.") {
				continue
			}
			var data events.Locked
			if err := json.Unmarshal(e.Data, &data); err != nil {
				t.Fatal(err)
			}
			all, types = append(all, data), append(types, strings.TrimSuffix(strings.TrimPrefix(e.Type, "s3gate.bucket."), ".v1"))
		}
		if len(all) >= n {
			return all, types
		}
	}
	t.Fatalf("%d events of buckets, want %d: %q", len(all), n, types)
	return nil, nil
}

// Three gates tell once that the bucket is locked, when somebody takes the lock
// off, and when it is back; a store that is away is told as such.
func TestGatesTellWhenALockIsLost(t *testing.T) {
	w := newEmbedded(t)
	w.lock(true)
	relay := newWitness(t, w.s3.URL)
	var gates []*testGate
	for range 3 {
		gates = append(gates, w.gate(func(c *config.Config) {
			w.asGate(c)
			b := c.Buckets["docs"]
			b.Endpoint = relay.URL
			c.Buckets["docs"] = b
		}))
		w.shared = true
	}
	bucketEvents(t, gates[0], 1)
	verify := func(g *testGate) *client.BucketStatus {
		t.Helper()
		status, err := g.api.VerifyBucket(t.Context(), "docs")
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	if s := verify(gates[1]); s.State != "locked" || !s.Report.Locked || len(s.Report.Checks) != 12 {
		t.Errorf("%+v", s)
	}
	w.lock(false)
	s := verify(gates[2])
	if s.State != "unlocked" || s.Report.Checks[3].Cause != "the bucket's policy cannot be read with these credentials" {
		t.Errorf("%+v %+v", s, s.Report)
	}
	verify(gates[0])
	relay.setHangUp(true)
	if s := verify(gates[0]); s.State != "unknown" || !strings.Contains(s.Error, "no answer from s3") || len(s.Report.Checks) == 0 || s.VerifiedAt.IsZero() {
		t.Errorf("%+v", s)
	}
	relay.setHangUp(false)
	w.lock(true)
	verify(gates[1])
	all, types := bucketEvents(t, gates[0], 4)
	if got := strings.Join(types, " "); got != "locked unlocked unverified locked" {
		t.Errorf("told %s", got)
	}
	if e := all[1]; e.Bucket != "docs" || e.State != "unlocked" || e.Before != "locked" || !e.Verified || len(e.Failed) != 7 || e.Failed[0].Name != "presigned GET" || e.Error != "" {
		t.Errorf("%+v", e)
	}
	if e := all[2]; e.Verified || e.Error == "" || e.State != "unknown" || e.VerifiedAt.IsZero() {
		t.Errorf("%+v", e)
	}
	for _, g := range gates {
		list, err := g.api.Buckets(t.Context())
		if err != nil || len(list) != 2 || list[0].Bucket != "docs" || list[0].State != "locked" || !list[0].Watched || list[1].Watched || list[1].State != "unknown" {
			t.Errorf("%+v, %v", list, err)
		}
	}
	metrics := string(do(t, "GET", gates[1].OpsURL()+"/metrics", nil).body)
	for _, line := range []string{`s3gate_bucket_locked{bucket="docs"} 1`, `s3gate_bucket_verify_errors_total{bucket="docs"} 0`} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
	if _, err := gates[0].api.VerifyBucket(t.Context(), "other"); err == nil || !strings.Contains(err.Error(), "verify is false") {
		t.Errorf("a bucket that is not verified: %v", err)
	}
	if keys := w.keys(guard.CanaryPrefix); len(keys) > 0 {
		t.Errorf("canaries are left: %q", keys)
	}
}

// A gate that is told to wait for its buckets is not ready until they are locked,
// and serves links all the same.
func TestReadinessCanDependOnTheLock(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", []byte("object"))
	g := w.gate(func(c *config.Config) { w.asGate(c); c.Guard.Ready = true })
	ready := func() answer { return do(t, "GET", g.APIURL()+"/readyz", nil) }
	bucketEvents(t, g, 1)
	if a := ready(); a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), "not known to be locked") {
		t.Errorf("unlocked: %d %s", a.status, a.body)
	}
	if a := do(t, "GET", g.mint("get", "o", nil).URL, nil); a.status != 200 {
		t.Errorf("a link: %d", a.status)
	}
	w.lock(true)
	if _, err := g.api.VerifyBucket(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	if a := ready(); a.status != 200 {
		t.Errorf("locked: %d %s", a.status, a.body)
	}
}

// A store that does not answer delays neither the start nor links.
func TestVerifyingDelaysNothing(t *testing.T) {
	w := newEmbedded(t)
	w.lock(true)
	hangs := make(chan struct{})
	slow := newSlowCanary(t, w.s3.URL, hangs)
	defer close(hangs)
	w.store("o", "text/plain", []byte("object"))
	g := w.gate(func(c *config.Config) {
		w.asGate(c)
		b := c.Buckets["docs"]
		b.Endpoint = slow
		c.Buckets["docs"] = b
	})
	if a := do(t, "GET", g.mint("get", "o", nil).URL, nil); a.status != 200 || string(a.body) != "object" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := do(t, "GET", g.APIURL()+"/readyz", nil); a.status != 200 {
		t.Errorf("ready: %d", a.status)
	}
}

// newSlowCanary is an S3 that answers requests for canaries when it is let go.
func newSlowCanary(t *testing.T, s3 string, hangs chan struct{}) string {
	t.Helper()
	pass := newWitness(t, s3)
	target, err := url.Parse(pass.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, guard.CanaryPrefix) {
			<-hangs
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Settings that cannot work are errors of Open.
func TestPrincipalsThatAreNone(t *testing.T) {
	for _, principal := range []string{"s3gate", "arn:aws:s3:::x"} {
		if _, err := gate.VerifyOptions(config.Bucket{Principal: principal}); err == nil || !strings.HasPrefix(err.Error(), "principal: ") {
			t.Errorf("%s: %v", principal, err)
		}
	}
}

// The canaries are kept as uploads are, and what is verified is what the settings say.
func TestVerifyOptionsSayWhatTheSettingsSay(t *testing.T) {
	o, err := gate.VerifyOptions(config.Bucket{
		Region: "cn-north-1", SSE: "aws:kms", SSEKMSKeyID: "k", SSEBucketKey: true, VerifyPrefix: "p/", VerifyKey: "p/k", Principal: "arn:aws-cn:iam::111122223333:role/gate",
	})
	want := http.Header{
		"X-Amz-Server-Side-Encryption": {"aws:kms"}, "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": {"k"}, "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled": {"true"},
	}
	if err != nil || !reflect.DeepEqual(o.Header, want) || o.Partition != "aws-cn" || o.Prefix != "p/" || o.Key != "p/k" || o.Principal.Account != "111122223333" {
		t.Errorf("%+v, %v", o, err)
	}
}
