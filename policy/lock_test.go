package policy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/policy"
)

// lock returns the policy of a bucket that was locked when it had none.
func lock(t testing.TB, o policy.LockOptions) *policy.Document {
	t.Helper()
	statements, err := policy.LockStatements(o)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := policy.Merge(nil, statements)
	if err != nil {
		t.Fatal(err)
	}
	d := parse(t, string(doc))
	if err := d.CheckBucket(o.Bucket); err != nil {
		t.Fatal(err)
	}
	return d
}

// Contexts as a store fills them.
var (
	presigned = policy.Context{"s3:authtype": {"REST-QUERY-STRING"}, "s3:signatureversion": {"AWS4-HMAC-SHA256"}, "s3:signatureage": {"60000"}, "aws:securetransport": {"true"}}
	form      = policy.Context{"s3:authtype": {"POST"}, "s3:signatureversion": {"AWS4-HMAC-SHA256"}, "aws:securetransport": {"true"}}
	header    = policy.Context{"s3:authtype": {"REST-HEADER"}, "s3:signatureversion": {"AWS4-HMAC-SHA256"}, "aws:securetransport": {"true"}}
	plainHTTP = policy.Context{"s3:authtype": {"REST-HEADER"}, "s3:signatureversion": {"AWS4-HMAC-SHA256"}, "aws:securetransport": {"false"}}
	version2  = policy.Context{"s3:authtype": {"REST-HEADER"}, "s3:signatureversion": {"AWS"}, "aws:securetransport": {"true"}}
	unsigned  = policy.Context{"aws:securetransport": {"true"}}
)

