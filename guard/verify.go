package guard

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"time"

	"s3gate/s3client"
)

// Store is a bucket to try requests on; [s3client.Bucket] is one.
type Store interface {
	Do(ctx context.Context, r *s3client.Request) (*http.Response, error)
	PresignGet(ctx context.Context, key string, ttl time.Duration) (*s3client.Presigned, error)
	PresignPut(ctx context.Context, key string, ttl time.Duration) (*s3client.Presigned, error)
	PresignPost(ctx context.Context, key string, ttl time.Duration) (*s3client.Presigned, error)
}

// Check is one request that was tried.
type Check struct {
	// Name says what was tried.
	Name string `json:"name"`
	// Want is what a locked bucket does, "allowed" or "refused", and Got what
	// this one did, with the status.
	Want string `json:"want"`
	Got  string `json:"got"`
	// OK is whether that is the same.
	OK bool `json:"ok"`
}

// Report is the outcome of a verification.
type Report struct {
	// Locked is true when every presigned request was refused and every
	// header-signed one allowed.
	Locked bool    `json:"locked"`
	Checks []Check `json:"checks"`
}

// CanaryPrefix begins the keys of the objects that Verify makes and removes.
const CanaryPrefix = ".s3gate-canary/"

const presignTTL = time.Minute

// Verify tries real requests: it stores a small object under [CanaryPrefix]
// with a header-signed request, reads it, tries presigned GET, PUT and POST,
// and removes what is there. The caller's credentials must be allowed to do
// that. An error means that it could not be tried, not that it failed.
//
// Presigned requests are sent with client, which must not follow redirects;
// nil means one of its own.
func Verify(ctx context.Context, s Store, client *http.Client) (Report, error) {
	if client == nil {
		client = &http.Client{
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	v := &verification{store: s, client: client, key: CanaryPrefix + rand.Text(), body: []byte("canary " + rand.Text())}
	defer v.cleanUp(context.WithoutCancel(ctx))
	for _, step := range []func(context.Context) error{
		v.signedPut, v.signedGet, v.presignedGet, v.presignedPut, v.presignedPost,
	} {
		if err := step(ctx); err != nil {
			return v.report, err
		}
	}
	v.report.Locked = true
	for _, c := range v.report.Checks {
		v.report.Locked = v.report.Locked && c.OK
	}
	return v.report, nil
}

type verification struct {
	store  Store
	client *http.Client
	key    string
	body   []byte
	report Report
}

const (
	allowed = "allowed"
	refused = "refused"
)

// expect judges an answer. Only AccessDenied counts as refused: any other
// error says nothing of the policy.
func (v *verification) expect(name, want string, resp *http.Response) {
	got, note := allowed, ""
	if resp.StatusCode/100 != 2 {
		code := s3client.ReadError(resp).Code
		if got, note = refused, " "+code; code != "AccessDenied" {
			got = "failed"
		}
	}
	v.report.Checks = append(v.report.Checks, Check{
		Name: name, Want: want, Got: fmt.Sprintf("%s (%d%s)", got, resp.StatusCode, note), OK: got == want,
	})
}

func (v *verification) signed(ctx context.Context, method, key string, body []byte) (*http.Response, error) {
	r := &s3client.Request{Method: method, Key: key}
	if body != nil {
		r.Body, r.Size = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return v.store.Do(ctx, r)
}

func (v *verification) signedPut(ctx context.Context) error {
	resp, err := v.signed(ctx, http.MethodPut, v.key, v.body)
	if err != nil {
		return fmt.Errorf("storing the canary: %w", err)
	}
	defer resp.Body.Close()
	v.expect("header-signed PUT", allowed, resp)
	return nil
}

var errCanary = errors.New("the canary came back changed")

func (v *verification) signedGet(ctx context.Context) error {
	resp, err := v.signed(ctx, http.MethodGet, v.key, nil)
	if err != nil {
		return fmt.Errorf("reading the canary: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		got, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		if err != nil || !bytes.Equal(got, v.body) {
			return errCanary
		}
	}
	v.expect("header-signed GET", allowed, resp)
	return nil
}

func (v *verification) presignedGet(ctx context.Context) error {
	p, err := v.store.PresignGet(ctx, v.key, presignTTL)
	if err != nil {
		return err
	}
	return v.try(ctx, "presigned GET", p, nil, "")
}

func (v *verification) presignedPut(ctx context.Context) error {
	p, err := v.store.PresignPut(ctx, v.key+"-put", presignTTL)
	if err != nil {
		return err
	}
	return v.try(ctx, "presigned PUT", p, v.body, "")
}

func (v *verification) presignedPost(ctx context.Context) error {
	p, err := v.store.PresignPost(ctx, v.key+"-post", presignTTL)
	if err != nil {
		return err
	}
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	for name, value := range p.Fields {
		if err := m.WriteField(name, value); err != nil {
			return fmt.Errorf("writing the form: %w", err)
		}
	}
	file, err := m.CreateFormFile("file", "canary") // S3 wants it last
	if err != nil {
		return fmt.Errorf("writing the form: %w", err)
	}
	_, _ = file.Write(v.body)
	if err := m.Close(); err != nil {
		return fmt.Errorf("writing the form: %w", err)
	}
	return v.try(ctx, "presigned POST", p, form.Bytes(), m.FormDataContentType())
}

// try sends a presigned request as somebody would who found it.
func (v *verification) try(ctx context.Context, name string, p *s3client.Presigned, body []byte, contentType string) error {
	req, err := http.NewRequestWithContext(ctx, p.Method, p.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("trying a %s: malformed URL", name)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		// The error of net/http holds the URL, and with it the signature.
		return fmt.Errorf("trying a %s: %w", name, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	v.expect(name, refused, resp)
	return nil
}

// cleanUp removes whatever may have been stored; what is not there is no
// error.
func (v *verification) cleanUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, suffix := range []string{"", "-put", "-post"} {
		if resp, err := v.signed(ctx, http.MethodDelete, v.key+suffix, nil); err == nil {
			resp.Body.Close()
		}
	}
}
