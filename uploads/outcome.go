package uploads

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"s3gate/s3client"
)

// Object says which object an upload is to become.
type Object struct {
	// Key is the object's key.
	Key string
	// Mark is what its [UseMark] says.
	Mark string
	// Overwrite permits to replace one that exists.
	Overwrite bool
	// Check says that the store does not heed [Object.Condition]: then that is not
	// sent, and whether an object is there is asked right before the end.
	Check bool
	// Agent is as in [s3client.Request].
	Agent string
}

// Find asks whether the object is there and is that of the upload. It returns
// its headers if it is, and nil if there is none, or another. Errors: those of
// [Upstream], [*s3client.Error].
func (o *Object) Find(ctx context.Context, up Upstream) (http.Header, error) {
	resp, err := up.Do(ctx, &s3client.Request{Method: http.MethodHead, Key: o.Key, Agent: o.Agent})
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK && resp.Header.Get(UseMark) == o.Mark:
		return resp.Header, nil
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusNotFound:
		return nil, nil
	}
	return nil, s3client.ReadError(resp)
}

// resolveTimeout bounds the question what became of an upload.
const resolveTimeout = 10 * time.Second

// Resolve finds out whether the object was stored, for which there is a cause
// to doubt it. It returns the object's headers, or the cause if S3 has said that
// it failed, and indeed it is not there, and else [ErrUnknown] with the cause: S3
// may store it yet. The ctx should not end with the client.
func (o *Object) Resolve(ctx context.Context, up Upstream, cause error, failed bool) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	stored, err := o.Find(ctx, up)
	switch {
	case stored != nil:
		return stored, nil
	case err == nil && failed:
		return nil, cause
	}
	return nil, fmt.Errorf("%w: %w", ErrUnknown, cause)
}

// Condition is the header that keeps the object from replacing another one
// (RFC 9110, section 13.1.2); nil if it may.
func (o *Object) Condition() http.Header {
	if o.Overwrite || o.Check {
		return nil
	}
	return http.Header{"If-None-Match": {"*"}}
}

// absent returns [ErrExists] if an object is there. What is neither there nor
// absent is an error.
func (o *Object) absent(ctx context.Context, up Upstream) error {
	resp, err := up.Do(ctx, &s3client.Request{Method: http.MethodHead, Key: o.Key, Agent: o.Agent})
	if err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		resp.Body.Close()
		return ErrExists
	case http.StatusNotFound:
		resp.Body.Close()
		return nil
	}
	return s3client.ReadError(resp)
}

// completeTimeout bounds all tries to complete an upload. S3 needs minutes for
// thousands of parts.
const completeTimeout = 15 * time.Minute

// Complete asks S3 to make the parts the object, and finds out what became of
// it; ctx should not end with the client. It returns the headers with which S3 answers a
// PUT. With any error but [ErrUnknown] the object was not stored and the parts
// are still there, or gone.
func (o *Object) Complete(ctx context.Context, up Upstream, u *s3client.Upload, parts []s3client.Part, retry Retry) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	if o.Check && !o.Overwrite {
		if err := o.absent(ctx, up); err != nil {
			return nil, err
		}
	}
	// S3 says that it failed and may be wrong; or nobody knows what it says.
	var doubt, lost bool
	var stored http.Header
	err := retry.Do(ctx, func() error {
		resp, err := up.Do(ctx, u.CompleteRequest(parts, o.Condition()))
		if err == nil {
			stored, err = s3client.ReadCompleted(resp)
		}
		var answered *s3client.Error
		switch {
		case err == nil, errors.Is(err, s3client.ErrCredentials): // nothing was sent
		case !errors.As(err, &answered), answered.Status == http.StatusBadGateway, answered.Status == http.StatusGatewayTimeout:
			doubt, lost = true, true
		case answered.Status >= 500 && answered.Status != http.StatusServiceUnavailable, answered.Status == http.StatusOK && Passing(err):
			doubt = true
		case answered.Status == http.StatusPreconditionFailed || answered.Code == "PreconditionFailed":
			err = fmt.Errorf("%w: %w", ErrExists, err)
			lost = false // if what is there is not ours, ours never will be
		case answered.Code == "NoSuchUpload":
			lost = doubt // it may be gone because it was completed
		}
		return err
	})
	if err == nil {
		return stored, nil
	}
	if !doubt {
		return nil, err // S3 says that it has not stored it, and always did
	}
	return o.Resolve(ctx, up, err, !lost)
}

// abortTimeout bounds all tries to abort an upload.
const abortTimeout = 30 * time.Second

// errPartsLeft is an upload that is still there after it was aborted.
var errPartsLeft = errors.New("parts are left of an aborted upload")

// Abort drops the parts of an upload, and looks whether anything is left: a part
// whose request was cut off may have come after that. An upload that is not there
// is no error. The ctx should not end with the client.
func Abort(ctx context.Context, up Upstream, u *s3client.Upload, retry Retry) error {
	ctx, cancel := context.WithTimeout(ctx, abortTimeout)
	defer cancel()
	for failed := 0; ; {
		err := abort(ctx, up, u)
		if err == nil {
			return nil
		}
		if failed++; failed >= retry.tries() || !retry.pause(ctx, failed) {
			return err
		}
	}
}

func abort(ctx context.Context, up Upstream, u *s3client.Upload) error {
	resp, err := up.Do(ctx, u.AbortRequest())
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusOK {
		err := s3client.ReadError(resp)
		if err.Status == http.StatusNotFound {
			return nil
		}
		return err
	}
	resp.Body.Close()
	if resp, err = up.Do(ctx, u.ListRequest(0)); err != nil {
		return err
	}
	_, _, err = s3client.ReadParts(resp)
	var answered *s3client.Error
	switch {
	case err == nil:
		return errPartsLeft
	case errors.As(err, &answered) && answered.Status < 500:
		return nil // it is gone, or the gate may not list: then it was aborted at least
	}
	return err
}

// Parts asks for the parts of an upload that S3 has. Errors: those of
// [Upstream], [*s3client.Error], which is 404 for an upload that is not there,
// [s3client.ErrMultipart].
func Parts(ctx context.Context, up Upstream, u *s3client.Upload) ([]s3client.Part, error) {
	var all []s3client.Part
	for after := 0; ; after = all[len(all)-1].Number {
		resp, err := up.Do(ctx, u.ListRequest(after))
		if err != nil {
			return nil, err
		}
		parts, more, err := s3client.ReadParts(resp)
		if err != nil {
			return nil, err
		}
		all = append(all, parts...)
		if !more {
			return all, nil
		}
	}
}

// gone reports whether S3 says that there is no such upload.
func gone(err error) bool {
	var answered *s3client.Error
	return errors.As(err, &answered) && answered.Status == http.StatusNotFound
}
