package policy_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"s3gate/policy"
)

const (
	gateARN  = "arn:aws:iam::111122223333:role/s3gate"
	endpoint = "vpce-1a2b3c4d"
)

var (
	gateRole = policy.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/s3gate/i-0abc", UserID: "AROAGATE:i-0abc"}
	service  = policy.Principal{UserID: "svc:s3.amazonaws.com"}
)

// and is a context with more keys, given as key and value by turns.
func and(c policy.Context, pairs ...string) policy.Context {
	c = maps.Clone(c)
	for i := 0; i < len(pairs); i += 2 {
		c.Set(pairs[i], pairs[i+1])
	}
	return c
}

// Every way past a lock, and what looks like one: keys that a request does not carry exempt nobody.
func TestExemptions(t *testing.T) {
	vpce := policy.LockOptions{Bucket: "media", ExemptEndpoints: []string{endpoint}}
	networks := policy.LockOptions{Bucket: "media", ExemptNetworks: []string{"192.0.2.0/24", "2001:db8::/32"}}
	query := policy.LockOptions{Bucket: "media", QuerySigner: gateARN}
	all := policy.LockOptions{
		Bucket: "media", ExemptUsers: []string{"alice"}, ExemptRoles: []string{"arn:aws:iam::111122223333:role/uploader"},
		ExemptEndpoints: vpce.ExemptEndpoints, ExemptNetworks: networks.ExemptNetworks, QuerySigner: gateARN,
	}
	inside := and(presigned, "aws:SourceVpce", endpoint)
	for _, tt := range []struct {
		name    string
		options policy.LockOptions
		who     policy.Principal
		context policy.Context
		want    string
	}{
		{"through the endpoint", vpce, bob, inside, ""},
		{"a form through the endpoint", vpce, bob, and(form, "aws:SourceVpce", endpoint), ""},
		{"a role through the endpoint", vpce, session, inside, ""},
		{"through another endpoint", vpce, bob, and(presigned, "aws:SourceVpce", "vpce-99999999"), policy.SidPresigned},
		{"through none", vpce, bob, and(presigned, "aws:SourceIp", "192.0.2.1"), policy.SidPresigned},

		{"from the network", networks, bob, and(presigned, "aws:SourceIp", "192.0.2.255"), ""},
		{"from the IPv6 network", networks, bob, and(presigned, "aws:SourceIp", "2001:db8:1::2"), ""},
		{"from beside the network", networks, bob, and(presigned, "aws:SourceIp", "192.0.3.0"), policy.SidPresigned},
		{"from beside the IPv6 network", networks, bob, and(presigned, "aws:SourceIp", "2001:db9::"), policy.SidPresigned},
		{"without a source address", networks, bob, inside, policy.SidPresigned},

		{"the gate's URL", query, gateRole, and(presigned, "s3:signatureAge", "60000"), ""},
		{"the gate's URL, found later", query, gateRole, and(presigned, "s3:signatureAge", "60001"), policy.SidGateStaleURL},
		{"a form of the gate", query, gateRole, form, policy.SidGateForm},
		{"the gate, signing in headers", query, gateRole, header, ""},
		{"a header of the gate that is old", query, gateRole, and(header, "s3:signatureAge", "700000"), ""},
		{"a URL of somebody else", query, session, presigned, policy.SidPresigned},
		{"a URL of nobody's", query, anonymous, presigned, policy.SidPresigned},
		{"a URL of the gate's name in another account", query, policy.Principal{ARN: strings.Replace(gateRole.ARN, "1111", "2222", 1)}, presigned, policy.SidPresigned},

		{"one of many: the user", all, alice, presigned, ""},
		{"one of many: the role", all, session, presigned, ""},
		{"one of many: the endpoint", all, bob, inside, ""},
		{"one of many: the network", all, bob, and(presigned, "aws:SourceIp", "192.0.2.1"), ""},
		{"one of many: the gate", all, gateRole, presigned, ""},
		{"the gate's form through an exempt endpoint", all, gateRole, and(form, "aws:SourceVpce", endpoint), policy.SidGateForm},
		{"none of many", all, bob, and(presigned, "aws:SourceIp", "198.51.100.1"), policy.SidPresigned},
		{"none of many, root", all, root, presigned, policy.SidPresigned},
		{"none of many, another role", all, policy.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/other/alice"}, presigned, policy.SidPresigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := lock(t, tt.options).Evaluate(policy.Request{Action: "s3:PutObject", Resource: object, Principal: tt.who, Context: tt.context})
			if got.Sid != tt.want || (got.Effect == policy.Deny) != (tt.want != "") {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
		})
	}
}

