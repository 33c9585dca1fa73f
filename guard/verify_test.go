package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"s3gate/guard"
	"s3gate/internal/devs3"
	"s3gate/internal/s3gatetest"
	"s3gate/policy"
	"s3gate/s3client"
)

// deny is a policy of one statement.
func deny(action, condition string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"` + action +
		`","Resource":"arn:aws:s3:::vault/*"` + condition + `}]}`
}

const (
	ifInQuery = `,"Condition":{"StringEquals":{"s3:authType":"REST-QUERY-STRING"}}`
	ifInForm  = `,"Condition":{"StringEquals":{"s3:authType":"POST"}}`
	ifEither  = `,"Condition":{"StringEquals":{"s3:authType":["REST-QUERY-STRING","POST"]}}`
)

func lockWith(t *testing.T, change func(*policy.LockOptions)) string {
	t.Helper()
	o := options()
	change(&o)
	statements, err := policy.LockStatements(o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := policy.Merge(nil, statements)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	checks = []string{
		"header-signed PUT", "header-signed GET", "header-signed HEAD", "presigned GET", "presigned HEAD", "presigned PUT", "presigned POST",
		"presigned DELETE", "presigned multipart upload", "presigned listing",
		"anonymous GET", "anonymous PUT",
	}
	presignedChecks = checks[3:10]
	writes          = checks[5:9]
	listing         = checks[9:10]
)

// wrong are the names of the checks that failed.
func wrong(r guard.Report) (names []string) {
	for _, c := range r.Checks {
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	return names
}

// Verify says "locked" only of a bucket that refuses every kind of presigned
// request and nothing else, and leaves nothing behind.
func TestVerifySaysWhatHolds(t *testing.T) {
	presigned := presignedChecks
	for _, tt := range []struct {
		name, document string
		wrong          []string
	}{
		{"no policy", "", presigned},
		{"locked", lockedText(t), nil},
		{"locked beside others", `{"Version":"2012-10-17","Statement":[` + theirAllow + `,` + lockedStatements(t) + `]}`, nil},
		{"a policy of others", policies[0].document, presigned},
		{"only GET denied", deny("s3:GetObject", ifEither), presigned[2:]},
		{"only PUT denied", deny("s3:PutObject", ifEither), []string{"presigned GET", "presigned HEAD", "presigned DELETE", "presigned listing"}},
		{"only in the query", deny("s3:*", ifInQuery), []string{"presigned POST", "presigned listing"}},
		{"only in forms", deny("s3:*", ifInForm), slices.Concat(presigned[:3], presigned[4:])},
		{"only one action locked", lockWith(t, func(o *policy.LockOptions) { o.Actions = []string{"s3:GetObject"} }), presigned[2:]},
		{"reading and writing locked", lockWith(t, func(o *policy.LockOptions) { o.Actions = []string{"s3:GetObject", "s3:PutObject"} }), []string{"presigned DELETE", "presigned listing"}},
		{"only a prefix locked", lockWith(t, func(o *policy.LockOptions) { o.Prefix = "elsewhere/" }), presigned},
		{"the verifier exempt", lockWith(t, func(o *policy.LockOptions) { o.ExemptUsers = []string{"s3gate"} }), presigned},
		{"another exempt", lockWith(t, func(o *policy.LockOptions) { o.ExemptUsers = []string{"alice"} }), nil},
		{"URLs of a minute allowed", lockWith(t, func(o *policy.LockOptions) { o.ExemptUsers = []string{"s3gate"}; o.MaxURLAge = time.Minute }), presigned},
		{"everything denied", deny("s3:*", ""), slices.Concat(checks[:3], listing)},
		{"reading denied", deny("s3:GetObject", ""), slices.Concat(checks[1:3], writes, listing)},
		{"writing denied", deny("s3:PutObject", ""), slices.Concat(checks[:5], []string{"presigned DELETE"}, listing)},
		{"TLS required of a store without", lockWith(t, func(o *policy.LockOptions) { o.RequireTLS = true }), checks[:3]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			admin, gate := newBucket(t, tt.document)
			report, err := guard.Verify(t.Context(), gate, nil)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, c := range report.Checks {
				names = append(names, c.Name)
			}
			if !slices.Equal(names, checks) {
				t.Fatalf("checked %q, want %q", names, checks)
			}
			if got := wrong(report); !slices.Equal(got, tt.wrong) || report.Locked != (tt.wrong == nil) {
				t.Errorf("locked %v, wrong are %q, want %q\n%+v", report.Locked, got, tt.wrong, report.Checks)
			}
			if err := admin.DeletePolicy(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left := keys(t, admin); len(left) > 0 || report.Left != nil {
				t.Errorf("left behind %q, reported %q", left, report.Left)
			}
		})
	}
}

func lockedStatements(t *testing.T) string {
	t.Helper()
	text := lockedText(t)
	return strings.TrimSpace(text[strings.Index(text, "[")+1 : strings.LastIndex(text, "]")])
}

func TestVerifyFollowsLockAndUnlock(t *testing.T) {
	admin, gate := newBucket(t, policies[0].document)
	verify := func(want bool) {
		t.Helper()
		if r, err := guard.Verify(t.Context(), gate, nil); err != nil || r.Locked != want {
			t.Errorf("locked %v (%v), want %v: %+v", r.Locked, err, want, r.Checks)
		}
	}
	verify(false)
	plan, err := guard.Lock(t.Context(), admin, options())
	apply(t, admin, plan, err)
	verify(true)
	plan, err = guard.Unlock(t.Context(), admin)
	apply(t, admin, plan, err)
	verify(false)
}

// A lock on a prefix is proven under the prefix.
func TestVerifyPrefix(t *testing.T) {
	admin, gate := newBucket(t, lockWith(t, func(o *policy.LockOptions) { o.Prefix = "reports/" }))
	store(t, admin, "reports/q1.pdf", "q1")
	for _, tt := range []struct {
		prefix string
		locked bool
	}{{"", false}, {"reports/", true}, {"reports/2030/é+ %2F/", true}, {"report", false}} {
		r, err := guard.VerifyPrefix(t.Context(), gate, tt.prefix, nil)
		if err != nil || r.Locked != tt.locked {
			t.Errorf("%q: locked %v (%v), want %v: %+v", tt.prefix, r.Locked, err, tt.locked, r.Checks)
		}
	}
	if got := keys(t, admin); !slices.Equal(got, []string{"reports/q1.pdf"}) {
		t.Errorf("the bucket holds %q", got)
	}
}

// MinIO is a store of this kind: it takes the policy, gives it back, and does
// not apply it to signed requests.
func TestAStoreThatIgnoresThePolicyIsNotLocked(t *testing.T) {
	e := ignorant(t)
	b := open(t, e, e.Admin())
	if err := b.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	plan, err := guard.Lock(t.Context(), b, options())
	apply(t, b, plan, err)
	if got := policyOf(t, b); string(got) != string(plan.After) {
		t.Fatalf("the store has not kept the policy: %s", got)
	}
	report, err := guard.Verify(t.Context(), b, nil)
	if err != nil || report.Locked || !report.PolicyIgnored || !slices.Equal(wrong(report), presignedChecks) {
		t.Errorf("%v, %+v", err, report)
	}
	if left := keys(t, b); len(left) > 0 {
		t.Errorf("left behind %q", left)
	}
}

// ignorant starts a store that keeps policies and never looks at them.
func ignorant(t *testing.T) *s3gatetest.Endpoint {
	t.Helper()
	e := s3gatetest.DevS3(t)
	inner, err := devs3.Open(devs3.Config{Dir: t.TempDir(), Users: e.DevUsers()})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var document []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.URL.Query().Has("policy") {
			inner.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPut {
			document, _ = io.ReadAll(r.Body)
			return
		}
		if document == nil {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "<Error><Code>NoSuchBucketPolicy</Code></Error>")
			return
		}
		w.Write(document)
	}))
	t.Cleanup(func() { server.Close(); inner.Close() })
	e.URL = server.URL
	return e
}

