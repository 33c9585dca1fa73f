package gate_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/internal/s3gatetest"
	"s3gate/policy"
	"s3gate/s3client"
)

// onMinIO is a bucket of MinIO, as its user and as the session that the user
// exchanges its credentials for.
func onMinIO(t *testing.T) (w *world, user, session config.Bucket) {
	t.Helper()
	w = newWorld(t, s3gatetest.MinIO(t), s3gatetest.Redis(t))
	user = w.config().Buckets["docs"]
	session = user
	session.AssumeRole = config.AssumeRole{Endpoint: w.s3.URL, SessionPolicy: config.LockPolicy}
	return w, user, session
}

func (w *world) openBucket(c config.Bucket) *s3client.Bucket {
	w.t.Helper()
	b, err := gate.OpenBucket(w.t.Context(), c, config.Default().Upstream, "test", slog.New(slog.NewTextHandler(w.log, nil)))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { b.Close() })
	return b
}

// MinIO keeps the lock and does not apply it to its users: verify says so. The
// credentials of a session under the same statements cannot presign.
func TestSessionOnMinIOIsLocked(t *testing.T) {
	w, user, session := onMinIO(t)
	plan, err := guard.Lock(t.Context(), w.bucket, policy.LockOptions{Bucket: bucketName})
	if err == nil {
		err = plan.Apply(t.Context(), w.bucket)
	}
	if err != nil {
		t.Logf("MinIO does not even keep the lock: %v", err)
	}
	for _, tt := range []struct {
		name   string
		bucket config.Bucket
		locked bool
	}{{"user", user, false}, {"session", session, true}} {
		report, verifyErr := guard.Verify(t.Context(), w.openBucket(tt.bucket), nil)
		if verifyErr != nil {
			t.Fatal(verifyErr)
		}
		t.Logf("%s: %s", tt.name, asJSON(t, report))
		if report.Locked != tt.locked || report.Open() == tt.locked {
			t.Errorf("%s: locked %v, want %v", tt.name, report.Locked, tt.locked)
		}
		if !tt.locked && err == nil && !report.PolicyIgnored {
			t.Errorf("%s: the store ignores its policy, and the report does not say so", tt.name)
		}
	}
	// The key behind the session can still presign: that is what the user's own
	// policy is for.
	report, err := guard.VerifyWith(t.Context(), w.openBucket(session), guard.VerifyOptions{
		Others: []guard.Other{{Name: "the long-term key", Store: w.openBucket(user)}},
	})
	if err != nil || report.Locked {
		t.Errorf("locked %v, %v: the long-term key presigns", report.Locked, err)
	}
}

// The whole data path works with a session's credentials, and none of them is told.
func TestGateWithASession(t *testing.T) {
	w, _, session := onMinIO(t)
	g := w.gate(func(c *config.Config) { c.Buckets["docs"] = session })
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	w.store("o", "text/plain", content)
	a := do(t, "GET", g.mint("get", "o", nil).URL, nil)
	if a.status != 200 || !bytes.Equal(a.body, content) {
		t.Errorf("%d, %d bytes, %v", a.status, len(a.body), a.err)
	}
	if a := do(t, "PUT", g.mint("put", "up", nil).URL, content); a.status != 200 || !bytes.Equal(w.stored("up"), content) {
		t.Errorf("PUT: %d %s", a.status, a.body)
	}
	for _, secret := range []string{w.s3.Secret, "SessionToken", "X-Amz-Security-Token"} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
