package guard_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/guard"
	"s3gate/internal/s3gatetest"
	"s3gate/policy"
	"s3gate/s3client"
)

// world is a bucket with a policy, as several see it.
type world struct {
	endpoint    *s3gatetest.Endpoint
	admin, gate *s3client.Bucket
	query       *s3client.Bucket // the gate, signing in the query string
	alice       *s3client.Bucket
}

func newWorld(t *testing.T, document string) *world {
	t.Helper()
	e := s3gatetest.DevS3(t)
	w := &world{e, open(t, e, e.Admin()), open(t, e, e.Gate), openSigning(t, e, e.Gate, s3client.SignQuery), open(t, e, e.User)}
	if err := w.admin.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	if document != "" {
		if err := w.admin.PutPolicy(t.Context(), []byte(document)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// readable is somebody's bucket, whose policy an administrator reads.
type readable struct {
	*s3client.Bucket
	admin *s3client.Bucket
}

func (r readable) Policy(ctx context.Context) ([]byte, error) { return r.admin.Policy(ctx) }

// cause is that of one check; "" if it is as it should be.
func cause(t *testing.T, r guard.Report, name string) string {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			if c.OK != (c.Cause == "") {
				t.Errorf("%+v", c)
			}
			return c.Cause
		}
	}
	t.Fatalf("there is no check %q: %+v", name, r.Checks)
	return ""
}

// What is wrong is said with the statement that is to blame.
func TestVerifySaysWhatIsToBlame(t *testing.T) {
	const public = `{"Version":"2012-10-17","Statement":[{"Sid":"Public","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/*"}]}`
	lock := func(change func(*policy.LockOptions)) string { return lockWith(t, change) }
	exempt := lock(func(o *policy.LockOptions) { o.ExemptUsers = []string{"s3gate"} })
	for _, tt := range []struct {
		name, document, who, check, want string
	}{
		{"no policy", "", "", "presigned GET", "the bucket has no policy"},
		{"no deny for forms", deny("s3:*", ifInQuery), "", "presigned POST", "the policy has no deny for POST forms (s3:authType POST)"},
		{"no deny for URLs", deny("s3:*", ifInForm), "", "presigned PUT", "the policy has no deny for URL-signed requests (s3:authType REST-QUERY-STRING)"},
		{"another action", deny("s3:GetObject", ifEither), "", "presigned PUT", `statement 1 does not cover it: Action "s3:GetObject": the request has "s3:PutObject"`},
		{"another prefix", lock(func(o *policy.LockOptions) { o.Prefix = "elsewhere/" }), "", "presigned GET",
			policy.SidPresigned + ` does not cover it: Resource "arn:aws:s3:::vault/elsewhere/*": the request has "arn:aws:s3:::vault/.s3gate-canary/`},
		{"exempt", exempt, "user/s3gate", "presigned GET", policy.SidPresigned + " exempts aws:username s3gate"},
		{"exempt, and forms", exempt, "user/s3gate", "presigned POST", policy.SidPresigned + " exempts aws:username s3gate"},
		{"exempt, not known who", exempt, "", "presigned GET",
			policy.SidPresigned + " denies it to others than those it exempts, and who these credentials belong to is not known"},
		{"public", public, "", "anonymous GET", "Public allows it to everybody"},
		{"all denied", deny("s3:*", ""), "", "header-signed GET", "statement 1 denies it"},
		{"no TLS", lock(func(o *policy.LockOptions) { o.RequireTLS = true }), "", "header-signed PUT", policy.SidPlainHTTP + " denies it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.document)
			var o guard.VerifyOptions
			if tt.who != "" {
				o.Principal = principal(t, w.endpoint.Gate.ARN())
			}
			r, err := guard.VerifyWith(t.Context(), readable{w.gate, w.admin}, o)
			if err != nil {
				t.Fatal(err)
			}
			if got := cause(t, r, tt.check); !strings.HasPrefix(got, tt.want) || r.OK() || r.PolicyIgnored {
				t.Errorf("%s: %s\nwant %s (%+v)", tt.check, got, tt.want, r)
			}
		})
	}
}

