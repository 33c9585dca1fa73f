package conformance

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func (s *suite) buckets(t *testing.T) {
	want(t, "HEAD of the bucket", s.do(t, request{method: "HEAD"}), 200)
	want(t, "HEAD of no bucket", s.do(t, request{method: "HEAD", bucket: "no-such-bucket"}), 404)
	want(t, "GET from no bucket", s.do(t, request{bucket: "no-such-bucket", key: "k"}), 404, "NoSuchBucket")
	want(t, "PUT into no bucket", s.do(t, request{method: "PUT", bucket: "no-such-bucket", key: "k", body: strings.NewReader("x")}), 404, "NoSuchBucket")
	want(t, "creating it again", s.do(t, request{method: "PUT"}), 409, "BucketAlreadyOwnedByYou")
	want(t, "a bad name", s.do(t, request{method: "PUT", bucket: "Bad_Name"}), 400, "InvalidBucketName")
	all, err := s.s3.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if err != nil || len(all.Buckets) != 1 || aws.ToString(all.Buckets[0].Name) != s.bucket {
		t.Errorf("ListBuckets: got %+v, %v", all, err)
	}
	other := "passing"
	want(t, "creating another", s.do(t, request{method: "PUT", bucket: other}), 200)
	want(t, "PUT into it", s.do(t, request{method: "PUT", bucket: other, key: "k", body: strings.NewReader("x")}), 200)
	want(t, "deleting it full", s.do(t, request{method: "DELETE", bucket: other}), 409, "BucketNotEmpty")
	want(t, "emptying it", s.do(t, request{method: "DELETE", bucket: other, key: "k"}), 204)
	want(t, "deleting it empty", s.do(t, request{method: "DELETE", bucket: other}), 204)
	want(t, "deleting it twice", s.do(t, request{method: "DELETE", bucket: other}), 404, "NoSuchBucket")
}

func (s *suite) objects(t *testing.T) {
	const md5 = `"781e5e245d69b566979b86e28d23f2c7"`
	in := &s3.PutObjectInput{Bucket: &s.bucket, Key: aws.String("object"), Body: strings.NewReader("0123456789"), ContentType: aws.String("text/x"), Metadata: map[string]string{"a": "b"}}
	out, err := s.s3.PutObject(t.Context(), in)
	if err != nil || aws.ToString(out.ETag) != md5 {
		t.Fatalf("PutObject: %v %v", out, err)
	}
	head, err := s.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &s.bucket, Key: in.Key})
	if err != nil {
		t.Fatalf("HeadObject: %v", err)
	}
	if aws.ToInt64(head.ContentLength) != 10 || aws.ToString(head.ETag) != md5 || aws.ToString(head.ContentType) != "text/x" || head.Metadata["a"] != "b" {
		t.Errorf("HeadObject: got %+v", head)
	}
	if age := time.Since(aws.ToTime(head.LastModified)); age < -2*time.Second || age > time.Minute {
		t.Errorf("Last-Modified is %v ago", age)
	}
	got, err := s.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: in.Key})
	if err != nil {
		t.Fatalf("GetObject: %v", err)
	}
	if data, err := io.ReadAll(got.Body); err != nil || string(data) != "0123456789" {
		t.Errorf("GetObject: got %q, %v", data, err)
	}
	got.Body.Close()

	s.put(t, "object", "new")
	s.wantData(t, "object", "new")
	s.put(t, "empty", "")
	s.wantData(t, "empty", "")
	big := strings.Repeat("0123456789abcdef", 1<<16)
	s.put(t, "big", big)
	s.wantData(t, "big", big)

	want(t, "deleting", s.do(t, request{method: "DELETE", key: "object"}), 204)
	want(t, "deleting again", s.do(t, request{method: "DELETE", key: "object"}), 204)
	want(t, "GET of a deleted object", s.do(t, request{key: "object"}), 404, "NoSuchKey")
	if a := s.do(t, request{method: "HEAD", key: "object"}); a.status != 404 || a.body != "" {
		t.Errorf("HEAD of a deleted object: got %v", a)
	}
	want(t, "a PUT of unknown length", s.do(t, request{method: "PUT", key: "chunked", body: io.MultiReader(strings.NewReader("x")), size: -1}), s.unknownLength())
	s.wantNone(t, "chunked")
}

// unknownLength is what a PUT without Content-Length is answered: by S3 with
// 501, by MinIO with 411.
func (s *suite) unknownLength() int {
	if s.caps.NotImplemented {
		return http.StatusNotImplemented
	}
	return http.StatusLengthRequired
}

