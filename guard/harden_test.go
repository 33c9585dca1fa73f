package guard_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"s3gate/guard"
	"s3gate/internal/s3gatetest"
	"s3gate/policy"
	"s3gate/s3client"
)

// openNamed opens any bucket of an endpoint, which it makes; in between stands
// whatever answers first, nil for nothing.
func openNamed(t *testing.T, e *s3gatetest.Endpoint, name string, as s3gatetest.Identity, between answers) *s3client.Bucket {
	t.Helper()
	inner := s3client.NewTransport(s3client.TransportConfig{})
	t.Cleanup(inner.CloseIdleConnections)
	b, err := s3client.Open(t.Context(), s3client.Config{
		Name: name, Region: e.Region, Endpoint: e.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(as.AccessKey, as.Secret, ""),
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			for _, a := range between {
				if r.URL.Query().Has(a.subresource) && (a.method == "" || a.method == r.Method) {
					return reply(a.status, http.Header{"Content-Type": {"application/xml"}}, a.body)(r)
				}
			}
			return inner.RoundTrip(r)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if as == e.Admin() {
		if err := b.Create(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// answers stand in for those of a store.
type answers []struct {
	method, subresource string
	status              int
	body                string
}

func code(c string) string { return "<Error><Code>" + c + "</Code><Message>m</Message></Error>" }

func harden(t *testing.T, b *s3client.Bucket, o guard.HardenOptions) *guard.Hardening {
	t.Helper()
	h, err := guard.Harden(t.Context(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func hardened(t *testing.T, b *s3client.Bucket, o guard.HardenOptions) *guard.Hardening {
	t.Helper()
	h := harden(t, b, o)
	if err := h.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// outcomes are what became of each setting.
func outcomes(h *guard.Hardening) map[guard.Setting]guard.Outcome {
	m := map[guard.Setting]guard.Outcome{}
	for _, s := range h.Steps {
		m[s.Setting] = s.Outcome
	}
	return m
}

func step(t *testing.T, h *guard.Hardening, s guard.Setting) guard.Step {
	t.Helper()
	i := slices.IndexFunc(h.Steps, func(step guard.Step) bool { return step.Setting == s })
	if i < 0 {
		t.Fatalf("%s is not among the steps", s)
	}
	return h.Steps[i]
}

// everything asks for each of the settings.
func everything(logs *s3client.Bucket) guard.HardenOptions {
	return guard.HardenOptions{Want: guard.Want{LogBucket: logs.Name(), LogPrefix: "vault/", Logs: logs, NoncurrentDays: 30}}
}

// takeLogs gives a log bucket the policy that it is said to need.
func takeLogs(t *testing.T, logs *s3client.Bucket, o guard.HardenOptions) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": guard.LogTargetStatement(bucketName, &o.Want)})
	if err == nil {
		err = logs.PutPolicy(t.Context(), text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A bucket as they were before 2023 gets every setting; doing it again changes
// nothing, and before it was agreed to nothing is changed either.
func TestHardenBringsEverySettingAbout(t *testing.T) {
	e := s3gatetest.DevS3(t)
	b, logs := openNamed(t, e, bucketName, e.Admin(), nil), openNamed(t, e, "logs", e.Admin(), nil)
	o := everything(logs)
	takeLogs(t, logs, o)
	for range 2 { // planning does nothing
		h := harden(t, b, o)
		if len(h.Steps) != len(guard.AllSettings()) || !h.Changes() {
			t.Fatalf("planned %+v", h.Steps)
		}
		for i, s := range h.Steps {
			if s.Setting != guard.AllSettings()[i] || s.Outcome != guard.Planned || s.State != guard.Missing || s.Before == s.After {
				t.Errorf("%+v", s)
			}
		}
	}
	h := hardened(t, b, o)
	for _, s := range h.Steps {
		if s.Outcome != guard.Changed {
			t.Errorf("%+v", s)
		}
	}
	if !h.Complete() || h.Changes() {
		t.Errorf("complete %v, changes %v", h.Complete(), h.Changes())
	}
	again := hardened(t, b, o)
	for i, s := range again.Steps {
		if s.Outcome != guard.Kept || s.State != guard.OK || s.Before != h.Steps[i].After {
			t.Errorf("%+v, was left as %q", s, h.Steps[i].After)
		}
	}
}

// What is weaker is changed, what is stronger stays.
func TestHardenChangesOnlyWhatIsWeaker(t *testing.T) {
	const key = "arn:aws:kms:us-east-1:000000000000:key/1234"
	putRule := func(r s3client.LifecycleRule) func(*testing.T, *s3client.Bucket) error {
		return func(t *testing.T, b *s3client.Bucket) error {
			return b.PutLifecycle(t.Context(), (&s3client.Lifecycle{}).With(r))
		}
	}
	encrypt := func(e s3client.Encryption) func(*testing.T, *s3client.Bucket) error {
		return func(t *testing.T, b *s3client.Bucket) error { return b.PutEncryption(t.Context(), e) }
	}
	for _, tt := range []struct {
		name          string
		prepare       func(*testing.T, *s3client.Bucket) error
		want          guard.Want
		setting       guard.Setting
		state         guard.State
		before, after string
	}{
		{"one of the four is off", func(t *testing.T, b *s3client.Bucket) error {
			return b.PutPublicAccessBlock(t.Context(), s3client.PublicAccessBlock{BlockACLs: true, IgnoreACLs: true, RestrictPolicy: true})
		}, guard.Want{}, guard.PublicAccess, guard.Weak, "off: BlockPublicPolicy", "all four on"},
		{"objects are their writers'", func(t *testing.T, b *s3client.Bucket) error {
			return b.PutOwnership(t.Context(), "ObjectWriter")
		}, guard.Want{}, guard.Ownership, guard.Weak, "ObjectWriter", "BucketOwnerEnforced"},
		{"KMS stays where SSE-S3 would do", encrypt(s3client.Encryption{Algorithm: "aws:kms", KMSKey: key}),
			guard.Want{}, guard.Encryption, guard.OK, "SSE-KMS with " + key, "SSE-KMS with " + key},
		{"SSE-S3 where KMS is wanted", encrypt(s3client.Encryption{Algorithm: "AES256"}),
			guard.Want{KMSKey: key}, guard.Encryption, guard.Weak, "SSE-S3", "SSE-KMS with " + key + ", bucket key"},
		{"the key is named by its ID", encrypt(s3client.Encryption{Algorithm: "aws:kms", KMSKey: "1234"}),
			guard.Want{KMSKey: key}, guard.Encryption, guard.OK, "SSE-KMS with 1234", "SSE-KMS with 1234"},
		{"another key", encrypt(s3client.Encryption{Algorithm: "aws:kms", KMSKey: "5678"}),
			guard.Want{KMSKey: key}, guard.Encryption, guard.Weak, "SSE-KMS with 5678", "SSE-KMS with " + key + ", bucket key"},
		{"encrypted twice stays so", encrypt(s3client.Encryption{Algorithm: "aws:kms:dsse", KMSKey: "5678"}),
			guard.Want{KMSKey: key}, guard.Encryption, guard.Weak, "aws:kms:dsse with 5678", "aws:kms:dsse with " + key},
		{"versions were kept once", func(t *testing.T, b *s3client.Bucket) error {
			return suspendVersions(t, b)
		}, guard.Want{}, guard.Versioning, guard.Weak, "Suspended", "Enabled"},
		{"parts go sooner", putRule(s3client.LifecycleRule{ID: "theirs", Enabled: true, AbortDays: 2}),
			guard.Want{}, guard.OrphanParts, guard.OK, "parts of uploads go after 2 days (rule theirs)", "parts of uploads go after 2 days (rule theirs)"},
		{"parts go later", putRule(s3client.LifecycleRule{ID: "theirs", Enabled: true, AbortDays: 30}),
			guard.Want{AbortDays: 3}, guard.OrphanParts, guard.Weak, "parts of uploads go after 30 days (rule theirs)", "parts of uploads go after 3 days (rule s3gate-abort-multipart)"},
		{"a rule that is off", putRule(s3client.LifecycleRule{ID: "theirs", AbortDays: 2}),
			guard.Want{}, guard.OrphanParts, guard.Missing, "no rule for the whole bucket", "parts of uploads go after 7 days (rule s3gate-abort-multipart)"},
		{"old versions go sooner", putRule(s3client.LifecycleRule{ID: "theirs", Enabled: true, NoncurrentDays: 2}),
			guard.Want{NoncurrentDays: 9}, guard.NoncurrentVersions, guard.OK, "old versions go after 2 days (rule theirs)", "old versions go after 2 days (rule theirs)"},
		{"old versions go later", putRule(s3client.LifecycleRule{ID: "theirs", Enabled: true, NoncurrentDays: 20}),
			guard.Want{NoncurrentDays: 9}, guard.NoncurrentVersions, guard.Weak, "old versions go after 20 days (rule theirs)", "old versions go after 9 days (rule s3gate-expire-noncurrent)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			admin, _ := newBucket(t, "")
			if err := tt.prepare(t, admin); err != nil {
				t.Fatal(err)
			}
			o := guard.HardenOptions{Want: tt.want, Only: []guard.Setting{tt.setting}}
			s := step(t, hardened(t, admin, o), tt.setting)
			want := guard.Changed
			if tt.state == guard.OK {
				want = guard.Kept
			}
			if s.State != tt.state || s.Before != tt.before || s.After != tt.after || s.Outcome != want {
				t.Errorf("%+v\nwant %s, %q → %q, %s", s, tt.state, tt.before, tt.after, want)
			}
			if s := step(t, harden(t, admin, o), tt.setting); s.State != guard.OK || s.Before != tt.after {
				t.Errorf("then %+v", s)
			}
		})
	}
}

func suspendVersions(t *testing.T, b *s3client.Bucket) error {
	const document = `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Suspended</Status></VersioningConfiguration>`
	resp, err := b.Do(t.Context(), &s3client.Request{
		Method: http.MethodPut, Query: map[string][]string{"versioning": {""}},
		Body: io.NopCloser(strings.NewReader(document)), Size: int64(len(document)),
	})
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return s3client.ReadError(resp)
	}
	return resp.Body.Close()
}

// The rules of others stay, and ours of two kinds stand beside each other.
func TestHardenKeepsTheRulesOfOthers(t *testing.T) {
	admin, _ := newBucket(t, "")
	theirs := s3client.LifecycleRule{ID: "theirs", Enabled: true, Everything: true, AbortDays: 30}
	if err := admin.PutLifecycle(t.Context(), (&s3client.Lifecycle{}).With(theirs)); err != nil {
		t.Fatal(err)
	}
	hardened(t, admin, guard.HardenOptions{Want: guard.Want{NoncurrentDays: 9}, Only: []guard.Setting{guard.OrphanParts, guard.NoncurrentVersions}})
	l, err := admin.Lifecycle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []s3client.LifecycleRule{
		theirs,
		{ID: guard.RuleOrphanParts, Enabled: true, Everything: true, AbortDays: 7},
		{ID: guard.RuleNoncurrent, Enabled: true, Everything: true, NoncurrentDays: 9},
	}
	if got := l.Rules(); !reflect.DeepEqual(got, want) {
		t.Errorf("the rules are %+v\nwant %+v", got, want)
	}
}

// Kinds of encryption that were shut stay shut when the default changes.
func TestHardenKeepsWhatIsBlocked(t *testing.T) {
	const is = `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>` +
		`</ApplyServerSideEncryptionByDefault><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>`
	var sent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			raw, _ := io.ReadAll(r.Body)
			sent = string(raw)
			return
		}
		io.WriteString(w, is)
	}))
	defer server.Close()
	b := open(t, &s3gatetest.Endpoint{URL: server.URL, Region: "us-east-1"}, s3gatetest.Identity{AccessKey: "k", Secret: "s"})
	hardened(t, b, guard.HardenOptions{Want: guard.Want{KMSKey: "k"}, Only: []guard.Setting{guard.Encryption}})
	for _, part := range []string{"<SSEAlgorithm>aws:kms</SSEAlgorithm>", "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"} {
		if !strings.Contains(sent, part) {
			t.Errorf("%s is not in %s", part, sent)
		}
	}
}

// What is refused or not there is reported, and the rest goes on.
func TestHardenGoesOnWhereItMayNot(t *testing.T) {
	grants := `<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="x" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>`
	for _, tt := range []struct {
		name    string
		between answers
		setting guard.Setting
		state   guard.State
		outcome guard.Outcome
		note    string
	}{
		{"may not look", answers{{"", "versioning", 403, code("AccessDenied")}}, guard.Versioning, guard.Unknown, guard.Refused, "AccessDenied"},
		{"may not change", answers{{"PUT", "versioning", 403, code("AccessDenied")}}, guard.Versioning, guard.Missing, guard.Refused, "AccessDenied"},
		{"is not there", answers{{"", "publicAccessBlock", 501, code("NotImplemented")}}, guard.PublicAccess, guard.Unsupported, guard.NotSupported, "NotImplemented"},
		{"cannot be changed", answers{{"PUT", "encryption", 501, code("NotImplemented")}}, guard.Encryption, guard.Missing, guard.NotSupported, "NotImplemented"},
		{"something else is wrong", answers{{"PUT", "lifecycle", 400, code("InvalidRequest")}}, guard.OrphanParts, guard.Missing, guard.Failed, "InvalidRequest"},
		{"grants are in the way", answers{{"PUT", "ownershipControls", 400, code("InvalidBucketAclWithObjectOwnership")}, {"", "acl", 200, grants}},
			guard.Ownership, guard.Missing, guard.Failed, "the bucket's ACL grants READ to AllUsers: give them the same by the bucket policy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := s3gatetest.DevS3(t)
			h := hardened(t, openNamed(t, e, bucketName, e.Admin(), tt.between), guard.HardenOptions{})
			if h.Complete() {
				t.Error("called complete")
			}
			for _, s := range h.Steps {
				want := guard.Changed
				switch s.Setting {
				case tt.setting:
					want = tt.outcome
					if s.State != tt.state || !strings.Contains(s.Note, tt.note) || s.After != s.Before {
						t.Errorf("%+v, want %s with %q", s, tt.state, tt.note)
					}
				case guard.AccessLogging:
					want = guard.LeftAlone
				}
				if s.Outcome != want {
					t.Errorf("%+v, want %s", s, want)
				}
			}
		})
	}
}

// Whoever may change nothing changes nothing.
func TestHardenWithoutRights(t *testing.T) {
	admin, gate := newBucket(t, "")
	h := hardened(t, gate, guard.HardenOptions{})
	for _, s := range h.Steps {
		// Whether there are versions, devs3 tells everybody.
		if s.State != guard.Unknown && s.Setting != guard.Versioning || s.Outcome != guard.Refused {
			t.Errorf("%+v", s)
		}
	}
	if h.Changes() || h.Complete() {
		t.Errorf("changes %v, complete %v", h.Changes(), h.Complete())
	}
	for _, s := range harden(t, admin, guard.HardenOptions{}).Steps {
		if s.State != guard.Missing {
			t.Errorf("now %+v", s)
		}
	}
}

// A log is turned on only where it can be written.
func TestHardenLooksWhetherTheTargetTakesLogs(t *testing.T) {
	const account = "000000000000"
	statement := func(o guard.HardenOptions, change func(*policy.Statement)) string {
		s := guard.LogTargetStatement(bucketName, &o.Want)
		change(&s)
		text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": s})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	same := func(*policy.Statement) {}
	for _, tt := range []struct {
		name    string
		change  func(*policy.Statement) // of the statement; nil: there is no policy
		account string
		grants  string
		outcome guard.Outcome
	}{
		{"no policy", nil, "", "", guard.Failed},
		{"as printed", same, "", "", guard.Changed},
		{"as printed, with the account", same, account, "", guard.Changed},
		{"with another account", func(s *policy.Statement) {
			s.Condition["StringEquals"] = map[string]policy.Values{"aws:SourceAccount": {"111122223333"}}
		}, account, "", guard.Failed},
		{"an account nobody knows", func(s *policy.Statement) {
			s.Condition["StringEquals"] = map[string]policy.Values{"aws:SourceAccount": {"111122223333"}}
		}, "", "", guard.Changed},
		{"for another bucket", func(s *policy.Statement) {
			s.Condition["ArnLike"]["aws:SourceArn"] = policy.Values{"arn:aws:s3:::other"}
		}, "", "", guard.Failed},
		{"for another prefix", func(s *policy.Statement) { s.Resource = policy.Values{"arn:aws:s3:::logs/other/*"} }, "", "", guard.Failed},
		{"for another action", func(s *policy.Statement) { s.Action = policy.Values{"s3:GetObject"} }, "", "", guard.Failed},
		{"for another service", func(s *policy.Statement) { s.Principal.Service = policy.Values{"cloudtrail.amazonaws.com"} }, "", "", guard.Failed},
		{"for a user", func(s *policy.Statement) { s.Principal = policy.Principals{AWS: policy.Values{account}} }, "", "", guard.Failed},
		{"denied", func(s *policy.Statement) { s.Effect = policy.Deny }, "", "", guard.Failed},
		{"by ACL", nil, "", `<Grantee xmlns:xsi="x" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/s3/LogDelivery</URI></Grantee><Permission>WRITE</Permission>`, guard.Changed},
		{"by an ACL that only reads", nil, "", `<Grantee xmlns:xsi="x" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/s3/LogDelivery</URI></Grantee><Permission>READ_ACP</Permission>`, guard.Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := s3gatetest.DevS3(t)
			acl := answers{{"", "acl", 200, `<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList><Grant>` + tt.grants + `</Grant></AccessControlList></AccessControlPolicy>`}}
			b, logs := openNamed(t, e, bucketName, e.Admin(), nil), openNamed(t, e, "logs", e.Admin(), acl)
			o := everything(logs)
			o.Account, o.Only = tt.account, []guard.Setting{guard.AccessLogging}
			if tt.change != nil {
				if err := logs.PutPolicy(t.Context(), []byte(statement(o, tt.change))); err != nil {
					t.Fatal(err)
				}
			}
			s := hardened(t, b, o).Steps[0]
			if s.Outcome != tt.outcome {
				t.Errorf("%+v, want %s", s, tt.outcome)
			}
			if tt.outcome == guard.Failed && !strings.Contains(s.Note, `"Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/vault/*"`) {
				t.Errorf("the statement is not in %q", s.Note)
			}
			is, err := b.Logging(t.Context())
			if err != nil || (is != nil) != (tt.outcome == guard.Changed) {
				t.Errorf("the log goes to %+v, %v", is, err)
			}
		})
	}
}

func TestHardenLeavesALogWhereItGoes(t *testing.T) {
	e := s3gatetest.DevS3(t)
	b, logs := openNamed(t, e, bucketName, e.Admin(), nil), openNamed(t, e, "logs", e.Admin(), nil)
	o := everything(logs)
	takeLogs(t, logs, o)
	o.Only = []guard.Setting{guard.AccessLogging}
	put := func(l s3client.Logging) {
		t.Helper()
		if err := b.PutLogging(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	put(s3client.Logging{Bucket: "logs", Prefix: "elsewhere/"})
	if s := hardened(t, b, o).Steps[0]; s.Outcome != guard.Kept || s.After != "s3://logs/elsewhere/" || s.Note == "" {
		t.Errorf("%+v", s)
	}
	put(s3client.Logging{Bucket: bucketName, Prefix: "log/"})
	if s := hardened(t, b, o).Steps[0]; s.State != guard.Weak || s.Outcome != guard.Changed || s.After != "s3://logs/vault/" {
		t.Errorf("%+v", s)
	}
	// Where it is meant, it is.
	self := guard.HardenOptions{Want: guard.Want{LogBucket: bucketName, LogPrefix: "log/", LogToSelf: true}, Only: o.Only}
	put(s3client.Logging{Bucket: bucketName, Prefix: "log/"})
	if s := hardened(t, b, self).Steps[0]; s.Outcome != guard.Kept || s.State != guard.OK {
		t.Errorf("%+v", s)
	}
}

func TestHardenRefusesOptionsNobodyMeans(t *testing.T) {
	admin, _ := newBucket(t, "")
	for _, tt := range []struct {
		name string
		o    guard.HardenOptions
		want string
	}{
		{"unknown setting", guard.HardenOptions{Only: []guard.Setting{"encription"}}, `setting: there is no "encription", but public-access-block,`},
		{"unknown skip", guard.HardenOptions{Skip: []guard.Setting{"all"}}, `there is no "all"`},
		{"nothing left", guard.HardenOptions{Only: []guard.Setting{guard.Versioning}, Skip: []guard.Setting{guard.Versioning}}, "none is left"},
		{"log without a target", guard.HardenOptions{Only: []guard.Setting{guard.AccessLogging}}, "say which bucket takes the log"},
		{"expiry without days", guard.HardenOptions{Only: []guard.Setting{guard.NoncurrentVersions}}, "say after how many days"},
		{"log to itself", guard.HardenOptions{Want: guard.Want{LogBucket: bucketName}}, `log bucket: "vault" is the bucket itself`},
		{"prefix without a bucket", guard.HardenOptions{Want: guard.Want{LogPrefix: "x/"}}, `log prefix "x/": without a log bucket`},
		{"days", guard.HardenOptions{Want: guard.Want{AbortDays: -1}}, "-1 is less than 0"},
		{"more days", guard.HardenOptions{Want: guard.Want{NoncurrentDays: -2}}, "-2 is less than 0"},
	} {
		if _, err := guard.Harden(t.Context(), admin, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	for _, tt := range []struct {
		name string
		o    guard.HardenOptions
		want []guard.Setting
	}{
		{"all", guard.HardenOptions{}, []guard.Setting{guard.PublicAccess, guard.Ownership, guard.Encryption, guard.Versioning, guard.AccessLogging, guard.OrphanParts}},
		{"only, in our order", guard.HardenOptions{Only: []guard.Setting{guard.Versioning, guard.PublicAccess}}, []guard.Setting{guard.PublicAccess, guard.Versioning}},
		{"without", guard.HardenOptions{Skip: []guard.Setting{guard.Versioning, guard.AccessLogging, guard.Encryption}}, []guard.Setting{guard.PublicAccess, guard.Ownership, guard.OrphanParts}},
	} {
		var got []guard.Setting
		for _, s := range harden(t, admin, tt.o).Steps {
			got = append(got, s.Setting)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: looked at %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A store that does not answer is an error, not a state.
func TestHardenOfWhatDoesNotAnswer(t *testing.T) {
	e := s3gatetest.DevS3(t)
	b := openNamed(t, e, bucketName, e.Admin(), answers{{"", "publicAccessBlock", 404, code("NoSuchBucket")}})
	if _, err := guard.Harden(t.Context(), b, guard.HardenOptions{}); err == nil {
		t.Error("no error")
	}
}

// MinIO has some of the settings; what it has not is said, and nothing else is
// done in its place.
func TestHardenMinIO(t *testing.T) {
	e := s3gatetest.MinIO(t)
	b := openNamed(t, e, bucketName, e.Admin(), nil)
	h := hardened(t, b, guard.HardenOptions{})
	want := map[guard.Setting]guard.Outcome{
		guard.PublicAccess: guard.NotSupported, guard.Ownership: guard.NotSupported,
		guard.Encryption: guard.NotSupported, // without a KMS
		guard.Versioning: guard.Changed, guard.AccessLogging: guard.LeftAlone,
		guard.OrphanParts: guard.Failed, // it drops them by itself after a day
	}
	if got := outcomes(h); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", h.Steps)
	}
}
