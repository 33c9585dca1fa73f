package guard_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/guard"
	"s3gate/policy"
	"s3gate/s3client"
)

// theirs are statements of other people, as they came from many hands.
const (
	theirAllow = `{"Sid":"AllowReaders","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::000000000000:user/alice"]},"Action":["s3:GetObject"],"Resource":"arn:aws:s3:::vault/public/*"}`
	theirDeny  = `{
      "Effect" : "Deny",  "Principal":"*", "Action":"s3:DeleteObject",
	"Resource": [ "arn:aws:s3:::vault/keep/\u002a" ] }`
	nearlyOurs = `{"Sid":"S3GatewayEndpoint","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/private/*","Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}}`
)

var policies = []struct {
	name, document string
	statements     []string
}{
	{"compact", `{"Version":"2012-10-17","Statement":[` + theirAllow + `,` + theirDeny + `]}`, []string{theirAllow, theirDeny}},
	{"spread out", "{\n\t\"Id\": \"p\",\n\t\"Statement\": [\n\t\t" + theirDeny + " ,\r\n\n\t\t" + theirAllow + "\n\t],\n\t\"Version\": \"2012-10-17\"\n}\n", []string{theirDeny, theirAllow}},
	{"a lone statement", `{"Version":"2012-10-17", "Statement": ` + theirAllow + ` }`, []string{theirAllow}},
	{"a Sid like ours", `{"Version":"2012-10-17","Statement":[` + nearlyOurs + `]}`, []string{nearlyOurs}},
	{"the old version", `{"Version":"2008-10-17","Statement":[` + theirAllow + `]}`, []string{theirAllow}},
}

