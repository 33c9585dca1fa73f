package devs3_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signed makes a request of one user, signed in the header.
func signed(t testing.TB, accessKey, method, url, body string, header map[string]string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	req.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: users[accessKey].Secret}
	if err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(t.Context(), creds, req, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return req
}

// md5Header is the digest that some requests must have.
func md5Header(body string) map[string]string {
	sum := md5.Sum([]byte(body))
	return map[string]string{"Content-MD5": base64.StdEncoding.EncodeToString(sum[:])}
}

// wantRefused fails unless the request is refused with that status and code.
func wantRefused(t *testing.T, what string, req *http.Request, status int, code string) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status || !strings.Contains(string(body), "<Code>"+code+"</Code>") {
		t.Errorf("%s: got %s %s %v, want %d %s", what, res.Status, body, err, status, code)
	}
	if res.Header.Get("X-Amz-Request-Id") == "" || res.Header.Get("Server") == "" {
		t.Errorf("%s: headers are %v", what, res.Header)
	}
}

func TestRefusals(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	if err := put(t.Context(), c, "k", "data"); err != nil {
		t.Fatal(err)
	}
	object := s.URL + "/" + bucket + "/k"
	for _, tt := range []struct {
		name, method, url, body string
		header                  map[string]string
		status                  int
		code                    string
	}{
		{"a token of temporary credentials", "GET", object, "", map[string]string{"X-Amz-Security-Token": "token"}, 400, "InvalidToken"},
		{"another owner", "GET", object, "", map[string]string{"X-Amz-Expected-Bucket-Owner": "111111111111"}, 403, "AccessDenied"},
		{"a key that is not UTF-8", "GET", s.URL + "/" + bucket + "/%ff", "", nil, 400, "InvalidURI"},
		{"no bucket before the key", "GET", s.URL + "//k", "", nil, 400, "InvalidURI"},
		{"a version of a part", "PUT", object + "?uploadId=x&partNumber=1&versionId=null", "", nil, 400, "InvalidArgument"},
		{"a version of an object to write", "PUT", object + "?versionId=null", "x", nil, 400, "InvalidArgument"},
		{"a part of no upload", "PUT", object + "?partNumber=1", "x", nil, 400, "InvalidArgument"},
		{"an upload without ID", "PUT", object + "?uploadId=&partNumber=1", "x", nil, 404, "NoSuchUpload"},
		{"a part of an object in one piece", "GET", object + "?partNumber=2", "", nil, 416, "InvalidPartNumber"},
		{"two checksums", "PUT", object, "x", map[string]string{"X-Amz-Checksum-Crc32": "AAAAAA==", "X-Amz-Checksum-Sha1": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, 400, "InvalidRequest"},
		{"a checksum promised and not sent", "PUT", object, "x", map[string]string{"X-Amz-Sdk-Checksum-Algorithm": "CRC32"}, 400, "InvalidRequest"},
		{"metadata that is not UTF-8", "PUT", object, "x", map[string]string{"X-Amz-Meta-A": "\xff"}, 400, "InvalidArgument"},
		{"an unknown checksum", "PUT", object, "x", map[string]string{"X-Amz-Checksum-Md4": "AAAAAA=="}, 400, "InvalidRequest"},
		{"encryption with a key of the client's", "GET", object, "", map[string]string{"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256"}, 400, "InvalidRequest"},
		{"tags with a wrong digest", "PUT", object + "?tagging", "<Tagging/>", map[string]string{"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, 400, "BadDigest"},
		{"a bucket elsewhere", "PUT", s.URL + "/elsewhere", "<CreateBucketConfiguration><LocationConstraint>eu-west-3</LocationConstraint></CreateBucketConfiguration>", nil, 400, "IllegalLocationConstraintException"},
		{"a bucket for all", "PUT", s.URL + "/for-all", "", map[string]string{"X-Amz-Acl": "public-read"}, 400, "AccessControlListNotSupported"},
		{"too many keys to read", "POST", s.URL + "/" + bucket + "?delete", strings.Repeat("x", 2<<20+1), map[string]string{"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, 400, "MaxMessageLengthExceeded"},
		{"a form that is none", "POST", s.URL + "/" + bucket, "x", nil, 400, "InvalidArgument"},
		{"an object to post to", "POST", object, "x", nil, 405, "MethodNotAllowed"},
	} {
		wantRefused(t, tt.name, signed(t, "ADMINKEY", tt.method, tt.url, tt.body, tt.header), tt.status, tt.code)
	}
	unsigned, err := http.NewRequestWithContext(t.Context(), "GET", object+"?AWSAccessKeyId=ADMINKEY&Signature=x&Expires=9999999999", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "an old signature", unsigned, 400, "InvalidRequest")
	unsigned = unsigned.Clone(t.Context())
	unsigned.URL.RawQuery = url.Values{"x-amz-signature": {"00"}}.Encode()
	wantRefused(t, "a signature in lower case", unsigned, 400, "AuthorizationQueryParametersError")
	unsigned = unsigned.Clone(t.Context())
	unsigned.URL.RawQuery = "a=%zz"
	wantRefused(t, "a malformed query", unsigned, 400, "InvalidURI")
	unsigned = unsigned.Clone(t.Context())
	unsigned.URL.RawQuery, unsigned.Method = "", "OPTIONS"
	wantRefused(t, "a preflight", unsigned, 403, "AccessForbidden")
}

// TestFormFieldsAreCapped: what stands before the file is held in memory, so
// there must not be much of it.
func TestFormFieldsAreCapped(t *testing.T) {
	s := start(t, t.TempDir())
	createBucket(t, client(t, s.URL, "ADMINKEY"))
	post := func(fields map[string]string, file bool) *http.Request {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for name, value := range fields {
			w.WriteField(name, value)
		}
		if file {
			part, err := w.CreateFormFile("file", "f")
			if err != nil {
				t.Fatal(err)
			}
			part.Write([]byte("data"))
		}
		w.Close()
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/"+bucket, &body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", w.FormDataContentType())
		return req
	}
	many := map[string]string{"key": "k"}
	for i := range 200 {
		many[fmt.Sprint("x-ignore-", i)] = strings.Repeat("x", 100)
	}
	wantRefused(t, "one long field", post(map[string]string{"key": strings.Repeat("x", 21<<10)}, true), 400, "MaxPostPreDataLengthExceededError")
	wantRefused(t, "many fields", post(many, true), 400, "MaxPostPreDataLengthExceededError")
	wantRefused(t, "no file", post(map[string]string{"key": "k"}, false), 400, "InvalidArgument")
	wantRefused(t, "a policy that is none", post(map[string]string{"key": "k", "policy": "rubbish"}, true), 400, "InvalidRequest")
	wantRefused(t, "not signed", post(map[string]string{"key": "k"}, true), 403, "AccessDenied")
}
