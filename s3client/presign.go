package s3client

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Presigned is a request that carries its own permission: what s3gate's lock
// makes worthless. It is made here only to prove that.
type Presigned struct {
	Method string
	URL    string
	// Fields are the form fields of a POST, in which the file comes last; nil
	// for other methods.
	Fields map[string]string
	// Header are headers that the signature covers, to be sent along; nil for
	// none.
	Header http.Header
}

// String hides the signature.
func (p Presigned) String() string { return p.Method + " [presigned]" }

// Format hides the signature from every verb.
func (p Presigned) Format(f fmt.State, _ rune) { io.WriteString(f, p.String()) }

// LogValue hides the signature.
func (p Presigned) LogValue() slog.Value { return slog.StringValue(p.String()) }

// PresignGet signs a GET of key in the query string, good for ttl.
func (b *Bucket) PresignGet(ctx context.Context, key string, ttl time.Duration) (*Presigned, error) {
	return b.Presign(ctx, &Request{Method: http.MethodGet, Key: key}, time.Now(), ttl)
}

// PresignPut signs a PUT of key in the query string, good for ttl.
func (b *Bucket) PresignPut(ctx context.Context, key string, ttl time.Duration) (*Presigned, error) {
	return b.Presign(ctx, &Request{Method: http.MethodPut, Key: key}, time.Now(), ttl)
}

// Presign signs a request in the query string as if it were done at another time,
// from which on it is good for ttl, in whole seconds. Of r its Body and Agent do
// not count, and nothing of it is kept. Errors: [ErrCredentials].
func (b *Bucket) Presign(ctx context.Context, r *Request, at time.Time, ttl time.Duration) (*Presigned, error) {
	creds, err := b.credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	req := b.build(&Request{Method: r.Method, Key: r.Key, Query: r.Query, Header: r.Header.Clone()})
	req.Header.Del("User-Agent") // which is not signed
	if err := b.signer.signQuery(ctx, creds, req, ttl, at); err != nil {
		return nil, fmt.Errorf("%w: presigning a %s: %w", ErrCredentials, r.Method, err)
	}
	return &Presigned{Method: r.Method, URL: req.URL.String(), Header: r.Header}, nil
}

// Unsigned is the request for key that anybody can make.
func (b *Bucket) Unsigned(method, key string) *Presigned {
	return &Presigned{Method: method, URL: b.build(&Request{Method: method, Key: key}).URL.String()}
}

// PresignPost signs a form upload to key, good for ttl, with fields of the names
// and values of header; nil adds none (Amazon S3 API, "Browser-Based Uploads Using
// POST").
func (b *Bucket) PresignPost(ctx context.Context, key string, header http.Header, ttl time.Duration) (*Presigned, error) {
	more := map[string]string{}
	var conditions []any
	for name := range header {
		field := strings.ToLower(name)
		more[field] = header.Get(name)
		conditions = append(conditions, map[string]string{field: more[field]})
	}
	r, err := s3.NewPresignClient(b.settings).
		PresignPostObject(ctx, &s3.PutObjectInput{Bucket: &b.cfg.Name, Key: &key},
			func(o *s3.PresignPostOptions) { o.Expires, o.Conditions = ttl, conditions })
	if err != nil {
		return nil, fmt.Errorf("presigning a POST: %w", err)
	}
	maps.Copy(r.Values, more)
	return &Presigned{Method: "POST", URL: r.URL, Fields: r.Values}, nil
}
