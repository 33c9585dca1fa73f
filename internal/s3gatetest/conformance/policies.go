package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"s3gate/internal/s3gatetest"
)

func (s *suite) policies(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"Document", s.policyDocument},
		{"Capabilities", s.userCapabilities},
		{"Conditions", s.policyConditions},
		{"LockedAgainstURLs", s.lockedAgainstURLs},
		{"Actions", s.policyActions},
		{"DeleteObjects", s.policyDeleteObjects},
		{"Copy", s.policyCopy},
		{"Anonymous", s.policyAnonymous},
		{"Admin", s.policyAdmin},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.put(t, "k", "0123456789")
			test.run(t)
			s.dropPolicy(t)
		})
	}
}

func (s *suite) dropPolicy(t *testing.T) {
	t.Helper()
	want(t, "DELETE ?policy", s.do(t, request{method: "DELETE", query: "policy="}), 204)
}

// setPolicy stores statements, each a JSON object in which BUCKET stands for
// the bucket's ARN.
func (s *suite) setPolicy(t *testing.T, statements ...string) {
	t.Helper()
	want(t, "PUT ?policy", s.tryPolicy(t, statements...), 204)
}

func (s *suite) tryPolicy(t *testing.T, statements ...string) answer {
	t.Helper()
	doc := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[%s]}`, strings.Join(statements, ","))
	doc = strings.ReplaceAll(doc, "BUCKET", "arn:aws:s3:::"+s.bucket)
	return s.do(t, request{method: "PUT", query: "policy=", body: strings.NewReader(doc)})
}

func deny(actions, resource, condition string) string {
	if condition == "" {
		condition = "{}"
	}
	return fmt.Sprintf(`{"Sid":"D","Effect":"Deny","Principal":"*","Action":%s,"Resource":%s,"Condition":%s}`, actions, resource, condition)
}

func (s *suite) policyDocument(t *testing.T) {
	want(t, "GET of none", s.do(t, request{query: "policy="}), 404, "NoSuchBucketPolicy")
	statement := deny(`"s3:GetObject"`, `"BUCKET/*"`, `{"StringEquals":{"s3:authType":"POST"}}`)
	s.setPolicy(t, statement)
	a := s.do(t, request{query: "policy="})
	if a.status != 200 || !strings.Contains(a.body, `"s3:authType":"POST"`) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("GET: got %v", a)
	}
	for i, bad := range []string{
		deny(`"s3:GetObject"`, `"BUCKET/*"`, `{"StringEqual":{"s3:authType":"x"}}`),
		deny(`"s3:GetObject"`, `"arn:aws:s3:::another-bucket/*"`, ""),
		`{"Effect":"Deny"}`,
		`nonsense`,
		deny(`"s3:GetObject"`, `"BUCKET/*"`, `{"StringEquals":{"s3:authType":"`+strings.Repeat("x", 21<<10)+`"}}`),
	} {
		want(t, fmt.Sprint("PUT of bad policy ", i), s.tryPolicy(t, bad), 400, "MalformedPolicy")
	}
	if again := s.do(t, request{query: "policy="}); again.body != a.body {
		t.Errorf("a refused policy replaced the one before: %v", again)
	}
	want(t, "PUT to no bucket", s.do(t, request{method: "PUT", bucket: "none-such", query: "policy=", body: strings.NewReader("{}")}), 404, "NoSuchBucket")
}

func (s *suite) userCapabilities(t *testing.T) {
	for _, r := range []request{
		{query: "policy="},
		{method: "DELETE", query: "policy="},
		{method: "PUT", query: "policy=", body: strings.NewReader("{}")},
		{method: "PUT", bucket: "users-bucket"},
		{method: "DELETE"},
	} {
		r.as = s.User
		want(t, "a user's "+r.method+" ?"+r.query, s.do(t, r), 403, "AccessDenied")
	}
	for _, who := range []s3gatetest.Identity{s.User, s.Gate} {
		want(t, who.Name+" puts", s.do(t, request{method: "PUT", key: "of/" + who.Name, body: strings.NewReader("x"), as: who}), 200)
		want(t, who.Name+" lists", s.do(t, request{query: "list-type=2", as: who}), 200)
		want(t, who.Name+" deletes", s.do(t, request{method: "DELETE", key: "of/" + who.Name, as: who}), 204)
	}
}

// policyConditions denies GetObject under a condition and looks who is still
// served: a user who signed in the header 12 minutes ago, which has no
// s3:signatureAge, and one with a URL signed 20 minutes ago.
func (s *suite) policyConditions(t *testing.T) {
	for _, tt := range []struct {
		name, condition string
		header, url     int
	}{
		{"always", `{}`, 403, 403},
		{"authType REST-QUERY-STRING", `{"StringEquals":{"s3:authType":"REST-QUERY-STRING"}}`, 200, 403},
		{"authType not REST-HEADER", `{"StringNotEquals":{"s3:authType":"REST-HEADER"}}`, 200, 403},
		{"authType POST", `{"StringEquals":{"s3:authType":"POST"}}`, 200, 200},
		{"signatureversion", `{"StringEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"}}`, 403, 403},
		{"another signatureversion", `{"StringNotEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"}}`, 200, 200},
		{"signatureAge over 10 min", `{"NumericGreaterThan":{"s3:signatureAge":"600000"}}`, 200, 403},
		{"signatureAge over 1 h", `{"NumericGreaterThan":{"s3:signatureAge":3600000}}`, 200, 200},
		{"no TLS", `{"Bool":{"aws:SecureTransport":"false"}}`, 403, 403},
		{"TLS", `{"Bool":{"aws:SecureTransport":"true"}}`, 200, 200},
		{"PrincipalArn", `{"ArnEquals":{"aws:PrincipalArn":"` + s.User.ARN() + `"}}`, 403, 403},
		{"PrincipalArn pattern", `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/al*"}}`, 403, 403},
		{"another PrincipalArn", `{"ArnNotEquals":{"aws:PrincipalArn":"` + s.User.ARN() + `"}}`, 200, 200},
		{"username", `{"StringEquals":{"aws:username":"` + s.User.Name + `"}}`, 403, 403},
		{"another username", `{"StringEquals":{"aws:username":"` + s.Gate.Name + `"}}`, 200, 200},
		{"SourceIp in", `{"IpAddress":{"aws:SourceIp":["127.0.0.0/8","::1/128"]}}`, 403, 403},
		{"SourceIp not in", `{"NotIpAddress":{"aws:SourceIp":["127.0.0.1/32","::1/128"]}}`, 200, 200},
		{"SourceIp elsewhere", `{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, 200, 200},
		{"both of two", `{"StringEquals":{"s3:authType":"REST-QUERY-STRING","aws:username":"` + s.User.Name + `"}}`, 200, 403},
		{"one of two", `{"StringEquals":{"s3:authType":"REST-QUERY-STRING"},"StringNotEquals":{"aws:username":"` + s.User.Name + `"}}`, 200, 200},
		{"before now", `{"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`, 403, 403},
		{"after now", `{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`, 200, 200},
		{"UserAgent", `{"StringLike":{"aws:UserAgent":"Go-http-client/*"}}`, 403, 403},
		{"unsigned payload", `{"StringEquals":{"s3:x-amz-content-sha256":"UNSIGNED-PAYLOAD"}}`, 403, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.setPolicy(t, deny(`"s3:GetObject"`, `"BUCKET/*"`, tt.condition))
			r := request{key: "k", as: s.User, at: time.Now().Add(-12 * time.Minute)}
			want(t, "header", s.do(t, r), tt.header)
			r.at = time.Now().Add(-20 * time.Minute)
			want(t, "URL", s.doPresigned(t, r), tt.url)
		})
	}
}

