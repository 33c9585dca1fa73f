package guard_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"s3gate/s3client"
)

// through is a bucket with somebody in between, who remembers the deletions and
// how long presigned requests are good for.
type through struct {
	*s3client.Bucket
	mu      sync.Mutex
	do      func(*s3client.Request, *http.Response) // may look at each answer, and change it
	deleted []string
	ttls    []time.Duration
}

func (s *through) Do(ctx context.Context, r *s3client.Request) (*http.Response, error) {
	resp, err := s.Bucket.Do(ctx, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodDelete {
		s.deleted = append(s.deleted, r.Key+"?"+r.Query.Encode())
	}
	if err == nil && s.do != nil {
		s.do(r, resp)
	}
	return resp, err
}

func (s *through) Presign(ctx context.Context, r *s3client.Request, at time.Time, ttl time.Duration) (*s3client.Presigned, error) {
	s.ttls = append(s.ttls, ttl)
	return s.Bucket.Presign(ctx, r, at, ttl)
}

func (s *through) PresignPost(ctx context.Context, key string, header http.Header, ttl time.Duration) (*s3client.Presigned, error) {
	s.ttls = append(s.ttls, ttl)
	return s.Bucket.PresignPost(ctx, key, header, ttl)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// reply answers every request with the same.
func reply(status int, header http.Header, body string) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}
