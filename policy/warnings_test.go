package policy_test

import (
	"strings"
	"testing"

	"s3gate/policy"
)

// What is accepted and cannot be evaluated, or not as it looks, is said.
func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		name, statement string
		want            []string // what each begins with
	}{
		{"nothing doubtful", refuse(anybody + anything + everywhere + on(`"Bool":{"aws:SecureTransport":"false"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"DateLessThan":{"aws:EpochTime":"1","aws:CurrentTime":"2026"},"NumericLessThan":{"aws:EpochTime":"1","s3:TlsVersion":1.2},"StringEquals":{"s3:max-keys":"1","aws:SecureTransport":"true","aws:SourceIp":"10.0.0.1","s3:ExistingObjectTag/x":"${aws:username}"},"Null":{"aws:SourceIp":"true"},"ForAllValues:StringLike":{"aws:TagKeys":"x"}`)), nil},
		{"canonical user", permit(`"Principal":{"CanonicalUser":"` + strings.Repeat("0a", 32) + `"},` + read + objects), []string{`Principal: CanonicalUser "0a0a`}},
		{"federated", refuse(`"NotPrincipal":{"Federated":"accounts.google.com"},` + read + objects), []string{`NotPrincipal: Federated "accounts.google.com"`}},
		{"unknown key", refuse(anybody + read + objects + on(`"StringEquals":{"s3:authTypes":"POST","s3:ExistingObjectTag/":"x"}`)), []string{"Condition: StringEquals s3:ExistingObjectTag/: S3 knows no such key", "Condition: StringEquals s3:authTypes: S3 knows no such key"}},
		{"a range as text", refuse(anybody + read + objects + on(`"StringNotEquals":{"aws:SourceIp":"10.0.0.0/8"}`)), []string{"Condition: StringNotEquals aws:SourceIp: the operator compares text"}},
		{"dates as text", refuse(anybody + read + objects + on(`"StringEquals":{"aws:CurrentTime":"2026"}`)), []string{"Condition: StringEquals aws:CurrentTime: the operator compares text"}},
		{"a name as a number", refuse(anybody + read + objects + on(`"NumericEquals":{"aws:username":"1"}`)), []string{"Condition: NumericEquals aws:username: the operator compares numbers"}},
		{"an address as a truth", refuse(anybody + read + objects + on(`"ForAnyValue:BoolIfExists":{"aws:SourceIp":"true"}`)), []string{"Condition: ForAnyValue:BoolIfExists aws:SourceIp: the operator compares true and false"}},
		{"no values", refuse(anybody + read + objects + on(`"StringEquals":{"aws:username":[]}`)), []string{"Condition: StringEquals aws:username: without values"}},
		{"ForAllValues that allows", permit(anybody + read + objects + on(`"ForAllValues:StringEquals":{"aws:TagKeys":"x"}`)), []string{"Condition: ForAllValues:StringEquals aws:TagKeys: it also holds"}},
		{"unknown variable", permit(anybody + read + `"Resource":"arn:aws:s3:::media/${aws:name}/${*}"`), []string{`Resource: S3 knows no key "aws:name"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(t, `{"Version":"2012-10-17","Statement":[`+permit(anybody+read+objects)+`,`+tt.statement+`]}`).Warnings()
			if len(got) != len(tt.want) {
				t.Fatalf("got %+v", got)
			}
			for i, w := range got {
				if w.Index != 1 || !strings.HasPrefix(w.Text, tt.want[i]) {
					t.Errorf("got %+v, want %q", w, tt.want[i])
				}
			}
		})
	}
	old := parse(t, `{"Statement":{"Sid":"s","Effect":"Deny","Principal":"*","Action":"*","Resource":"arn:aws:s3:::media/${aws:name}","Condition":{"StringLike":{"s3:prefix":"${x"}}}}`).Warnings()
	if len(old) != 2 || old[0].Sid != "s" || !strings.HasPrefix(old[0].Text, `"arn:aws:s3:::media/${aws:name}" is taken literally`) {
		t.Errorf("variables in the old version: %+v", old)
	}
}

// A stored policy may name users that are gone since; it is evaluated all the same.
func TestParseStored(t *testing.T) {
	doc := []byte(`{"Version":"2012-10-17","Statement":[` + permit(`"Principal":{"AWS":["AROACKCEVSQ6C2EXAMPLE","arn:aws:iam::111122223333:user/alice"]},`+read+objects) + `]}`)
	d, err := policy.ParseStored(doc)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Evaluate(get(alice, object)).Effect; got != allow {
		t.Errorf("alice: %v", got)
	}
	if w := d.Warnings(); len(w) != 1 || !strings.Contains(w[0].Text, "AROACKCEVSQ6C2EXAMPLE") {
		t.Errorf("warnings %+v", w)
	}
	if _, err := policy.ParseStored([]byte(`{}`)); err == nil {
		t.Error("what is no policy is read")
	}
}
