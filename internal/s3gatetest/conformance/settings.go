package conformance

import (
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// setting sends the document of a subresource of the bucket, with its digest.
func (s *suite) setting(t *testing.T, name, document string) answer {
	t.Helper()
	sum := md5.Sum([]byte(document))
	return s.do(t, request{method: "PUT", query: name + "=", body: strings.NewReader(document),
		header: map[string]string{"Content-MD5": base64.StdEncoding.EncodeToString(sum[:])}})
}

func (s *suite) lifecycle(t *testing.T) {
	v := s.versioned(t, "lifecycle", "")
	want(t, "no lifecycle", v.do(t, request{query: "lifecycle="}), 404, "NoSuchLifecycleConfiguration")
	_, err := s.s3.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{Bucket: &v.bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{
		Rules: []types.LifecycleRule{
			{ID: aws.String("old"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("old/")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(30)}},
			{ID: aws.String("versions"), Status: types.ExpirationStatusDisabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")}, NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(7)}},
		}}})
	if err != nil {
		t.Fatalf("PutBucketLifecycleConfiguration: %v", err)
	}
	out, err := s.s3.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: &v.bucket})
	if err != nil || len(out.Rules) != 2 || *out.Rules[0].ID != "old" || *out.Rules[0].Expiration.Days != 30 || *out.Rules[1].NoncurrentVersionExpiration.NoncurrentDays != 7 {
		t.Errorf("GetBucketLifecycleConfiguration: %+v %v", out, err)
	}
	const rule = "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter/><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
	want(t, "without digest", v.do(t, request{method: "PUT", query: "lifecycle=", body: strings.NewReader(rule)}), 400)
	if s.caps.SettingErrors {
		want(t, "no XML", v.setting(t, "lifecycle", "rubbish"), 400, "MalformedXML")
		want(t, "an unknown state", v.setting(t, "lifecycle", strings.Replace(rule, "Enabled", "On", 1)), 400, "MalformedXML")
	}
	if a := v.setting(t, "lifecycle", strings.Replace(rule, "<Days>1", "<Days>0", 1)); a.status != 400 {
		t.Errorf("after no days: got %v", a)
	}
	if a := v.setting(t, "lifecycle", strings.Replace(rule, "<Expiration><Days>1</Days></Expiration>", "", 1)); a.status != 400 {
		t.Errorf("a rule that does nothing: got %v", a)
	}
	want(t, "replacing it", v.setting(t, "lifecycle", rule), 200)
	want(t, "deleting it", v.do(t, request{method: "DELETE", query: "lifecycle="}), 204)
	want(t, "deleted", v.do(t, request{query: "lifecycle="}), 404, "NoSuchLifecycleConfiguration")
}

// publicPolicy is about what a policy gives to anonymous callers, to whom all
// servers apply it.
func (s *suite) publicPolicy(t *testing.T) {
	v := s.versioned(t, "public-policy", "")
	v.put(t, "open/k", "data")
	v.put(t, "closed/k", "data")
	want(t, "no policy", v.do(t, request{query: "policy="}), 404, "NoSuchBucketPolicy")
	want(t, "an anonymous GET without", v.anonymous(t, request{key: "open/k"}), 403, "AccessDenied")
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::` + v.bucket + `/open/*"]}]}`
	if _, err := s.s3.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &v.bucket, Policy: &policy}); err != nil {
		t.Fatalf("PutBucketPolicy: %v", err)
	}
	want(t, "an anonymous GET", v.anonymous(t, request{key: "open/k"}), 200)
	want(t, "an anonymous HEAD", v.anonymous(t, request{method: "HEAD", key: "open/k"}), 200)
	want(t, "another key", v.anonymous(t, request{key: "closed/k"}), 403, "AccessDenied")
	want(t, "a PUT", v.anonymous(t, request{method: "PUT", key: "open/k", body: strings.NewReader("x")}), 403, "AccessDenied")
	want(t, "a listing", v.anonymous(t, request{}), 403, "AccessDenied")
	want(t, "deleting the policy without signature", v.anonymous(t, request{method: "DELETE", query: "policy="}), 403, "AccessDenied")
	if s.caps.VersionDetails {
		want(t, "a version", v.anonymous(t, request{key: "open/k", query: "versionId=null"}), 403, "AccessDenied")
	}
	out, err := s.s3.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: &v.bucket})
	if err != nil || !strings.Contains(aws.ToString(out.Policy), "s3:GetObject") {
		t.Errorf("GetBucketPolicy: %+v %v", out, err)
	}
	for name, malformed := range map[string]string{
		"no JSON":             "rubbish",
		"another bucket":      strings.Replace(policy, v.bucket, "another-bucket", 1),
		"an unknown effect":   strings.Replace(policy, "Allow", "Permit", 1),
		"an unknown action":   strings.Replace(policy, "s3:GetObject", "s3:Get Object", 1),
		"no such element":     strings.Replace(policy, `"Effect"`, `"Affect"`, 1),
		"an empty statement":  `{"Version":"2012-10-17","Statement":[{}]}`,
		"no resource":         strings.Replace(policy, `,"Resource":["arn:aws:s3:::`+v.bucket+`/open/*"]`, "", 1),
		"a resource of no S3": strings.Replace(policy, "arn:aws:s3", "arn:aws:sns", 1),
	} {
		if a := v.do(t, request{method: "PUT", query: "policy=", body: strings.NewReader(malformed)}); a.status != http.StatusBadRequest {
			t.Errorf("%s: got %v, want 400", name, a)
		}
	}
	want(t, "the policy from before", v.anonymous(t, request{key: "open/k"}), 200)
	want(t, "deleting it", v.do(t, request{method: "DELETE", query: "policy="}), 204)
	want(t, "an anonymous GET afterwards", v.anonymous(t, request{key: "open/k"}), 403, "AccessDenied")
}

func (s *suite) plainSettings(t *testing.T) {
	v := s.versioned(t, "plain-settings", "")
	if a := v.do(t, request{query: "location="}); a.status != 200 || !strings.Contains(a.body, "LocationConstraint") {
		t.Errorf("?location: got %v", a)
	}
	if a := v.do(t, request{query: "acl="}); a.status != 200 || !strings.Contains(a.body, "FULL_CONTROL") {
		t.Errorf("?acl: got %v", a)
	}
	want(t, "no encryption", v.do(t, request{query: "encryption="}), 404, "ServerSideEncryptionConfigurationNotFoundError")
	want(t, "an unknown algorithm", v.setting(t, "encryption", "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>ROT13</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"), 400, "MalformedXML")
	want(t, "an unknown state of versioning", v.setting(t, "versioning", "<VersioningConfiguration><Status>On</Status></VersioningConfiguration>"), 400)
	want(t, "settings of no bucket", s.do(t, request{bucket: "no-such-bucket", query: "lifecycle="}), 404, "NoSuchBucket")
}
