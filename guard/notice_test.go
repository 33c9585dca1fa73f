package guard_test

import (
	"strings"
	"testing"

	"s3gate/guard"
	"s3gate/policy"
)

func TestNotices(t *testing.T) {
	plain := options()
	tls := options()
	tls.RequireTLS = true
	only := options()
	only.OnlyPrincipals = []string{"arn:aws:iam::111122223333:role/s3gate"}
	either := only
	either.OnlyEndpoints = []string{"vpce-1a2b3c4d"}
	accounts := options()
	accounts.Accounts = []string{"111122223333"}
	const allow = `"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/*"`
	const originIdentity = `{"Sid":"OAI",` + allow + `,"Principal":{"AWS":"arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1"}}`
	for _, tt := range []struct {
		name, statement string
		options         policy.LockOptions
		affected        bool
		want            string // a piece of the text; empty for no notice
	}{
		{"CloudFront", `{"Sid":"OAC",` + allow + `,"Principal":{"Service":"cloudfront.amazonaws.com"}}`, only, false, "signs in headers and goes on"},
		{"another service", `{` + allow + `,"Principal":{"Service":["logging.s3.amazonaws.com"]}}`, only, false, "the service logging.s3.amazonaws.com"},
		{"CloudFront as of old", originIdentity, plain, true, "SigV2"},
		{"CloudFront as of old, and outsiders", originIdentity, only, true, "becomes an outsider"},
		{"CloudFront as of old, by canonical ID", `{` + allow + `,"Principal":{"CanonicalUser":"79a5"}}`, only, true, "becomes an outsider"},
		{"public", `{` + allow + `,"Principal":"*"}`, plain, false, "does not close what is public"},
		{"public, and TLS", `{` + allow + `,"Principal":{"AWS":["*"]}}`, tls, true, "website endpoints"},
		{"public, and outsiders", `{` + allow + `,"Principal":"*"}`, only, true, "become outsiders"},
		{"public under a condition", `{` + allow + `,"Principal":"*","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}}`, only, false, ""},
		{"replication", `{"Effect":"Allow","Action":["s3:ReplicateObject"],"Resource":"arn:aws:s3:::vault/*","Principal":{"AWS":"111122223333"}}`, plain, false, "replication signs in headers"},
		{"access points", `{` + allow + `,"Principal":{"AWS":"111122223333"},"Condition":{"StringEquals":{"s3:DataAccessPointAccount":"111122223333"}}}`, plain, true, "Object Lambda"},
		{"a lock by hand", `{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/*","Principal":"*","Condition":{"StringEquals":{"s3:authType":"REST-QUERY-STRING"}}}`, plain, false, "exempt has to be so in both"},
		{"an insider", `{` + allow + `,"Principal":{"AWS":"arn:aws:iam::111122223333:role/s3gate"}}`, only, false, ""},
		{"a role that becomes an outsider", `{` + allow + `,"Principal":{"AWS":"arn:aws:iam::111122223333:role/other"}}`, only, true, "lets arn:aws:iam::111122223333:role/other in, who becomes an outsider and is refused"},
		{"an outsider who has another way", `{` + allow + `,"Principal":{"AWS":"999999999999"}}`, either, true, "refused, unless through vpce-1a2b3c4d"},
		{"an account of ours", `{` + allow + `,"Principal":{"AWS":"arn:aws:iam::111122223333:root"}}`, accounts, false, ""},
		{"an account of ours by number", `{` + allow + `,"Principal":{"AWS":"111122223333"}}`, accounts, false, ""},
		{"an account of others", `{` + allow + `,"Principal":{"AWS":"arn:aws:iam::999999999999:root"}}`, accounts, true, "becomes an outsider"},
		{"a deny", `{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::vault/*","Principal":{"AWS":"999999999999"}}`, accounts, false, ""},
		{"a statement of ours", `{"Sid":"S3GateX",` + allow + `,"Principal":"*"}`, tls, false, ""},
		{"somebody without outsiders", `{` + allow + `,"Principal":{"AWS":"999999999999"}}`, plain, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, document := range []string{`{"Statement":` + tt.statement + `}`, `{"Version":"2012-10-17","Statement":[` + tt.statement + `]}`} {
				got := guard.Notices([]byte(document), tt.options)
				switch {
				case tt.want == "" && len(got) > 0, tt.want != "" && len(got) != 1:
					t.Errorf("got %v, want %q", got, tt.want)
				case tt.want != "" && (got[0].Affected != tt.affected || !strings.Contains(got[0].Text, tt.want)):
					t.Errorf("got %+v, want %q, affected: %v", got[0], tt.want, tt.affected)
				}
			}
		})
	}
	for _, document := range []string{"", "x", `{}`, `{"Statement":7}`, `{"Statement":[7]}`} {
		if got := guard.Notices([]byte(document), only); got != nil {
			t.Errorf("%q: %v", document, got)
		}
	}
	document := `{"Statement":[{"Effect":"Deny"},{` + allow + `,"Principal":"*"},{"Sid":"Named",` + allow + `,"Principal":"*"}]}`
	if got := guard.Notices([]byte(document), plain); len(got) != 2 || got[0].Statement != "Statement[1]" || got[1].Statement != "Named" {
		t.Errorf("got %v", got)
	}
}