func (s *suite) headers(t *testing.T) {
	sent := map[string]string{
		"Content-Type":           "text/html; charset=utf-8",
		"Content-Disposition":    `attachment; filename="a b.txt"; filename*=UTF-8''%C3%A9`,
		"Content-Encoding":       "gzip",
		"Content-Language":       "fr",
		"Cache-Control":          "max-age=5",
		"X-Amz-Meta-Two-Words":   "Some value",
		"X-Amz-Meta-Punctuation": `a,b;c="d"`,
	}
	var pairs []string
	for name, value := range sent {
		pairs = append(pairs, name, value)
	}
	s.put(t, "headers", "data", pairs...)
	for _, method := range []string{"GET", "HEAD"} {
		a := s.do(t, request{method: method, key: "headers"})
		for name, value := range sent {
			if got := a.header.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", method, name, got, value)
			}
		}
		for _, name := range []string{"Accept-Ranges", "ETag", "Last-Modified", "X-Amz-Request-Id", "Server"} {
			if a.header.Get(name) == "" {
				t.Errorf("%s: no %s", method, name)
			}
		}
		if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: Access-Control-Allow-Origin is %q", method, got)
		}
		if a.header.Get("Content-Length") != "4" {
			t.Errorf("%s: Content-Length is %q", method, a.header.Get("Content-Length"))
		}
	}
	s.put(t, "untyped", "<html>")
	if got := s.do(t, request{key: "untyped"}).header.Get("Content-Type"); got != "binary/octet-stream" && got != "application/octet-stream" {
		t.Errorf("the type of an untyped object is %q", got)
	}
	overrides := "response-content-type=text%2Fy&response-content-disposition=inline&response-cache-control=no-store"
	for what, a := range map[string]answer{
		"header":    s.do(t, request{key: "headers", query: overrides}),
		"presigned": s.doPresigned(t, request{key: "headers", query: overrides}),
	} {
		if a.status != 200 || a.header.Get("Content-Type") != "text/y" || a.header.Get("Content-Disposition") != "inline" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: overriding headers: got %v %v", what, a, a.header)
		}
	}
	a := s.do(t, request{method: "PUT", key: "meta", body: strings.NewReader("x"), header: map[string]string{"X-Amz-Meta-Big": strings.Repeat("x", 9000)}})
	want(t, "9000 bytes of metadata", a, 400, "MetadataTooLarge")
	if a.header.Get("X-Amz-Request-Id") == "" || !strings.Contains(a.body, "<RequestId>") {
		t.Errorf("an error without request ID: %v", a)
	}
}

func (s *suite) keys(t *testing.T) {
	keys := []string{
		"a b+c%25&=?#é/…x", "dir/", "p", "-_.~!*'()", "%2F", "a%2Fb", "+", "a+b", "a b", "%", "%zz",
		"caf\u00e9", "cafe\u0301", "\U0001f600", `quote"s<&>`, "semi;colon,", "@:$[]{}|^`", "tail ", "?versionId=x", "a?uploads",
		strings.Repeat("é/", 300) + "x", strings.Repeat("k", 250) + "/" + strings.Repeat("k", 250),
	}
	if s.caps.PathKeys {
		keys = append(keys, "p/q", "/lead", "lead", "//", "a//b", "a/b", "a///b", "trail//", ".", "..", "../up", "x/../y", "./z", "z/.", "back\\slash",
			strings.Repeat("x", 1024))
	}
	for _, key := range keys {
		s.put(t, key, "value of "+key)
	}
	for _, key := range keys {
		s.wantData(t, key, "value of "+key)
		if a := s.doPresigned(t, request{key: key}); a.body != "value of "+key {
			t.Errorf("presigned GET of %q: got %v", key, a)
		}
		out, err := s.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
		if err != nil {
			t.Errorf("SDK GetObject of %q: %v", key, err)
			continue
		}
		var data bytes.Buffer
		data.ReadFrom(out.Body)
		out.Body.Close()
		if data.String() != "value of "+key {
			t.Errorf("SDK GetObject of %q: got %q", key, data.String())
		}
	}
	listed := map[string]bool{}
	pages := s3.NewListObjectsV2Paginator(s.s3, &s3.ListObjectsV2Input{Bucket: &s.bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			listed[aws.ToString(o.Key)] = true
		}
	}
	for _, key := range keys {
		if !listed[key] {
			t.Errorf("key %q is not listed", key)
		}
	}
	for _, key := range keys {
		want(t, "deleting "+strconv.Quote(key), s.do(t, request{method: "DELETE", key: key}), 204)
	}
	for _, key := range keys {
		s.wantNone(t, key)
	}
	for _, method := range []string{"GET", "PUT"} {
		long := s.do(t, request{method: method, key: strings.Repeat("x", 1025)})
		want(t, method+" of a key of 1025 bytes", long, 400, "KeyTooLongError", "XMinioInvalidObjectName")
	}
}
