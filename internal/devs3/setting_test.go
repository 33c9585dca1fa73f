package devs3_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// wantCode fails unless the SDK got this error of S3.
func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

// TestSettings stores each setting with the SDK and reads it back after a
// restart.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	b, ctx := aws.String(bucket), t.Context()

	_, err := c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: b})
	wantCode(t, "no public access block", err, "NoSuchPublicAccessBlockConfiguration")
	_, err = c.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: b})
	wantCode(t, "no ownership controls", err, "OwnershipControlsNotFoundError")
	_, err = c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: b})
	wantCode(t, "no encryption", err, "ServerSideEncryptionConfigurationNotFoundError")
	_, err = c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
	wantCode(t, "no lifecycle", err, "NoSuchLifecycleConfiguration")
	if out, err := c.GetBucketLogging(ctx, &s3.GetBucketLoggingInput{Bucket: b}); err != nil || out.LoggingEnabled != nil {
		t.Errorf("no logging: %+v %v", out, err)
	}
	if out, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: b}); err != nil || out.Status != "" {
		t.Errorf("no versioning: %+v %v", out, err)
	}

	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	yes := aws.Bool(true)
	_, err = c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: b, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
		BlockPublicAcls: yes, IgnorePublicAcls: yes, BlockPublicPolicy: yes}})
	check("PutPublicAccessBlock", err)
	_, err = c.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{Bucket: b, OwnershipControls: &types.OwnershipControls{
		Rules: []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}}}})
	check("PutBucketOwnershipControls", err)
	_, err = c.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{Bucket: b, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
		Rules: []types.ServerSideEncryptionRule{{BucketKeyEnabled: yes, ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{
			SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: aws.String("key-1")}}}}})
	check("PutBucketEncryption", err)
	_, err = c.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: b, LifecycleConfiguration: &types.BucketLifecycleConfiguration{
		Rules: []types.LifecycleRule{
			{ID: aws.String("aborts"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
				AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(7)}},
			{Status: types.ExpirationStatusDisabled, Filter: &types.LifecycleRuleFilter{And: &types.LifecycleRuleAndOperator{Prefix: aws.String("a/"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}},
				NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(30)}}}}})
	check("PutBucketLifecycleConfiguration", err)
	_, err = c.PutBucketLogging(ctx, &s3.PutBucketLoggingInput{Bucket: b, BucketLoggingStatus: &types.BucketLoggingStatus{
		LoggingEnabled: &types.LoggingEnabled{TargetBucket: b, TargetPrefix: aws.String("log/")}}})
	check("PutBucketLogging", err)
	_, err = c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	check("PutBucketVersioning", err)
	s.Close()

	s = start(t, dir)
	c = client(t, s.URL, "ADMINKEY")
	if out, err := c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: b}); err != nil ||
		!*out.PublicAccessBlockConfiguration.BlockPublicAcls || *out.PublicAccessBlockConfiguration.RestrictPublicBuckets {
		t.Errorf("GetPublicAccessBlock: %+v %v", out, err)
	}
	if out, err := c.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: b}); err != nil ||
		out.OwnershipControls.Rules[0].ObjectOwnership != types.ObjectOwnershipBucketOwnerEnforced {
		t.Errorf("GetBucketOwnershipControls: %+v %v", out, err)
	}
	if out, err := c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: b}); err != nil ||
		!aws.ToBool(out.ServerSideEncryptionConfiguration.Rules[0].BucketKeyEnabled) ||
		aws.ToString(out.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.KMSMasterKeyID) != "key-1" {
		t.Errorf("GetBucketEncryption: %+v %v", out, err)
	}
	if out, err := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b}); err != nil || len(out.Rules) != 2 ||
		*out.Rules[0].ID != "aborts" || *out.Rules[0].AbortIncompleteMultipartUpload.DaysAfterInitiation != 7 ||
		aws.ToString(out.Rules[1].ID) == "" || *out.Rules[1].Filter.And.Tags[0].Value != "v" {
		t.Errorf("GetBucketLifecycleConfiguration: %+v %v", out, err)
	}
	if out, err := c.GetBucketLogging(ctx, &s3.GetBucketLoggingInput{Bucket: b}); err != nil || *out.LoggingEnabled.TargetPrefix != "log/" {
		t.Errorf("GetBucketLogging: %+v %v", out, err)
	}
	if out, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: b}); err != nil || out.Status != types.BucketVersioningStatusEnabled {
		t.Errorf("GetBucketVersioning: %+v %v", out, err)
	}

	_, err = c.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: b})
	check("DeletePublicAccessBlock", err)
	_, err = c.DeleteBucketOwnershipControls(ctx, &s3.DeleteBucketOwnershipControlsInput{Bucket: b})
	check("DeleteBucketOwnershipControls", err)
	_, err = c.DeleteBucketEncryption(ctx, &s3.DeleteBucketEncryptionInput{Bucket: b})
	check("DeleteBucketEncryption", err)
	_, err = c.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: b})
	check("DeleteBucketLifecycle", err)
	_, err = c.PutBucketLogging(ctx, &s3.PutBucketLoggingInput{Bucket: b, BucketLoggingStatus: &types.BucketLoggingStatus{}})
	check("PutBucketLogging of nothing", err)
	_, err = c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
	wantCode(t, "lifecycle after Delete", err, "NoSuchLifecycleConfiguration")
	if out, err := c.GetBucketLogging(ctx, &s3.GetBucketLoggingInput{Bucket: b}); err != nil || out.LoggingEnabled != nil {
		t.Errorf("logging switched off: %+v %v", out, err)
	}
}

