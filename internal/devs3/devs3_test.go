package devs3_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"

	"s3gate/internal/devs3"
	"s3gate/internal/s3gatetest"
	"s3gate/internal/s3gatetest/conformance"
)

func TestMain(m *testing.M) {
	serveIfChild()
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	conformance.Run(t, s3gatetest.DevS3(t), conformance.Capabilities{
		Policies: true, PathKeys: true, NotImplemented: true, TagWrites: true,
		Precedence: true, RangeDetails: true, LastChunk: true, SignedHeaders: true, VersionDetails: true, SettingErrors: true,
	})
}

// TestMinIOConformance holds the suite itself to a real server.
func TestMinIOConformance(t *testing.T) {
	conformance.Run(t, s3gatetest.MinIO(t), conformance.Capabilities{})
}

var (
	admin = devs3.User{Secret: "admin-secret", Name: "admin", Admin: true}
	alice = devs3.User{Secret: "alice-secret", Name: "alice"}
	users = map[string]devs3.User{"ADMINKEY": admin, "ALICEKEY": alice}
)

// client signs as the user with that access key.
func client(t *testing.T, url, accessKey string) *s3.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &url, UsePathStyle: true, RetryMaxAttempts: 1,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		HTTPClient:                 &http.Client{Transport: transport},
		Credentials:                credentials.NewStaticCredentialsProvider(accessKey, users[accessKey].Secret, "")})
}

func start(t *testing.T, dir string) *devs3.Running {
	t.Helper()
	s, err := devs3.Start(devs3.Config{Dir: dir, Users: users}, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

const bucket = "the-bucket"

func createBucket(t *testing.T, c *s3.Client) {
	t.Helper()
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
}

func put(ctx context.Context, c *s3.Client, key, data string) error {
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(data)})
	return err
}

// TestTLS: over TLS the condition key aws:SecureTransport says so, and the SDK
// sends its checksum in a trailer.
func TestTLS(t *testing.T) {
	s, err := devs3.Open(devs3.Config{Dir: t.TempDir(), Users: users})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	plain, secure := httptest.NewServer(s), httptest.NewTLSServer(s)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	byAdmin := client(t, secure.URL, "ADMINKEY")
	createBucket(t, byAdmin)
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::the-bucket/*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`
	if _, err := byAdmin.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucket), Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), client(t, secure.URL, "ALICEKEY"), "k", "over TLS"); err != nil {
		t.Errorf("over TLS: %v", err)
	}
	if err := put(t.Context(), client(t, plain.URL, "ALICEKEY"), "k", "in plain"); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("in plain: got %v, want AccessDenied", err)
	}
	out, err := client(t, secure.URL, "ALICEKEY").HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), ChecksumMode: "ENABLED"})
	if err != nil || aws.ToInt64(out.ContentLength) != 8 || aws.ToString(out.ChecksumCRC32) == "" {
		t.Errorf("HeadObject: %+v, %v", out, err)
	}
}

// TestCloseWaits lets a request that has begun end well.
func TestCloseWaits(t *testing.T) {
	dir := t.TempDir()
	s, err := devs3.Open(devs3.Config{Dir: dir, Users: users})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	t.Cleanup(front.Close)
	createBucket(t, client(t, front.URL, "ADMINKEY"))
	goOn := make(pause)
	req := signed(t, "ADMINKEY", "PUT", front.URL+"/"+bucket+"/slow", "", nil)
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("01234"), goOn, strings.NewReader("56789")))
	req.ContentLength = 10
	answered := make(chan error, 1)
	go func() {
		res, err := front.Client().Transport.RoundTrip(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				err = errors.New(res.Status)
			}
		}
		answered <- err
	}()
	for len(dataFiles(t, dir)) == 0 {
		time.Sleep(time.Millisecond)
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		t.Errorf("Close did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(goOn)
	if err := <-answered; err != nil {
		t.Errorf("the request: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

// pause is a reader of nothing that takes until it is closed.
type pause chan struct{}

func (p pause) Read([]byte) (int, error) {
	<-p
	return 0, io.EOF
}

func dataFiles(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestNoFileStaysOpen counts descriptors where the system lists them.
func TestNoFileStaysOpen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	dir := t.TempDir()
	open := func() (n int) {
		fds, err := filepath.Glob("/proc/self/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, dir) {
				n++
			}
		}
		return n
	}
	s := start(t, dir)
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	if err := put(t.Context(), c, "k", "data"); err != nil {
		t.Fatal(err)
	}
	for _, condition := range []string{"", `"another"`} {
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), IfMatch: aws.String(condition)})
		if err == nil {
			io.Copy(io.Discard, out.Body)
			out.Body.Close()
		}
	}
	if _, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("k2"), CopySource: aws.String(bucket + "/k")}); err != nil {
		t.Fatal(err)
	}
	if n := open(); n != 1 {
		t.Errorf("%d files open, want only the lock", n)
	}
	s.Close()
	if n := open(); n != 0 {
		t.Errorf("%d files open after Close", n)
	}
}

func TestRequestsAfterCloseGet503(t *testing.T) {
	s, err := devs3.Open(devs3.Config{Dir: t.TempDir(), Users: users})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/the-bucket/k", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d", w.Code)
	}
}
