package conformance

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/httpbinding"

	"s3gate/internal/s3gatetest"
)

// request is an HTTP request to make, more freely than the SDK would let us.
type request struct {
	method  string // GET if empty
	bucket  string // the suite's if empty
	key     string
	query   string
	header  map[string]string
	body    io.Reader
	size    int64  // of body, if it does not tell; -1 sends it chunked
	payload string // x-amz-content-sha256; UNSIGNED-PAYLOAD if empty

	as     s3gatetest.Identity // the administrator if zero
	region string              // the endpoint's if empty
	at     time.Time           // when it is signed; now if zero
	expire time.Duration       // how long a presigned URL holds; an hour if zero
}

// answer is what came back.
type answer struct {
	status int
	code   string // of S3's error document
	header http.Header
	body   string
}

func (a answer) String() string {
	body := a.body
	if len(body) > 300 {
		body = body[:300] + "…"
	}
	return fmt.Sprintf("%d %s %q", a.status, a.code, body)
}

func (s *suite) build(t *testing.T, r request) *http.Request {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	bucket := r.bucket
	if bucket == "" {
		bucket = s.bucket
	}
	u.Path = "/" + bucket
	if r.key != "" {
		u.Path += "/" + r.key
	}
	u.RawPath = httpbinding.EscapePath(u.Path, false)
	u.RawQuery = r.query
	method := r.method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(t.Context(), method, u.String(), r.body)
	if err != nil {
		t.Fatal(err)
	}
	req.URL = u
	if r.size != 0 {
		req.ContentLength = r.size
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	return req
}

func plain(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }

// sign signs in the Authorization header.
func (s *suite) sign(t *testing.T, req *http.Request, r request) *http.Request {
	t.Helper()
	payload := r.payload
	if payload == "" {
		payload = "UNSIGNED-PAYLOAD"
	}
	req.Header.Set("X-Amz-Content-Sha256", payload)
	err := v4.NewSigner(plain).SignHTTP(t.Context(), s.credentials(r.as), req, payload, "s3", or(r.region, s.Region), orNow(r.at))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// do makes a request signed in the Authorization header.
func (s *suite) do(t *testing.T, r request) answer {
	t.Helper()
	return s.send(t, s.sign(t, s.build(t, r), r))
}

// doPresigned makes the request as somebody who was given a presigned URL.
func (s *suite) doPresigned(t *testing.T, r request) answer {
	t.Helper()
	req := s.build(t, r)
	signed, err := url.Parse(s.presign(t, r))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.RawQuery = signed.RawQuery
	return s.send(t, req)
}

// presign returns the URL of a request, signed in its query.
func (s *suite) presign(t *testing.T, r request) string {
	t.Helper()
	bare := r
	bare.body = nil
	req := s.build(t, bare)
	expire := r.expire
	if expire == 0 {
		expire = time.Hour
	}
	q := req.URL.Query()
	q.Set("X-Amz-Expires", fmt.Sprint(int(expire.Seconds())))
	req.URL.RawQuery = q.Encode()
	u, _, err := v4.NewSigner(plain).PresignHTTP(t.Context(), s.credentials(r.as), req, "UNSIGNED-PAYLOAD", "s3", or(r.region, s.Region), orNow(r.at))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// anonymous makes a request without any signature.
func (s *suite) anonymous(t *testing.T, r request) answer {
	t.Helper()
	return s.send(t, s.build(t, r))
}

var codeElement = regexp.MustCompile(`<Code>([^<]*)</Code>`)

func (s *suite) send(t *testing.T, req *http.Request) answer {
	t.Helper()
	a, err := s.try(req)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// try is send for other goroutines than the test's.
func (s *suite) try(req *http.Request) (answer, error) {
	res, err := s.http.RoundTrip(req)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: reading the answer: %w", req.Method, req.URL.Path, err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(body)}
	if m := codeElement.FindSubmatch(body); m != nil && res.StatusCode >= 300 {
		a.code = string(m[1])
	}
	return a, nil
}

// put stores an object and fails the test if it cannot.
func (s *suite) put(t *testing.T, key, data string, header ...string) answer {
	t.Helper()
	r := request{method: "PUT", key: key, body: strings.NewReader(data), header: map[string]string{}}
	for i := 0; i < len(header); i += 2 {
		r.header[header[i]] = header[i+1]
	}
	a := s.do(t, r)
	if a.status != http.StatusOK {
		t.Fatalf("putting %q: %v", key, a)
	}
	return a
}

// wantData fails unless an object has exactly this data.
func (s *suite) wantData(t *testing.T, key, data string) {
	t.Helper()
	if a := s.do(t, request{key: key}); a.status != http.StatusOK || a.body != data {
		t.Errorf("object %q: got %v, want %d bytes", key, a, len(data))
	}
}

// wantNone fails if there is an object under the key.
func (s *suite) wantNone(t *testing.T, key string) {
	t.Helper()
	if a := s.do(t, request{key: key}); a.status != http.StatusNotFound {
		t.Errorf("object %q: got %v, want none", key, a)
	}
}

// want fails unless the answer has the status and, if given, one of the codes.
func want(t *testing.T, what string, a answer, status int, codes ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: got %v, want %d %v", what, a, status, codes)
		return
	}
	if len(codes) == 0 {
		return
	}
	for _, code := range codes {
		if a.code == code {
			return
		}
	}
	t.Errorf("%s: got %v, want code %v", what, a, codes)
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func orNow(at time.Time) time.Time {
	if at.IsZero() {
		return time.Now()
	}
	return at
}