// TestSettingsAreStrict: what S3 would refuse, or would mean something else by,
// is not stored.
func TestSettingsAreStrict(t *testing.T) {
	s := start(t, t.TempDir())
	createBucket(t, client(t, s.URL, "ADMINKEY"))
	rule := func(inner string) string {
		return "<LifecycleConfiguration><Rule>" + inner + "</Rule></LifecycleConfiguration>"
	}
	const abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
	byDefault := func(inner string) string {
		return "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>" + inner + "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
	}
	for _, tt := range []struct{ name, query, body, code string }{
		{"no XML", "publicAccessBlock", "rubbish", "MalformedXML"},
		{"another root", "publicAccessBlock", "<PublicAccess/>", "MalformedXML"},
		{"an unknown element", "publicAccessBlock", "<PublicAccessBlockConfiguration><Block>true</Block></PublicAccessBlockConfiguration>", "MalformedXML"},
		{"an element twice", "publicAccessBlock", "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><BlockPublicAcls>false</BlockPublicAcls></PublicAccessBlockConfiguration>", "MalformedXML"},
		{"something behind", "publicAccessBlock", "<PublicAccessBlockConfiguration/><More/>", "MalformedXML"},
		{"no boolean", "publicAccessBlock", "<PublicAccessBlockConfiguration><BlockPublicAcls>perhaps</BlockPublicAcls></PublicAccessBlockConfiguration>", "MalformedXML"},
		{"unknown ownership", "ownershipControls", "<OwnershipControls><Rule><ObjectOwnership>Mine</ObjectOwnership></Rule></OwnershipControls>", "MalformedXML"},
		{"no ownership rule", "ownershipControls", "<OwnershipControls/>", "MalformedXML"},
		{"an unknown algorithm", "encryption", byDefault("<SSEAlgorithm>ROT13</SSEAlgorithm>"), "MalformedXML"},
		{"a key for AES256", "encryption", byDefault("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>"), "InvalidArgument"},
		{"versioning of nothing", "versioning", "<VersioningConfiguration/>", "IllegalVersioningConfigurationException"},
		{"an unknown state", "versioning", "<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", "MalformedXML"},
		{"MFA", "versioning", "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>", "NotImplemented"},
		{"logs into nowhere", "logging", "<BucketLoggingStatus><LoggingEnabled><TargetBucket>nowhere</TargetBucket><TargetPrefix/></LoggingEnabled></BucketLoggingStatus>", "InvalidTargetBucketForLogging"},
		{"logs without prefix", "logging", "<BucketLoggingStatus><LoggingEnabled><TargetBucket>the-bucket</TargetBucket></LoggingEnabled></BucketLoggingStatus>", "MalformedXML"},
		{"no rules", "lifecycle", "<LifecycleConfiguration/>", "MalformedXML"},
		{"a rule without filter", "lifecycle", rule("<Status>Enabled</Status>" + abort), "MalformedXML"},
		{"a rule of an unknown state", "lifecycle", rule("<Status>enabled</Status><Filter/>" + abort), "MalformedXML"},
		{"a rule that does nothing", "lifecycle", rule("<Status>Enabled</Status><Filter/>"), "InvalidRequest"},
		{"a filter of two things", "lifecycle", rule("<Status>Enabled</Status><Filter><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>" + abort), "MalformedXML"},
		{"uploads aborted by tag", "lifecycle", rule("<Status>Enabled</Status><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>" + abort), "InvalidRequest"},
		{"after no days", "lifecycle", rule("<Status>Enabled</Status><Filter/><Expiration><Days>0</Days></Expiration>"), "InvalidArgument"},
		{"at noon", "lifecycle", rule("<Status>Enabled</Status><Filter/><Expiration><Date>2026-01-01T12:00:00Z</Date></Expiration>"), "InvalidArgument"},
		{"two rules of one ID", "lifecycle", "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter/>" + abort + "</Rule><Rule><ID>a</ID><Status>Enabled</Status><Filter/>" + abort + "</Rule></LifecycleConfiguration>", "InvalidArgument"},
	} {
		req := signed(t, "ADMINKEY", "PUT", s.URL+"/"+bucket+"?"+tt.query+"=", tt.body, md5Header(tt.body))
		status := http.StatusBadRequest
		if tt.code == "NotImplemented" {
			status = http.StatusNotImplemented
		}
		wantRefused(t, tt.name, req, status, tt.code)
	}
	good := rule("<Status>Enabled</Status><Filter/>" + abort)
	wantRefused(t, "a lifecycle without digest", signed(t, "ADMINKEY", "PUT", s.URL+"/"+bucket+"?lifecycle=", good, nil), 400, "InvalidRequest")
	wantRefused(t, "a lifecycle of another digest", signed(t, "ADMINKEY", "PUT", s.URL+"/"+bucket+"?lifecycle=", good, md5Header("another")), 400, "BadDigest")
}

