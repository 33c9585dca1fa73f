package s3client_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/rclone/gofakes3/signature"

	"s3gate/s3client"
)

// settings is a stub of the bucket's own resources.
type settings struct {
	t      *testing.T
	policy string
	exists bool
	body   string // of the last request
	deny   string // code to answer with, if any
	status int
}

func (s *settings) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if code := signature.V4SignVerifyWithSecret(r, secretKey); code != signature.ErrNone {
		s.t.Errorf("%s %s: signature refused, code %d", r.Method, r.URL, code)
	}
	if !strings.Contains(r.UserAgent(), "app/s3gate") {
		s.t.Errorf("User-Agent %q does not name us", r.UserAgent())
	}
	raw, _ := io.ReadAll(r.Body)
	s.body = string(raw)
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", code)
	}
	if s.deny != "" {
		refuse(s.status, s.deny)
		return
	}
	_, policy := r.URL.Query()["policy"]
	switch {
	case r.URL.Path != "/bucket" && r.URL.Path != "/bucket/":
		s.t.Errorf("path %s", r.URL.Path)
	case policy && r.Method == "GET" && s.policy == "":
		refuse(404, "NoSuchBucketPolicy")
	case policy && r.Method == "GET":
		io.WriteString(w, s.policy)
	case policy && r.Method == "PUT":
		s.policy = s.body
		w.WriteHeader(http.StatusNoContent)
	case policy && r.Method == "DELETE":
		s.policy = ""
		w.WriteHeader(http.StatusNoContent)
	case r.Method == "PUT":
		s.exists = true
	case r.Method == "HEAD" && !s.exists:
		w.WriteHeader(404)
	}
}

func TestPolicyIsReadWrittenAndDeleted(t *testing.T) {
	s3 := &settings{t: t}
	b := newStub(t, s3.ServeHTTP).open(t, nil)
	ctx := t.Context()
	if got, err := b.Policy(ctx); got != nil || err != nil {
		t.Errorf("without a policy: %q, %v; want nil", got, err)
	}
	document := `{"Version":"2012-10-17","Statement":[{"Sid":"ä & <b>"}]}`
	if err := b.PutPolicy(ctx, []byte(document)); err != nil {
		t.Fatal(err)
	}
	if s3.policy != document {
		t.Errorf("sent %q, want %q", s3.policy, document)
	}
	if got, err := b.Policy(ctx); string(got) != document || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	for range 2 {
		if err := b.DeletePolicy(ctx); err != nil {
			t.Error(err)
		}
	}
	if got, err := b.Policy(ctx); got != nil || err != nil {
		t.Errorf("after deleting: %q, %v; want nil", got, err)
	}
}

// What S3 refuses is an error that tells what was tried and carries S3's
// code.
func TestSettingsTellWhatFailed(t *testing.T) {
	s3 := &settings{t: t, deny: "AccessDenied", status: 403}
	b := newStub(t, s3.ServeHTTP).open(t, nil)
	ctx := t.Context()
	tests := []struct {
		name string
		call func() error
		want string
	}{
		{"Policy", func() error { _, err := b.Policy(ctx); return err }, "reading the bucket policy: "},
		{"PutPolicy", func() error { return b.PutPolicy(ctx, []byte("{}")) }, "writing the bucket policy: "},
		{"DeletePolicy", func() error { return b.DeletePolicy(ctx) }, "deleting the bucket policy: "},
		{"Ping", func() error { return b.Ping(ctx) }, "checking the bucket: "},
		{"Create", func() error { return b.Create(ctx) }, "creating the bucket: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call()
			var api smithy.APIError
			if !errors.As(err, &api) || !strings.HasPrefix(err.Error(), tt.want) {
				t.Fatalf("got %v, want %s…", err, tt.want)
			}
			if code := api.ErrorCode(); code != "AccessDenied" && tt.name != "Ping" { // HEAD has no document
				t.Errorf("code %q", code)
			}
			if strings.Contains(err.Error(), secretKey) {
				t.Errorf("%v tells the secret", err)
			}
		})
	}
}

func TestCreateAndPing(t *testing.T) {
	s3 := &settings{t: t}
	s := newStub(t, s3.ServeHTTP)
	b := s.open(t, nil)
	ctx := t.Context()
	if err := b.Ping(ctx); err == nil {
		t.Error("a bucket that is not there is there")
	}
	if err := b.Create(ctx); err != nil {
		t.Fatal(err)
	}
	if s3.body != "" {
		t.Errorf("in us-east-1 sent %q, want no constraint", s3.body)
	}
	if err := b.Ping(ctx); err != nil {
		t.Error(err)
	}
	elsewhere := s.open(t, func(c *s3client.Config) { c.Region = "eu-central-1" })
	if err := elsewhere.Create(ctx); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s3.body, "<LocationConstraint>eu-central-1</LocationConstraint>") {
		t.Errorf("sent %q, want the region", s3.body)
	}
}

