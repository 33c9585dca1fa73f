package guard_test

import (
	"strings"
	"testing"

	"s3gate/guard"
	"s3gate/policy"
)

const owner = "111122223333"

func principal(t *testing.T, name string) policy.Principal {
	t.Helper()
	p, err := policy.ParsePrincipal(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func standard(t *testing.T) []guard.StandardRequest {
	t.Helper()
	list, err := guard.StandardRequests(guard.StandardOptions{
		Bucket: bucketName,
		Gate:   principal(t, "arn:aws:iam::111122223333:role/gate"),
		Admin:  principal(t, "arn:aws:iam::111122223333:user/admin"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func document(t *testing.T, text []byte) *policy.Document {
	t.Helper()
	d, err := policy.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What a lock is to refuse it refuses by the statement that is meant for it, and nothing else.
func TestStandardRequestsUnderALock(t *testing.T) {
	statements, err := policy.LockStatements(policy.LockOptions{Bucket: bucketName, DenyOldSignatures: true, RequireTLS: true})
	if err != nil {
		t.Fatal(err)
	}
	text, err := policy.Merge(nil, statements)
	if err != nil {
		t.Fatal(err)
	}
	d := document(t, text)
	want := map[string]string{
		"presigned-get-by-gate":  policy.SidPresigned,
		"presigned-get-by-admin": policy.SidPresigned,
		"presigned-put":          policy.SidPresigned,
		"post-form":              policy.SidPresigned,
		"anonymous-get":          "",
		"anonymous-put":          "",
		"plain-http":             policy.SidPlainHTTP,
		"signature-v2":           policy.SidOldSignature,
		"header-get-by-gate":     "",
		"header-put-by-gate":     "",
		"put-policy-by-admin":    "",
	}
	list := standard(t)
	if len(list) != len(want) {
		t.Errorf("%d requests", len(list))
	}
	for _, r := range list {
		j := guard.Judge(d, owner, r.Request)
		sid, known := want[r.Name]
		if !known || j.Allowed != r.Allowed || guard.StatementName(j.Trace.Decision) != sid || j.Reason == "" {
			t.Errorf("%s: allowed %v by %q: %s", r.Name, j.Allowed, j.Trace.Sid, j.Reason)
		}
	}
}

func TestStandardRequestsWithoutAPolicy(t *testing.T) {
	for _, r := range standard(t) {
		if j := guard.Judge(nil, owner, r.Request); j.Allowed != (r.Who != "anonymous") {
			t.Errorf("%s: allowed %v: %s", r.Name, j.Allowed, j.Reason)
		}
	}
}

func TestStandardRequestsAreOfWhatWasAsked(t *testing.T) {
	gate, admin := principal(t, "arn:aws:iam::111122223333:role/gate"), principal(t, owner)
	list, err := guard.StandardRequests(guard.StandardOptions{
		Bucket: "b", Partition: "aws-cn", Key: "k", Gate: gate, Admin: admin, SourceIP: "10.0.0.1", SourceVPCE: "vpce-1", QuerySigning: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		who := map[string]policy.Principal{"gate": gate, "admin": admin}[r.Who]
		resource := "arn:aws-cn:s3:::b/k"
		if r.Request.Action == "s3:PutBucketPolicy" {
			resource = "arn:aws-cn:s3:::b"
		}
		c := r.Request.Context
		if r.Request.Principal != who || r.Request.Resource != resource || c["aws:sourceip"] != nil || c["aws:vpcsourceip"][0] != "10.0.0.1" || c["aws:sourcevpce"][0] != "vpce-1" {
			t.Errorf("%+v", r)
		}
	}
	if !list[0].Allowed {
		t.Error("a gate that signs in the query string is to be refused its own requests")
	}
	for name, o := range map[string]guard.StandardOptions{
		"source address": {Bucket: "b", Gate: gate, Admin: admin, SourceIP: "x"},
		"bucket":         {Gate: gate, Admin: admin}, "gate": {Bucket: "b", Admin: admin}, "admin": {Bucket: "b", Gate: gate},
	} {
		if _, err := guard.StandardRequests(o); err == nil || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestJudge(t *testing.T) {
	const some = `{"Version":"2012-10-17","Statement":[
		{"Sid":"Public","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/public/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::vault","arn:aws:s3:::vault/secret/*"]}]}`
	d := document(t, []byte(some))
	for _, tt := range []struct {
		name, who, action, key string
		allowed                bool
		reason                 string
	}{
		{"own account", "arn:aws:iam::111122223333:user/u", "s3:GetObject", "/x", true, "identity policy decides"},
		{"own account, allowed", "arn:aws:iam::111122223333:user/u", "s3:GetObject", "/public/x", true, "allowed by Public"},
		{"own account, denied", "arn:aws:iam::111122223333:user/u", "s3:GetObject", "/secret/x", false, "denied by statement 2"},
		{"anonymous", "anonymous", "s3:GetObject", "/x", false, "anonymous caller needs one"},
		{"anonymous, allowed", "anonymous", "s3:GetObject", "/public/x", true, "allowed by Public"},
		{"another account", "arn:aws:iam::999999999999:user/u", "s3:GetObject", "/x", false, "account 999999999999"},
		{"another account, allowed", "arn:aws:iam::999999999999:user/u", "s3:GetObject", "/public/x", true, "allowed by Public, if an identity policy of account 999999999999"},
		{"service", "logging.s3.amazonaws.com", "s3:PutObject", "/x", false, "a service needs one"},
		{"service, allowed", "cloudfront.amazonaws.com", "s3:GetObject", "/public/x", true, "allowed by Public"},
		{"own policy, user", "arn:aws:iam::111122223333:user/u", "s3:PutBucketPolicy", "", false, "denied by statement 2"},
		{"own policy, root", owner, "s3:putBucketPolicy", "", true, "root user"},
		{"own bucket, root", owner, "s3:ListBucket", "", false, "denied by statement 2"},
		{"other policy, root", "999999999999", "s3:PutBucketPolicy", "", false, "denied by statement 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := guard.Judge(d, owner, policy.Request{Action: tt.action, Resource: "arn:aws:s3:::vault" + tt.key, Principal: principal(t, tt.who)})
			if j.Allowed != tt.allowed || !strings.Contains(j.Reason, tt.reason) {
				t.Errorf("allowed %v: %s", j.Allowed, j.Reason)
			}
		})
	}
}