func TestLock(t *testing.T) {
	const bobARN, roleARN = "arn:aws:iam::111122223333:user/bob", "arn:aws:iam::111122223333:role/uploader"
	plain := policy.LockOptions{Bucket: "media"}
	all := policy.LockOptions{
		Bucket: "media", RequireTLS: true, DenyOldSignatures: true, MaxURLAge: time.Minute, Accounts: []string{account},
		ExemptUsers: []string{"alice"}, ExemptRoles: []string{roleARN},
	}
	with := func(set func(*policy.LockOptions)) policy.LockOptions {
		o := plain
		set(&o)
		return o
	}
	exempt := with(func(o *policy.LockOptions) {
		o.ExemptUsers, o.ExemptRoles = []string{"alice"}, []string{roleARN, "arn:aws:iam::111122223333:role/sso/*"}
	})
	reads := with(func(o *policy.LockOptions) { o.Actions = []string{"s3:GetObject"} })
	prefix := with(func(o *policy.LockOptions) { o.Prefix, o.RequireTLS = "reports/", true })
	old := with(func(o *policy.LockOptions) { o.MaxURLAge = time.Minute })
	sso := policy.Principal{ARN: "arn:aws:iam::111122223333:role/sso/Admin"}

	for _, tt := range []struct {
		name     string
		options  policy.LockOptions
		action   string
		resource string
		who      policy.Principal
		context  policy.Context
		want     string // Sid of the denying statement; empty for not denied
	}{
		{"presigned GET", plain, "s3:GetObject", object, alice, presigned, policy.SidPresigned},
		{"presigned GET of a version", plain, "s3:GetObjectVersion", object, alice, presigned, policy.SidPresigned},
		{"presigned PUT", plain, "s3:PutObject", object, alice, presigned, policy.SidPresigned},
		{"presigned DELETE", plain, "s3:DeleteObject", object, alice, presigned, policy.SidPresigned},
		{"presigned GET of attributes", plain, "s3:GetObjectAttributes", object, alice, presigned, policy.SidPresigned},
		{"an action yet unknown", plain, "s3:FrobnicateObject", object, alice, presigned, policy.SidPresigned},
		{"form POST", plain, "s3:PutObject", object, alice, form, policy.SidPresigned},
		{"presigned listing", plain, "s3:ListBucket", bucket, alice, presigned, policy.SidPresignedList},
		{"presigned listing of versions", plain, "s3:ListBucketVersions", bucket, alice, presigned, policy.SidPresignedList},
		{"presigned listing of uploads", plain, "s3:ListBucketMultipartUploads", bucket, alice, presigned, policy.SidPresignedList},
		{"presigned by the root user", plain, "s3:GetObject", object, root, presigned, policy.SidPresigned},
		{"presigned by a session", plain, "s3:GetObject", object, session, presigned, policy.SidPresigned},
		{"header-signed GET", plain, "s3:GetObject", object, alice, header, ""},
		{"header-signed PUT", plain, "s3:PutObject", object, session, header, ""},
		{"header-signed listing", plain, "s3:ListBucket", bucket, alice, header, ""},
		{"anonymous", plain, "s3:GetObject", object, anonymous, unsigned, ""},
		{"plain HTTP without RequireTLS", plain, "s3:GetObject", object, alice, plainHTTP, ""},
		{"old signature without DenyOldSignatures", plain, "s3:GetObject", object, alice, version2, ""},
		{"another bucket", plain, "s3:GetObject", "arn:aws:s3:::media2/x", alice, presigned, ""},

		{"exempt user", exempt, "s3:GetObject", object, alice, presigned, ""},
		{"exempt user's form", exempt, "s3:PutObject", object, alice, form, ""},
		{"exempt user's listing", exempt, "s3:ListBucket", bucket, alice, presigned, ""},
		{"exempt role", exempt, "s3:GetObject", object, session, presigned, ""},
		{"exempt role by pattern", exempt, "s3:GetObject", object, sso, presigned, ""},
		{"user not exempt", exempt, "s3:GetObject", object, bob, presigned, policy.SidPresigned},
		{"role not exempt", exempt, "s3:GetObject", object, policy.Principal{ARN: "arn:aws:iam::111122223333:role/other"}, presigned, policy.SidPresigned},
		{"user by ARN", with(func(o *policy.LockOptions) { o.ExemptRoles = []string{bobARN} }), "s3:GetObject", object, bob, presigned, ""},
		{"session where only a user is exempt", with(func(o *policy.LockOptions) { o.ExemptUsers = []string{"alice"} }), "s3:GetObject", object, session, presigned, policy.SidPresigned},

		{"only reads: GET", reads, "s3:GetObject", object, alice, presigned, policy.SidPresigned},
		{"only reads: PUT", reads, "s3:PutObject", object, alice, presigned, ""},
		{"only reads: listing", reads, "s3:ListBucket", bucket, alice, presigned, ""},

		{"under the prefix", prefix, "s3:GetObject", object, alice, presigned, policy.SidPresigned},
		{"beside the prefix", prefix, "s3:GetObject", bucket + "/public/x", alice, presigned, ""},
		{"listing under a prefix lock", prefix, "s3:ListBucket", bucket, alice, presigned, ""},
		{"plain HTTP under the prefix", prefix, "s3:GetObject", object, alice, plainHTTP, policy.SidPlainHTTP},
		{"plain HTTP listing under a prefix lock", prefix, "s3:ListBucket", bucket, alice, plainHTTP, ""},
		{"plain HTTP beside the prefix", prefix, "s3:GetObject", bucket + "/public/x", alice, plainHTTP, ""},

		{"plain HTTP", all, "s3:GetObject", object, alice, plainHTTP, policy.SidPlainHTTP},
		{"plain HTTP listing", all, "s3:ListBucket", bucket, alice, plainHTTP, policy.SidPlainHTTP},
		{"old signature", all, "s3:GetObject", object, alice, version2, policy.SidOldSignature},
		{"old signature on the bucket", all, "s3:ListBucket", bucket, alice, version2, policy.SidOldSignature},
		{"another account", all, "s3:GetObject", object, stranger, header, policy.SidOutsider},
		{"anonymous outsider", all, "s3:GetObject", object, anonymous, unsigned, policy.SidOutsider},
		{"all: exempt user", all, "s3:GetObject", object, alice, presigned, ""},
		{"all: header-signed", all, "s3:GetObject", object, bob, header, ""},
		{
			"an AWS service", all, "s3:PutObject", object, policy.Principal{UserID: "svc:logging"},
			policy.Context{"aws:principalisawsservice": {"true"}, "aws:securetransport": {"true"}}, "",
		},
		{"no URL, however old", old, "s3:GetObject", object, alice, policy.Context{"s3:authtype": {"REST-HEADER"}, "s3:signatureage": {"60001"}}, ""},
		{
			"stale URL of an exempt user", all, "s3:GetObject", object, alice,
			policy.Context{"s3:authtype": {"REST-QUERY-STRING"}, "s3:signatureage": {"60001"}, "aws:securetransport": {"true"}}, policy.SidStaleURL,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := lock(t, tt.options).Evaluate(policy.Request{Action: tt.action, Resource: tt.resource, Principal: tt.who, Context: tt.context})
			if got.Sid != tt.want || got.Effect == policy.Deny != (tt.want != "") {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
		})
	}
}

// Nobody locks themselves out: whatever is locked, however the request is made.
func TestLockNeverDeniesBucketPolicy(t *testing.T) {
	options := []policy.LockOptions{
		{Bucket: "media"},
		{Bucket: "media", Actions: []string{"s3:*", "s3:Put*", "s3:G*"}},
		{Bucket: "media", Prefix: "x", RequireTLS: true},
		{Bucket: "media", RequireTLS: true, DenyOldSignatures: true, MaxURLAge: time.Second, Accounts: []string{account}},
	}
	for _, o := range options {
		d := lock(t, o)
		for _, action := range []string{"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"} {
			for _, who := range []policy.Principal{alice, root, session, stranger} {
				for _, c := range []policy.Context{presigned, form, header, plainHTTP, version2, unsigned} {
					r := policy.Request{Action: action, Resource: bucket, Principal: who, Context: c}
					if got := d.Evaluate(r); got.Effect == policy.Deny {
						t.Errorf("%s by %s with %v is denied by %s", action, who.ARN, c, got.Sid)
					}
				}
			}
		}
	}
}

