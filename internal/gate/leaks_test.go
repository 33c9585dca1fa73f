package gate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
	"s3gate/policy"
	"s3gate/s3client"
	"s3gate/tokens"
)

// withLogs adds a bucket of logs to a world, and returns it as its owner.
func (w *world) withLogs() *s3client.Bucket {
	w.t.Helper()
	b, err := s3client.Open(w.t.Context(), s3client.Config{
		Name: "gate-test-logs", Region: w.s3.Region, Endpoint: w.s3.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(w.s3.AccessKey, w.s3.Secret, ""),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { b.Close() })
	if err := b.Create(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return b
}

// watchLogs has a gate read that bucket.
func (w *world) watchLogs(actions map[string]config.LeakAction) func(*config.Config) {
	return func(c *config.Config) {
		c.Guard.Leaks.Interval = 50 * time.Millisecond
		c.Guard.Leaks.Actions = actions
		c.Guard.Leaks.Sources = map[string]config.LeakSource{"logs": {
			Bucket: "gate-test-logs", Prefix: "logs/", Region: w.s3.Region, Endpoint: w.s3.URL, PathStyle: true,
			AccessKeyID: w.s3.AccessKey, SecretAccessKey: w.s3.Secret,
		}}
	}
}

// deliverLog puts a line about a presigned download into the bucket of logs, as S3
// would.
func (w *world) deliverLog(logs *s3client.Bucket, name, key string, status int) {
	w.t.Helper()
	line := fmt.Sprintf("79a59df900b949e5 %s [%s] 192.0.2.3 arn:aws:iam::111122223333:user/dev 3E57 REST.GET.OBJECT %s "+
		"\"GET /%s?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%%2F20261122%%2Fus-east-1%%2Fs3%%2Faws4_request&X-Amz-Signature=5ec7e7d0 HTTP/1.1\" %d - 1 1 7 6 \"-\" \"curl/8.5\" "+
		"- 9vKBE6vM= SigV4 ECDHE QueryString vault.s3.amazonaws.com TLSv1.2 - -\n", bucketName, time.Now().UTC().Format("02/Jan/2006:15:04:05 -0700"), key, key, status)
	resp, err := logs.Do(w.t.Context(), &s3client.Request{
		Method: http.MethodPut, Key: "logs/" + name, Body: readCloser{bytes.NewReader([]byte(line))}, Size: int64(len(line)),
	})
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("delivering a log: %v, %v", resp, err)
	}
	resp.Body.Close()
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// leaks waits until so many are found and told.
func (g *testGate) leaks(n int) []client.Leak {
	g.t.Helper()
	var found []client.Leak
	eventually(g.t, fmt.Sprintf("%d leaks are found and told", n), func() bool {
		var err error
		found, err = g.api.Leaks(g.t.Context(), client.LeakQuery{})
		// What was done is told, and then noted.
		done := map[string]int{}
		for _, data := range g.told("s3gate.leak.seen.v1") {
			id, _ := data["id"].(string)
			taken, _ := data["actions"].([]any)
			done[id] = len(taken)
		}
		noted := !slices.ContainsFunc(found, func(f client.Leak) bool { return len(f.Taken) < done[f.ID] })
		return err == nil && len(found) >= n && len(done) >= n && noted
	})
	return found
}

// told are the data of the events of a type.
func (g *testGate) told(kind string) (all []map[string]any) {
	g.t.Helper()
	for range 20 { // an event follows what it tells of by some milliseconds
		_ = g.api.Events(g.t.Context(), client.EventQuery{Type: kind}, func(e client.Event) error {
			var data map[string]any
			_ = json.Unmarshal(e.Data, &data)
			all = append(all, data)
			return nil
		})
		if len(all) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return all
}

// A download by a presigned URL that the log tells of locks the bucket, and ends the
// links of that object and of no other.
func TestAnAllowedPresignedDownloadLocksItsBucketAndEndsItsLinks(t *testing.T) {
	w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
	logs := w.withLogs()
	w.store("secret.txt", "text/plain", []byte("secret"))
	w.store("secret.txt.bak", "text/plain", []byte("other"))
	presigned, err := w.bucket.PresignGet(t.Context(), "secret.txt", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if a := do(t, "GET", presigned.URL, nil); a.status != http.StatusOK {
		t.Fatalf("a presigned URL of an open bucket: %d", a.status)
	}
	g := w.gate(func(c *config.Config) {
		w.lockOnLeak(nil)(c)
		c.Guard.Leaks.Actions = map[string]config.LeakAction{"lock": {Kind: "presigned", Outcome: "allowed", Do: []string{"lock", "revoke_key"}}}
		c.Buckets["zz"] = c.Buckets["docs"]
	})
	other := g.mint("get", "secret.txt", func(r *client.MintRequest) { r.Bucket = "zz" }) // by another alias of the same
	hit, miss, canary := g.mint("get", "secret.txt", nil), g.mint("get", "secret.txt.bak", nil), g.mint("get", "secret.txt", func(r *client.MintRequest) { r.Canary = true })
	w.deliverLog(logs, "2026-11-22-10-01-00-A", "secret.txt", 200)
	f := g.leaks(1)[0]
	if f.Kind != "presigned" || f.Outcome != "allowed" || f.Bucket != "docs" || f.Key != "secret.txt" || f.Signer != "AKIAIOSFODNN7EXAMPLE" || len(f.Taken) != 2 {
		t.Errorf("%+v", f)
	}
	for _, taken := range f.Taken {
		if taken.Error != "" || taken.Action == "revoke_key" && !slices.Equal(taken.Tokens, []string{hit.ID, other.ID}) {
			t.Errorf("%+v", taken)
		}
	}
	if a := do(t, "GET", presigned.URL, nil); a.status != http.StatusForbidden {
		t.Errorf("the presigned URL still answers %d", a.status)
	}
	for _, link := range []string{hit.URL, other.URL} {
		if a := do(t, "GET", link, nil); a.status != http.StatusGone {
			t.Errorf("a link of the object answers %d", a.status)
		}
	}
	if a := do(t, "GET", miss.URL, nil); a.status != http.StatusOK {
		t.Errorf("the link of another object answers %d", a.status)
	}
	status, err := g.api.Show(t.Context(), hit.ID)
	if err != nil || status.Revocation == nil || status.Revocation.Author != "leakwatch" || !strings.Contains(status.Revocation.Reason, f.ID) {
		t.Errorf("%+v, %v", status, err)
	}
	if status, err = g.api.Show(t.Context(), canary.ID); err != nil || status.Revocation != nil {
		t.Errorf("the canary was revoked: %+v, %v", status, err)
	}
	locked := g.told("s3gate.bucket.locked.v1")
	if len(locked) != 1 || locked[0]["verified"] != true || locked[0]["state"] != "locked" {
		t.Errorf("%v", locked)
	}
	if text := w.log.String(); strings.Contains(text, "5ec7e7d0") || !strings.Contains(text, "leak found") {
		t.Error("the log has a signature, or has no leak")
	}
}

func TestADryRunOnlySaysWhatItWouldDo(t *testing.T) {
	w := newEmbedded(t)
	logs := w.withLogs()
	g := w.gate(func(c *config.Config) {
		w.watchLogs(map[string]config.LeakAction{"all": {Do: []string{"lock", "revoke_key"}}})(c)
		c.Guard.Leaks.DryRun = true
	})
	link := g.mint("get", "a", nil)
	w.deliverLog(logs, "A", "a", 403)
	f := g.leaks(1)[0]
	if len(f.Taken) != 2 || !f.Taken[0].DryRun || !slices.Equal(f.Taken[1].Tokens, []string{link.ID}) {
		t.Errorf("%+v", f.Taken)
	}
	if policy, err := w.bucket.Policy(t.Context()); policy != nil || err != nil {
		t.Errorf("the bucket has the policy %s, %v", policy, err)
	}
	if status, err := g.api.Show(t.Context(), link.ID); err != nil || status.Revocation != nil {
		t.Errorf("%+v, %v", status, err)
	}
}

func TestALockThatIsThereStaysAndTakesNothingOfTheBudget(t *testing.T) {
	w := newEmbedded(t)
	logs := w.withLogs()
	w.putLock(func(o *policy.LockOptions) { o.ExemptUsers = []string{"legacy"} })
	there := w.policyText()
	g := w.gate(func(c *config.Config) {
		w.watchLogs(map[string]config.LeakAction{"all": {Do: []string{"lock"}}})(c)
		c.Guard.Leaks.MaxActions = 1
	})
	w.deliverLog(logs, "A", "a", 403)
	first := g.leaks(1)[0]
	w.deliverLog(logs, "B", "b", 403)
	second := g.leaks(2)
	next := second[slices.IndexFunc(second, func(f client.Leak) bool { return f.ID != first.ID })]
	if len(first.Taken) != 1 || !strings.Contains(first.Taken[0].Error, "has a lock") || len(next.Taken) != 1 || !strings.Contains(next.Taken[0].Error, "has a lock") {
		t.Errorf("%+v, %+v", first.Taken, next.Taken)
	}
	if now := w.policyText(); now != there {
		t.Errorf("%s", now)
	}
}

// Whoever tries a canary is answered as with a token that there is not, and found;
// the tokens of its subject end.
func TestACanaryAnswersAsAnUnknownTokenAndIsFound(t *testing.T) {
	w := newEmbedded(t)
	g := w.gate(func(c *config.Config) {
		c.Guard.Leaks.Actions = map[string]config.LeakAction{"trap": {Kind: "canary", Do: []string{"revoke_subject"}}}
	})
	mine := func(canary bool) *client.Token {
		return g.mint("get", "a", func(r *client.MintRequest) { r.Subject, r.Canary = "alice", canary })
	}
	link, canary := mine(false), mine(true)
	put := g.mint("put", "b", func(r *client.MintRequest) { r.Canary = true })
	unknown := g.LinksURL() + "/" + tokens.Generate().Reveal()
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS"} {
		for _, trap := range []string{canary.URL, put.URL} {
			for _, accept := range []string{"text/html", "application/json", "*/*"} {
				got, want := do(t, method, trap, nil, "Accept: "+accept), do(t, method, unknown, nil, "Accept: "+accept)
				if got, want := got.lasting(), want.lasting(); got != want {
					t.Errorf("%s, %s: a canary answers\n%s\nand an unknown token\n%s", method, accept, got, want)
				}
			}
		}
	}
	found := g.leaks(2)
	i := slices.IndexFunc(found, func(f client.Leak) bool { return f.Token == canary.ID })
	if i < 0 || found[i].Kind != "canary" || found[i].Outcome != "refused" || found[i].Subject != "alice" || found[i].Client == "" {
		t.Fatalf("%+v", found)
	}
	if taken := found[i].Taken; len(taken) != 1 || !slices.Equal(taken[0].Tokens, []string{link.ID}) {
		t.Errorf("%+v", taken)
	}
	if a := do(t, "GET", link.URL, nil); a.status != http.StatusGone {
		t.Errorf("the other link answers %d", a.status)
	}
}

// fleeting is what differs in each answer.
var fleeting = regexp.MustCompile(`nonce-?=?"?[A-Z2-7]{26}|req_[0-9A-Z]{26}`)

// lasting is an answer without what differs in each.
func (a answer) lasting() string {
	a.header.Del("Date")
	return fleeting.ReplaceAllString(fmt.Sprintf("%d %v\n%s", a.status, a.header, a.body), "…")
}

// A gate that is killed while it reads is followed by another, and nothing is told
// twice that was noted.
func TestAnotherGateGoesOnReading(t *testing.T) {
	w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
	logs := w.withLogs()
	first := w.open(w.watchLogs(nil))
	w.deliverLog(logs, "A", "a", 403)
	first.leaks(1)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	w.shared = true
	w.deliverLog(logs, "B", "b", 403)
	second := w.gate(w.watchLogs(nil))
	found := second.leaks(2)
	if len(found) != 2 || len(second.told("s3gate.leak.seen.v1")) != 2 {
		t.Errorf("%+v", found)
	}
}