// lockedAgainstURLs is the lock that s3gate is about.
func (s *suite) lockedAgainstURLs(t *testing.T) {
	s.setPolicy(t, deny(`["s3:GetObject","s3:PutObject"]`, `"BUCKET/*"`, `{"StringEquals":{"s3:authType":["REST-QUERY-STRING","POST"]}}`))
	upload := s.begin(t, "locked")
	part := "partNumber=1&uploadId=" + upload
	for _, r := range []request{
		{key: "k"},
		{method: "HEAD", key: "k"},
		{key: "k", query: "versionId=null"},
		{method: "PUT", key: "locked", body: strings.NewReader("x")},
		{method: "PUT", key: "locked", body: strings.NewReader(strings.Repeat("x", 8<<20)), header: map[string]string{"Expect": "100-continue"}},
		{method: "POST", key: "locked", query: "uploads="},
		{method: "PUT", key: "locked", query: part, body: strings.NewReader("x")},
		{method: "POST", key: "locked", query: "uploadId=" + upload, body: strings.NewReader("<CompleteMultipartUpload/>")},
	} {
		if r.key == "k" && r.query != "" {
			continue // another action: see below
		}
		a := s.doPresigned(t, r)
		want(t, "presigned "+r.method+" ?"+r.query, a, 403)
		if r.method != "HEAD" && a.code != "AccessDenied" {
			t.Errorf("presigned %s ?%s: code %q", r.method, r.query, a.code)
		}
	}
	want(t, "a form", s.postForm(t, form{key: "locked", file: "x"}), 403, "AccessDenied")
	want(t, "a URL for what the lock does not cover", s.doPresigned(t, request{query: "list-type=2"}), 200)
	a := s.doPresigned(t, request{key: "k", as: s3gatetest.Identity{AccessKey: s.AccessKey, Secret: "wrong"}})
	want(t, "a forged URL", a, 403, "SignatureDoesNotMatch")
	s.wantNone(t, "locked")

	want(t, "header GET", s.do(t, request{key: "k", as: s.Gate}), 200)
	want(t, "header HEAD", s.do(t, request{method: "HEAD", key: "k", as: s.Gate}), 200)
	want(t, "header part", s.do(t, request{method: "PUT", key: "locked", query: part, body: strings.NewReader("x"), as: s.Gate}), 200)
	want(t, "header PUT", s.do(t, request{method: "PUT", key: "locked", body: strings.NewReader("x"), as: s.Gate}), 200)
	want(t, "header DELETE", s.do(t, request{method: "DELETE", key: "locked", as: s.Gate}), 204)
	s.dropPolicy(t)
	want(t, "the URL after unlocking", s.doPresigned(t, request{key: "k"}), 200)
	want(t, "the form after unlocking", s.postForm(t, form{key: "unlocked", file: "x"}), 204)
}

