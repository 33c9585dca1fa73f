package main

import (
	"testing"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/policy"
)

// No verdict says more than what was proven.
func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		report guard.Report
		exempt []string
		bounds string
		others bool
		want   string
	}{
		{"locked", guard.Report{Locked: true}, nil, "", false, "locked: presigned URLs open nothing"},
		{"exempt", guard.Report{Locked: true}, []string{"a", "b"}, "", false, "locked for everybody but a, b: presigned URLs of others open nothing"},
		{"a prefix", guard.Report{Locked: true, Prefix: "p/"}, nil, "", false, `locked, only keys that begin with "p/": presigned URLs open nothing of that`},
		{"bounds", guard.Report{Locked: true}, nil, "only for s3:Get*", false, "locked, only for s3:Get*: presigned URLs open nothing of that"},
		{"read", guard.Report{Locked: true, ReadsOnly: true}, nil, "", false, "locked for reading: presigned URLs read nothing; writing was not tried"},
		{"limited", guard.Report{Limited: true}, nil, "", false, "limited: a URL that the gate has signed opens the bucket for a minute; those of others open nothing, by the bucket's policy"},
		{"limited, others", guard.Report{Limited: true}, nil, "", true, "limited: a URL that the gate has signed opens the bucket for a minute; those of others open nothing"},
		{"open", guard.Report{Checks: []guard.Check{{Want: "refused", Got: "allowed (200)"}}}, nil, "", false, "NOT locked"},
		{"failed", guard.Report{Checks: []guard.Check{{Want: "refused", Got: "failed (503)"}}}, nil, "", false, "NOT proven to be locked: something else failed"},
	} {
		if got := verdict(tt.report, tt.exempt, tt.bounds, tt.others); got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// Where the gate signs in the query string no proof says locked, whoever made it.
func TestAnAdministratorsProofOfAQueryBucket(t *testing.T) {
	r := limitedAt(config.Bucket{Signing: "query"}, guard.Report{Locked: true, Signing: "header"})
	if r.Locked || !r.Limited || r.Unproven == "" {
		t.Errorf("%+v", r)
	}
	if r := limitedAt(config.Bucket{}, guard.Report{Locked: true}); !r.Locked || r.Limited {
		t.Errorf("%+v", r)
	}
}

// What a policy that is back does not lock is read from its statements.
func TestBoundsOfStatements(t *testing.T) {
	for _, o := range []policy.LockOptions{
		{}, {Prefix: "p/"}, {Actions: []string{"s3:GetObject"}}, {Prefix: "p/", Actions: []string{"s3:GetObject", "s3:PutObject"}},
		{Actions: []string{"s3:*"}}, {Actions: []string{"s3:ListBucket"}},
	} {
		o.Bucket = "docs"
		list, err := policy.LockStatements(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := boundsOf(lockedBy(list)); got.Bounds() != o.Bounds() {
			t.Errorf("%q, want %q", got.Bounds(), o.Bounds())
		}
	}
}

// That presigned URLs work again is for one to show that got through.
func TestWhatPresignedRequestsShow(t *testing.T) {
	check := func(want, got string, ok bool) guard.Check {
		return guard.Check{Name: "presigned GET", Want: want, Got: got, OK: ok}
	}
	for _, tt := range []struct {
		checks  []guard.Check
		refused int
		want    string
	}{
		{[]guard.Check{check("refused", "allowed (200)", false)}, 0, "presigned URLs work again"},
		{[]guard.Check{check("refused", "failed (503 SlowDown)", false)}, 0, "s3gate's statements are out; what that does could not be tried: a presigned GET failed (503 SlowDown)"},
		{[]guard.Check{check("refused", "refused (403 AccessDenied)", true)}, 1, "s3gate's statements are out, and something else still refuses, or the policy has not reached all of the store yet: presigned GET"},
	} {
		u := afterUnlock(guard.Report{Checks: tt.checks})
		if len(u.Refused) != tt.refused || u.text() != tt.want {
			t.Errorf("%+v: %s\nwant %s", tt.checks, u.text(), tt.want)
		}
	}
}