// A store that does not do what its policy says is told from a policy that does
// not say it.
func TestVerifyBlamesAStoreThatIgnoresThePolicy(t *testing.T) {
	e := ignorant(t)
	b := open(t, e, e.Admin())
	if err := b.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		document, cause string
		ignored         bool
	}{
		{lockedText(t), policy.SidPresigned + " denies it, but the store let it through: it does not apply bucket policies to signed requests", true},
		{policies[0].document, "the policy has no deny for URL-signed requests (s3:authType REST-QUERY-STRING)", false},
		{`{"Version":"2012-10-17","Statement":[{"Sid":"Odd"}]}`, "the bucket's policy cannot be understood: malformed policy: ", false},
	} {
		if err := b.PutPolicy(t.Context(), []byte(tt.document)); err != nil {
			t.Fatal(err)
		}
		r, err := guard.Verify(t.Context(), b, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := cause(t, r, "presigned PUT"); !strings.HasPrefix(got, tt.cause) || r.PolicyIgnored != tt.ignored {
			t.Errorf("%s, ignored %v\nwant %s", got, r.PolicyIgnored, tt.cause)
		}
	}
}

// An answer that is no refusal is not blamed on the policy, and neither is a
// permission that is missing.
func TestVerifyDoesNotBlameThePolicyForOtherThings(t *testing.T) {
	w := newWorld(t, lockedText(t))
	odd := &http.Client{Transport: reply(503, nil, "<Error><Code>SlowDown</Code></Error>")}
	r, err := guard.Verify(t.Context(), w.admin, odd)
	if got := cause(t, r, "presigned GET"); err != nil || got != "the answer says nothing of the policy" {
		t.Errorf("%s, %v", got, err)
	}
	s := &through{Bucket: w.admin, do: func(r *s3client.Request, resp *http.Response) {
		if r.Method == http.MethodHead {
			resp.StatusCode = http.StatusForbidden
		}
	}}
	r, err = guard.Verify(t.Context(), s, nil)
	if got := cause(t, r, "header-signed HEAD"); err != nil ||
		got != "no statement of the bucket's policy denies it: these credentials may lack s3:GetObject" {
		t.Errorf("%s, %v", got, err)
	}
}

