package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const lockedDocs = `{"Version":"2012-10-17","Statement":[
 {"Sid":"S3GateDenyPresigned","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws-cn:s3:::docs/*","Condition":{"StringEquals":{"s3:authType":["REST-QUERY-STRING","POST"]}}},
 {"Sid":"Old","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws-cn:s3:::docs/*","Condition":{"NumericGreaterThan":{"s3:signatureAge":600000}}},
 {"Sid":"Prefix","Effect":"Deny","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws-cn:s3:::docs","Condition":{"ForAnyValue:StringEquals":{"s3:prefix":"secret/"}}}]}`

// What is asked about, however it is said, is what is evaluated.
func TestExplainUnderstands(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	locked := write("policy.json", lockedDocs)
	wild := write("any.json", strings.ReplaceAll(strings.ReplaceAll(lockedDocs, "docs/", "*/"), "docs", "*"))
	const signed = "https://docs.s3.cn-north-1.amazonaws.com.cn/a%20b?X-Amz-Algorithm=x&X-Amz-Date=20260102T030405Z&X-Amz-Expires=9&X-Amz-Signature=canary"
	for _, tt := range []struct {
		name  string
		args  []string
		stdin string
		code  int
		want  []string // in stdout or stderr
	}{
		{"a standard request", []string{"--request", "header-get-by-gate", "--gate", "arn:aws-cn:iam::999999999999:role/g"}, "", 0,
			[]string{`"resource":"arn:aws-cn:s3:::docs/.s3gate-canary/standard","principal":"arn:aws-cn:iam::999999999999:role/g","owner":"999999999999"`}},
		{"a URL", []string{"--request", signed}, "", 3, []string{`"resource":"arn:aws-cn:s3:::docs/a b","principal":"arn:aws-cn:iam::111122223333:user/admin"`, `"reason":"denied by S3GateDenyPresigned"`, "expired at 2026-01-02T03:04:14Z"}},
		{"method and URL", []string{"--request", "DELETE " + signed, "--as", "gate"}, "", 3, []string{`"action":"s3:DeleteObject"`, `:role/s3gate"`}},
		{"a URL with flags", []string{"--request", signed, "--auth", "header", "--key", "c", "--plain-http"}, "", 0, []string{`docs/c"`, `"s3:authtype":["REST-HEADER"]`, `"aws:securetransport":["false"]`}},
		{"a URL for any bucket", []string{"--policy", wild, "--request", "https://other.s3.amazonaws.com/k"}, "", 3, []string{`:::other/k"`, `"principal":"anonymous"`}},
		{"a URL of another bucket", []string{"--request", "https://other.s3.amazonaws.com/k?X-Amz-Signature=canary"}, "", 2, []string{`for bucket "other", not "docs"`}},
		{"a request as it is sent", []string{"--request", "-"}, "GET /k?versionId=v HTTP/1.1\r\nHost: docs.s3.amazonaws.com\r\nAuthorization: AWS4-HMAC-SHA256 canary\r\nReferer: http://x/\r\n\r\nbody: no header", 0,
			[]string{`"action":"s3:GetObjectVersion"`, `"s3:authtype":["REST-HEADER"]`, `"aws:referer":["http://x/"]`}},
		{"a request as curl shows it", []string{"--request", "-"}, "> PUT /docs/k HTTP/2\n> Host: s3.amazonaws.com\n> X-Amz-Acl: private\n>\n", 3, []string{`"action":"s3:PutObject"`, `"s3:x-amz-acl":["private"]`}},
		{"JSON", []string{"--request", write("r.json", `{"action":"s3:GetObject","key":"k","as":"gate","auth":"presigned","age":"11m","source_ip":"10.0.0.1","conditions":{"AWS:UserAgent":["x"]}}`)}, "", 3,
			[]string{`"s3:signatureage":["660000"]`, `"aws:sourceip":["10.0.0.1"]`, `"aws:useragent":["x"]`}},
		{"JSON with flags", []string{"--request", filepath.Join(dir, "r.json"), "--age", "9m", "--vpce", "vpce-1", "--as", "anonymous", "--auth", "none", "--age", ""}, "", 3,
			[]string{`"aws:sourcevpce":["vpce-1"],"aws:useragent":["x"],"aws:vpcsourceip":["10.0.0.1"]`, `"principal":"anonymous"`}},
		{"flags", []string{"--action", "ListBucket", "--condition", "s3:prefix=a/", "--condition", "S3:Prefix=secret/", "--condition", "s3:tlsversion="}, "", 3, []string{`"s3:prefix":["a/","secret/"]`, `"reason":"denied by Prefix"`}},
		{"unknown keys are named", []string{"--action", "ListBucket", "--condition", "s3:foo=1"}, "", 0, []string{`"notes":["S3 knows no key \"s3:foo\""]`}},
		{"as another account", []string{"--action", "ListBucket", "--owner", "111122223333", "--as", "999999999999"}, "", 3, []string{"account 999999999999"}},

		{"nothing asked", nil, "", 2, []string{"say which request"}},
		{"too much asked", []string{"--all", "--action", "ListBucket"}, "", 2, []string{"say which request"}},
		{"a URL without a scheme", []string{"--request", "docs.s3.amazonaws.com/k?X-Amz-Signature=canary"}, "", 2, []string{"neither a standard request", "put-policy-by-admin"}},
		{"a URL that is none", []string{"--request", "https://docs.s3.amazonaws.com/%zz?X-Amz-Signature=canary"}, "", 2, []string{"the URL cannot be read"}},
		{"headers that are none", []string{"--request", "-"}, "GET /k HTTP/1.1\ncanary\n", 2, []string{"the headers cannot be read"}},
		{"a first line that is none", []string{"--request", "-"}, "a b c d", 2, []string{"first line"}},
		{"unknown JSON", []string{"--request", "-"}, `{"actions":"x"}`, 2, []string{`unknown field "actions"`}},
		{"a bad age", []string{"--request", "-"}, `{"action":"GetObject","key":"k","age":"soon"}`, 2, []string{"age: "}},
		{"a bad age by flag", []string{"--action", "GetObject", "--age", "x"}, "", 2, []string{"age: "}},
		{"a standard request with flags", []string{"--request", "presigned-put", "--plain-http"}, "", 2, []string{"--plain-http does not change"}},
		{"all of them with flags", []string{"--all", "--as", "gate"}, "", 2, []string{"--as does not change"}},
		{"all of them from somewhere", []string{"--all", "--key", "a/b", "--source-ip", "10.0.0.1", "--vpce", "vpce-1"}, "", 3, []string{`docs/a/b"`, `"aws:sourcevpce":["vpce-1"],"aws:vpcsourceip":["10.0.0.1"]`, `"name":"plain-http",`}},
		{"all of them from nowhere", []string{"--all", "--source-ip", "x"}, "", 2, []string{"source address"}},
		{"a bad condition", []string{"--action", "ListBucket", "--condition", "prefix=x"}, "", 2, []string{"key=value"}},
		{"a bad caller", []string{"--action", "ListBucket", "--as", "alice"}, "", 2, []string{`as: "alice"`}},
		{"a bad gate", []string{"--all", "--gate", "alice"}, "", 2, []string{`--gate: "alice"`}},
		{"a bad owner", []string{"--all", "--owner", "alice"}, "", 2, []string{`--owner: "alice"`}},
		{"a bad signing", []string{"--all", "--signing", "x"}, "", 2, []string{`--signing "x"`}},
		{"no key", []string{"--action", "GetObject"}, "", 2, []string{"there is no key"}},
		{"any bucket, and none named", []string{"--policy", wild, "--all"}, "", 2, []string{"not of one bucket"}},
		{"any bucket, and none named, by flags", []string{"--policy", wild, "--action", "ListBucket"}, "", 2, []string{"not of one bucket"}},
		{"any bucket, and none named, by name", []string{"--policy", wild, "--request", "presigned-put"}, "", 2, []string{"not of one bucket"}},
		{"both from stdin", []string{"--policy", "-", "--request", "-"}, "", 2, []string{"cannot both be read"}},
		{"too large", []string{"--request", "-"}, strings.Repeat("x", maxAsking+1), 1, []string{"more than 65536 bytes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			args := append([]string{"bucket", "explain", "--json", "--policy", locked}, tt.args...)
			code := run(args, strings.NewReader(tt.stdin), &stdout, &stderr)
			out := stdout.String() + stderr.String()
			if code != tt.code {
				t.Errorf("exit code %d, want %d: %s", code, tt.code, out)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("%s\nlacks %s", out, want)
				}
			}
			if strings.Contains(out, "canary") && !strings.Contains(out, ".s3gate-canary/") {
				t.Errorf("a signature is given away: %s", out)
			}
		})
	}
}
