package proxy

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"s3gate/revocation"
	"s3gate/s3client"
	"s3gate/tokens"
	"s3gate/uploads"
)

// tidyTime bounds what is removed from the bucket when a request is over.
const tidyTime = 30 * time.Second

// errTerminated is an upload that its client has ended.
var errTerminated = errors.New("upload was terminated")

// resumable is an upload that the request holds: no other gate or request works on
// it meanwhile.
type resumable struct {
	*exchange
	up   Upstream
	size int64 // of the whole in bytes
	part int64 // of each part but the last
	temp *uploads.Temp

	parts []s3client.Part // that S3 has, from the first one on without a gap
	whole int64           // bytes in them, and in those on their way
	tail  *uploads.Tail   // what S3 has after them; nil for nothing
	tails []uploads.Tail  // all there are, of which others are of no use

	memory   *memory
	sender   *partSender // nil while nothing is on its way
	reading  func() bool // takes the sender's hand off the client's body
	nameless bool        // the client has not heard its name yet
	doubtful bool        // an earlier request asked S3 to store it, which S3 may do yet
}

// offset is how much of the upload S3 has, in bytes.
func (t *resumable) offset() int64 {
	switch {
	case t.held.State == uploads.Done:
		return t.size
	case t.tail != nil:
		return t.whole + t.tail.Size
	}
	return t.whole
}

// tell answers a HEAD: how far the upload has come.
func (x *exchange) tell() error {
	t, err := x.resume()
	if err != nil {
		return err
	}
	ctx := t.holdingThis(x.transfer.Context())
	if err := t.leave(ctx, t.survey(ctx)); err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Upload-Length", strconv.FormatInt(t.size, 10))
	if metadata := t.held.Header.Get(metadataHeader); metadata != "" {
		h.Set(metadataHeader, metadata)
	}
	t.answerTus(http.StatusOK)
	return nil
}

// terminate answers a DELETE of an upload: nothing is left of it, and the use
// comes back.
func (x *exchange) terminate() error {
	t, err := x.resume()
	if err != nil {
		return err
	}
	ctx := x.transfer.Context()
	if err = t.resolve(ctx); err == nil {
		err = errTerminated
	}
	if t.held.State == uploads.Done {
		return errComplete
	}
	if err := t.leave(ctx, err); !errors.Is(err, errTerminated) {
		return err
	}
	if x.left != nil {
		return x.left
	}
	x.writeHeader(http.StatusNoContent)
	return nil
}

// resume takes over the upload that the request names, and its use. With an error
// the upload was let go of.
func (x *exchange) resume() (*resumable, error) {
	x.register()
	ctx := x.transfer.Context()
	if err := x.screen(ctx); err != nil {
		return nil, err
	}
	held, err := x.h.Journal.Take(ctx, x.token.ID(), x.name)
	if errors.Is(err, uploads.ErrGone) {
		return nil, x.unnamed(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	t := x.resumable(x.h.Buckets[held.Bucket], held)
	t.doubtful = held.State == uploads.Completing
	ask := x.wants(tokens.Put)
	ask.Attempt = held.Attempt
	use, err := x.h.Tokens.Redeem(ctx, x.token, ask)
	x.use = use
	if err != nil {
		if t.up != nil && overForGood(err) && held.State != uploads.Done {
			x.left = t.remove(ctx)
		}
		held.Release(ctx) // the sweeper gives the use back
		return nil, err
	}
	x.limitTime()
	if t.up == nil {
		return nil, t.leave(ctx, errNoBucket)
	}
	if _, err = x.admit(); err == nil {
		err = x.occupy(x.tusMethod())
	}
	if err != nil {
		return nil, t.leave(ctx, err)
	}
	return t, nil
}

// screen holds the request against the constraints of its token before it takes
// the upload from another request, which who may not go on with it must not
// interrupt. Of a token that permits nothing any more the upload is to end anyway.
func (x *exchange) screen(ctx context.Context) error {
	use, err := x.h.Tokens.Look(ctx, x.token, tokens.Ask{Operation: tokens.Put, Attempt: x.name})
	x.use = use
	switch {
	case err == nil, errors.Is(err, tokens.ErrInUse), errors.Is(err, tokens.ErrUsed):
		return x.clear(ctx)
	case errors.Is(err, tokens.ErrRevoked), errors.Is(err, tokens.ErrExpired):
		return nil
	}
	return err
}

// unnamed says why there is no such upload: there may be no such link.
func (x *exchange) unnamed(ctx context.Context, gone error) error {
	use, err := x.h.Tokens.Look(ctx, x.token, tokens.Ask{Operation: tokens.Put})
	x.use = use
	if err != nil && !errors.Is(err, tokens.ErrInUse) {
		return err
	}
	if err := x.clear(ctx); err != nil {
		return err
	}
	return gone
}

// overForGood reports whether an upload that ended so cannot go on, by nobody's
// fault but that of the link, of the object or of whoever has ended it.
func overForGood(err error) bool {
	if media := (*typeError)(nil); errors.As(err, &media) {
		return true
	}
	for _, end := range []error{
		errTerminated, revocation.ErrCut, revocation.ErrExpired, tokens.ErrRevoked, tokens.ErrExpired, uploads.ErrExists, uploads.ErrGone,
	} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// leave lets go of the upload when the request has ended, with this error. It
// returns the error that the client hears of.
func (t *resumable) leave(ctx context.Context, err error) error {
	if cut := t.transfer.Err(); cut != nil && t.held.State != uploads.Done {
		err = cut
	}
	t.slot.Release(ctx) // for whoever waits for the upload
	t.slot = nil
	switch {
	case t.held.State == uploads.Done:
		t.use.Keep()
	case errors.Is(err, uploads.ErrUnknown):
		t.use.Keep()
		t.held.Release(ctx)
	case err != nil && (t.nameless || overForGood(err)):
		t.drop(ctx)
	default:
		t.use.Keep()
		if t.held.State == uploads.Completing && !t.doubtful {
			_ = t.held.Resume(ctx) // else the sweeper asks S3 once more
		}
		if t.nameless && t.offset() == 0 {
			t.held.Unheard()
		}
		t.held.Release(ctx)
	}
	return err
}

// drop ends an upload: nothing is left of it in the bucket, and the use comes back.
// If something is left another request or the sweeper tries again, and if S3 may
// store it yet the sweeper looks.
func (t *resumable) drop(ctx context.Context) {
	if t.left = t.remove(ctx); t.left != nil || t.doubtful {
		t.use.Keep()
		t.held.Release(ctx)
		return
	}
	t.use.Refund(ctx)
	t.held.Drop(ctx)
}

// remove removes what there is of an upload that is not to be stored.
func (t *resumable) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if u := t.held.Upload(); u != nil {
		if err := t.dropParts(ctx, t.up, u); err != nil {
			return err
		}
	}
	return t.temp.Drop(ctx, t.up)
}