// Only AccessDenied is a refusal: any other answer says nothing of the policy.
func TestOtherAnswersAreNoRefusal(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer roundTrip
		got    string
		locked bool
	}{
		{"AccessDenied", reply(403, nil, "<Error><Code>AccessDenied</Code></Error>"), "refused (403 AccessDenied)", true},
		{"another signature", reply(403, nil, "<Error><Code>SignatureDoesNotMatch</Code></Error>"), "failed (403 SignatureDoesNotMatch)", false},
		{"a wrong clock", reply(403, nil, "<Error><Code>RequestTimeTooSkewed</Code></Error>"), "failed (403 RequestTimeTooSkewed)", false},
		{"a firewall", reply(403, nil, "<html>Forbidden: AccessDenied</html>"), "failed (403 )", false},
		{"nothing", reply(403, nil, ""), "failed (403 )", false},
		{"overload", reply(503, nil, "<Error><Code>SlowDown</Code></Error>"), "failed (503 SlowDown)", false},
		{"a redirect", reply(307, http.Header{"Location": {"http://evil.example/"}}, "<Error><Code>TemporaryRedirect</Code></Error>"), "failed (307 TemporaryRedirect)", false},
		{"no object", reply(404, nil, "<Error><Code>NoSuchKey</Code></Error>"), "failed (404 NoSuchKey)", false},
		{"success", reply(200, nil, ""), "allowed (200)", false},
		{"success of another kind", reply(204, nil, ""), "allowed (204)", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			admin, _ := newBucket(t, "")
			client := &http.Client{Transport: tt.answer, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			report, err := guard.Verify(t.Context(), admin, client)
			if err != nil || report.Locked != tt.locked {
				t.Errorf("locked %v, %v", report.Locked, err)
			}
			for _, c := range report.Checks[3:] {
				if strings.HasSuffix(c.Name, " HEAD") {
					continue // judged by its status
				}
				if c.Got != tt.got || c.Want != "refused" || c.OK != tt.locked {
					t.Errorf("%+v, want %s", c, tt.got)
				}
			}
		})
	}
}