// Whoever is on none of the lists is an outsider, and it takes one of them to be none.
func TestOutsiders(t *testing.T) {
	const adminARN = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/Admin*"
	admin := policy.Principal{ARN: "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/Admin_0123"}
	named := policy.LockOptions{Bucket: "media", OnlyPrincipals: []string{gateARN, adminARN, alice.ARN}}
	places := policy.LockOptions{Bucket: "media", OnlyEndpoints: []string{endpoint}}
	both := policy.LockOptions{Bucket: "media", OnlyPrincipals: []string{gateARN}, OnlyEndpoints: []string{endpoint}}
	mixed := policy.LockOptions{Bucket: "media", OnlyPrincipals: []string{stranger.ARN}, Accounts: []string{account}}
	under := policy.LockOptions{Bucket: "media", OnlyPrincipals: []string{gateARN}, Prefix: "private/"}
	inside := and(header, "aws:SourceVpce", endpoint)
	asService := and(header, "aws:PrincipalIsAWSService", "true")
	asUser := and(header, "aws:PrincipalIsAWSService", "false")
	for _, tt := range []struct {
		name    string
		options policy.LockOptions
		who     policy.Principal
		context policy.Context
		want    bool // denied
	}{
		{"the gate", named, gateRole, asUser, false},
		{"an administrator by a pattern", named, admin, asUser, false},
		{"a user", named, alice, asUser, false},
		{"another user of the account", named, bob, asUser, true},
		{"the account's root", named, root, asUser, true},
		{"the root, named", policy.LockOptions{Bucket: "media", OnlyPrincipals: []string{root.ARN}}, root, asUser, false},
		{"a user of the same name elsewhere", named, stranger, asUser, true},
		{"nobody", named, anonymous, unsigned, true},
		{"nobody, through an endpoint", named, anonymous, and(unsigned, "aws:SourceVpce", endpoint), true},
		{"a service", named, service, asService, false},
		{"through the endpoint", places, stranger, inside, false},
		{"nobody through the endpoint", places, anonymous, and(unsigned, "aws:SourceVpce", endpoint), false},
		{"not through the endpoint", places, alice, asUser, true},
		{"a service, through no endpoint", places, service, asService, false},
		{"either: by name", both, gateRole, asUser, false},
		{"either: by way", both, bob, inside, false},
		{"neither", both, bob, and(asUser, "aws:SourceVpce", "vpce-99999999"), true},
		{"by account", mixed, bob, asUser, false},
		{"by name from another account", mixed, stranger, asUser, false},
		{"of another account", mixed, policy.Principal{ARN: "arn:aws:iam::999999999999:user/bob"}, asUser, true},
		{"beside the prefix", under, bob, asUser, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := lock(t, tt.options).Evaluate(policy.Request{Action: "s3:GetObject", Resource: object, Principal: tt.who, Context: tt.context})
			if (got.Sid == policy.SidOutsider) != tt.want || (got.Effect == policy.Deny) != tt.want {
				t.Errorf("got %+v, want denied: %v", got, tt.want)
			}
		})
	}
}

