package s3client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"s3gate/s3client"
)

func noCredentials(context.Context, int64) (aws.Credentials, error) {
	return aws.Credentials{}, errProvider
}

func TestQueryLife(t *testing.T) {
	for _, tt := range []struct {
		signing s3client.Signing
		life    time.Duration
		want    string // X-Amz-Expires, or the error
	}{
		{s3client.SignQuery, 0, "60"},
		{s3client.SignQuery, time.Second, "1"},
		{s3client.SignQuery, time.Minute, "60"},
		{s3client.SignQuery, time.Minute + 1, "s3client: QueryLife must be whole seconds, 1s to 1m0s, got 1m0.000000001s"},
		{s3client.SignQuery, time.Hour, "s3client: QueryLife must be whole seconds, 1s to 1m0s, got 1h0m0s"},
		{s3client.SignQuery, time.Second - 1, "s3client: QueryLife must be whole seconds, 1s to 1m0s, got 999.999999ms"},
		{s3client.SignQuery, 1500 * time.Millisecond, "s3client: QueryLife must be whole seconds, 1s to 1m0s, got 1.5s"},
		{s3client.SignQuery, -time.Second, "s3client: QueryLife must be whole seconds, 1s to 1m0s, got -1s"},
		{s3client.SignHeader, time.Hour, ""},
		{"", 0, ""},
		{"form", 0, `s3client: Signing must be header or query, got "form"`},
	} {
		var expires string
		b, err := s3client.Open(t.Context(), s3client.Config{
			Name: "bucket", Credentials: static, Signing: tt.signing, QueryLife: tt.life,
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				expires = r.URL.Query().Get("X-Amz-Expires")
				return respond(r, 200, ""), nil
			}),
		})
		if err != nil {
			if err.Error() != tt.want {
				t.Errorf("%s for %s: %v, want %s", tt.signing, tt.life, err, tt.want)
			}
			continue
		}
		do(t, b, &s3client.Request{Method: "GET", Key: "k"})
		b.Close()
		if expires != tt.want || b.Signing() == s3client.SignQuery != (tt.want != "") {
			t.Errorf("%s for %s: expires %q, want %q, signing %s", tt.signing, tt.life, expires, tt.want, b.Signing())
		}
	}
}

// What opens an object for a minute stays between the gate and the store (T14).
func TestSignedQueriesLeaveNoTrace(t *testing.T) {
	lost := errors.New("connection reset by peer")
	session := credentials.NewStaticCredentialsProvider(accessKey, secretKey, "canary-session")
	for _, tt := range []struct {
		name string
		fail func(*http.Request) error
		text string
	}{
		{"an error of its own", func(*http.Request) error { return lost }, "connection reset by peer"},
		{"with the URL around it", func(r *http.Request) error { return &url.Error{Op: "Get", URL: r.URL.String(), Err: lost} }, "connection reset by peer"},
		{"twice", func(r *http.Request) error {
			return fmt.Errorf("proxy: %w", &url.Error{Op: "Get", URL: r.URL.String(), Err: &url.Error{URL: r.URL.String(), Err: lost}})
		}, "connection reset by peer"},
		{"with the query in its text", func(r *http.Request) error { return fmt.Errorf("at /bucket/k?%s: %w", r.URL.RawQuery, lost) }, "at /bucket/k?…: connection reset by peer"},
	} {
		b := open(t, s3client.Config{
			Name: "bucket", Credentials: session, Signing: s3client.SignQuery,
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return nil, tt.fail(r) }),
		})
		_, err := b.Do(t.Context(), &s3client.Request{Method: "GET", Key: "k"})
		if !errors.Is(err, lost) || !errors.Is(err, s3client.ErrUnreachable) || err.Error() != "no answer from s3: "+tt.text {
			t.Errorf("%s: %v", tt.name, err)
		}
		var inner *url.Error
		if errors.As(err, &inner) {
			t.Errorf("%s: the URL can be had from the error", tt.name)
		}
	}
}

// Neither an answer nor the address of a redirect holds the signature.
func TestAnswersToSignedQueriesHoldNoSignature(t *testing.T) {
	var arrived *http.Request
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		arrived = r
		w.Header().Set("Location", "http://elsewhere.example"+r.RequestURI)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	b := s.open(t, form(s3client.SignQuery).in(nil))
	for range 2 { // a connection that is used again brings nothing along
		resp, _ := do(t, b, &s3client.Request{Method: "GET", Key: "a b"})
		if place := resp.Header.Get("Location"); place != "http://elsewhere.example/bucket/a%20b" {
			t.Errorf("redirected to %s", place)
		}
		if resp.Request == nil || resp.Request.URL.String() != s.URL+"/bucket/a%20b" {
			t.Errorf("the answer is to %v", resp.Request)
		}
		if arrived.Referer() != "" || arrived.Header.Get("Authorization") != "" {
			t.Errorf("headers %v", arrived.Header)
		}
	}
	if s.requests.Load() != 2 {
		t.Errorf("%d requests, want 2", s.requests.Load())
	}
}

// Settings are signed in the header in both forms: nobody opens them with a URL.
func TestSettingsAreSignedInTheHeader(t *testing.T) {
	s := newStub(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" || r.URL.Query().Has("X-Amz-Signature") {
			t.Errorf("signed in the query: %s", r.Method)
		}
	})
	if err := s.open(t, form(s3client.SignQuery).in(nil)).Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A presigned request can be as old as somebody wants who holds the keys.
func TestPresignAt(t *testing.T) {
	b := newStub(t, nil).open(t, nil)
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for _, method := range []string{"GET", "HEAD", "PUT"} {
		p, err := b.Presign(t.Context(), &s3client.Request{Method: method, Key: "a b"}, at, 90*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(p.URL)
		if err != nil || p.Method != method || u.EscapedPath() != "/bucket/a%20b" || u.Query().Get("X-Amz-Date") != "20260302T100000Z" || u.Query().Get("X-Amz-Expires") != "5400" {
			t.Errorf("%s: %v, %v", method, u.EscapedPath(), err)
		}
	}
	if p := b.Unsigned("PUT", "a b"); p.Method != "PUT" || !strings.HasSuffix(p.URL, "/bucket/a%20b") {
		t.Errorf("unsigned: %s %s", p.Method, p.URL)
	}
	broken := newStub(t, nil).open(t, func(c *s3client.Config) { c.Credentials = &provider{give: noCredentials} })
	if _, err := broken.Presign(t.Context(), &s3client.Request{Method: "GET", Key: "k"}, at, time.Hour); !errors.Is(err, s3client.ErrCredentials) {
		t.Errorf("without credentials: %v", err)
	}
}