func TestCreateOfABucketThatExists(t *testing.T) {
	tests := []struct {
		name   string
		code   string
		head   int
		wantOK bool
	}{
		{"one's own", "BucketAlreadyOwnedByYou", 403, true},
		{"usable", "BucketAlreadyExists", 200, true},
		{"somebody else's", "BucketAlreadyExists", 403, false},
		{"another error", "TooManyBuckets", 200, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "HEAD" {
					w.WriteHeader(tt.head)
					return
				}
				w.WriteHeader(http.StatusConflict)
				fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", tt.code)
			})
			if err := s.open(t, nil).Create(t.Context()); (err == nil) != tt.wantOK {
				t.Errorf("got %v, want ok: %v", err, tt.wantOK)
			}
		})
	}
}

func TestPresignedURLs(t *testing.T) {
	stub := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if code := signature.V4SignVerifyWithSecret(r, secretKey); code != signature.ErrNone {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "code %d", code)
			return
		}
		fmt.Fprint(w, r.Method+" "+r.URL.Path)
	})
	b := stub.open(t, nil)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, key := range nastyKeys {
		if strings.Contains(key, "..") || strings.Contains(key, "./") || key == "." {
			continue // the verifier and http.Client see to these on their own
		}
		for method, presign := range map[string]func() (*s3client.Presigned, error){
			"GET": func() (*s3client.Presigned, error) { return b.PresignGet(t.Context(), key, 42*time.Second) },
			"PUT": func() (*s3client.Presigned, error) { return b.PresignPut(t.Context(), key, 42*time.Second) },
		} {
			p, err := presign()
			if err != nil {
				t.Fatalf("%s %q: %v", method, key, err)
			}
			u, err := url.Parse(p.URL)
			if err != nil || p.Method != method || p.Fields != nil || u.Query().Get("X-Amz-Expires") != "42" ||
				u.EscapedPath() != "/bucket/"+escape(key) {
				t.Errorf("%s %q: %s %s, %v", method, key, p.Method, p.URL, err)
			}
			req, err := http.NewRequest(method, p.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := method + " /bucket/" + key; string(answer) != want {
				t.Errorf("%s %q: answered %q, want %q", method, key, answer, want)
			}
		}
	}
}

// The form carries a policy for this key, until its time, and the signature
// over it.
func TestPresignedPost(t *testing.T) {
	b := newStub(t, nil).open(t, nil)
	begin := time.Now()
	p, err := b.PresignPost(t.Context(), "incoming/a b", nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if p.Method != "POST" || !strings.HasSuffix(p.URL, "/bucket") || p.Fields["key"] != "incoming/a b" {
		t.Errorf("%s %s, key %q", p.Method, p.URL, p.Fields["key"])
	}
	raw, err := base64.StdEncoding.DecodeString(p.Fields["policy"])
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Expiration time.Time
		Conditions []any
	}
	if err := json.Unmarshal(raw, &policy); err != nil {
		t.Fatal(err)
	}
	if life := policy.Expiration.Sub(begin); life < 58*time.Second || life > 62*time.Second {
		t.Errorf("good for %s, want a minute", life)
	}
	if conditions := string(raw); !strings.Contains(conditions, `"incoming/a b"`) || !strings.Contains(conditions, `"bucket"`) {
		t.Errorf("policy %s does not bind bucket and key", conditions)
	}
	key := []byte("AWS4" + secretKey)
	_, scope, _ := strings.Cut(p.Fields["X-Amz-Credential"], "/")
	for _, part := range strings.Split(scope, "/") {
		key = hmacSHA256(key, part)
	}
	if want := hex.EncodeToString(hmacSHA256(key, p.Fields["policy"])); p.Fields["X-Amz-Signature"] != want {
		t.Errorf("fields %v, want signature %s", p.Fields, want)
	}
}

// What is presigned is a secret as long as it lasts (T14).
func TestPresignedHidesItsSignature(t *testing.T) {
	b := newStub(t, nil).open(t, nil)
	get, err := b.PresignGet(t.Context(), "k", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	post, err := b.PresignPost(t.Context(), "k", nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(get.URL)
	secrets := []string{u.Query().Get("X-Amz-Signature"), post.Fields["X-Amz-Signature"]}
	for _, holder := range []any{get, *get, post, *post, []any{get, *post}, struct{ P *s3client.Presigned }{post}} {
		text := fmt.Sprintf("%v %+v %#v %s %q", holder, holder, holder, holder, holder)
		var logged strings.Builder
		slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "presigned", holder)
		for _, secret := range secrets {
			if len(secret) != 2*sha256.Size {
				t.Fatalf("this is no signature: %q", secret)
			}
			if strings.Contains(text+logged.String(), secret) {
				t.Errorf("%T gives the signature away: %s %s", holder, text, logged.String())
			}
		}
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "presigned", get)
	if !strings.Contains(logged.String(), `"presigned":"GET [presigned]"`) {
		t.Errorf("logged %s", logged.String())
	}
}
