package devs3_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"s3gate/internal/devs3"
)

// withLogs starts a server that logs the bucket into "logs", and the client of
// an administrator.
func withLogs(t *testing.T, delay time.Duration, format *types.TargetObjectKeyFormat) (*devs3.Running, *s3.Client) {
	t.Helper()
	s, err := devs3.Start(devs3.Config{Dir: t.TempDir(), Users: users, LogDelay: delay}, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("logs")}); err != nil {
		t.Fatal(err)
	}
	_, err = c.PutBucketLogging(t.Context(), &s3.PutBucketLoggingInput{Bucket: aws.String(bucket), BucketLoggingStatus: &types.BucketLoggingStatus{
		LoggingEnabled: &types.LoggingEnabled{TargetBucket: aws.String("logs"), TargetPrefix: aws.String("log/"), TargetObjectKeyFormat: format}}})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// logLines waits until so many lines were delivered and returns them by their
// operation, and the keys of the objects.
func logLines(t *testing.T, c *s3.Client, n int) (lines map[string][]string, keys []string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("logs")})
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		keys = nil
		for _, o := range list.Contents {
			out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("logs"), Key: o.Key})
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(&text, out.Body)
			out.Body.Close()
			keys = append(keys, *o.Key)
		}
		if strings.Count(text.String(), "\n") >= n {
			lines = map[string][]string{}
			for line := range strings.Lines(text.String()) {
				operation := strings.Fields(line)[7]
				lines[operation] = append(lines[operation], strings.TrimSuffix(line, "\n"))
			}
			return lines, keys
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d lines were wanted, there are:\n%s", n, text.String())
		}
	}
}

// TestAccessLog compares lines with the documented format, field by field.
func TestAccessLog(t *testing.T) {
	s, c := withLogs(t, time.Millisecond, nil)
	byAlice := client(t, s.URL, "ALICEKEY")
	if err := put(t.Context(), byAlice, "dir/a b", "0123456789"); err != nil {
		t.Fatal(err)
	}
	presigned, err := s3.NewPresignClient(byAlice).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("dir/a b")})
	if err != nil {
		t.Fatal(err)
	}
	get, err := http.NewRequestWithContext(t.Context(), "GET", presigned.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	get.Header.Set("User-Agent", `odd "agent"`)
	get.Header.Set("Referer", "https://example.com/")
	form := postedForm(t, s.URL)
	anonymous, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/"+bucket+"/secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	anonymous.Header.Set("User-Agent", "curl")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for _, req := range []*http.Request{get, form, anonymous} {
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	if _, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("x y")}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("elsewhere")}); err != nil {
		t.Fatal(err)
	}
	if _, err := byAlice.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("elsewhere"), Key: aws.String("copy"), CopySource: aws.String(bucket + "/dir/a%20b")}); err != nil {
		t.Fatal(err)
	}
	lines, keys := logLines(t, c, 8)
	for _, key := range keys {
		if !regexp.MustCompile(`^log/\d{4}(-\d\d){5}-[0-9A-Z]{16}$`).MatchString(key) {
			t.Errorf("a log is called %q", key)
		}
	}
	const start = `^[0-9a-f]{64} the-bucket \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] 127\.0\.0\.1 `
	const alice = `arn:aws:iam::000000000000:user/alice [0-9A-Z]{16} `
	const end = ` 127\.0\.0\.1:\d+ - - - us-east-1$`
	for operation, pattern := range map[string]string{
		"REST.PUT.OBJECT":         alice + `REST\.PUT\.OBJECT dir/a%2520b "PUT /the-bucket/dir/a%20b\?x-id=PutObject HTTP/1\.1" 200 - - 10 \d+ \d+ "-" "aws-sdk-go-v2[^"]*" - devs3 SigV4 - AuthHeader`,
		"REST.GET.OBJECT":         alice + `REST\.GET\.OBJECT dir/a%2520b "GET /the-bucket/dir/a%20b\?[^"]*X-Amz-Credential=ALICEKEY[^"]*X-Amz-Signature=REDACTED[^"]* HTTP/1\.1" 200 - 10 10 \d+ \d+ "https://example\.com/" "odd %22agent%22" - devs3 SigV4 - QueryString`,
		"REST.POST.OBJECT":        alice + `REST\.POST\.OBJECT posted "POST /the-bucket HTTP/1\.1" 204 - - 4 \d+ \d+ "-" "Go-http-client/1\.1" - devs3 SigV4 - -`,
		"REST.PUT.LOGGING_STATUS": `arn:aws:iam::000000000000:user/admin [0-9A-Z]{16} REST\.PUT\.LOGGING_STATUS - "PUT /the-bucket\?logging=? HTTP/1\.1" 200 - - - \d+ \d+ "-" "[^"]*" - devs3 SigV4 - AuthHeader`,
		"REST.COPY.OBJECT_GET":    alice + `REST\.COPY\.OBJECT_GET dir/a%2520b "PUT /elsewhere/copy\?x-id=CopyObject HTTP/1\.1" 200 - \d+ 10 \d+ \d+ "-" "[^"]*" - devs3 SigV4 - AuthHeader`,
		"BATCH.DELETE.OBJECT":     `arn:aws:iam::000000000000:user/admin [0-9A-Z]{16} BATCH\.DELETE\.OBJECT x%20y "POST /the-bucket\?delete=? HTTP/1\.1" 204 - - - - - "-" "[^"]*" - devs3 SigV4 - AuthHeader`,
	} {
		if got := lines[operation]; !slices.ContainsFunc(got, regexp.MustCompile(start+pattern+end).MatchString) {
			t.Errorf("%s: got\n%s\nwant\n%s", operation, strings.Join(got, "\n"), start+pattern+end)
		}
	}
	refused := regexp.MustCompile(start + `- [0-9A-Z]{16} REST\.GET\.OBJECT secret "GET /the-bucket/secret HTTP/1\.1" 403 AccessDenied \d+ - \d+ \d+ "-" "curl" - devs3 - - -` + end)
	if got := lines["REST.GET.OBJECT"]; !slices.ContainsFunc(got, refused.MatchString) {
		t.Errorf("the anonymous request: got\n%s\nwant\n%v", strings.Join(got, "\n"), refused)
	}
}

