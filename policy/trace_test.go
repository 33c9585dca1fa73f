package policy_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"s3gate/policy"
)

const traced = `{"Version":"2012-10-17","Statement":[
{"Sid":"Deny","Effect":"Deny","Principal":"*","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::media/*",
 "Condition":{"StringEquals":{"s3:authType":["REST-QUERY-STRING","POST"]},"StringNotEquals":{"aws:username":"alice"}}},
{"Effect":"Allow","Principal":{"AWS":["111122223333","arn:aws:iam::999999999999:role/r"]},"Action":"s3:Get*","Resource":"arn:aws:s3:::media/*"},
{"Sid":"Not","Effect":"Deny","NotPrincipal":{"AWS":["111122223333","arn:aws:iam::111122223333:user/alice"]},"NotAction":"s3:Get*","NotResource":"arn:aws:s3:::media/reports/*"},
{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`

func TestExplain(t *testing.T) {
	d := parse(t, traced)
	for _, tt := range []struct {
		name     string
		request  policy.Request
		decision policy.Decision
		misses   []string // of all statements
	}{
		{
			"a deny that the caller is exempt from",
			policy.Request{Action: "s3:GetObject", Resource: object, Principal: alice, Context: policy.Context{"s3:authtype": {"POST"}}},
			policy.Decision{Effect: policy.Allow, Index: 1},
			[]string{
				`Condition StringNotEquals aws:username "alice": the request has "alice"`,
				`NotPrincipal "111122223333" or "arn:aws:iam::111122223333:user/alice": the request has "arn:aws:iam::111122223333:user/alice"`,
				`NotAction "s3:Get*": the request has "s3:GetObject"`,
				`NotResource "arn:aws:s3:::media/reports/*": the request has "arn:aws:s3:::media/reports/2026.pdf"`,
			},
		},
		{
			"a deny that decides",
			policy.Request{Action: "s3:PutObject", Resource: bucket + "/x", Principal: session, Context: policy.Context{"s3:authtype": {"POST"}}},
			policy.Decision{Effect: policy.Deny, Sid: "Deny", Index: 0},
			[]string{`Action "s3:Get*": the request has "s3:PutObject"`},
		},
		{
			"an anonymous caller without any key",
			policy.Request{Action: "s3:ListBucket", Resource: bucket},
			policy.Decision{Effect: policy.Deny, Sid: "Not", Index: 2},
			[]string{
				`Action "s3:GetObject" or "s3:PutObject": the request has "s3:ListBucket"`,
				`Resource "arn:aws:s3:::media/*": the request has "arn:aws:s3:::media"`,
				`Condition StringEquals s3:authType "REST-QUERY-STRING" or "POST": the request has none`,
				`Principal "111122223333" or "arn:aws:iam::999999999999:role/r": the request has "anonymous"`,
				`Action "s3:Get*": the request has "s3:ListBucket"`,
				`Resource "arn:aws:s3:::media/*": the request has "arn:aws:s3:::media"`,
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trace := d.Explain(tt.request)
			if trace.Decision != tt.decision || len(trace.Statements) != 4 {
				t.Errorf("got %+v of %d statements, want %+v of 4", trace.Decision, len(trace.Statements), tt.decision)
			}
			var misses []string
			for i, s := range trace.Statements {
				if s.Index != i || s.Matches != (len(s.Misses) == 0) || s.Decides != (i == tt.decision.Index) {
					t.Errorf("statement %d: %+v", i, s)
				}
				for _, m := range s.Misses {
					misses = append(misses, m.String())
				}
			}
			if !reflect.DeepEqual(misses, tt.misses) {
				t.Errorf("got misses\n%q\nwant\n%q", misses, tt.misses)
			}
		})
	}
}

func TestExplainNoPolicy(t *testing.T) {
	var d *policy.Document
	if got := d.Explain(get(alice, object)); got.Decision != d.Evaluate(get(alice, object)) || got.Statements != nil {
		t.Errorf("got %+v", got)
	}
}

// The trace's JSON is what scripts read.
func TestVerdictKeepsItsForm(t *testing.T) {
	d := parse(t, traced)
	const want = `{"index":0,"sid":"Deny","effect":"Deny","matches":false,"decides":false,"misses":[` +
		`{"element":"Condition","operator":"StringEquals","key":"s3:authType","want":["REST-QUERY-STRING","POST"],"got":null},` +
		`{"element":"Condition","operator":"StringNotEquals","key":"aws:username","want":["alice"],"got":["alice"]}]}`
	if got, err := json.Marshal(d.Explain(get(alice, object)).Statements[0]); err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
}

func TestParsePrincipal(t *testing.T) {
	for _, tt := range []struct {
		text string
		want policy.Principal
		ok   bool
	}{
		{"anonymous", anonymous, true},
		{"111122223333", policy.Principal{ARN: "arn:aws:iam::111122223333:root", Account: account}, true},
		{"arn:aws:iam::111122223333:root", policy.Principal{ARN: "arn:aws:iam::111122223333:root", Account: account}, true},
		{"arn:aws:iam::111122223333:user/dev/alice", policy.Principal{ARN: "arn:aws:iam::111122223333:user/dev/alice", UserName: "alice", Account: account}, true},
		{"arn:aws:iam::111122223333:role/user/r", policy.Principal{ARN: "arn:aws:iam::111122223333:role/user/r", Account: account}, true},
		{"arn:aws:sts::111122223333:assumed-role/r/s", policy.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/r/s", Account: account}, true},
		{"", anonymous, false},
		{"alice", anonymous, false},
		{"*", anonymous, false},
		{"arn:aws:iam::111122223333:user/*", anonymous, false},
		{"arn:aws:s3:::media", anonymous, false},
	} {
		got, err := policy.ParsePrincipal(tt.text)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: got %+v, %v", tt.text, got, err)
		}
		if tt.ok && tt.text != account && got.String() != tt.text {
			t.Errorf("%q is written as %q", tt.text, got)
		}
	}
}
