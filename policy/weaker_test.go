package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/policy"
)

func TestWeaker(t *testing.T) {
	base := policy.LockOptions{Bucket: "media", RequireTLS: true, DenyOldSignatures: true, MaxURLAge: time.Hour, OnlyPrincipals: []string{gateARN}, ExemptUsers: []string{"alice"}}
	for _, tt := range []struct {
		name string
		set  func(*policy.LockOptions)
		want []string
	}{
		{"the same", func(*policy.LockOptions) {}, nil},
		{"an exemption less", func(o *policy.LockOptions) { o.ExemptUsers = nil }, nil},
		{"another exempt user", func(o *policy.LockOptions) { o.ExemptUsers = []string{"alice", "bob"} }, []string{
			"S3GateDenyPresigned now exempts aws:username bob", "S3GateDenyPresignedListing now exempts aws:username bob",
		}},
		{"an exempt network", func(o *policy.LockOptions) { o.ExemptNetworks, o.Actions = []string{"192.0.2.0/24"}, []string{"s3:*"} }, []string{
			"S3GateDenyPresigned now exempts aws:SourceIp 192.0.2.0/24", "S3GateDenyPresignedListing goes",
		}},
		{"TLS no longer", func(o *policy.LockOptions) { o.RequireTLS = false }, []string{"S3GateDenyInsecureTransport goes"}},
		{"an older URL", func(o *policy.LockOptions) { o.MaxURLAge = 2 * time.Hour }, []string{
			"S3GateDenyStaleURL now permits s3:signatureAge up to 7200000, was 3600000",
		}},
		{"a younger URL", func(o *policy.LockOptions) { o.MaxURLAge = time.Minute }, nil},
		{"another insider", func(o *policy.LockOptions) { o.OnlyPrincipals = []string{gateARN, alice.ARN} }, []string{
			"S3GateDenyOutsider now exempts aws:PrincipalArn " + alice.ARN,
		}},
		{"fewer actions", func(o *policy.LockOptions) { o.Actions = []string{"s3:GetObject", "s3:ListBucket*"} }, []string{"S3GateDenyPresigned is no longer for s3:*"}},
		{"a prefix", func(o *policy.LockOptions) {
			o.Prefix, o.RequireTLS, o.DenyOldSignatures, o.MaxURLAge, o.OnlyPrincipals = "a/", false, false, 0, nil
		}, []string{
			"S3GateDenyPresigned is no longer for arn:aws:s3:::media/*", "S3GateDenyPresignedListing goes", "S3GateDenyStaleURL goes",
			"S3GateDenyInsecureTransport goes", "S3GateDenyOldSignature goes", "S3GateDenyOutsider goes",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			next := base
			tt.set(&next)
			was, err := policy.LockStatements(base)
			if err != nil {
				t.Fatal(err)
			}
			will, err := policy.LockStatements(next)
			if err != nil {
				t.Fatal(err)
			}
			if got := policy.Weaker(was, will); !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

// What others have done to our statements counts too.
func TestWeakerThanWhatStandsThere(t *testing.T) {
	ours, err := policy.LockStatements(policy.LockOptions{Bucket: "media", Actions: []string{"s3:GetObject"}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := policy.Merge(nil, ours)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, new, want string }{
		{"for one", `"Principal": "*"`, `"Principal": {"AWS": "111122223333"}`, "is for other principals"},
		{"for another effect", `"Effect": "Deny"`, `"Effect": "Allow"`, "another Effect"},
		{"for URLs only", `"POST"`, `"REST-HEADER"`, "is no longer for s3:authType POST"},
		{"case counts", "media/*", "media/A*", "is no longer for arn:aws:s3:::media/*"},
		{"under a condition more", `"StringEquals": {`, `"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {`, "is now only for aws:SecureTransport true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := strings.Replace(string(text), tt.old, tt.new, 1)
			there, err := policy.Ours([]byte(changed))
			if err != nil || changed == string(text) {
				t.Fatal(err)
			}
			if got := policy.Weaker(ours, there); len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if _, err := policy.Ours([]byte(`{"Statement":[{"Sid":"S3GateX","Frob":1}]}`)); !errors.Is(err, policy.ErrMalformed) || !strings.Contains(err.Error(), "S3GateX") {
		t.Errorf("a statement beyond recognition: %v", err)
	}
	if got, err := policy.Ours(nil); got != nil || err != nil {
		t.Errorf("no policy: %v, %v", got, err)
	}
}

func TestKeep(t *testing.T) {
	a, b, a2 := own("S3GateA", "s3:*"), own("S3GateB", "s3:*"), own("S3GateA", "s3:GetObject")
	got := policy.Keep([]policy.Statement{a, b}, []policy.Statement{a2})
	if len(got) != 2 || !slices.Equal(got[0].Action, policy.Values{"s3:GetObject", "s3:*"}) || got[1].Sid != "S3GateB" {
		t.Errorf("got %v", got)
	}
	if len(a2.Action) != 1 {
		t.Errorf("an argument was changed: %v", a2)
	}
	// What the next one covers is not repeated, and what has another form is not mixed in.
	for _, tt := range []struct {
		name   string
		was    func(*policy.Statement)
		action policy.Values
	}{
		{"covered", func(s *policy.Statement) { s.Action = policy.Values{"S3:getobject"} }, policy.Values{"s3:*"}},
		{"more", func(s *policy.Statement) { s.Action = policy.Values{"s3:Get*", "s3-object-lambda:Get*"} }, policy.Values{"s3:*", "s3-object-lambda:Get*"}},
		{"of another effect", func(s *policy.Statement) { s.Action, s.Effect = policy.Values{"sts:x"}, policy.Allow }, policy.Values{"s3:*"}},
		{"by exclusion", func(s *policy.Statement) { s.Action, s.NotAction = nil, policy.Values{"s3:GetObject"} }, policy.Values{"s3:*"}},
	} {
		was := own("S3GateA", "")
		tt.was(&was)
		if got := policy.Keep([]policy.Statement{was}, []policy.Statement{a}); len(got) != 1 || !slices.Equal(got[0].Action, tt.action) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.action)
		}
	}
}