// postedForm is a form that alice has signed.
func postedForm(t *testing.T, url string) *http.Request {
	t.Helper()
	signed, err := s3.NewPresignClient(client(t, url, "ALICEKEY")).PresignPostObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("posted")})
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range signed.Values {
		w.WriteField(name, value)
	}
	part, err := w.CreateFormFile("file", "f")
	if err != nil {
		t.Fatal(err)
	}
	part.Write([]byte("data"))
	w.Close()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/"+bucket, &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	return req
}

// TestAccessLogIsDeliveredAtTheEnd: a server that closes does not wait for the
// delay, and loses nothing.
func TestAccessLogIsDeliveredAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	s, err := devs3.Start(devs3.Config{Dir: dir, Users: users, LogDelay: time.Hour}, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	_, err = c.PutBucketLogging(t.Context(), &s3.PutBucketLoggingInput{Bucket: aws.String(bucket), BucketLoggingStatus: &types.BucketLoggingStatus{
		LoggingEnabled: &types.LoggingEnabled{TargetBucket: aws.String(bucket), TargetPrefix: aws.String("log/")}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := put(t.Context(), c, "k", "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c = client(t, start(t, dir).URL, "ADMINKEY")
	list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: aws.String("log/")})
	if err != nil || len(list.Contents) != 1 {
		t.Fatalf("%d logs, %v, want 1", len(list.Contents), err)
	}
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: list.Contents[0].Key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if text, err := io.ReadAll(out.Body); err != nil || bytes.Count(text, []byte("REST.PUT.OBJECT")) != 3 {
		t.Errorf("the log is\n%s\n%v", text, err)
	}
}

func TestPartitionedAccessLog(t *testing.T) {
	_, c := withLogs(t, time.Millisecond, &types.TargetObjectKeyFormat{PartitionedPrefix: &types.PartitionedPrefix{PartitionDateSource: types.PartitionDateSourceEventTime}})
	_, keys := logLines(t, c, 1)
	if !regexp.MustCompile(`^log/000000000000/us-east-1/the-bucket/\d{4}/\d\d/\d\d/\d{4}(-\d\d){5}-[0-9A-Z]{16}$`).MatchString(keys[0]) {
		t.Errorf("the log is called %q", keys[0])
	}
}

// What a client sends does not become a line of its own, nor another field.
func TestAccessLogIsNotForged(t *testing.T) {
	s, c := withLogs(t, time.Millisecond, nil)
	resp, err := http.Get(s.URL + "/" + bucket + "/k?versionId=x%0AFORGED%20line%22")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	lines, _ := logLines(t, c, 1)
	for operation, all := range lines {
		for _, line := range all {
			if strings.HasPrefix(line, "FORGED") || operation == "REST.GET.OBJECT" && !strings.Contains(line, " x%0AFORGED+line%22 ") {
				t.Errorf("%s: %s", operation, line)
			}
		}
	}
}