// With presigned requests that end sooner than S3 lets clocks differ, a slow
// clock here would look like a lock there.
func TestPresignedRequestsOutliveAWrongClock(t *testing.T) {
	admin, _ := newBucket(t, "")
	s := &through{Bucket: admin}
	if _, err := guard.Verify(t.Context(), s, nil); err != nil {
		t.Fatal(err)
	}
	if len(s.ttls) != 7 || slices.Min(s.ttls) <= 15*time.Minute {
		t.Errorf("presigned for %v, want more than 15 min each", s.ttls)
	}
}

// Errors hold no URL: a signature would be in it (T14).
func TestErrorsHoldNoURL(t *testing.T) {
	lost := errors.New("connection reset by peer")
	for _, tt := range []struct {
		name  string
		fails func(n int) bool // whether the nth presigned request does
		words string
	}{
		{"GET", func(int) bool { return true }, "trying a presigned GET: connection reset by peer"},
		{"PUT", func(n int) bool { return n == 3 }, "trying a presigned PUT: connection reset by peer"},
		{"POST", func(n int) bool { return n == 4 }, "trying a presigned POST: connection reset by peer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			admin, _ := newBucket(t, "")
			n := 0
			client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if n++; tt.fails(n) {
					return nil, lost
				}
				return reply(200, nil, "")(r)
			})}
			report, err := guard.Verify(t.Context(), admin, client)
			if !errors.Is(err, lost) || err.Error() != tt.words || report.Locked {
				t.Errorf("%v, locked %v; want %s", err, report.Locked, tt.words)
			}
			if left := keys(t, admin); len(left) > 0 || report.Left != nil {
				t.Errorf("left behind %q, reported %q", left, report.Left)
			}
		})
	}
	for _, link := range []string{"http://s3.example/%zz?X-Amz-Signature=canary", "http://[s3.example/?X-Amz-Signature=canary", "ht\ntp://x?X-Amz-Signature=canary", "canary:?X-Amz-Signature=canary"} {
		admin, _ := newBucket(t, "")
		_, err := guard.Verify(t.Context(), malformed{admin, link}, nil)
		if err == nil || strings.Contains(err.Error(), "Signature") {
			t.Errorf("%q: %v", link, err)
		}
	}
	// Nobody listens: the first thing to fail is the canary.
	e := s3gatetest.DevS3(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	e.URL = gone.URL
	report, err := guard.Verify(t.Context(), open(t, e, e.Admin()), nil)
	if !errors.Is(err, s3client.ErrUnreachable) || strings.Contains(err.Error(), "http://") || strings.Contains(err.Error(), guard.CanaryPrefix) || report.Locked {
		t.Errorf("%v", err)
	}
}

