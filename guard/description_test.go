package guard_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/guard"
	"s3gate/policy"
)

// carried writes a context for comparing.
func carried(c policy.Context) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(c)) {
		words = append(words, key+"="+strings.Join(c[key], ","))
	}
	return strings.Join(words, " ")
}

func TestDescriptionIsWhatAPolicySees(t *testing.T) {
	admin := principal(t, owner)
	const v4 = "s3:signatureversion=AWS4-HMAC-SHA256 s3:tlsversion=1.3 s3:x-amz-content-sha256=UNSIGNED-PAYLOAD"
	const tls = "aws:securetransport=true aws:sourceip=203.0.113.1 "
	for _, tt := range []struct {
		name             string
		d                guard.Description
		resource, action string
		context          string
	}{
		{
			"header is usual", guard.Description{Action: "GetObject", Key: "k/x", Principal: admin},
			"arn:aws:s3:::b/k/x", "s3:GetObject", tls + "s3:authtype=REST-HEADER " + v4,
		},
		{
			"presigned", guard.Description{Action: "s3:PutObject", Key: "k", Principal: admin, Auth: guard.AuthPresigned, Age: time.Minute},
			"arn:aws:s3:::b/k", "s3:PutObject", tls + "s3:authtype=REST-QUERY-STRING s3:signatureage=60000 " + v4,
		},
		{
			"presigned now", guard.Description{Action: "GetObject", Key: "k", Principal: admin, Auth: guard.AuthPresigned},
			"arn:aws:s3:::b/k", "s3:GetObject", tls + "s3:authtype=REST-QUERY-STRING s3:signatureage=1000 " + v4,
		},
		{
			"form", guard.Description{Action: "PutObject", Key: "k", Principal: admin, Auth: guard.AuthPost},
			"arn:aws:s3:::b/k", "s3:PutObject", tls + "s3:authtype=POST s3:signatureversion=AWS4-HMAC-SHA256 s3:tlsversion=1.3",
		},
		{
			"anonymous is not signed", guard.Description{Action: "ListBucket", Partition: "aws-cn"},
			"arn:aws-cn:s3:::b", "s3:ListBucket", tls + "s3:tlsversion=1.3",
		},
		{
			"old signature, plain HTTP, address", guard.Description{Action: "GetObject", Key: "k", Principal: admin, OldSignature: true, PlainHTTP: true, SourceIP: "::1"},
			"arn:aws:s3:::b/k", "s3:GetObject", "aws:securetransport=false aws:sourceip=::1 s3:authtype=REST-HEADER s3:signatureversion=AWS",
		},
		{
			"VPC endpoint", guard.Description{Action: "ListBucket", SourceVPCE: "vpce-1"},
			"arn:aws:s3:::b", "s3:ListBucket", "aws:securetransport=true aws:sourcevpce=vpce-1 s3:tlsversion=1.3",
		},
		{
			"keys that replace others, and drop them", guard.Description{Action: "ListBucket", Context: policy.Context{"s3:TlsVersion": nil, "AWS:SourceIp": {"10.0.0.1"}, "s3:prefix": {"a", "b"}}},
			"arn:aws:s3:::b", "s3:ListBucket", "aws:securetransport=true aws:sourceip=10.0.0.1 s3:prefix=a,b",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.d.Bucket = "b"
			r, err := tt.d.Request()
			if err != nil {
				t.Fatal(err)
			}
			if got := carried(r.Context); r.Action != tt.action || r.Resource != tt.resource || r.Principal != tt.d.Principal || got != tt.context {
				t.Errorf("got %+v\n%s\nwant\n%s", r, got, tt.context)
			}
			for key := range r.Context {
				if !policy.KnownKey(key) {
					t.Errorf("%s is no key of S3", key)
				}
			}
		})
	}
}

func TestDescriptionRefuses(t *testing.T) {
	admin := principal(t, owner)
	for _, tt := range []struct {
		want string
		d    guard.Description
	}{
		{"bucket: ", guard.Description{Action: "ListBucket"}},
		{"action: ", guard.Description{Bucket: "b"}},
		{"action: ", guard.Description{Bucket: "b", Action: "s3:Get*", Key: "k"}},
		{"action: s3:GetObject is one on an object", guard.Description{Bucket: "b", Action: "GetObject"}},
		{"action: s3:ListBucket is one on the bucket", guard.Description{Bucket: "b", Action: "ListBucket", Key: "k"}},
		{"auth: ", guard.Description{Bucket: "b", Action: "ListBucket", Auth: "magic"}},
		{"auth: an anonymous", guard.Description{Bucket: "b", Action: "ListBucket", Auth: guard.AuthHeader}},
		{"auth: arn:aws", guard.Description{Bucket: "b", Action: "ListBucket", Auth: guard.AuthNone, Principal: admin}},
		{"age: -1s", guard.Description{Bucket: "b", Action: "ListBucket", Age: -time.Second}},
		{"age: only", guard.Description{Bucket: "b", Action: "ListBucket", Age: time.Second, Principal: admin}},
		{"signature: ", guard.Description{Bucket: "b", Action: "ListBucket", OldSignature: true}},
		{`source address: "x"`, guard.Description{Bucket: "b", Action: "ListBucket", SourceIP: "x"}},
	} {
		if r, err := tt.d.Request(); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%+v: got %+v, %v, want %q", tt.d, r, err, tt.want)
		}
	}
}