func apply(t *testing.T, b *s3client.Bucket, plan guard.Plan, err error) {
	t.Helper()
	if err == nil {
		err = plan.Apply(t.Context(), b)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestLockAndUnlockWithoutAPolicy(t *testing.T) {
	b, _ := newBucket(t, "")
	plan, err := guard.Lock(t.Context(), b, options())
	if err != nil {
		t.Fatal(err)
	}
	if !plan.Changes() || plan.Before != nil || policyOf(t, b) != nil {
		t.Errorf("planning changed something: %s", policyOf(t, b))
	}
	for _, sid := range []string{policy.SidPresigned, policy.SidPresignedList, policy.SidOldSignature} {
		if !strings.Contains(plan.Diff(), `+      "Sid": "`+sid+`"`) {
			t.Errorf("the difference does not add %s:\n%s", sid, plan.Diff())
		}
	}
	apply(t, b, plan, err)
	if got := policyOf(t, b); !bytes.Equal(got, plan.After) {
		t.Errorf("the policy is %s\nwant %s", got, plan.After)
	}
	plan, err = guard.Unlock(t.Context(), b)
	if !plan.Changes() || plan.After != nil {
		t.Errorf("unlocking plans %s", plan.After)
	}
	apply(t, b, plan, err)
	if got := policyOf(t, b); got != nil {
		t.Errorf("the policy is %s, want none", got)
	}
}

func TestLockKeepsOtherStatementsAndUnlockGivesThemBack(t *testing.T) {
	for _, tt := range policies {
		t.Run(tt.name, func(t *testing.T) {
			b, _ := newBucket(t, tt.document)
			plan, err := guard.Lock(t.Context(), b, options())
			apply(t, b, plan, err)
			locked := policyOf(t, b)
			for _, s := range tt.statements {
				if !bytes.Contains(locked, []byte(s)) {
					t.Errorf("%s\nis not byte for byte in\n%s", s, locked)
				}
			}
			for line := range strings.Lines(plan.Diff()) {
				if strings.HasPrefix(line, "-") && !strings.HasPrefix(line, "--- ") {
					t.Errorf("the difference takes away: %s", line)
				}
			}
			if !bytes.Contains(locked, []byte(policy.SidPresigned)) {
				t.Errorf("the policy has no lock: %s", locked)
			}
			plan, err = guard.Unlock(t.Context(), b)
			apply(t, b, plan, err)
			if got := policyOf(t, b); string(got) != tt.document {
				t.Errorf("unlocked to\n%s\nwant\n%s", got, tt.document)
			}
		})
	}
}

// written counts what is written of a policy.
type written struct {
	*s3client.Bucket
	puts, deletes int
}

func (w *written) PutPolicy(ctx context.Context, document []byte) error {
	w.puts++
	return w.Bucket.PutPolicy(ctx, document)
}

func (w *written) DeletePolicy(ctx context.Context) error {
	w.deletes++
	return w.Bucket.DeletePolicy(ctx)
}

func TestLockingTwiceChangesNothing(t *testing.T) {
	for _, document := range []string{"", policies[0].document, policies[2].document} {
		admin, _ := newBucket(t, document)
		b := &written{Bucket: admin}
		var first []byte
		for range 3 {
			plan, err := guard.Lock(t.Context(), b, options())
			if err == nil {
				err = plan.Apply(t.Context(), b)
			}
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = policyOf(t, admin)
			} else if plan.Changes() || plan.Diff() != "" {
				t.Errorf("the second lock plans %s", plan.Diff())
			}
		}
		if got := policyOf(t, admin); b.puts != 1 || !bytes.Equal(got, first) {
			t.Errorf("%d writes, the policy is\n%s\nwas\n%s", b.puts, got, first)
		}
	}
}

func TestUnlockingWhatIsNotLockedChangesNothing(t *testing.T) {
	for _, document := range []string{"", policies[0].document, policies[3].document} {
		admin, _ := newBucket(t, document)
		b := &written{Bucket: admin}
		plan, err := guard.Unlock(t.Context(), b)
		if err != nil || plan.Changes() || plan.Diff() != "" {
			t.Errorf("%v, planned %s", err, plan.Diff())
		}
		if err := plan.Apply(t.Context(), b); err != nil || b.puts+b.deletes > 0 || string(policyOf(t, admin)) != document {
			t.Errorf("%v, %d writes, %d deletions, the policy is %s", err, b.puts, b.deletes, policyOf(t, admin))
		}
	}
}

// A change of the options takes the place of the statements that were there.
func TestLockingOtherwiseReplacesOurStatements(t *testing.T) {
	b, _ := newBucket(t, policies[0].document)
	wide := options()
	wide.ExemptUsers = []string{"alice"}
	plan, err := guard.Lock(t.Context(), b, wide)
	apply(t, b, plan, err)
	plan, err = guard.Lock(t.Context(), b, options())
	apply(t, b, plan, err)
	if got := policyOf(t, b); bytes.Contains(got, []byte("aws:username")) || bytes.Count(got, []byte(policy.SidPresigned+`"`)) != 1 {
		t.Errorf("the policy is %s", got)
	}
	plan, err = guard.Unlock(t.Context(), b)
	apply(t, b, plan, err)
	if got := policyOf(t, b); string(got) != policies[0].document {
		t.Errorf("unlocked to %s", got)
	}
}

// Somebody else's change between the look and the deed is not undone.
func TestApplyRefusesAPolicyThatHasChanged(t *testing.T) {
	for _, tt := range []struct {
		name, before, meanwhile string
		plan                    func(context.Context, guard.Settings) (guard.Plan, error)
	}{
		{"lock, there was none", "", policies[0].document, lock},
		{"lock, there was another", policies[0].document, policies[1].document, lock},
		{"lock, it went", policies[0].document, "", lock},
		{"unlock", lockedText(t), policies[0].document, guard.Unlock},
	} {
		t.Run(tt.name, func(t *testing.T) {
			admin, _ := newBucket(t, tt.before)
			b := &written{Bucket: admin}
			plan, err := tt.plan(t.Context(), b)
			if err != nil || !plan.Changes() {
				t.Fatalf("planned nothing, %v", err)
			}
			if tt.meanwhile == "" {
				err = admin.DeletePolicy(t.Context())
			} else {
				err = admin.PutPolicy(t.Context(), []byte(tt.meanwhile))
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := plan.Apply(t.Context(), b); !errors.Is(err, guard.ErrChanged) {
				t.Errorf("%v, want ErrChanged", err)
			}
			if got := policyOf(t, admin); string(got) != tt.meanwhile || b.puts+b.deletes > 0 {
				t.Errorf("the policy is %s", got)
			}
		})
	}
}

func lock(ctx context.Context, s guard.Settings) (guard.Plan, error) {
	return guard.Lock(ctx, s, options())
}

// lockedText is the policy of a bucket that has nothing but the lock.
func lockedText(t *testing.T) string {
	t.Helper()
	statements, err := policy.LockStatements(options())
	if err != nil {
		t.Fatal(err)
	}
	text, err := policy.Merge(nil, statements)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// settings are a bucket's policy in memory.
type settings struct {
	document []byte
	err      error
	writes   int
}

func (s *settings) Policy(context.Context) ([]byte, error) { return s.document, s.err }
func (s *settings) PutPolicy(_ context.Context, document []byte) error {
	s.document, s.writes = document, s.writes+1
	return s.err
}
func (s *settings) DeletePolicy(context.Context) error {
	s.document, s.writes = nil, s.writes+1
	return s.err
}

func TestWhatCannotBeLockedStaysAsItIs(t *testing.T) {
	unread := errors.New("reading the bucket policy: AccessDenied")
	big := `{"Version":"2012-10-17","Statement":[{"Sid":"Big","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/` +
		strings.Repeat("x", policy.MaxSize-300) + `"}]}`
	for _, tt := range []struct {
		name     string
		settings settings
		options  policy.LockOptions
		want     error // nil: any
	}{
		{"no bucket", settings{}, policy.LockOptions{}, nil},
		{"a prefix with a wildcard", settings{}, policy.LockOptions{Bucket: bucketName, Prefix: "a*"}, nil},
		{"unreadable", settings{err: unread}, options(), unread},
		{"no JSON", settings{document: []byte("<Policy/>")}, options(), policy.ErrMalformed},
		{"too large with the lock", settings{document: []byte(big)}, options(), policy.ErrTooLarge},
	} {
		s := tt.settings
		plan, err := guard.Lock(t.Context(), &s, tt.options)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) || plan.Changes() || s.writes > 0 {
			t.Errorf("%s: %v, planned %s, %d writes", tt.name, err, plan.Diff(), s.writes)
		}
	}
	for _, tt := range []struct {
		name     string
		settings settings
		want     error
	}{
		{"unreadable", settings{err: unread}, unread},
		{"no JSON", settings{document: []byte("<Policy/>")}, policy.ErrMalformed},
	} {
		s := tt.settings
		if plan, err := guard.Unlock(t.Context(), &s); !errors.Is(err, tt.want) || plan.Changes() {
			t.Errorf("unlocking, %s: %v, planned %s", tt.name, err, plan.Diff())
		}
	}
	// The plan could be made and then the policy not be read again.
	s := settings{document: []byte(policies[0].document)}
	plan, err := guard.Lock(t.Context(), &s, options())
	s.err = unread
	if err != nil || !errors.Is(plan.Apply(t.Context(), &s), unread) || s.writes > 0 {
		t.Errorf("%v, %d writes", err, s.writes)
	}
}

// Whoever set the lock can take it off, and nobody without the right can.
func TestTheLockLocksNoAdminOut(t *testing.T) {
	admin, gate := newBucket(t, "")
	strict := options()
	strict.RequireTLS = true // and the store speaks plain HTTP: everything is denied
	plan, err := guard.Lock(t.Context(), admin, strict)
	apply(t, admin, plan, err)
	if _, err := guard.Unlock(t.Context(), gate); err == nil || strings.Contains(err.Error(), "Signature=") {
		t.Errorf("unlocking as the gate: %v", err)
	}
	plan, err = guard.Unlock(t.Context(), admin)
	apply(t, admin, plan, err)
	if got := policyOf(t, admin); got != nil {
		t.Errorf("the policy is %s", got)
	}
}

// A lock closes what is in the bucket already to URLs that were signed before,
// and leaves it open to requests that are signed in their headers.
func TestTheLockClosesURLsThatWereSignedBefore(t *testing.T) {
	admin, gate := newBucket(t, "")
	store(t, gate, "old.txt", "hello")
	presigned, err := gate.PresignGet(t.Context(), "old.txt", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	fetch := func(want int) {
		t.Helper()
		resp, err := client.Get(presigned.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("the URL answers %d, want %d", resp.StatusCode, want)
		}
	}
	fetch(http.StatusOK)
	plan, err := guard.Lock(t.Context(), admin, options())
	apply(t, admin, plan, err)
	fetch(http.StatusForbidden)
	if got := keys(t, gate); !slices.Equal(got, []string{"old.txt"}) {
		t.Errorf("the bucket holds %q", got)
	}
	plan, err = guard.Unlock(t.Context(), admin)
	apply(t, admin, plan, err)
	fetch(http.StatusOK)
}
