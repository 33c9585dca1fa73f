package policy_test

import (
	"testing"

	"s3gate/policy"
)

const (
	bucket  = "arn:aws:s3:::media"
	object  = bucket + "/reports/2026.pdf"
	account = "111122223333"
)

var (
	alice = policy.Principal{
		ARN:      "arn:aws:iam::111122223333:user/alice",
		UserName: "alice",
		UserID:   "AIDAALICE",
		Account:  account,
	}
	bob       = policy.Principal{ARN: "arn:aws:iam::111122223333:user/bob", UserName: "bob"}
	root      = policy.Principal{ARN: "arn:aws:iam::111122223333:root"}
	session   = policy.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/uploader/i-0abc", UserID: "AROAUP:i-0abc"}
	stranger  = policy.Principal{ARN: "arn:aws:iam::999999999999:user/alice", UserName: "alice"}
	anonymous = policy.Principal{}
)

// parse reads a document that must be good.
func parse(t testing.TB, doc string) *policy.Document {
	t.Helper()
	d, err := policy.Parse([]byte(doc))
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, doc)
	}
	return d
}

// one wraps elements of a statement into a document that otherwise allows everybody everything.
func one(elements string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + elements + `}]}`
}

func get(who policy.Principal, resource string) policy.Request {
	return policy.Request{Action: "s3:GetObject", Resource: resource, Principal: who}
}
