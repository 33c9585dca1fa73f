// Package uploads knows what becomes of uploads: it asks S3 how one ended whose
// answer was lost, completes and aborts those in parts, and keeps a journal in
// Redis of the uploads that leave something behind if their gate dies.
//
// The invariants of this package:
//
//   - What S3 alone can know is never guessed: an upload counts as stored when
//     S3 says so, or when the object carries the use's mark.
//   - An upload that may have been completed is never aborted because time has
//     passed, but only once S3 was asked.
//   - One request at a time holds an upload. Each that takes it over has a higher
//     fence, and what an earlier one would note is refused.
//   - What a gate that died has left is found by the others: parts are dropped,
//     and its uses charged or handed back.
//
// It moves no bodies, which is the business of package proxy.
package uploads

import (
	"context"
	"errors"
	"net/http"
	"time"

	"s3gate/s3client"
)

// Upstream sends requests to one bucket; [s3client.Bucket] is one. It must be
// safe for concurrent use. What S3 answers is a response and not an error.
type Upstream interface {
	Do(ctx context.Context, r *s3client.Request) (*http.Response, error)
}

var (
	// ErrUnknown is an upload of which nobody can say now whether it was stored.
	ErrUnknown = errors.New("outcome of the upload is unknown")
	// ErrExists is an upload that would replace an object and may not.
	ErrExists = errors.New("object exists")
	// ErrGone is an upload that is not in the journal, or not any more.
	ErrGone = errors.New("no such upload")
	// ErrTaken is an upload that another request has taken over, or waits for.
	ErrTaken = errors.New("upload was taken over")
	// ErrBusy is an upload whose holder did not let go of it in time.
	ErrBusy = errors.New("upload is in use")
	// ErrJournal is a journal that could not be asked. What was to be noted may
	// have been.
	ErrJournal = errors.New("upload journal cannot be reached")
)

// UseMark is the header of the metadata by which the object of an upload is
// recognized whose answer was lost: its value is that of [tokens.Use.Mark].
const UseMark = "X-Amz-Meta-S3gate-Use"

// Retry says how often requests to S3 are sent that failed and may succeed.
type Retry struct {
	// Tries is how often in all; 0 means 4.
	Tries int
	// Backoff is the wait before the second try, twice that before the third
	// and so on; 0 means 200 ms.
	Backoff time.Duration
}

// Do calls try until it succeeds, fails in a way that is not worth a repetition
// (see [Passing]), or has failed often enough. It returns the last error.
func (r Retry) Do(ctx context.Context, try func() error) error {
	for failed := 0; ; {
		err := try()
		if err == nil {
			return nil
		}
		if failed++; failed >= r.tries() || !Passing(err) || !r.pause(ctx, failed) {
			return err
		}
	}
}

func (r Retry) tries() int {
	if r.Tries == 0 {
		return 4
	}
	return r.Tries
}

// pause waits before another try, the first of which is 1; false says that ctx
// has ended.
func (r Retry) pause(ctx context.Context, failed int) bool {
	backoff := r.Backoff
	if backoff == 0 {
		backoff = 200 * time.Millisecond
	}
	timer := time.NewTimer(backoff << min(failed-1, 6))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Passing reports whether a request that failed so may succeed when it is sent
// again. Of credentials that have expired the bucket gets new ones.
func Passing(err error) bool {
	var answered *s3client.Error
	if !errors.As(err, &answered) {
		return !errors.Is(err, s3client.ErrCredentials) && !errors.Is(err, ErrExists)
	}
	switch answered.Code {
	case "InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", "ExpiredToken", "TokenRefreshRequired":
		return true
	}
	return answered.Status >= 500 && answered.Status != http.StatusNotImplemented || answered.Status == http.StatusTooManyRequests
}