func TestExemptionsInWords(t *testing.T) {
	if got := (policy.LockOptions{Bucket: "media"}).Exemptions(); got != nil {
		t.Errorf("a lock for everybody exempts %v", got)
	}
	o := policy.LockOptions{
		Bucket: "media", ExemptUsers: []string{"alice"}, ExemptRoles: []string{"arn:aws:iam::111122223333:role/up*"},
		ExemptEndpoints: []string{endpoint}, ExemptNetworks: []string{"192.0.2.0/24", "10.0.0.0/8"}, QuerySigner: gateARN, MaxURLAge: time.Hour,
	}
	want := []struct{ who, lets string }{
		{"user alice", "of whichever account, for whoever holds them, until they expire, 1h after signing at most"},
		{"all of arn:aws:iam::111122223333:role/up*", "for whoever holds them"},
		{"all that comes through vpce-1a2b3c4d", "that anybody has signed"},
		{"all that comes from 192.0.2.0/24", "not through a VPC endpoint"},
		{"all that comes from 10.0.0.0/8", "lets nobody through"},
		{gateARN + ", which the gate signs with", "for 1m after signing; no forms. A gate that signs in headers needs no"},
	}
	got := o.Exemptions()
	if len(got) != len(want) {
		t.Fatalf("%d exemptions, want %d: %v", len(got), len(want), got)
	}
	for i, w := range want {
		if got[i].Who != w.who || !strings.Contains(got[i].Lets, w.lets) {
			t.Errorf("got %+v\nwant %+v", got[i], w)
		}
	}
	if o.ExemptNetworks = []string{"192.0.2.0/24"}; strings.Contains(o.Exemptions()[3].Lets, "lets nobody") {
		t.Error("a public network lets nobody through")
	}
	o.MaxURLAge = 0
	if got := o.Exemptions()[0].Lets; !strings.Contains(got, "seven days after signing at most") {
		t.Errorf("without a maximum age: %s", got)
	}
}

func TestBounds(t *testing.T) {
	for want, o := range map[string]policy.LockOptions{
		"":                                 {},
		"only keys that begin with \"a/\"": {Prefix: "a/"},
		"only for s3:GetObject, only keys that begin with \"a/\"": {Prefix: "a/", Actions: []string{"s3:GetObject"}},
	} {
		if got := o.Bounds(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func some[T any](t *rapid.T, name string, from ...T) []T {
	list := rapid.SliceOfN(rapid.SampledFrom(from), 0, 2).Draw(t, name)
	if len(list) == 0 {
		return nil
	}
	return list
}

// drawOptions draws options that LockStatements takes.
func drawOptions(t *rapid.T) policy.LockOptions {
	age := rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Hour})
	o := policy.LockOptions{
		Bucket: "media", Prefix: rapid.SampledFrom([]string{"", "", "a/"}).Draw(t, "prefix"),
		ExemptUsers:       some(t, "users", "alice", "bob"),
		ExemptRoles:       some(t, "roles", gateARN, "arn:aws:iam::111122223333:role/*"),
		ExemptEndpoints:   some(t, "endpoints", endpoint, "vpce-99999999"),
		ExemptNetworks:    some(t, "networks", "192.0.2.0/24", "2001:db8::/32"),
		QuerySigner:       rapid.SampledFrom([]string{"", gateARN}).Draw(t, "signer"),
		MaxURLAge:         age.Draw(t, "age"),
		RequireTLS:        rapid.Bool().Draw(t, "tls"),
		DenyOldSignatures: rapid.Bool().Draw(t, "old"),
		OnlyPrincipals:    some(t, "only", gateARN, alice.ARN),
		OnlyEndpoints:     some(t, "only endpoints", endpoint),
		Accounts:          some(t, "accounts", account, "999999999999"),
	}
	if rapid.Bool().Draw(t, "some actions") {
		o.Actions = rapid.SliceOfN(rapid.SampledFrom([]string{"s3:*", "s3:GetObject", "s3:Put*", "s3:G*", "s3:*Object*", "s3:?etObject"}), 1, 3).Draw(t, "actions")
	}
	return o
}

// Nobody locks themselves out, whatever the options and however the request is made.
func TestNoOptionsDenyTheBucketPolicy(t *testing.T) {
	contexts := []policy.Context{presigned, form, header, plainHTTP, version2, unsigned, and(presigned, "s3:signatureAge", "700000")}
	rapid.Check(t, func(rt *rapid.T) {
		d := lock(t, drawOptions(rt))
		for _, action := range []string{"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"} {
			for _, who := range []policy.Principal{alice, bob, root, session, gateRole, stranger} {
				for _, c := range contexts {
					if got := d.Evaluate(policy.Request{Action: action, Resource: bucket, Principal: who, Context: c}); got.Effect == policy.Deny {
						rt.Fatalf("%s by %s with %v is denied by %s", action, who.ARN, c, got.Sid)
					}
				}
			}
		}
	})
}

// Whatever the policy and the options: locking again changes nothing, and unlocking gives back every byte.
func TestLockAndUnlockAnyPolicy(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		original := drawPolicy(rt)
		text := []byte(original)
		for range rapid.IntRange(1, 3).Draw(rt, "locks") {
			ours, err := policy.LockStatements(drawOptions(rt))
			if err != nil {
				rt.Fatal(err)
			}
			if text, err = policy.Merge(text, ours); err != nil {
				rt.Fatal(err)
			}
			if again, err := policy.Merge(text, ours); err != nil || string(again) != string(text) {
				rt.Fatalf("locking again: %v\n%q\n%q", err, text, again)
			}
			if was, err := policy.Ours(text); err != nil || policy.Weaker(was, ours) != nil || policy.Weaker(ours, was) != nil {
				rt.Fatalf("what was merged is not what is there: %v, %v", err, policy.Weaker(was, ours))
			}
		}
		if got, err := policy.Remove(text); err != nil || string(got) != original {
			rt.Fatalf("unlocking: %v\noriginal %q\nunlocked %q", err, original, got)
		}
	})
}