// policyActions denies one action at a time.
func (s *suite) policyActions(t *testing.T) {
	upload := s.begin(t, "action")
	body := func() *strings.Reader { return strings.NewReader("x") }
	for _, tt := range []struct {
		action, resource string
		denied           request
	}{
		{"s3:ListBucket", "BUCKET", request{query: "list-type=2"}},
		{"s3:ListBucket", "BUCKET", request{method: "HEAD"}},
		{"s3:ListBucketMultipartUploads", "BUCKET", request{query: "uploads="}},
		{"s3:GetBucketLocation", "BUCKET", request{query: "location="}},
		{"s3:ListMultipartUploadParts", "BUCKET/*", request{key: "action", query: "uploadId=" + upload}},
		{"s3:AbortMultipartUpload", "BUCKET/*", request{method: "DELETE", key: "action", query: "uploadId=" + upload}},
		{"s3:GetObjectVersion", "BUCKET/*", request{key: "k", query: "versionId=null"}},
		{"s3:GetObjectTagging", "BUCKET/*", request{key: "k", query: "tagging="}},
		{"s3:PutObjectTagging", "BUCKET/*", request{method: "PUT", key: "action", body: body(), header: map[string]string{"X-Amz-Tagging": "a=b"}}},
		{"s3:DeleteObject", "BUCKET/*", request{method: "DELETE", key: "k"}},
		{"s3:PutObject", "BUCKET/act*", request{method: "PUT", key: "action", body: body()}},
		{"s3:PutObject", "BUCKET/act*", request{method: "POST", key: "action", query: "uploads="}},
		{"s3:*", "BUCKET/*", request{key: "k"}},
	} {
		s.setPolicy(t, deny(`"`+tt.action+`"`, `"`+tt.resource+`"`, ""))
		tt.denied.as = s.User
		want(t, tt.action+": "+tt.denied.method+" ?"+tt.denied.query, s.do(t, tt.denied), 403)
		if tt.action != "s3:*" && tt.action != "s3:GetObjectVersion" {
			want(t, tt.action+": GET", s.do(t, request{key: "k", as: s.User}), 200)
		}
	}
	s.setPolicy(t, deny(`"s3:ListBucket"`, `"BUCKET"`, `{"StringNotEquals":{"s3:prefix":"open/"}}`))
	want(t, "another prefix", s.do(t, request{query: "list-type=2&prefix=closed/", as: s.User}), 403)
	want(t, "the prefix", s.do(t, request{query: "list-type=2&prefix=open/", as: s.User}), 200)
	want(t, "a missing key, to one who may not list", s.do(t, request{key: "missing", as: s.User}), 403, "AccessDenied")
}

