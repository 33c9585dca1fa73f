package guard_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"s3gate/internal/s3gatetest"
	"s3gate/policy"
	"s3gate/s3client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bucketName = "vault"

// open opens the bucket of an endpoint as somebody.
func open(t *testing.T, e *s3gatetest.Endpoint, as s3gatetest.Identity) *s3client.Bucket {
	t.Helper()
	return openSigning(t, e, as, s3client.SignHeader)
}

func openSigning(t *testing.T, e *s3gatetest.Endpoint, as s3gatetest.Identity, signing s3client.Signing) *s3client.Bucket {
	t.Helper()
	b, err := s3client.Open(t.Context(), s3client.Config{
		Signing: signing, Name: bucketName, Region: e.Region, Endpoint: e.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(as.AccessKey, as.Secret, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// newBucket makes a bucket with a policy, "" for none, and opens it as its
// administrator and as the gate.
func newBucket(t *testing.T, document string) (admin, gate *s3client.Bucket) {
	t.Helper()
	e := s3gatetest.DevS3(t)
	admin, gate = open(t, e, e.Admin()), open(t, e, e.Gate)
	if err := admin.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	if document != "" {
		if err := admin.PutPolicy(t.Context(), []byte(document)); err != nil {
			t.Fatal(err)
		}
	}
	return admin, gate
}

// options are a lock's for a store without TLS.
func options() policy.LockOptions {
	return policy.LockOptions{Bucket: bucketName, DenyOldSignatures: true}
}

func policyOf(t *testing.T, b *s3client.Bucket) []byte {
	t.Helper()
	text, err := b.Policy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// keys lists the bucket.
func keys(t *testing.T, b *s3client.Bucket) (keys []string) {
	t.Helper()
	resp, err := b.Do(t.Context(), &s3client.Request{Method: http.MethodGet, Query: url.Values{"list-type": {"2"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	var list struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []struct{ Key string }
	}
	if err != nil || xml.Unmarshal(raw, &list) != nil {
		t.Fatalf("listing: %d %s, %v", resp.StatusCode, raw, err)
	}
	for _, c := range list.Contents {
		keys = append(keys, c.Key)
	}
	return keys
}

// store puts an object.
func store(t *testing.T, b *s3client.Bucket, key, text string) {
	t.Helper()
	resp, err := b.Do(t.Context(), &s3client.Request{
		Method: http.MethodPut, Key: key, Body: io.NopCloser(bytes.NewBufferString(text)), Size: int64(len(text)),
	})
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("storing %s: %v, %v", key, resp, err)
	}
	resp.Body.Close()
}
