package policy_test

import (
	"testing"

	"s3gate/policy"
)

func TestEvaluateOrder(t *testing.T) {
	statement := func(sid, effect, action string) string {
		return `{"Sid":"` + sid + `","Effect":"` + effect + `","Principal":"*","Action":"` + action + `","Resource":"*"}`
	}
	for _, tt := range []struct {
		name, statements string
		want             policy.Decision
	}{
		{"nothing matches", statement("a", "Allow", "s3:PutObject"), policy.Decision{Effect: policy.None, Index: -1}},
		{"allow", statement("a", "Allow", "s3:GetObject"), policy.Decision{Effect: policy.Allow, Sid: "a", Index: 0}},
		{"deny", statement("a", "Deny", "s3:GetObject"), policy.Decision{Effect: policy.Deny, Sid: "a", Index: 0}},
		{
			"deny wins before allow", statement("a", "Deny", "s3:GetObject") + "," + statement("b", "Allow", "s3:GetObject"),
			policy.Decision{Effect: policy.Deny, Sid: "a", Index: 0},
		},
		{
			"deny wins after allow", statement("a", "Allow", "s3:GetObject") + "," + statement("b", "Deny", "s3:GetObject"),
			policy.Decision{Effect: policy.Deny, Sid: "b", Index: 1},
		},
		{
			"first of two allows", statement("a", "Deny", "s3:PutObject") + "," + statement("b", "Allow", "s3:Get*") + "," + statement("c", "Allow", "*"),
			policy.Decision{Effect: policy.Allow, Sid: "b", Index: 1},
		},
		{
			"first of two denies", statement("a", "Allow", "*") + "," + statement("b", "Deny", "s3:Get*") + "," + statement("c", "Deny", "*"),
			policy.Decision{Effect: policy.Deny, Sid: "b", Index: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := parse(t, `{"Statement":[`+tt.statements+`]}`)
			if got := d.Evaluate(get(alice, object)); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestEvaluateNoPolicy(t *testing.T) {
	var d *policy.Document
	if got, want := d.Evaluate(get(alice, object)), (policy.Decision{Index: -1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if d.Statements() != nil || d.CheckBucket("media") != nil {
		t.Error("a nil document has statements")
	}
}

func TestActionAndResource(t *testing.T) {
	for _, tt := range []struct {
		name, elements   string
		action, resource string
		want             bool
	}{
		{"exact", `"Action":"s3:GetObject","Resource":"` + object + `"`, "s3:GetObject", object, true},
		{"another action", `"Action":"s3:GetObject","Resource":"*"`, "s3:GetObjectVersion", object, false},
		{"action in any case", `"Action":"S3:getobject","Resource":"*"`, "s3:GetObject", object, true},
		{"action wildcard", `"Action":"s3:Get*","Resource":"*"`, "s3:GetObjectAcl", object, true},
		{"action single wildcard", `"Action":"s3:?utObject","Resource":"*"`, "s3:PutObject", object, true},
		{"action list", `"Action":["s3:PutObject","s3:GetObject"],"Resource":"*"`, "s3:GetObject", object, true},
		{"any action", `"Action":"*","Resource":"*"`, "s3:GetObject", object, true},
		{"NotAction listed", `"NotAction":["s3:Put*","s3:Get*"],"Resource":"*"`, "s3:GetObject", object, false},
		{"NotAction unlisted", `"NotAction":["s3:Put*","s3:Delete*"],"Resource":"*"`, "s3:GetObject", object, true},
		{"resource is case-sensitive", `"Action":"*","Resource":"arn:aws:s3:::media/REPORTS/*"`, "s3:GetObject", object, false},
		{"resource wildcard crosses slashes", `"Action":"*","Resource":"arn:aws:s3:::media/*.pdf"`, "s3:GetObject", object, true},
		{"objects are not the bucket", `"Action":"*","Resource":"arn:aws:s3:::media/*"`, "s3:ListBucket", bucket, false},
		{"the bucket is not objects", `"Action":"*","Resource":"arn:aws:s3:::media"`, "s3:GetObject", object, false},
		{"NotResource listed", `"Action":"*","NotResource":["` + bucket + `","` + bucket + `/reports/*"]`, "s3:GetObject", object, false},
		{"NotResource unlisted", `"Action":"*","NotResource":"` + bucket + `/public/*"`, "s3:GetObject", object, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := parse(t, one(`"Principal":"*",`+tt.elements))
			got := d.Evaluate(policy.Request{Action: tt.action, Resource: tt.resource, Principal: alice})
			if (got.Effect == policy.Allow) != tt.want {
				t.Errorf("got %v, want match %v", got.Effect, tt.want)
			}
		})
	}
}

func TestPrincipal(t *testing.T) {
	for _, tt := range []struct {
		name, principal string
		who             policy.Principal
		want            bool
	}{
		{"everyone", `"*"`, alice, true},
		{"everyone, anonymous", `"*"`, anonymous, true},
		{"AWS everyone, anonymous", `{"AWS":"*"}`, anonymous, true},
		{"user", `{"AWS":"arn:aws:iam::111122223333:user/alice"}`, alice, true},
		{"another user", `{"AWS":"arn:aws:iam::111122223333:user/alice"}`, bob, false},
		{"same name elsewhere", `{"AWS":"arn:aws:iam::111122223333:user/alice"}`, stranger, false},
		{"one of a list", `{"AWS":["arn:aws:iam::111122223333:user/bob","arn:aws:iam::111122223333:user/alice"]}`, alice, true},
		{"account", `{"AWS":"111122223333"}`, alice, true},
		{"account taken from the ARN", `{"AWS":"111122223333"}`, bob, true},
		{"account by root", `{"AWS":"arn:aws:iam::111122223333:root"}`, alice, true},
		{"another account", `{"AWS":"111122223333"}`, stranger, false},
		{"account, anonymous", `{"AWS":"111122223333"}`, anonymous, false},
		{"session", `{"AWS":"arn:aws:sts::111122223333:assumed-role/uploader/i-0abc"}`, session, true},
		{"role of a session", `{"AWS":"arn:aws:iam::111122223333:role/uploader"}`, session, true},
		{"federated session", `{"AWS":"arn:aws:sts::111122223333:federated-user/eve"}`, policy.Principal{ARN: "arn:aws:sts::111122223333:federated-user/eve"}, true},
		{"another role", `{"AWS":"arn:aws:iam::111122223333:role/admin"}`, session, false},
		{"service", `{"Service":"cloudfront.amazonaws.com"}`, alice, false},
		{"service and account", `{"Service":"cloudfront.amazonaws.com","AWS":"111122223333"}`, alice, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := parse(t, one(`"Principal":`+tt.principal+`,"Action":"*","Resource":"*"`))
			if got := d.Evaluate(get(tt.who, object)).Effect; (got == policy.Allow) != tt.want {
				t.Errorf("got %v, want match %v", got, tt.want)
			}
		})
	}
}

func TestNotPrincipal(t *testing.T) {
	const acct, user = `"arn:aws:iam::111122223333:root"`, `"arn:aws:iam::111122223333:user/alice"`
	const role, sess = `"arn:aws:iam::111122223333:role/uploader"`, `"arn:aws:sts::111122223333:assumed-role/uploader/i-0abc"`
	for _, tt := range []struct {
		name, principal string
		who             policy.Principal
		denied          bool
	}{
		{"account and user", `{"AWS":[` + acct + `,` + user + `]}`, alice, false},
		{"account and another user", `{"AWS":[` + acct + `,` + user + `]}`, bob, true},
		{"user without the account", `{"AWS":` + user + `}`, alice, true},
		{"account without the user", `{"AWS":` + acct + `}`, alice, true},
		{"account is its root user", `{"AWS":"111122223333"}`, root, false},
		{"account, role and session", `{"AWS":[` + acct + `,` + role + `,` + sess + `]}`, session, false},
		{"session without its role", `{"AWS":[` + acct + `,` + sess + `]}`, session, true},
		{"anonymous", `{"AWS":[` + acct + `,` + user + `]}`, anonymous, true},
		{"nobody but everyone", `"*"`, anonymous, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := parse(t, `{"Statement":{"Effect":"Deny","NotPrincipal":`+tt.principal+`,"Action":"*","Resource":"*"}}`)
			if got := d.Evaluate(get(tt.who, object)).Effect; (got == policy.Deny) != tt.denied {
				t.Errorf("got %v, want denied %v", got, tt.denied)
			}
		})
	}
}

func TestPrincipalKeys(t *testing.T) {
	for _, tt := range []struct {
		name, key, value string
		who              policy.Principal
		context          policy.Context
		want             bool
	}{
		{"ARN", "aws:PrincipalArn", "arn:aws:iam::111122223333:user/alice", alice, nil, true},
		{"ARN of a session is its role's", "aws:PrincipalArn", "arn:aws:iam::111122223333:role/uploader", session, nil, true},
		{"name", "aws:username", "alice", alice, nil, true},
		{"a session has no name", "aws:username", "uploader", session, nil, false},
		{"ID", "aws:userid", "AROAUP:i-0abc", session, nil, true},
		{"account", "aws:PrincipalAccount", account, bob, nil, true},
		{"anonymous", "aws:PrincipalAccount", account, anonymous, nil, false},
		{"the context comes first", "aws:username", "carol", alice, policy.Context{"aws:username": {"carol"}}, true},
		{"an empty list is no value", "aws:username", "alice", alice, policy.Context{"aws:username": {}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := parse(t, one(`"Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{"`+tt.key+`":"`+tt.value+`"}}`))
			r := get(tt.who, object)
			r.Context = tt.context
			if got := d.Evaluate(r).Effect; (got == policy.Allow) != tt.want {
				t.Errorf("got %v, want match %v", got, tt.want)
			}
		})
	}
}

func TestContextSet(t *testing.T) {
	c := policy.Context{}
	c.Set("s3:AuthType", "POST")
	c.Set("aws:SourceIp", "10.0.0.1", "10.0.0.2")
	c.Set("S3:AUTHTYPE")
	if len(c) != 1 || len(c["aws:sourceip"]) != 2 {
		t.Errorf("got %v, want two values of aws:sourceip alone", c)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	locked, err := policy.LockStatements(policy.LockOptions{
		Bucket: "media", ExemptUsers: []string{"legacy"}, RequireTLS: true, DenyOldSignatures: true,
		ExemptRoles: []string{"arn:aws:iam::111122223333:role/console/*"},
	})
	if err != nil {
		b.Fatal(err)
	}
	doc, err := policy.Merge([]byte(one(`"Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::media/${aws:username, 'shared'}/*"`)), locked)
	if err != nil {
		b.Fatal(err)
	}
	d := parse(b, string(doc))
	for _, bm := range []struct{ name, authType string }{{"header", "REST-HEADER"}, {"presigned", "REST-QUERY-STRING"}} {
		b.Run(bm.name, func(b *testing.B) {
			r := get(alice, object)
			r.Context = policy.Context{
				"s3:authtype": {bm.authType}, "s3:signatureversion": {"AWS4-HMAC-SHA256"}, "s3:signatureage": {"1200"},
				"aws:securetransport": {"true"}, "aws:sourceip": {"203.0.113.7"},
			}
			b.ReportAllocs()
			for b.Loop() {
				d.Evaluate(r)
			}
		})
	}
}
