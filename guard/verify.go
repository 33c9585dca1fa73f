package guard

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
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
	// Left are the keys of canaries that may be there still: deleting them
	// failed.
	Left []string `json:"left,omitempty"`
}

// CanaryPrefix begins the keys of the objects that Verify makes and removes.
const CanaryPrefix = ".s3gate-canary/"

// presignTTL must exceed the 15 minutes that S3 lets clocks differ for a
// header-signed request (Amazon S3 API, "Error responses",
// RequestTimeTooSkewed): with less a slow clock here makes presigned requests
// expire on their way, which S3 calls AccessDenied and which is no lock.
const presignTTL = 30 * time.Minute

// Verify tries real requests: it stores a small object under [CanaryPrefix]
// with a header-signed request, reads it, tries presigned GET, PUT and POST,
// and removes what is there. The caller's credentials must be allowed to do
// that. An error means that it could not be tried, not that it failed.
//
// Presigned requests are sent with client, which must not follow redirects;
// nil means one of its own.
func Verify(ctx context.Context, s Store, client *http.Client) (Report, error) {
	return VerifyPrefix(ctx, s, "", client)
}

// VerifyPrefix is [Verify] for a bucket of which only the keys that begin with
// prefix are locked: the canaries are under prefix too.
func VerifyPrefix(ctx context.Context, s Store, prefix string, client *http.Client) (report Report, err error) {
	if client == nil {
		// Without a proxy, as in s3client: a policy that admits only some
		// networks must not look like a lock.
		client = &http.Client{
			Transport:     s3client.NewTransport(s3client.TransportConfig{}),
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		defer client.CloseIdleConnections()
	}
	v := &verification{
		store: s, client: client, key: prefix + CanaryPrefix + rand.Text(), body: []byte("canary " + rand.Text()),
		stored: map[string]string{},
	}
	defer func() { report.Left = v.cleanUp(context.WithoutCancel(ctx)) }()
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
	// stored has the keys that may have been written, each with its version if
	// the bucket keeps versions.
	stored map[string]string
}

const (
	allowed = "allowed"
	refused = "refused"
)

// expect judges an answer. Only AccessDenied counts as refused: any other
// error says nothing of the policy.
func (v *verification) expect(name, want string, resp *http.Response) (got string) {
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
	return got
}

// expectWrite judges the answer to a write of key.
func (v *verification) expectWrite(name, want, key string, resp *http.Response) {
	if v.expect(name, want, resp) == refused {
		delete(v.stored, key)
		return
	}
	v.stored[key] = resp.Header.Get("X-Amz-Version-Id")
}

func (v *verification) signedPut(ctx context.Context) error {
	v.stored[v.key] = "" // until the answer says more
	resp, err := v.store.Do(ctx, &s3client.Request{
		Method: http.MethodPut, Key: v.key,
		Body: io.NopCloser(bytes.NewReader(v.body)), Size: int64(len(v.body)),
	})
	if err != nil {
		return fmt.Errorf("storing the canary: %w", err)
	}
	defer resp.Body.Close()
	v.expectWrite("header-signed PUT", allowed, v.key, resp)
	return nil
}

var errCanary = errors.New("the canary came back changed")

func (v *verification) signedGet(ctx context.Context) error {
	resp, err := v.store.Do(ctx, &s3client.Request{Method: http.MethodGet, Key: v.key})
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
	const name = "presigned GET"
	resp, err := v.try(ctx, name, p, nil, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	v.expect(name, refused, resp)
	return nil
}

func (v *verification) presignedPut(ctx context.Context) error {
	key := v.key + "-put"
	p, err := v.store.PresignPut(ctx, key, presignTTL)
	if err != nil {
		return err
	}
	return v.tryWrite(ctx, "presigned PUT", key, p, v.body, "")
}

func (v *verification) presignedPost(ctx context.Context) error {
	key := v.key + "-post"
	p, err := v.store.PresignPost(ctx, key, presignTTL)
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
	return v.tryWrite(ctx, "presigned POST", key, p, form.Bytes(), m.FormDataContentType())
}

func (v *verification) tryWrite(ctx context.Context, name, key string, p *s3client.Presigned, body []byte, contentType string) error {
	v.stored[key] = "" // until the answer says more
	resp, err := v.try(ctx, name, p, body, contentType)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	v.expectWrite(name, refused, key, resp)
	return nil
}

// try sends a presigned request as somebody would who found it.
func (v *verification) try(ctx context.Context, name string, p *s3client.Presigned, body []byte, contentType string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, p.Method, p.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("trying a %s: malformed URL", name)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		// The error of net/http holds the URL, and with it the signature.
		return nil, fmt.Errorf("trying a %s: %w", name, errors.Unwrap(err))
	}
	return resp, nil
}

// cleanUp removes what may have been stored and returns what is left of it.
// What is not there is no error.
func (v *verification) cleanUp(ctx context.Context) (left []string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, key := range slices.Sorted(maps.Keys(v.stored)) {
		// Where there are versions, deleting the key alone would keep this one.
		version := v.stored[key]
		if version != "" && v.remove(ctx, key, url.Values{"versionId": {version}}) {
			continue
		}
		if !v.remove(ctx, key, nil) {
			left = append(left, key)
		}
	}
	return left
}

func (v *verification) remove(ctx context.Context, key string, query url.Values) bool {
	resp, err := v.store.Do(ctx, &s3client.Request{Method: http.MethodDelete, Key: key, Query: query})
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode/100 == 2
}
