// Package conformance says, as tests, what s3gate expects of an S3 endpoint.
//
// [Run] runs the same suite against the project's own S3 and against real
// servers, so that what passes on the one is known to hold on the other. Where
// a server is known to differ, its [Capabilities] say so; a test is never bent
// to what one server happens to do.
//
// Requests are signed by the AWS SDK, never by s3gate.
package conformance

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"s3gate/internal/s3gatetest"
)

// Capabilities are what some servers do as S3 does and others do not. The zero
// value asks for what all do.
type Capabilities struct {
	// Policies: bucket policies bind signed callers, with all condition keys,
	// and the endpoint has the identities User and Gate. MinIO asks the
	// policies of its users instead.
	Policies bool
	// PathKeys: keys may have empty, "." and ".." elements, begin with a slash
	// and be prefixes of others. To MinIO keys are paths on its disks.
	PathKeys bool
	// NotImplemented: what is not supported is answered with 501. MinIO
	// answers some subresources as not configured, and others as if they
	// were not there.
	NotImplemented bool
	// TagWrites: If-None-Match with an entity tag is refused on PUT, and
	// If-Match is honoured on DELETE. MinIO has it the other way round.
	TagWrites bool
	// Precedence: an If-None-Match that holds overrules If-Modified-Since.
	// MinIO asks for both.
	Precedence bool
	// RangeDetails: If-Range is honoured, and a range outside of the object is
	// refused with the object's size in Content-Range.
	RangeDetails bool
	// LastChunk: an aws-chunked body without its last chunk is refused. MinIO
	// stores it once it has the declared length.
	LastChunk bool
	// VersionDetails: answers name the version "null", to read which needs
	// permission for versions; a PUT cannot name a version; and a key that never
	// was gets a delete marker. MinIO tells of no null version, and a PUT to a
	// version replaces that version.
	VersionDetails bool
	// SettingErrors: a setting that cannot be understood is MalformedXML. MinIO
	// has other codes, and an internal error for what is no XML.
	SettingErrors bool
	// SignedHeaders: an x-amz-* header that is not signed is refused.
	SignedHeaders bool
}

// Run tests an endpoint. It creates a bucket and leaves it behind.
func Run(t *testing.T, e *s3gatetest.Endpoint, caps Capabilities) {
	transport := &http.Transport{DisableCompression: true, ExpectContinueTimeout: 5 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	s := &suite{Endpoint: e, caps: caps, bucket: "conformance", http: transport}
	s.s3 = s.client(e.Admin())
	if _, err := s.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &s.bucket}); err != nil {
		t.Fatalf("CreateBucket: %v", err)
	}
	for _, test := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"Buckets", s.buckets},
		{"Objects", s.objects},
		{"Headers", s.headers},
		{"Keys", s.keys},
		{"Ranges", s.ranges},
		{"Conditions", s.conditions},
		{"ConditionalWrites", s.conditionalWrites},
		{"PayloadHash", s.payloadHash},
		{"Digests", s.digests},
		{"ChunkedTrailer", s.chunkedTrailer},
		{"SignedChunks", s.signedChunks},
		{"ShortBody", s.shortBody},
		{"Multipart", s.multipart},
		{"MultipartMistakes", s.multipartMistakes},
		{"MultipartListing", s.multipartListing},
		{"MultipartChecksums", s.multipartChecksums},
		{"Copy", s.copies},
		{"List", s.list},
		{"ListPaging", s.listPaging},
		{"DeleteObjects", s.deleteObjects},
		{"Tagging", s.tagging},
		{"VersioningState", s.versioningState},
		{"Versions", s.versions},
		{"VersionWriters", s.versionWriters},
		{"VersionTags", s.versionTags},
		{"VersionListing", s.versionListing},
		{"DeleteVersions", s.deleteVersions},
		{"Suspended", s.suspended},
		{"Lifecycle", s.lifecycle},
		{"PublicPolicy", s.publicPolicy},
		{"PlainSettings", s.plainSettings},
		{"HeaderSignatures", s.headerSignatures},
		{"PresignedURLs", s.presignedURLs},
		{"PresignedPost", s.presignedPost},
	} {
		t.Run(test.name, test.run)
	}
	// What an endpoint does not claim is not asked of it.
	if caps.NotImplemented {
		t.Run("Unsupported", s.unsupported)
	}
	if caps.Policies {
		t.Run("Policies", s.policies)
	}
}

// suite is one run against one endpoint.
type suite struct {
	*s3gatetest.Endpoint
	caps   Capabilities
	bucket string
	s3     *s3.Client // signs as the administrator
	http   *http.Transport
}

// client is an SDK client that signs as somebody.
func (s *suite) client(who s3gatetest.Identity) *s3.Client {
	return s3.New(s3.Options{
		Region:           s.Region,
		BaseEndpoint:     &s.URL,
		UsePathStyle:     true,
		HTTPClient:       &http.Client{Transport: s.http},
		RetryMaxAttempts: 1,
		// As config.LoadDefaultConfig has it, unlike s3.New.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
		Credentials:                credentials.NewStaticCredentialsProvider(who.AccessKey, who.Secret, ""),
	})
}

func (s *suite) credentials(who s3gatetest.Identity) aws.Credentials {
	if who == (s3gatetest.Identity{}) {
		who = s.Admin()
	}
	return aws.Credentials{AccessKeyID: who.AccessKey, SecretAccessKey: who.Secret}
}