type malformed struct {
	*s3client.Bucket
	link string
}

func (m malformed) Presign(context.Context, *s3client.Request, time.Time, time.Duration) (*s3client.Presigned, error) {
	return &s3client.Presigned{Method: "GET", URL: m.link}, nil
}

// Two verifications at once do not disturb each other.
func TestVerifyAtTheSameTime(t *testing.T) {
	admin, gate := newBucket(t, lockedText(t))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if r, err := guard.Verify(t.Context(), gate, nil); err != nil || !r.Locked {
				t.Errorf("locked %v, %v: %+v", r.Locked, err, r.Checks)
			}
		})
	}
	wg.Wait()
	if left := keys(t, admin); len(left) > 0 {
		t.Errorf("left behind %q", left)
	}
}

// The report's JSON is what scripts read.
func TestReportKeepsItsForm(t *testing.T) {
	_, gate := newBucket(t, deny("s3:*", ifInQuery))
	report, err := guard.Verify(t.Context(), gate, nil)
	if err != nil {
		t.Fatal(err)
	}
	report.Left = []string{"k"}
	const want = `{"locked":false,"limited":false,"reads_only":false,"unproven":"that presigned requests of others are refused: the bucket's policy cannot be read with these credentials","policy_ignored":false,"signing":"header","checks":[` +
		`{"name":"header-signed PUT","want":"allowed","got":"allowed (200)","ok":true},` +
		`{"name":"header-signed GET","want":"allowed","got":"allowed (200)","ok":true},` +
		`{"name":"header-signed HEAD","want":"allowed","got":"allowed (200)","ok":true},` +
		`{"name":"presigned GET","want":"refused","got":"refused (403 AccessDenied)","ok":true},` +
		`{"name":"presigned HEAD","want":"refused","got":"refused (403)","ok":true},` +
		`{"name":"presigned PUT","want":"refused","got":"refused (403 AccessDenied)","ok":true},` +
		`{"name":"presigned POST","want":"refused","got":"allowed (204)","ok":false,"cause":"the bucket's policy cannot be read with these credentials"},` +
		`{"name":"presigned DELETE","want":"refused","got":"refused (403 AccessDenied)","ok":true},` +
		`{"name":"presigned multipart upload","want":"refused","got":"refused (403 AccessDenied)","ok":true},` +
		`{"name":"presigned listing","want":"refused","got":"allowed (200)","ok":false,"cause":"the bucket's policy cannot be read with these credentials"},` +
		`{"name":"anonymous GET","want":"refused","got":"refused (403 AccessDenied)","ok":true},` +
		`{"name":"anonymous PUT","want":"refused","got":"refused (403 AccessDenied)","ok":true}],"left":["k"]}`
	if got, err := json.Marshal(report); err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
}
