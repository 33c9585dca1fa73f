package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"s3gate/client"
)

// requests is what all requests of one command have in common.
type requests struct {
	ctx      context.Context
	passcode string // "" for none
	// stall is how long one may get no further.
	stall time.Duration
}

var errStalled = errors.New("no answer: the connection is stalled")

// do sends a request whose body is n bytes, and turns an error answer into an
// error. The body of the answer is of no interest.
func (r requests) do(method, address string, header http.Header, body io.Reader, n int64) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	watch := time.AfterFunc(r.stall, func() { cancel(errStalled) })
	defer watch.Stop()
	watched := readFunc(func(p []byte) (int, error) {
		watch.Reset(r.stall)
		return body.Read(p)
	})
	req, err := http.NewRequestWithContext(ctx, method, address, watched)
	if err != nil {
		return nil, usagef("not a link")
	}
	req.Header, req.ContentLength = header, n
	if n == 0 {
		req.Body = http.NoBody // else net/http sends it in chunks
	}
	if r.passcode != "" {
		req.Header.Set("X-S3gate-Passcode", r.passcode)
	}
	if n != 0 {
		req.Header.Set("Expect", "100-continue") // a refusal then comes before the file has been sent
	}
	resp, err := roundTrip(req)
	if err != nil {
		transport.CloseIdleConnections() // or HTTP/2 goes on using one that is dead
		if errors.Is(context.Cause(ctx), errStalled) {
			return nil, errStalled
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	return nil, &refusal{problem: client.ReadError(resp), after: retryAfter(resp, time.Now())}
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
