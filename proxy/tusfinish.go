package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"s3gate/s3client"
	"s3gate/uploads"
)

// finish stores the upload, of which S3 lacks no more than what is in the buffer;
// nil for nothing. It releases the buffer.
func (t *resumable) finish(ctx context.Context, last *buffer) error {
	if last != nil && t.whole == 0 {
		defer last.release()
		return t.storeWhole(ctx, last)
	}
	if last != nil {
		if err := t.send(ctx, nil, last); err != nil {
			_ = t.wait()
			return err
		}
	}
	if err := t.wait(); err != nil {
		return err
	}
	return t.storeParts(ctx)
}

// storeWhole stores an upload that fits into one part by one request.
func (t *resumable) storeWhole(ctx context.Context, b *buffer) error {
	if err := t.sniff(b); err != nil {
		return err
	}
	if err := t.held.Completing(ctx, nil); err != nil {
		return err
	}
	body := &uploadBody{
		src: b.reader(), size: b.size, digests: t.digests,
		commit: func() error { return t.commit(ctx, t.up) }, hurry: func() {},
	}
	if t.protects() {
		body.md5 = b.md5()
	}
	defer body.release()
	from, err := t.exchange.send(ctx, t.up, body)
	return t.settle(ctx, from, err)
}

// storeParts makes the parts the object.
func (t *resumable) storeParts(ctx context.Context) error {
	from, err := t.complete(ctx, t.up, t.held.Upload(), t.parts)
	// A part of a request that has lost the upload may have come after ours.
	if answered := (*s3client.Error)(nil); errors.As(err, &answered) && answered.Code == "InvalidPart" && !errors.Is(err, uploads.ErrUnknown) {
		if err := t.listParts(ctx); err != nil || t.held.State == uploads.Done {
			return err
		}
		if t.whole != t.size {
			return fmt.Errorf("%w: parts are missing", errUpstream)
		}
		from, err = t.complete(ctx, t.up, t.held.Upload(), t.parts)
	}
	return t.settle(ctx, from, err)
}

// settle ends an upload that S3 was asked to store. What S3 refuses because the
// object is there, or the upload is not, an earlier request may have stored.
func (t *resumable) settle(ctx context.Context, from http.Header, err error) error {
	if err == nil {
		t.done(ctx, from)
		return nil
	}
	var answered *s3client.Error
	gone := errors.As(err, &answered) && answered.Code == "NoSuchUpload"
	if errors.Is(err, uploads.ErrUnknown) || !gone && !errors.Is(err, uploads.ErrExists) {
		return err
	}
	if ended := t.ended(context.WithoutCancel(ctx)); !errors.Is(ended, uploads.ErrGone) {
		return ended
	}
	return err
}

// done charges the use for the object that S3 has stored, and remembers it for a
// client that does not hear the answer.
func (t *resumable) done(ctx context.Context, from http.Header) {
	ctx = context.WithoutCancel(ctx)
	t.charge(ctx, from, t.size)
	t.report(ctx, t.size)
	t.tail = nil
	t.forget(ctx, t.tails)
	t.held.Done(ctx, t.result)
}