func TestLockStatementsRefuseExemptions(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options policy.LockOptions
		want    string
	}{
		{"endpoint", policy.LockOptions{ExemptEndpoints: []string{"vpc-1a2b3c4d"}}, `exempt endpoints: "vpc-1a2b3c4d"`},
		{"endpoint with a wildcard", policy.LockOptions{ExemptEndpoints: []string{"vpce-*"}}, "exempt endpoints"},
		{"network", policy.LockOptions{ExemptNetworks: []string{"192.0.2.1"}}, `"192.0.2.1" is no network`},
		{"network mapped into IPv6", policy.LockOptions{ExemptNetworks: []string{"::ffff:192.0.2.0/120"}}, "is no network"},
		{"network with bits beyond", policy.LockOptions{ExemptNetworks: []string{"192.0.2.1/24"}}, "beyond its 24, say 192.0.2.0/24"},
		{"everywhere", policy.LockOptions{ExemptNetworks: []string{"0.0.0.0/0"}}, "exempt everybody"},
		{"everywhere in IPv6", policy.LockOptions{ExemptNetworks: []string{"::/0"}}, "exempt everybody"},
		{"signer with a wildcard", policy.LockOptions{QuerySigner: "arn:aws:iam::111122223333:role/*"}, "query signer"},
		{"signer's session", policy.LockOptions{QuerySigner: gateRole.ARN}, "query signer"},
		{"insider's session", policy.LockOptions{OnlyPrincipals: []string{gateRole.ARN}}, "only principals"},
		{"insider everybody", policy.LockOptions{OnlyPrincipals: []string{"*"}}, "only principals"},
		{"insider's endpoint", policy.LockOptions{OnlyEndpoints: []string{"endpoint"}}, "only endpoints"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.Bucket = "media"
			got, err := policy.LockStatements(tt.options)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v, want an error with %q", got, err, tt.want)
			}
		})
	}
}
