package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"s3gate/api"
	"s3gate/guard"
	"s3gate/guard/rounds"
)

// watch knows of one bucket.
type watch struct {
	err   error
	asked []string
}

func (w *watch) Finding(_ context.Context, alias string) (rounds.Finding, error) {
	if alias != "docs" {
		return rounds.Finding{Bucket: alias, Signing: "query", State: rounds.Unknown}, w.err
	}
	at := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	return rounds.Finding{
		Bucket: alias, Signing: "header", Watched: true, State: rounds.Unlocked, TriedAt: at, VerifiedAt: at, Gate: "gate-1",
		Report: &guard.Report{Signing: "header", Left: []string{".s3gate-canary/X"}, Checks: []guard.Check{
			{Name: "header-signed GET", Want: "allowed", Got: "allowed (200)", OK: true},
			{Name: "presigned GET", Want: "refused", Got: "allowed (200)", Cause: "the bucket has no policy"},
		}},
	}, w.err
}

func (w *watch) Verify(ctx context.Context, alias string) (rounds.Finding, error) {
	w.asked = append(w.asked, alias)
	if alias == "inbox" && w.err == nil {
		return rounds.Finding{}, rounds.ErrBucket
	}
	return w.Finding(ctx, alias)
}

// audit finds something in one bucket, and cannot reach the other one.
func (w *watch) audit(_ context.Context, alias string) (guard.AuditReport, error) {
	if alias != "docs" || w.err != nil {
		return guard.AuditReport{}, errors.New("no answer from hidden.example")
	}
	return guard.AuditReport{
		Bucket:   "hidden-name",
		Settings: []guard.Finding{{Name: "versioning", State: guard.Missing, Is: "off", Fix: "s3gate bucket harden docs"}},
		Lock:     []guard.Finding{{Name: "S3GateDenyPresigned", State: guard.Unknown, Is: "not permitted to look", Note: "see the IAM policy"}},
	}, nil
}

func newGuarded(t *testing.T) (*gate, *watch) {
	w := &watch{}
	return newIssuers(t, func(c *api.Config) { c.Guard, c.Audit = w, w.audit }), w
}

// Whoever administers a bucket sees how it is, and nobody else sees that it is
// there.
func TestBuckets(t *testing.T) {
	g, w := newGuarded(t)
	golden(t, "buckets", g.do("GET", "/v1/buckets", ""))
	golden(t, "bucket_verified", g.do("POST", "/v1/buckets/docs:verify", ""))
	golden(t, "bucket_audited", g.do("GET", "/v1/buckets/docs:audit", ""))
	one, none := as(t, "ada@acme", "librarian"), as(t, "ada@acme", "reader")
	for _, tt := range []struct {
		who, method, path string
		status            int
	}{
		{g.admin, "GET", "/v1/buckets", 200},
		{g.admin, "POST", "/v1/buckets/inbox:verify", 409},
		{g.admin, "POST", "/v1/buckets/nowhere:verify", 404},
		{g.admin, "POST", "/v1/buckets/docs:lock", 404},
		{g.admin, "GET", "/v1/buckets/docs:verify", 405},
		{g.admin, "POST", "/v1/buckets/:verify", 404},
		{g.admin, "GET", "/v1/buckets/inbox:audit", 503},
		{g.admin, "GET", "/v1/buckets/nowhere:audit", 404},
		{g.admin, "POST", "/v1/buckets/docs:audit", 405},
		{one, "GET", "/v1/buckets/docs:audit", 200},
		{one, "GET", "/v1/buckets/inbox:audit", 404},
		{none, "GET", "/v1/buckets/docs:audit", 403},
		{"", "GET", "/v1/buckets/docs:audit", 401},
		{one, "GET", "/v1/buckets", 200},
		{one, "POST", "/v1/buckets/docs:verify", 200},
		{one, "POST", "/v1/buckets/inbox:verify", 404},
		{none, "GET", "/v1/buckets", 403},
		{none, "POST", "/v1/buckets/docs:verify", 403},
		{"", "GET", "/v1/buckets", 401},
		{"", "POST", "/v1/buckets/docs:verify", 401},
	} {
		a := g.as(tt.who, tt.method, tt.path, nil)
		if a.status != tt.status {
			t.Errorf("%s %s: %d %s, want %d", tt.method, tt.path, a.status, a.body, tt.status)
		}
		if strings.Contains(a.body, "hidden") {
			t.Errorf("%s %s tells too much: %s", tt.method, tt.path, a.body)
		}
	}
	if got := fmt.Sprint(w.asked); got != "[docs inbox docs]" {
		t.Errorf("verified %s", got)
	}
	w.err = rounds.ErrBoard
	for _, call := range [][2]string{{"GET", "/v1/buckets"}, {"POST", "/v1/buckets/docs:verify"}, {"GET", "/v1/buckets/docs:audit"}} {
		if a := g.do(call[0], call[1], ""); a.status != http.StatusServiceUnavailable {
			t.Errorf("%s %s without Redis: %d %s", call[0], call[1], a.status, a.body)
		}
	}
	for _, path := range []string{"/v1/buckets", "/v1/buckets/docs:audit"} {
		if a := newGate(t).do("GET", path, ""); a.status != 404 {
			t.Errorf("a gate that knows nothing of buckets, %s: %d %s", path, a.status, a.body)
		}
	}
}
