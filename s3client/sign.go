package s3client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Signing says where the signature of a request stands.
type Signing string

// The forms of signing.
const (
	// SignHeader signs in the Authorization header: no URL that works ever
	// exists.
	SignHeader Signing = "header"
	// SignQuery signs in the query string, as presigned URLs are, for stores
	// and networks that do not let the header through. Such a URL goes only
	// from here to the store.
	SignQuery Signing = "query"
)

// MaxQueryLife is the longest that a request signed in its query string may be
// good for, and how long it is unless told otherwise.
const MaxQueryLife = time.Minute

// unsignedPayload stands for the hash of a body that is not read before it is
// sent (Amazon S3 API, "Signature Calculations for the Authorization Header").
const unsignedPayload = "UNSIGNED-PAYLOAD"

// signer signs requests in the Authorization header, or in the query string.
type signer struct {
	credentials *credentials
	region      string
	query       time.Duration // how long a signed query is good for; 0 for the header
	plain       plainSigner

	mu     sync.Mutex
	secret string
	v4     *v4.Signer
}

// sign adds the signature to req and returns the credentials that made it. The
// path must be escaped already: it is signed as it stands.
func (s *signer) sign(ctx context.Context, req *http.Request, at time.Time) (aws.Credentials, error) {
	creds, err := s.credentials.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	if s.query > 0 {
		err = s.signQuery(ctx, creds, req, s.query, at)
	} else {
		err = s.signHeader(ctx, creds, req, at)
	}
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("%w: signing: %w", ErrCredentials, err)
	}
	return creds, nil
}

func (s *signer) signHeader(ctx context.Context, creds aws.Credentials, req *http.Request, at time.Time) error {
	if s.plain.sign(&creds, req, at) {
		return nil
	}
	// A request that is sent once more brings its first signature along.
	req.Header.Del("X-Amz-Security-Token")
	// The hash must be a header before signing, so that it is signed too.
	req.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
	return s.signerFor(creds).SignHTTP(ctx, creds, req, unsignedPayload, "s3", s.region, at)
}

// signQuery signs in the query string (Amazon S3 API, "Authenticating Requests:
// Using Query Parameters"). Headers stay headers, and are signed as they are.
func (s *signer) signQuery(ctx context.Context, creds aws.Credentials, req *http.Request, life time.Duration, at time.Time) error {
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256"} {
		req.Header.Del(name) // what belongs to a signature stands in one place
	}
	expires := "X-Amz-Expires=" + strconv.FormatInt(int64(life/time.Second), 10)
	if req.URL.RawQuery != "" {
		expires = "&" + expires
	}
	req.URL.RawQuery += expires
	signed, headers, err := s.signerFor(creds).PresignHTTP(ctx, creds, req, unsignedPayload, "s3", s.region, at)
	if err != nil {
		return err
	}
	_, req.URL.RawQuery, _ = strings.Cut(signed, "?")
	req.Host = headers.Get("Host") // without a port that goes without saying
	return nil
}

// signerFor returns the SDK's signer, which caches the signing key by access
// key ID only: when a secret changes under the same ID it must be a new one.
func (s *signer) signerFor(c aws.Credentials) *v4.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.v4 == nil || s.secret != c.SecretAccessKey {
		s.secret = c.SecretAccessKey
		s.v4 = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping, o.DisableHeaderHoisting = true, true })
	}
	return s.v4
}

// withoutQuery keeps the signature of a request that was signed in its query
// string to those two who need it: out of the answer's request, and out of the
// address that a redirect repeats it in.
func withoutQuery(resp *http.Response) {
	if resp.Request != nil {
		bare, u := *resp.Request, *resp.Request.URL
		u.RawQuery = ""
		bare.URL, resp.Request = &u, &bare
	}
	if place := resp.Header.Get("Location"); place != "" {
		place, _, _ = strings.Cut(place, "?")
		resp.Header.Set("Location", place)
	}
}

// hideQuery keeps what an error of a transport says of the URL out of it.
func hideQuery(err error, query string) error {
	var wrapped *url.Error
	for errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if strings.Contains(err.Error(), query) {
		return hidden{err, query}
	}
	return err
}

// hidden is an error without a text in it. It can be asked what it is, and not
// taken apart.
type hidden struct {
	err  error
	text string
}

func (h hidden) Error() string        { return strings.ReplaceAll(h.err.Error(), h.text, "…") }
func (h hidden) Is(target error) bool { return errors.Is(h.err, target) }
