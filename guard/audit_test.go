package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"s3gate/guard"
	"s3gate/internal/s3gatetest"
	"s3gate/policy"
	"s3gate/s3client"
)

var update = flag.Bool("update", false, "write the golden reports anew")

// goodBucket is one that is locked and hardened, and what it was hardened by.
func goodBucket(t *testing.T, between answers) (b *s3client.Bucket, o guard.HardenOptions) {
	t.Helper()
	e := s3gatetest.DevS3(t)
	plain, logs := openNamed(t, e, bucketName, e.Admin(), nil), openNamed(t, e, "logs", e.Admin(), nil)
	o = everything(logs)
	takeLogs(t, logs, o)
	if h := hardened(t, plain, o); !h.Complete() {
		t.Fatalf("%+v", h.Steps)
	}
	plan, err := guard.Lock(t.Context(), plain, options())
	apply(t, plain, plan, err)
	return openNamed(t, e, bucketName, e.Admin(), between), o
}

func audit(t *testing.T, b *s3client.Bucket, o guard.AuditOptions) guard.AuditReport {
	t.Helper()
	r, err := guard.Audit(t.Context(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// findings are all, by name.
func findings(r guard.AuditReport) map[string]guard.Finding {
	m := map[string]guard.Finding{}
	for _, f := range slices.Concat(r.Settings, r.Lock, r.Policy) {
		m[f.Name] = f
	}
	return m
}

// bad are the names of what is not ok, requests included.
func bad(r guard.AuditReport) (names []string) {
	for _, f := range slices.Concat(r.Settings, r.Lock, r.Policy) {
		if f.State != guard.OK && f.State != guard.Unsupported {
			names = append(names, f.Name)
		}
	}
	for _, q := range r.Requests {
		if !q.OK {
			names = append(names, q.Name)
		}
	}
	return names
}

// What is broken in a good bucket is found, with the command that mends it, and
// nothing else is.
func TestAuditFindsWhatIsBroken(t *testing.T) {
	const everybody = `,{"Sid":"Readers","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/*"}`
	const uploads = `,{"Sid":"S3GatePublicUpload","Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::vault/*"}`
	locked := lockedStatements(t)
	answered := func(statements string) answers {
		return answers{{"GET", "policy", 200, `{"Version":"2012-10-17","Statement":[` + statements + `]}`}}
	}
	others := func(statements string) func(context.Context, *s3client.Bucket) error {
		return func(ctx context.Context, b *s3client.Bucket) error {
			return b.PutPolicy(ctx, []byte(`{"Version":"2012-10-17","Statement":[`+statements+`]}`))
		}
	}
	lockedAs := func(change func(*policy.LockOptions)) func(context.Context, *s3client.Bucket) error {
		return func(ctx context.Context, b *s3client.Bucket) error {
			return b.PutPolicy(ctx, []byte(lockWith(t, change)))
		}
	}
	for _, tt := range []struct {
		name    string
		damage  func(context.Context, *s3client.Bucket) error
		between answers
		bad     []string // the first is looked at more closely
		state   guard.State
		is, fix string
	}{
		{"nothing", nil, nil, nil, "", "", ""},
		{"no public access block", nil, answers{{"GET", "publicAccessBlock", 404, code("NoSuchPublicAccessBlockConfiguration")}},
			[]string{"public-access-block"}, guard.Missing, "none", "s3gate bucket harden vault --only public-access-block"},
		{"half a public access block", func(ctx context.Context, b *s3client.Bucket) error {
			return b.PutPublicAccessBlock(ctx, s3client.PublicAccessBlock{BlockACLs: true, BlockPolicy: true})
		}, nil, []string{"public-access-block"}, guard.Weak, "off: IgnorePublicAcls, RestrictPublicBuckets", "s3gate bucket harden vault --only public-access-block"},
		{"objects of their writers", func(ctx context.Context, b *s3client.Bucket) error { return b.PutOwnership(ctx, "ObjectWriter") }, nil,
			[]string{"object-ownership"}, guard.Weak, "ObjectWriter", "s3gate bucket harden vault --only object-ownership"},
		{"no encryption", nil, answers{{"GET", "encryption", 404, code("ServerSideEncryptionConfigurationNotFoundError")}},
			[]string{"encryption"}, guard.Missing, "none", "s3gate bucket harden vault --only encryption"},
		{"no versions", nil, answers{{"GET", "versioning", 200, "<VersioningConfiguration/>"}},
			[]string{"versioning"}, guard.Missing, "off", "s3gate bucket harden vault --only versioning"},
		{"no log", nil, answers{{"GET", "logging", 200, "<BucketLoggingStatus/>"}},
			[]string{"access-logging"}, guard.Missing, "off", "s3gate bucket harden vault --only access-logging --log-bucket LOGS --log-prefix vault/"},
		{"no rule for parts", nil, answers{{"GET", "lifecycle", 404, code("NoSuchLifecycleConfiguration")}},
			[]string{"abort-multipart"}, guard.Missing, "no rule for the whole bucket", "s3gate bucket harden vault --only abort-multipart"},
		{"may not look", nil, answers{{"GET", "encryption", 403, code("AccessDenied")}}, []string{"encryption"}, guard.Unknown, "?", ""},
		{"may not see the policy", nil, answers{{"GET", "policy", 403, code("AccessDenied")}}, []string{"bucket-policy"}, guard.Unknown, "?", ""},
		{"a policy nobody understands", nil, answers{{"GET", "policy", 200, `{"Statement":[]}`}}, []string{"bucket-policy"}, guard.Unknown, "not understood", ""},
		{"a policy that S3 calls public", nil, answers{{"GET", "policyStatus", 200, "<PolicyStatus><IsPublic>true</IsPublic></PolicyStatus>"}},
			[]string{"policy-public"}, guard.Weak, "S3 calls the policy public", "s3gate bucket harden vault --only public-access-block"},
		{"no policy", func(ctx context.Context, b *s3client.Bucket) error { return b.DeletePolicy(ctx) }, nil,
			[]string{"S3GateDenyPresigned", "S3GateDenyPresignedListing", "S3GateDenyOldSignature", "presigned-get-by-gate", "presigned-get-by-admin", "presigned-put", "post-form", "signature-v2"},
			guard.Missing, "not in the policy", "s3gate bucket lock vault"},
		{"one statement went", lockedAs(func(o *policy.LockOptions) { o.DenyOldSignatures = false }), nil,
			[]string{"S3GateDenyOldSignature", "signature-v2"}, guard.Missing, "not in the policy", "s3gate bucket lock vault"},
		{"somebody is exempt", lockedAs(func(o *policy.LockOptions) { o.ExemptUsers = []string{"alice"} }), nil,
			[]string{"S3GateDenyPresigned", "S3GateDenyPresignedListing"}, guard.Weak, "weaker than a full lock: it now exempts aws:username alice", "s3gate bucket lock vault"},
		{"only an action", lockedAs(func(o *policy.LockOptions) { o.Actions = []string{"s3:GetObject"} }), nil,
			[]string{"S3GateDenyPresigned", "S3GateDenyPresignedListing", "presigned-put", "post-form"}, guard.Weak, "weaker than a full lock: it is no longer for s3:*", "s3gate bucket lock vault"},
		{"more than a lock", lockedAs(func(o *policy.LockOptions) { o.Accounts = []string{"000000000000"} }), nil, nil, "", "", ""},
		{"everybody may read", nil, answers{{"GET", "policy", 200, `{"Version":"2012-10-17","Statement":[` + locked + everybody + `]}`}},
			[]string{"Readers", "anonymous-get"}, guard.Weak, "allows s3:GetObject, for everybody in the world", "s3gate bucket harden vault --only public-access-block"},
		{"a Sid like ours that lets everybody write", nil, answered(locked + uploads), []string{"S3GatePublicUpload", "anonymous-put"},
			guard.Weak, "allows s3:PutObject, for everybody in the world", "s3gate bucket harden vault --only public-access-block"},
		{"a Sid of a lock that permits", nil, answered(locked + strings.Replace(uploads, "S3GatePublicUpload", policy.SidOutsider, 1)),
			[]string{policy.SidOutsider, "anonymous-put"}, guard.Weak, "allows s3:PutObject, for everybody in the world", "s3gate bucket harden vault --only public-access-block"},
		{"a role that was deleted", nil, answers{{"GET", "policy", 200, `{"Version":"2012-10-17","Statement":[` + locked +
			`,{"Effect":"Allow","Principal":{"AWS":"AROAEXAMPLEEXAMPLE123"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/*"}]}`}}, nil, "", "", ""},
		{"a few may read", others(locked + strings.Replace(everybody, `}`, `,"Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}}`, 1)), nil, nil, "", "", ""},
		{"NotPrincipal", others(locked + `,{"Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam::000000000000:user/alice","arn:aws:iam::000000000000:root"]},"Action":"s3:DeleteObject","Resource":"arn:aws:s3:::vault/*"}`), nil,
			[]string{"statement 4"}, guard.Weak, "denies s3:DeleteObject", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _ := goodBucket(t, tt.between)
			if tt.damage != nil {
				if err := tt.damage(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
			r := audit(t, b, guard.AuditOptions{})
			if got := bad(r); !slices.Equal(got, tt.bad) {
				t.Fatalf("found %q, want %q\n%+v", got, tt.bad, r)
			}
			for worst, want := range map[guard.State]bool{
				guard.Unknown: tt.bad == nil,
				guard.Weak:    tt.state != guard.Weak && tt.state != guard.Missing,
				guard.Missing: tt.state != guard.Missing && !strings.HasPrefix(tt.name, "only an action"),
			} {
				if got := r.OK(worst); got != want {
					t.Errorf("ok but for %s: %v, want %v", worst, got, want)
				}
			}
			if tt.bad == nil {
				return
			}
			if f := findings(r)[tt.bad[0]]; f.State != tt.state || f.Is != tt.is || f.Fix != tt.fix {
				t.Errorf("%+v\nwant %s, %q, to mend by %q", f, tt.state, tt.is, tt.fix)
			}
		})
	}
}

// What harden does, audit is content with, and the other way round.
func TestAuditAgreesWithHarden(t *testing.T) {
	b, o := goodBucket(t, nil)
	if r := audit(t, b, guard.AuditOptions{Want: o.Want}); !r.OK(guard.Unknown) {
		t.Errorf("found %q", bad(r))
	}
	admin, _ := newBucket(t, "")
	want := []string{"public-access-block", "object-ownership", "encryption", "versioning", "access-logging", "abort-multipart", "expire-noncurrent"}
	r := audit(t, admin, guard.AuditOptions{Want: guard.Want{NoncurrentDays: 3}})
	var got []string
	for _, f := range r.Settings {
		if f.State == guard.Missing {
			got = append(got, f.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("missing are %q, want %q", got, want)
	}
}

// A statement for everybody is for a few if a key bounds it, and is not if the
// value bounds nothing.
func TestAuditTellsEverybodyFromAFew(t *testing.T) {
	for _, tt := range []struct {
		condition string
		few       bool
	}{
		{``, false},
		{`"StringEquals":{"aws:PrincipalOrgID":"o-1"}`, true},
		{`"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}`, true},
		{`"IpAddress":{"aws:SourceIp":["192.0.2.0/24","0.0.0.0/0"]}`, false},
		{`"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}`, false},
		{`"StringLike":{"aws:PrincipalArn":"*"}`, false},
		{`"StringEqualsIfExists":{"aws:SourceVpce":"vpce-1"}`, false},
		{`"ForAllValues:StringEquals":{"aws:PrincipalOrgPaths":"o/x"}`, false},
		{`"StringLike":{"aws:Referer":"https://example.com/*"}`, false},
		{`"Bool":{"aws:SecureTransport":"true"}`, false},
		{`"Bool":{"aws:SecureTransport":"true"},"StringEquals":{"AWS:sourceVpc":"vpc-1"}`, true},
		{`"StringEquals":{"aws:userid":"${aws:userid}"}`, false},
	} {
		statement := `{"Sid":"Theirs","Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/*","Condition":{` + tt.condition + `}}`
		admin, _ := newBucket(t, `{"Version":"2012-10-17","Statement":[`+statement+`]}`)
		f := findings(audit(t, admin, guard.AuditOptions{}))["Theirs"]
		if (f.State == guard.OK) != tt.few {
			t.Errorf("%s: %+v, want a few: %v", tt.condition, f, tt.few)
		}
	}
}

// A lock of a part of the bucket, and one for a gate that signs URLs, are measured
// by what they should be.
func TestAuditByOptions(t *testing.T) {
	const gate = "arn:aws:iam::000000000000:user/s3gate"
	for _, tt := range []struct {
		name string
		lock func(*policy.LockOptions)
		o    guard.AuditOptions
		ok   bool
	}{
		{"a part, as such", func(o *policy.LockOptions) { o.Prefix = "in/" }, guard.AuditOptions{Prefix: "in/"}, true},
		{"a part, as all", func(o *policy.LockOptions) { o.Prefix = "in/" }, guard.AuditOptions{}, false},
		{"a part, as another", func(o *policy.LockOptions) { o.Prefix = "in/" }, guard.AuditOptions{Prefix: "out/"}, false},
		{"URLs, as such", func(o *policy.LockOptions) { o.QuerySigner = gate }, guard.AuditOptions{QuerySigning: true, Gate: gate}, true},
		{"URLs, as none", func(o *policy.LockOptions) { o.QuerySigner = gate }, guard.AuditOptions{Gate: gate}, false},
		{"URLs, but locked", func(o *policy.LockOptions) {}, guard.AuditOptions{QuerySigning: true, Gate: gate}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			admin, _ := newBucket(t, lockWith(t, tt.lock))
			tt.o.Skip = []string{"public-access-block", "object-ownership", "encryption", "versioning", "access-logging", "abort-multipart"}
			r := audit(t, admin, tt.o)
			if r.OK(guard.Weak) != tt.ok {
				t.Errorf("found %q", bad(r))
			}
		})
	}
}

func TestAuditRefusesOptionsNobodyMeans(t *testing.T) {
	admin, _ := newBucket(t, "")
	for _, o := range []guard.AuditOptions{
		{Gate: "s3gate"},
		{Gate: "anonymous"},
		{QuerySigning: true},
		{Prefix: "a*"},
		{Want: guard.Want{LogBucket: bucketName}},
	} {
		if _, err := guard.Audit(t.Context(), admin, o); !errors.Is(err, guard.ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// Commands that are printed are whole words for a shell.
func TestAuditQuotesCommands(t *testing.T) {
	admin, _ := newBucket(t, "")
	r := audit(t, admin, guard.AuditOptions{Target: []string{"docs", "--config", "my gate's.yaml"}, Prefix: "a b/"})
	want := `s3gate bucket lock docs --config 'my gate'\''s.yaml' --prefix 'a b/'`
	if f := findings(r)["S3GateDenyPresigned"]; f.Fix != want {
		t.Errorf("%s\nwant %s", f.Fix, want)
	}
}

func TestAuditListsGrants(t *testing.T) {
	b, _ := goodBucket(t, answers{
		{"GET", "ownershipControls", 404, code("OwnershipControlsNotFoundError")},
		{"GET", "acl", 200, `<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="x" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>`},
	})
	r := audit(t, b, guard.AuditOptions{})
	if f := findings(r)["acl-grants"]; f.State != guard.Weak || f.Is != "READ to AllUsers" || f.Fix == "" {
		t.Errorf("%+v", f)
	}
}

// The report's JSON is what scripts read: of a bucket where nothing was done, of a
// good one, and of one that nobody may look at.
func TestAuditReportKeepsItsForm(t *testing.T) {
	bare, gate := newBucket(t, "")
	good, _ := goodBucket(t, nil)
	for name, b := range map[string]*s3client.Bucket{"bare": bare, "good": good, "forbidden": gate} {
		got, err := json.MarshalIndent(audit(t, b, guard.AuditOptions{}), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		goldenFile(t, "audit-"+name+".golden.json", got)
	}
}

// Looking changes nothing.
func TestAuditOnlyReads(t *testing.T) {
	e := s3gatetest.DevS3(t)
	openNamed(t, e, bucketName, e.Admin(), nil)
	inner := s3client.NewTransport(s3client.TransportConfig{})
	defer inner.CloseIdleConnections()
	asked := 0
	b, err := s3client.Open(t.Context(), s3client.Config{
		Name: bucketName, Region: e.Region, Endpoint: e.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(e.AccessKey, e.Secret, ""),
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if asked++; r.Method != http.MethodGet {
				t.Errorf("sent %s %s", r.Method, r.URL.RequestURI())
			}
			return inner.RoundTrip(r)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	audit(t, b, guard.AuditOptions{})
	if asked == 0 {
		t.Error("asked nothing")
	}
}

// MinIO has few of the settings. It takes a policy without NotAction, and does not
// apply it to signed requests: that is for verify to find out.
func TestAuditMinIO(t *testing.T) {
	e := s3gatetest.MinIO(t)
	b := openNamed(t, e, bucketName, e.Admin(), nil)
	o := options()
	o.DenyOldSignatures = false
	plan, err := guard.Lock(t.Context(), b, o)
	apply(t, b, plan, err)
	got := findings(audit(t, b, guard.AuditOptions{}))
	for name, want := range map[string]guard.State{
		"public-access-block": guard.Unsupported, "object-ownership": guard.Unsupported, "encryption": guard.Missing,
		"versioning": guard.Missing, "access-logging": guard.Missing, "abort-multipart": guard.Missing, "object-lock": guard.OK,
		"acl-grants": guard.OK, "policy-public": guard.OK,
		"S3GateDenyPresigned": guard.OK, "S3GateDenyPresignedListing": guard.OK, "S3GateDenyOldSignature": guard.Missing,
	} {
		if got[name].State != want {
			t.Errorf("%s: %+v, want %s", name, got[name], want)
		}
	}
}