// Where the gate signs in the query string its own fresh URLs pass, and are not
// called locked.
func TestVerifyInQueryForm(t *testing.T) {
	const fresh = `{"Sid":"Stale","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::vault","arn:aws:s3:::vault/*"],"Condition":{"NumericGreaterThan":{"s3:signatureAge":"%d"}}}`
	const others = `{"Sid":"Others","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::vault","arn:aws:s3:::vault/*"],"Condition":{"StringEquals":{"s3:authType":["REST-QUERY-STRING","POST"]},"StringNotEquals":{"aws:username":"s3gate"}}}`
	const forms = `{"Sid":"Forms","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::vault/*","Condition":{"StringEquals":{"s3:authType":"POST"}}}`
	const byPolicy = "presigned by others, by the policy"
	urls := []string{"stale presigned GET", "stale presigned HEAD", "stale presigned PUT", "stale presigned DELETE", "stale presigned multipart upload", "stale presigned listing"}
	stale := fmt.Sprintf(fresh, time.Minute.Milliseconds())
	for _, tt := range []struct {
		name       string
		statements []string
		wrong      []string
		cause      string
	}{
		{"all of it", []string{stale, others, forms}, nil, ""},
		{"no bound", []string{others, forms}, urls, "Others exempts aws:username s3gate"},
		{"a bound too long", []string{fmt.Sprintf(fresh, time.Hour.Milliseconds()), others, forms},
			urls, ""},
		{"forms", []string{stale, others}, []string{"presigned POST"}, "Others exempts aws:username s3gate"},
		{"others", []string{stale, forms}, []string{"presigned GET by alice", "presigned PUT by alice", byPolicy}, "the policy has no deny for URL-signed requests (s3:authType REST-QUERY-STRING)"},
		{"no policy", nil, append(slices.Concat(urls[:3], []string{"presigned POST"}, urls[3:]), "presigned GET by alice", "presigned PUT by alice", byPolicy), "the bucket has no policy"},
		{"locked", []string{lockedStatements(t)}, []string{"query-signed PUT", "query-signed GET", "query-signed HEAD", "header-signed GET by alice"}, "S3GateDenyPresigned denies it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			document := ""
			if tt.statements != nil {
				document = `{"Version":"2012-10-17","Statement":[` + strings.Join(tt.statements, ",") + `]}`
			}
			w := newWorld(t, document)
			r, err := guard.VerifyWith(t.Context(), readable{w.query, w.admin}, guard.VerifyOptions{
				Principal: principal(t, w.endpoint.Gate.ARN()), Others: []guard.Other{{Name: "alice", Store: w.alice}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := wrong(r); strings.Join(got, "|") != strings.Join(tt.wrong, "|") || r.Limited != (tt.wrong == nil) || r.OK() != r.Limited {
				t.Errorf("wrong are %q, want %q: %+v", got, tt.wrong, r)
			}
			if r.Locked || r.Signing != s3client.SignQuery {
				t.Errorf("locked %v, signing %s", r.Locked, r.Signing)
			}
			if len(tt.wrong) > 0 && tt.cause != "" {
				if got := cause(t, r, tt.wrong[0]); got != tt.cause {
					t.Errorf("%s: %s, want %s", tt.wrong[0], got, tt.cause)
				}
			}
			if left := keys(t, w.admin); len(left) > 0 {
				t.Errorf("left behind %q", left)
			}
		})
	}
}

// An exempt user's URLs go on working under the lock, those of others do not (A5).
func TestVerifyWithOtherCredentials(t *testing.T) {
	w := newWorld(t, lockWith(t, func(o *policy.LockOptions) { o.ExemptUsers = []string{"alice"} }))
	for _, tt := range []struct {
		name   string
		other  guard.Other
		locked bool
		wrong  []string
	}{
		{"exempt", guard.Other{Name: "alice", Exempt: true, Store: w.alice}, true, nil},
		{"not said to be exempt", guard.Other{Name: "alice", Store: w.alice}, false, []string{"presigned GET by alice", "presigned PUT by alice"}},
		{"an administrator", guard.Other{Name: "admin", Store: w.admin}, true, nil},
		{"not exempt", guard.Other{Name: "admin", Exempt: true, Store: w.admin}, false, []string{"presigned GET by admin"}},
		{"somebody without rights", guard.Other{Name: "nobody", Store: open(t, w.endpoint, s3gatetest.Identity{AccessKey: "UNKNOWN", Secret: "x"})}, false,
			[]string{"header-signed GET by nobody", "presigned GET by nobody", "presigned PUT by nobody"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := guard.VerifyWith(t.Context(), w.gate, guard.VerifyOptions{Others: []guard.Other{tt.other}})
			if err != nil || r.Locked != tt.locked || strings.Join(wrong(r), "|") != strings.Join(tt.wrong, "|") {
				t.Errorf("locked %v, wrong are %q (%v): %+v", r.Locked, wrong(r), err, r)
			}
			if left := keys(t, w.admin); len(left) > 0 {
				t.Errorf("left behind %q", left)
			}
		})
	}
}

// Credentials that may not write prove what they can, on an object that is there.
func TestVerifyWithAnObjectThatIsThere(t *testing.T) {
	for _, tt := range []struct {
		document string
		locked   bool
	}{{lockedText(t), true}, {"", false}, {deny("s3:GetObject", ifInQuery), false}} {
		w := newWorld(t, tt.document)
		store(t, w.admin, "reports/q1.pdf", "q1")
		s := &through{Bucket: w.gate, do: func(r *s3client.Request, _ *http.Response) {
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				t.Errorf("%s %s", r.Method, r.Key)
			}
		}}
		r, err := guard.VerifyWith(t.Context(), s, guard.VerifyOptions{Key: "reports/q1.pdf"})
		if err != nil || r.Locked != tt.locked || !r.ReadsOnly || len(r.Checks) != 6 {
			t.Errorf("%v: %+v", err, r)
		}
		if got := keys(t, w.admin); len(got) != 1 {
			t.Errorf("the bucket holds %q", got)
		}
	}
}

// Where the gate signs in the query string its own requests show nothing of the
// lock: that is for the policy to say, or for the credentials of others.
func TestVerifyInQueryFormSeesThatTheLockIsGone(t *testing.T) {
	e := s3gatetest.DevS3(t)
	lock := lockWith(t, func(o *policy.LockOptions) { o.QuerySigner = e.Gate.ARN() })
	without, err := policy.LockStatements(policy.LockOptions{Bucket: bucketName, QuerySigner: e.Gate.ARN()})
	if err != nil {
		t.Fatal(err)
	}
	without = slices.DeleteFunc(without, func(s policy.Statement) bool { return strings.HasPrefix(s.Sid, policy.SidPresigned) })
	gone, err := policy.Merge(nil, without)
	if err != nil {
		t.Fatal(err)
	}
	widened := strings.Replace(lock, `"`+e.Gate.ARN()+`"`, `["`+e.Gate.ARN()+`","arn:aws:iam::*:*"]`, 1)
	for _, tt := range []struct {
		name, document  string
		unreadable      bool
		others          bool
		limited, isOpen bool
		cause           string
	}{
		{"the lock", lock, false, false, true, false, ""},
		{"the lock is gone", string(gone), false, false, false, true, policy.SidGateStaleURL + ` does not cover it: Condition ArnEquals aws:PrincipalArn`},
		{"everybody exempt by hand", widened, false, false, false, true, policy.SidPresigned + " exempts aws:PrincipalArn arn:aws:iam::000000000000:user/unnamed"},
		{"a policy that cannot be read", lock, true, false, false, false, "the bucket's policy cannot be read with these credentials: permit the gate s3:GetBucketPolicy"},
		{"others are tried", lock, true, true, true, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.document)
			var s guard.Store = readable{w.query, w.admin}
			if tt.unreadable {
				s = w.query
			}
			o := guard.VerifyOptions{Principal: principal(t, e.Gate.ARN())}
			if tt.others {
				o.Others = []guard.Other{{Name: "alice", Store: w.alice}}
			}
			r, err := guard.VerifyWith(t.Context(), s, o)
			if err != nil || r.Limited != tt.limited || r.Open() != tt.isOpen || r.Locked {
				t.Fatalf("limited %v, open %v (%v), want %v, %v: %+v", r.Limited, r.Open(), err, tt.limited, tt.isOpen, r)
			}
			last := r.Checks[len(r.Checks)-1]
			if !strings.HasPrefix(last.Cause, tt.cause) || (tt.cause == "") != last.OK {
				t.Errorf("%+v, want %s", last, tt.cause)
			}
		})
	}
}

