package s3client_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/rclone/gofakes3/signature"
	"go.uber.org/goleak"

	"s3gate/s3client"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var static = credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")

// stub is an S3 that answers as a test wants.
type stub struct {
	*httptest.Server
	requests atomic.Int64
}

func newStub(t testing.TB, handler http.HandlerFunc) *stub {
	t.Helper()
	s := &stub{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// open opens a bucket of the stub; change may alter its Config.
func (s *stub) open(t testing.TB, change func(*s3client.Config)) *s3client.Bucket {
	t.Helper()
	cfg := s3client.Config{Name: "bucket", Endpoint: s.URL, Credentials: static}
	if change != nil {
		change(&cfg)
	}
	return open(t, cfg)
}

func open(t testing.TB, cfg s3client.Config) *s3client.Bucket {
	t.Helper()
	b, err := s3client.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// anyHost returns a transport that reaches the stub under every host name.
func (s *stub) anyHost() *http.Transport {
	transport := s3client.NewTransport(s3client.TransportConfig{})
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
	}
	return transport
}

// roundTrip is a transport for what needs no network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{}, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// do sends r and expects an answer, whose body it reads.
func do(t testing.TB, b *s3client.Bucket, r *s3client.Request) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resp, err := b.Do(ctx, r)
	if err != nil {
		t.Fatalf("%s %q: %v", r.Method, r.Key, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %q: reading the answer: %v", r.Method, r.Key, err)
	}
	return resp, string(body)
}

// verify checks the signature of a request as it arrived, in two ways: with
// the verifier of another project, and from the bytes of the request line.
func verify(r *http.Request, secret string) error {
	if code := signature.V4SignVerifyWithSecret(r, secret); code != signature.ErrNone {
		return fmt.Errorf("gofakes3 refuses the signature: code %d", code)
	}
	return verifyRaw(r, secret)
}

// verifyRaw recomputes the signature (Amazon S3 API, "Signature Calculations
// for the Authorization Header" and "Using Query Parameters"), with the path as
// it was sent.
func verifyRaw(r *http.Request, secret string) error {
	sig := signatureOf(r)
	_, scope, _ := strings.Cut(sig.credential, "/")
	names := strings.Split(sig.headers, ";")
	if !slices.IsSorted(names) || !slices.Contains(names, "host") || !r.URL.Query().Has("X-Amz-Signature") && !slices.Contains(names, "x-amz-content-sha256") {
		return fmt.Errorf("signed headers are %q", sig.headers)
	}
	var headers strings.Builder
	for _, name := range names {
		values := r.Header.Values(name)
		switch name {
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{fmt.Sprint(r.ContentLength)}
		}
		for i, v := range values {
			values[i] = strings.Join(strings.Fields(v), " ")
		}
		headers.WriteString(name + ":" + strings.Join(values, ",") + "\n")
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	params := slices.DeleteFunc(strings.Split(query, "&"), func(p string) bool { return strings.HasPrefix(p, "X-Amz-Signature=") })
	slices.SortFunc(params, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	canonical := strings.Join([]string{
		r.Method, path, strings.Join(params, "&"), headers.String(), sig.headers, sig.hash,
	}, "\n")
	digest := sha256.Sum256([]byte(canonical))
	key := []byte("AWS4" + secret)
	for _, part := range strings.Split(scope, "/") {
		key = hmacSHA256(key, part)
	}
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", sig.date, scope, hex.EncodeToString(digest[:])}, "\n")
	if want := hex.EncodeToString(hmacSHA256(key, toSign)); sig.signature != want {
		return fmt.Errorf("signature %s, want %s, of\n%s", sig.signature, want, canonical)
	}
	return nil
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// escape is the escaping that Amazon describes ("UriEncode"), written down
// once more.
func escape(key string) string {
	var out strings.Builder
	for _, c := range []byte(key) {
		if strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/", c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// body is a request body that knows what became of it.
type body struct {
	io.Reader
	reads  atomic.Int64
	closed chan struct{}
}

func newBody(r io.Reader) *body { return &body{Reader: r, closed: make(chan struct{}, 8)} }

func (b *body) Read(p []byte) (int, error) {
	b.reads.Add(1)
	return b.Reader.Read(p)
}

func (b *body) Close() error {
	b.closed <- struct{}{}
	return nil
}

func (b *body) wantClosed(t *testing.T) {
	t.Helper()
	select {
	case <-b.closed:
	case <-time.After(5 * time.Second):
		t.Error("the body is not closed")
	}
}

// provider gives what a test wants, and counts.
type provider struct {
	calls atomic.Int64
	give  func(ctx context.Context, call int64) (aws.Credentials, error)
}

func (p *provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	return p.give(ctx, p.calls.Add(1))
}

var errProvider = errors.New("metadata service is away")