// TestSettingsAreForAdmins: other users may neither see nor change them.
func TestSettingsAreForAdmins(t *testing.T) {
	s := start(t, t.TempDir())
	createBucket(t, client(t, s.URL, "ADMINKEY"))
	for _, name := range []string{"publicAccessBlock", "ownershipControls", "encryption", "lifecycle", "logging", "policyStatus", "acl"} {
		wantRefused(t, "reading "+name, signed(t, "ALICEKEY", "GET", s.URL+"/"+bucket+"?"+name, "", nil), 403, "AccessDenied")
		if name != "policyStatus" {
			wantRefused(t, "writing "+name, signed(t, "ALICEKEY", "PUT", s.URL+"/"+bucket+"?"+name, "<X/>", nil), 403, "AccessDenied")
		}
	}
	wantRefused(t, "writing versioning", signed(t, "ALICEKEY", "PUT", s.URL+"/"+bucket+"?versioning", "<X/>", nil), 403, "AccessDenied")
}

func TestPublicPolicies(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	if err := put(t.Context(), c, "k", "data"); err != nil {
		t.Fatal(err)
	}
	b, ctx := aws.String(bucket), t.Context()
	_, err := c.GetBucketPolicyStatus(ctx, &s3.GetBucketPolicyStatusInput{Bucket: b})
	wantCode(t, "the status of no policy", err, "NoSuchBucketPolicy")
	statement := func(effect, principal, condition string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `",` + principal + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::the-bucket/*"` + condition + `}]}`
	}
	const everyone, alice = `"Principal":"*"`, `"Principal":{"AWS":"arn:aws:iam::000000000000:user/alice"}`
	when := func(operator, key, value string) string {
		return `,"Condition":{"` + operator + `":{"` + key + `":"` + value + `"}}`
	}
	for _, tt := range []struct {
		name, policy string
		public       bool
	}{
		{"for everyone", statement("Allow", everyone, ""), true},
		{"for one user", statement("Allow", alice, ""), false},
		{"against everyone", statement("Deny", everyone, ""), false},
		{"for everyone in a network", statement("Allow", everyone, when("IpAddress", "aws:SourceIp", "192.0.2.0/24")), false},
		{"for half of the Internet", statement("Allow", everyone, when("IpAddress", "aws:SourceIp", "0.0.0.0/1")), true},
		{"for everyone but a network", statement("Allow", everyone, when("NotIpAddress", "aws:SourceIp", "192.0.2.0/24")), true},
		{"for a VPC endpoint", statement("Allow", everyone, when("StringEquals", "aws:SourceVpce", "vpce-1")), false},
		{"for any VPC endpoint", statement("Allow", everyone, when("StringLike", "aws:SourceVpce", "vpce-*")), true},
		{"for all who say so", statement("Allow", everyone, when("StringEquals", "aws:Referer", "https://example.com/")), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := c.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: b}); err != nil {
				t.Fatal(err)
			}
			in := &s3.PutBucketPolicyInput{Bucket: b, Policy: &tt.policy}
			if _, err := c.PutBucketPolicy(ctx, in); err != nil {
				t.Fatal(err)
			}
			status, err := c.GetBucketPolicyStatus(ctx, &s3.GetBucketPolicyStatusInput{Bucket: b})
			if err != nil || aws.ToBool(status.PolicyStatus.IsPublic) != tt.public {
				t.Errorf("GetBucketPolicyStatus: %+v %v, want %v", status, err, tt.public)
			}
			_, err = c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: b, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{BlockPublicPolicy: aws.Bool(true)}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = c.PutBucketPolicy(ctx, in); tt.public {
				wantCode(t, "a public policy where they are blocked", err, "AccessDenied")
			} else if err != nil {
				t.Errorf("a policy that is not public: %v", err)
			}
		})
	}
}

// TestRestrictPublicBuckets: what a public policy gives to anonymous callers can
// be taken away without touching the policy.
func TestRestrictPublicBuckets(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	if err := put(t.Context(), c, "k", "data"); err != nil {
		t.Fatal(err)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::the-bucket/*"}]}`
	if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucket), Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	anonymous := func() int {
		t.Helper()
		res, err := http.Get(s.URL + "/" + bucket + "/k")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		return res.StatusCode
	}
	if got := anonymous(); got != http.StatusOK {
		t.Errorf("an anonymous GET: got %d, want 200", got)
	}
	if _, err := c.PutPublicAccessBlock(t.Context(), &s3.PutPublicAccessBlockInput{Bucket: aws.String(bucket), PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{RestrictPublicBuckets: aws.Bool(true)}}); err != nil {
		t.Fatal(err)
	}
	if got := anonymous(); got != http.StatusForbidden {
		t.Errorf("an anonymous GET from a restricted bucket: got %d, want 403", got)
	}
	if _, err := client(t, s.URL, "ALICEKEY").GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")}); err != nil {
		t.Errorf("a user of the account: %v", err)
	}
}

// TestOwnershipOfNewBuckets: who creates a bucket can say at once that it has no
// ACLs.
func TestOwnershipOfNewBuckets(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket), ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}); err != nil {
		t.Fatal(err)
	}
	out, err := c.GetBucketOwnershipControls(t.Context(), &s3.GetBucketOwnershipControlsInput{Bucket: aws.String(bucket)})
	if err != nil || out.OwnershipControls.Rules[0].ObjectOwnership != types.ObjectOwnershipBucketOwnerEnforced {
		t.Errorf("GetBucketOwnershipControls: %+v %v", out, err)
	}
	_, err = c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("other"), ObjectOwnership: "Nobody"})
	wantCode(t, "an unknown ownership", err, "InvalidArgument")
	_, err = c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("other"), ObjectLockEnabledForBucket: aws.Bool(true)})
	wantCode(t, "Object Lock", err, "NotImplemented")
}

func TestACLs(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	if err := put(t.Context(), c, "k", "data"); err != nil {
		t.Fatal(err)
	}
	acl, err := c.GetBucketAcl(t.Context(), &s3.GetBucketAclInput{Bucket: aws.String(bucket)})
	if err != nil || len(acl.Grants) != 1 || acl.Grants[0].Permission != types.PermissionFullControl || aws.ToString(acl.Grants[0].Grantee.ID) != aws.ToString(acl.Owner.ID) {
		t.Errorf("GetBucketAcl: %+v %v", acl, err)
	}
	if acl, err := c.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: aws.String(bucket), Key: aws.String("k")}); err != nil || len(acl.Grants) != 1 {
		t.Errorf("GetObjectAcl: %+v %v", acl, err)
	}
	with := func(acl types.ObjectCannedACL) error {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader("x"), ACL: acl})
		return err
	}
	if err := with(types.ObjectCannedACLPrivate); err != nil {
		t.Errorf("a private object: %v", err)
	}
	wantCode(t, "a public object", with(types.ObjectCannedACLPublicRead), "AccessControlListNotSupported")
	_, err = c.PutBucketOwnershipControls(t.Context(), &s3.PutBucketOwnershipControlsInput{Bucket: aws.String(bucket), OwnershipControls: &types.OwnershipControls{
		Rules: []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}}}})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "a private object where ACLs are off", with(types.ObjectCannedACLPrivate), "AccessControlListNotSupported")
	if err := with(types.ObjectCannedACLBucketOwnerFullControl); err != nil {
		t.Errorf("full control for the owner: %v", err)
	}
	_, err = c.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: aws.String(bucket), ACL: types.BucketCannedACLPrivate})
	wantCode(t, "PutBucketAcl", err, "AccessControlListNotSupported")
}

// TestEncryptionIsToldOf: answers say how an object is encrypted, by the request,
// by the bucket's default, or as S3 does by itself.
func TestEncryptionIsToldOf(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	putHead := func(in s3.PutObjectInput) string {
		t.Helper()
		in.Bucket, in.Key, in.Body = aws.String(bucket), aws.String("k"), strings.NewReader("x")
		out, err := c.PutObject(t.Context(), &in)
		if err != nil {
			t.Fatal(err)
		}
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key})
		if err != nil || head.ServerSideEncryption != out.ServerSideEncryption || aws.ToString(head.SSEKMSKeyId) != aws.ToString(out.SSEKMSKeyId) {
			t.Errorf("HeadObject: %+v %v, PutObject said %+v", head, err, out)
		}
		return string(out.ServerSideEncryption) + " " + aws.ToString(out.SSEKMSKeyId)
	}
	if got := putHead(s3.PutObjectInput{}); got != "AES256 " {
		t.Errorf("by itself: %q", got)
	}
	if got := putHead(s3.PutObjectInput{ServerSideEncryption: "aws:kms", SSEKMSKeyId: aws.String("key-2")}); got != "aws:kms key-2" {
		t.Errorf("by request: %q", got)
	}
	_, err := c.PutBucketEncryption(t.Context(), &s3.PutBucketEncryptionInput{Bucket: aws.String(bucket), ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
		Rules: []types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: "aws:kms", KMSMasterKeyID: aws.String("key-1")}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := putHead(s3.PutObjectInput{}); got != "aws:kms key-1" {
		t.Errorf("by default: %q", got)
	}
	if got := putHead(s3.PutObjectInput{ServerSideEncryption: "AES256"}); got != "AES256 " {
		t.Errorf("against the default: %q", got)
	}
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("up")})
	if err != nil || up.ServerSideEncryption != "aws:kms" {
		t.Fatalf("CreateMultipartUpload: %+v %v", up, err)
	}
	part, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(bucket), Key: aws.String("up"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part")})
	if err != nil || part.ServerSideEncryption != "aws:kms" {
		t.Fatalf("UploadPart: %+v %v", part, err)
	}
	done, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("up"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32}}}})
	if err != nil || aws.ToString(done.SSEKMSKeyId) != "key-1" {
		t.Errorf("CompleteMultipartUpload: %+v %v", done, err)
	}
	copied, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("copy"), CopySource: aws.String(bucket + "/k")})
	if err != nil || aws.ToString(copied.SSEKMSKeyId) != "key-1" {
		t.Errorf("CopyObject: %+v %v", copied, err)
	}
	wantRefused(t, "an unknown encryption", signed(t, "ADMINKEY", "PUT", s.URL+"/"+bucket+"/k", "x", map[string]string{"X-Amz-Server-Side-Encryption": "rot13"}), 400, "InvalidArgument")
}

// TestSettingsAreRendered: what comes back is what S3 would render, whatever the
// client's spelling was.
func TestSettingsAreRendered(t *testing.T) {
	s := start(t, t.TempDir())
	createBucket(t, client(t, s.URL, "ADMINKEY"))
	const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	for _, tt := range []struct{ query, sent, want string }{
		{"publicAccessBlock", `<PublicAccessBlockConfiguration> <BlockPublicAcls>TRUE</BlockPublicAcls> </PublicAccessBlockConfiguration>`,
			`<PublicAccessBlockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>false</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>`},
		{"ownershipControls", `<s3:OwnershipControls xmlns:s3="http://s3.amazonaws.com/doc/2006-03-01/"><s3:Rule><s3:ObjectOwnership>ObjectWriter</s3:ObjectOwnership></s3:Rule></s3:OwnershipControls>`,
			`<OwnershipControls xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>`},
		{"encryption", `<ServerSideEncryptionConfiguration><Rule><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes><BucketKeyEnabled>true</BucketKeyEnabled><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`,
			`<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>`},
		{"logging", `<BucketLoggingStatus><LoggingEnabled><TargetPrefix/><TargetBucket>the-bucket</TargetBucket><TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat></LoggingEnabled></BucketLoggingStatus>`,
			`<BucketLoggingStatus xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LoggingEnabled><TargetBucket>the-bucket</TargetBucket><TargetPrefix></TargetPrefix><TargetObjectKeyFormat><SimplePrefix></SimplePrefix></TargetObjectKeyFormat></LoggingEnabled></BucketLoggingStatus>`},
		{"logging", `<BucketLoggingStatus/>`, `<BucketLoggingStatus xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></BucketLoggingStatus>`},
		{"lifecycle", `<LifecycleConfiguration><Rule><Filter><And><Prefix>a&amp;b/</Prefix><Tag><Key>k</Key><Value/></Tag></And></Filter><Status>Enabled</Status><ID>one</ID><Transition><StorageClass>GLACIER</StorageClass><Days>0</Days></Transition></Rule></LifecycleConfiguration>`,
			`<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>one</ID><Status>Enabled</Status><Filter><And><Prefix>a&amp;b/</Prefix><Tag><Key>k</Key><Value></Value></Tag></And></Filter><Transition><Days>0</Days><StorageClass>GLACIER</StorageClass></Transition></Rule></LifecycleConfiguration>`},
		{"versioning", `<VersioningConfiguration><MfaDelete>Disabled</MfaDelete><Status>Suspended</Status></VersioningConfiguration>`,
			`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Suspended</Status></VersioningConfiguration>`},
	} {
		status, body := do(t, signed(t, "ADMINKEY", "PUT", s.URL+"/"+bucket+"?"+tt.query+"=", tt.sent, md5Header(tt.sent)))
		if status != http.StatusOK || body != "" {
			t.Errorf("storing %s: got %d %s", tt.query, status, body)
		}
		if status, body := do(t, signed(t, "ADMINKEY", "GET", s.URL+"/"+bucket+"?"+tt.query+"=", "", nil)); status != http.StatusOK || body != head+tt.want {
			t.Errorf("%s: got %d\n%s\nwant\n%s", tt.query, status, body, head+tt.want)
		}
	}
}

// do makes a request and returns status and body.
func do(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// TestSettingsHaveS3sActions denies one action after the other and sees which
// requests are refused: exactly those that S3 names it for.
func TestSettingsHaveS3sActions(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	calls := []struct{ method, query, action string }{
		{"GET", "publicAccessBlock", "s3:GetBucketPublicAccessBlock"},
		{"PUT", "publicAccessBlock", "s3:PutBucketPublicAccessBlock"},
		{"DELETE", "publicAccessBlock", "s3:PutBucketPublicAccessBlock"},
		{"GET", "ownershipControls", "s3:GetBucketOwnershipControls"},
		{"PUT", "ownershipControls", "s3:PutBucketOwnershipControls"},
		{"DELETE", "ownershipControls", "s3:PutBucketOwnershipControls"},
		{"GET", "encryption", "s3:GetEncryptionConfiguration"},
		{"PUT", "encryption", "s3:PutEncryptionConfiguration"},
		{"DELETE", "encryption", "s3:PutEncryptionConfiguration"},
		{"GET", "lifecycle", "s3:GetLifecycleConfiguration"},
		{"PUT", "lifecycle", "s3:PutLifecycleConfiguration"},
		{"DELETE", "lifecycle", "s3:PutLifecycleConfiguration"},
		{"GET", "logging", "s3:GetBucketLogging"},
		{"PUT", "logging", "s3:PutBucketLogging"},
		{"GET", "versioning", "s3:GetBucketVersioning"},
		{"PUT", "versioning", "s3:PutBucketVersioning"},
		{"GET", "acl", "s3:GetBucketAcl"},
		{"PUT", "acl", "s3:PutBucketAcl"},
		{"GET", "policyStatus", "s3:GetBucketPolicyStatus"},
		{"GET", "location", "s3:GetBucketLocation"},
		{"GET", "versions", "s3:ListBucketVersions"},
	}
	for _, denied := range calls {
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"` + denied.action + `","Resource":"arn:aws:s3:::the-bucket"}]}`
		if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucket), Policy: &policy}); err != nil {
			t.Fatal(err)
		}
		for _, call := range calls {
			status, body := do(t, signed(t, "ADMINKEY", call.method, s.URL+"/"+bucket+"?"+call.query, "", nil))
			if refused := status == http.StatusForbidden; refused != (call.action == denied.action) {
				t.Errorf("%s ?%s where %s is denied: got %d %s", call.method, call.query, denied.action, status, body)
			}
		}
	}
}