// In headers the gate's own presigned requests are refused, and the report says
// whom the policy exempts nevertheless, and what it does not say.
func TestVerifySaysWhomThePolicyExempts(t *testing.T) {
	for _, tt := range []struct {
		name, document string
		exempts        []string
		unproven       string
	}{
		{"nobody", lockedText(t), nil, ""},
		{"by hand", strings.Replace(lockedText(t), `"s3:authType"`, `"aws:PrincipalTag/x": "y", "s3:authType"`, 1), nil,
			"that presigned requests of others are refused: " + policy.SidPresigned + " does not cover it: Condition StringEquals aws:PrincipalTag/x"},
		{"a user", lockWith(t, func(o *policy.LockOptions) { o.ExemptUsers = []string{"mallory"} }), []string{"aws:username mallory"}, ""},
		{"a deleted one beside", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"AIDAJQABLZS4A3QDU576Q"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/*"},` + lockedStatements(t) + `]}`, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, lockedText(t))
			r, err := guard.VerifyWith(t.Context(), told{w.gate, tt.document}, guard.VerifyOptions{})
			if err != nil || !r.Locked || !slices.Equal(r.Exempts, tt.exempts) || !strings.HasPrefix(r.Unproven, tt.unproven) || (tt.unproven == "") != (r.Unproven == "") {
				t.Errorf("exempts %q, unproven %q, %v", r.Exempts, r.Unproven, err)
			}
		})
	}
}

// told is a bucket whose policy is said to be another.
type told struct {
	*s3client.Bucket
	document string
}

func (s told) Policy(context.Context) ([]byte, error) { return []byte(s.document), nil }

// A policy of another partition is read as one.
func TestVerifyInAnotherPartition(t *testing.T) {
	w := newWorld(t, lockedText(t))
	text := strings.ReplaceAll(lockedText(t), "arn:aws:s3", "arn:aws-cn:s3")
	r, err := guard.VerifyWith(t.Context(), told{w.gate, text}, guard.VerifyOptions{Partition: "aws-cn"})
	if err != nil || r.Unproven != "" {
		t.Errorf("%q, %v", r.Unproven, err)
	}
}