func TestLockStatementsRefuse(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options policy.LockOptions
		want    string
	}{
		{"no bucket", policy.LockOptions{}, "not a bucket name"},
		{"bucket with a wildcard", policy.LockOptions{Bucket: "media*"}, "not a bucket name"},
		{"prefix with a wildcard", policy.LockOptions{Bucket: "media", Prefix: "a*"}, "wildcard or a variable"},
		{"prefix with a variable", policy.LockOptions{Bucket: "media", Prefix: "${aws:username}/"}, "wildcard or a variable"},
		{"partition", policy.LockOptions{Bucket: "media", Partition: "*"}, "partition"},
		{"no actions", policy.LockOptions{Bucket: "media", Actions: []string{}}, "actions: empty"},
		{"action without service", policy.LockOptions{Bucket: "media", Actions: []string{"GetObject"}}, `"GetObject" is no action`},
		{"every action there is", policy.LockOptions{Bucket: "media", Actions: []string{"*"}}, `"*" is no action`},
		{"the bucket policy", policy.LockOptions{Bucket: "media", Actions: []string{"s3:PutBucketPolicy"}}, "lock the bucket policy itself"},
		{"the bucket policy by wildcard", policy.LockOptions{Bucket: "media", Actions: []string{"s3:*BucketPol?cy"}}, "lock the bucket policy itself"},
		{"bucket action under a prefix", policy.LockOptions{Bucket: "media", Prefix: "a/", Actions: []string{"s3:GetObject", "s3:ListBucket"}}, "cannot be limited to a prefix"},
		{"user with a wildcard", policy.LockOptions{Bucket: "media", ExemptUsers: []string{"*"}}, `exempt users: "*"`},
		{"user by ARN", policy.LockOptions{Bucket: "media", ExemptUsers: []string{alice.ARN}}, "exempt users"},
		{"role by name", policy.LockOptions{Bucket: "media", ExemptRoles: []string{"uploader"}}, "exempt roles"},
		{"role of a session", policy.LockOptions{Bucket: "media", ExemptRoles: []string{session.ARN}}, "exempt roles"},
		{"roles of every account", policy.LockOptions{Bucket: "media", ExemptRoles: []string{"arn:aws:iam::*:role/x"}}, "exempt roles"},
		{"account", policy.LockOptions{Bucket: "media", Accounts: []string{"1"}}, "accounts"},
		{"age", policy.LockOptions{Bucket: "media", MaxURLAge: time.Microsecond}, "less than a millisecond"},
		{"negative age", policy.LockOptions{Bucket: "media", MaxURLAge: -time.Second}, "less than a millisecond"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := policy.LockStatements(tt.options)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v, want an error with %q", got, err, tt.want)
			}
		})
	}
}

func TestLockStatementsAreOwned(t *testing.T) {
	o := policy.LockOptions{Bucket: "media", Partition: "aws-cn", RequireTLS: true, DenyOldSignatures: true, MaxURLAge: time.Hour, Accounts: []string{account}}
	statements, err := policy.LockStatements(o)
	if err != nil || len(statements) != 6 {
		t.Fatalf("got %d statements, %v, want 6", len(statements), err)
	}
	for _, s := range statements {
		if !policy.Owned(s.Sid) {
			t.Errorf("%q is not owned", s.Sid)
		}
		for _, r := range s.Resource {
			if !strings.HasPrefix(r, "arn:aws-cn:s3:::media") {
				t.Errorf("%s: resource %q is not in the partition", s.Sid, r)
			}
		}
	}
}

func TestOwned(t *testing.T) {
	for sid, want := range map[string]bool{
		"S3GateDenyPresigned": true, "S3GateX": true,
		"S3Gate": false, "S3GatewayEndpoint": false, "S3Gatekeeper": false, "S3Gate-x": false, "s3GateDeny": false, "": false,
	} {
		if got := policy.Owned(sid); got != want {
			t.Errorf("Owned(%q) = %v, want %v", sid, got, want)
		}
	}
}

func TestIdentityPolicy(t *testing.T) {
	statements, err := policy.LockStatements(policy.LockOptions{Bucket: "media"})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := policy.IdentityPolicy(statements)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Statement []map[string]any }
	if err := json.Unmarshal(doc, &got); err != nil || len(got.Statement) != 2 {
		t.Fatalf("%v\n%s", err, doc)
	}
	if strings.Contains(string(doc), "Principal") {
		t.Errorf("an identity policy names principals:\n%s", doc)
	}
	if !statements[0].Principal.Everyone {
		t.Error("the argument was modified")
	}
	statements[0].Principal = policy.Principals{AWS: policy.Values{account}}
	if _, err := policy.IdentityPolicy(statements); err == nil {
		t.Error("a statement for certain principals became one for all")
	}
	if _, err := policy.IdentityPolicy(nil); err == nil {
		t.Error("a policy without statements")
	}
}

func TestDefaultActionsAreCopies(t *testing.T) {
	policy.DefaultActions()[0] = "s3:GetObject"
	if !slices.Contains(policy.DefaultActions(), "s3:*") {
		t.Error("a caller changed the defaults")
	}
}
