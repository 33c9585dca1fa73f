package s3client

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
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
}

// String hides the signature.
func (p Presigned) String() string { return p.Method + " [presigned]" }

// Format hides the signature from every verb.
func (p Presigned) Format(f fmt.State, _ rune) { io.WriteString(f, p.String()) }

// LogValue hides the signature.
func (p Presigned) LogValue() slog.Value { return slog.StringValue(p.String()) }

// PresignGet signs a GET of key in the query string, good for ttl.
func (b *Bucket) PresignGet(ctx context.Context, key string, ttl time.Duration) (*Presigned, error) {
	return b.Presign(ctx, http.MethodGet, key, time.Now(), ttl)
}

// PresignPut signs a PUT of key in the query string, good for ttl.
func (b *Bucket) PresignPut(ctx context.Context, key string, ttl time.Duration) (*Presigned, error) {
	return b.Presign(ctx, http.MethodPut, key, time.Now(), ttl)
}

// Presign signs a request for key in the query string as if it were done at
// another time, from which on it is good for ttl, in whole seconds. Errors:
// [ErrCredentials].
func (b *Bucket) Presign(ctx context.Context, method, key string, at time.Time, ttl time.Duration) (*Presigned, error) {
	creds, err := b.credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	req := b.build(&Request{Method: method, Key: key})
	if err := b.signer.signQuery(ctx, creds, req, ttl, at); err != nil {
		return nil, fmt.Errorf("%w: presigning a %s: %w", ErrCredentials, method, err)
	}
	return &Presigned{Method: method, URL: req.URL.String()}, nil
}

// Unsigned is the request for key that anybody can make.
func (b *Bucket) Unsigned(method, key string) *Presigned {
	return &Presigned{Method: method, URL: b.build(&Request{Method: method, Key: key}).URL.String()}
}

// PresignPost signs a form upload to key, good for ttl (Amazon S3 API,
// "Browser-Based Uploads Using POST").
func (b *Bucket) PresignPost(ctx context.Context, key string, ttl time.Duration) (*Presigned, error) {
	r, err := s3.NewPresignClient(b.settings).
		PresignPostObject(ctx, &s3.PutObjectInput{Bucket: &b.cfg.Name, Key: &key},
			func(o *s3.PresignPostOptions) { o.Expires = ttl })
	if err != nil {
		return nil, fmt.Errorf("presigning a POST: %w", err)
	}
	return &Presigned{Method: "POST", URL: r.URL, Fields: r.Values}, nil
}
