package main

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
)

// A store that does not know NotAction: what to do is said, and in an emergency what
// matters is stored without being asked twice. That it is ignored there is said too.
func TestLockOnMinIO(t *testing.T) {
	e := s3gatetest.MinIO(t)
	b, err := s3client.Open(t.Context(), s3client.Config{
		Name: "vault", Region: e.Region, Endpoint: e.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(e.AccessKey, e.Secret, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", e.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", e.Secret)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	where := []string{"vault", "--endpoint", e.URL, "--region", e.Region, "--path-style"}

	var stdout, stderr strings.Builder
	code := run(append([]string{"bucket", "lock", "--yes"}, where...), strings.NewReader(""), &stdout, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "try --allow-plain-http --allow-old-signatures") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	if p, err := b.Policy(t.Context()); err != nil || p != nil {
		t.Errorf("the policy is %s, %v", p, err)
	}
	code = run(append([]string{"bucket", "lock", "--now"}, where...), strings.NewReader(""), &stdout, &stderr)
	if said := stdout.String(); code != exitNo || !strings.Contains(said, "NOT proven") || !strings.Contains(said, "without S3GateDenyInsecureTransport and S3GateDenyOldSignature") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if p, err := b.Policy(t.Context()); err != nil || !strings.Contains(string(p), "S3GateDenyPresigned") {
		t.Errorf("the policy is %s, %v", p, err)
	}
}
