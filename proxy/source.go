package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"s3gate/internal/splice"
	"s3gate/s3client"
)

// source is the body of S3's answer to a GET. S3 gives up on a connection on
// which nothing moves, as while the gate waits for its lease or the client does
// not read, and connections break. Then source goes on where it was, with the
// same object; if that cannot be told it ends there.
type source struct {
	x    *exchange
	part part
	body io.ReadCloser
	read int64 // bytes so far

	// resuming says that it may go on: something was given out, so that an error
	// has no answer of its own any more.
	resuming bool
	failures int // in a row
	reopened int
	copies   bool // it cannot be spliced from
}

const (
	// maxFailures is how often in a row S3 may give nothing.
	maxFailures = 3
	// maxReopened is how often one download may go on.
	maxReopened = 100
)

func (s *source) Read(p []byte) (int, error) {
	return s.next(func() (int, error) { return s.body.Read(p) })
}

// socket is where the next bytes can be spliced from, if they can, and how many.
func (s *source) socket() (syscall.RawConn, int64) {
	if body, ok := s.body.(splice.Source); ok && !s.copies {
		return body.Socket()
	}
	return nil, 0
}

// fill is Read into a pipe. It may return nothing and no error.
func (s *source) fill(pipe *splice.Pipe, most int) (int, error) {
	return s.next(func() (int, error) {
		socket, left := s.socket()
		if socket == nil {
			return 0, nil // it was opened again: its first bytes have to be read
		}
		n, err := pipe.Fill(socket, int(min(left, int64(most))))
		if s.copies = errors.Is(err, splice.ErrUnsupported); s.copies {
			return 0, nil
		}
		return n, s.body.(splice.Source).Took(n, err)
	})
}

// next takes bytes by take. Where the body breaks, and can be gone on with, take
// comes again.
func (s *source) next(take func() (int, error)) (int, error) {
	for {
		n, err := take()
		s.read += int64(n)
		if n > 0 {
			s.failures = 0
			if s.mayResume(err) {
				err = nil // the next read tells
			}
			return n, err
		}
		if err == nil || !s.mayResume(err) {
			return 0, err
		}
		if reopenErr := s.reopen(s.x.transfer.Context()); reopenErr != nil {
			return 0, fmt.Errorf("%w, and then: %w", err, reopenErr)
		}
	}
}

// Close closes the connection to S3 that is there now.
func (s *source) Close() error { return s.body.Close() }

// mayResume reports whether a body that has ended so can be gone on with: it is
// not over, and the object has a name that no other one has.
func (s *source) mayResume(err error) bool {
	return err != nil && s.resuming && s.read < s.part.length && s.failures < maxFailures && s.reopened < maxReopened &&
		s.x.transfer.Context().Err() == nil && strings.HasPrefix(s.part.object.ETag, `"`)
}

// reopen asks S3 for the rest.
func (s *source) reopen(ctx context.Context) error {
	s.body.Close()
	if s.failures > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond << (2 * s.failures)):
		}
	}
	s.failures++
	up, err := s.x.upstream(http.MethodGet)
	if err != nil {
		return err
	}
	from := s.part.first + s.read
	r := &s3client.Request{
		Method: http.MethodGet, Key: s.x.key(), Agent: string(s.x.grant().ID),
		Header: http.Header{
			"Range":    {fmt.Sprintf("bytes=%d-%d", from, s.part.first+s.part.length-1)},
			"If-Match": {s.part.object.ETag},
		},
	}
	if v := s.part.object.VersionID; v != "" {
		r.Query = url.Values{"versionId": {v}}
	}
	resp, err := up.Do(ctx, r)
	if err != nil {
		s.body = broken{err}
		return nil // and again, as often as it may fail
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		s.body = broken{s3client.ReadError(resp)} // it may be over soon
		return nil
	}
	rest, err := partOf(resp)
	if err != nil || resp.StatusCode != http.StatusPartialContent || rest.first != from ||
		rest.length != s.part.length-s.read || rest.object != s.part.object {
		resp.Body.Close()
		return errNotTheRest
	}
	s.body = resp.Body
	s.reopened++
	return nil
}

// errNotTheRest is an answer of S3 that does not go on with the object.
var errNotTheRest = errors.New("s3 does not go on with the object")

// broken is a body that could not be had.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
func (b broken) Close() error             { return nil }