func (s *suite) policyDeleteObjects(t *testing.T) {
	s.put(t, "keep/1", "x")
	s.put(t, "drop/1", "x")
	s.setPolicy(t, deny(`"s3:DeleteObject"`, `"BUCKET/keep/*"`, ""))
	out, err := s.client(s.User).DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &s.bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("keep/1")}, {Key: aws.String("drop/1")}}}})
	if err != nil || len(out.Deleted) != 1 || aws.ToString(out.Deleted[0].Key) != "drop/1" {
		t.Fatalf("got %+v, %v", out, err)
	}
	if len(out.Errors) != 1 || aws.ToString(out.Errors[0].Key) != "keep/1" || aws.ToString(out.Errors[0].Code) != "AccessDenied" {
		t.Errorf("errors: got %+v", out.Errors)
	}
	s.wantData(t, "keep/1", "x")
	s.wantNone(t, "drop/1")
}

func (s *suite) policyCopy(t *testing.T) {
	s.put(t, "secret/1", "x")
	s.setPolicy(t, deny(`"s3:GetObject"`, `"BUCKET/secret/*"`, `{"StringEquals":{"aws:username":"`+s.User.Name+`"}}`))
	r := request{method: "PUT", key: "public/1", header: map[string]string{"X-Amz-Copy-Source": s.bucket + "/secret/1"}, as: s.User}
	want(t, "copying what may not be read", s.do(t, r), 403, "AccessDenied")
	s.wantNone(t, "public/1")
	id := s.begin(t, "public/1")
	r.query = "partNumber=1&uploadId=" + id
	want(t, "copying it as a part", s.do(t, r), 403, "AccessDenied")
	r.query, r.as = "", s.Gate
	want(t, "copying by one who may", s.do(t, r), 200)
}

func (s *suite) policyAnonymous(t *testing.T) {
	s.put(t, "open/1", "x")
	s.setPolicy(t, `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"BUCKET/open/*"}`)
	want(t, "GET", s.anonymous(t, request{key: "open/1"}), 200)
	want(t, "HEAD", s.anonymous(t, request{method: "HEAD", key: "open/1"}), 200)
	want(t, "GET of another", s.anonymous(t, request{key: "k"}), 403, "AccessDenied")
	want(t, "GET of what is not there", s.anonymous(t, request{key: "open/none"}), 403, "AccessDenied")
	want(t, "PUT", s.anonymous(t, request{method: "PUT", key: "open/1", body: strings.NewReader("y")}), 403, "AccessDenied")
	want(t, "list", s.anonymous(t, request{query: "list-type=2"}), 403, "AccessDenied")
	want(t, "overriding headers", s.anonymous(t, request{key: "open/1", query: "response-content-type=text/html"}), 400, "InvalidRequest")
	s.setPolicy(t, `{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:PutObject"],"Resource":"BUCKET/open/*"}`,
		deny(`"s3:GetObject"`, `"BUCKET/*"`, `{"StringNotEquals":{"s3:authType":"REST-HEADER"}}`))
	want(t, "GET where only headers may", s.anonymous(t, request{key: "open/1"}), 403, "AccessDenied")
	want(t, "PUT where it is allowed", s.anonymous(t, request{method: "PUT", key: "open/2", body: strings.NewReader("y")}), 200)
}

func (s *suite) policyAdmin(t *testing.T) {
	s.setPolicy(t, deny(`"s3:*"`, `["BUCKET","BUCKET/*"]`, ""))
	want(t, "admin GET", s.do(t, request{key: "k"}), 403, "AccessDenied")
	want(t, "admin list", s.do(t, request{query: "list-type=2"}), 403, "AccessDenied")
	want(t, "admin deletes the bucket", s.do(t, request{method: "DELETE"}), 403, "AccessDenied")
	want(t, "admin reads the policy", s.do(t, request{query: "policy="}), 200)
	s.setPolicy(t, deny(`"s3:GetObject"`, `"BUCKET/none"`, ""))
	want(t, "admin GET after changing it", s.do(t, request{key: "k"}), 200)
	s.setPolicy(t, deny(`"s3:*"`, `["BUCKET","BUCKET/*"]`, ""))
	s.dropPolicy(t)
	want(t, "admin GET after dropping it", s.do(t, request{key: "k"}), 200)
}
