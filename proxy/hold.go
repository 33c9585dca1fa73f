package proxy

import (
	"context"
	"errors"

	"s3gate/uploads"
)

// hold enters the upload into the journal, so that another gate ends it if this
// one dies, and only then makes its use stay. The context that it returns ends
// when the upload is not ours any more.
func (x *exchange) hold(ctx context.Context) (context.Context, error) {
	if x.held != nil {
		return ctx, nil
	}
	if x.h.Journal == nil {
		return ctx, x.use.Stay(ctx)
	}
	held, err := x.h.Journal.Begin(ctx, uploads.Entry{
		Token: x.grant().ID, Attempt: x.use.Attempt(), Bucket: x.grant().Bucket, Key: x.key(),
		Overwrite: x.grant().Upload.Overwrite, Size: x.r.ContentLength,
	}, false)
	if err != nil {
		return ctx, err
	}
	ctx = x.holding(ctx, held)
	return ctx, x.use.Stay(ctx)
}

// holding is ctx until the upload is not ours any more.
func (x *exchange) holding(ctx context.Context, held *uploads.Held) context.Context {
	x.held = held
	ctx, cancel := context.WithCancelCause(ctx)
	context.AfterFunc(held.Context(), func() { cancel(context.Cause(held.Context())) })
	return ctx
}

// endHold tells the journal how the upload has ended. What is not known, and what
// could not be dropped, stays in it for the sweeper.
func (x *exchange) endHold(ctx context.Context, err error) {
	switch {
	case x.result != nil:
		x.held.Done(ctx, x.result)
	case errors.Is(err, uploads.ErrUnknown):
		x.use.Keep() // it stays taken rather than be spent twice
		x.held.Release(ctx)
	default:
		x.giveUp(ctx)
	}
}

// giveUp ends an upload that was not stored. Its use comes back before it leaves
// the journal, unless it is not ours to end any more.
func (x *exchange) giveUp(ctx context.Context) {
	switch err := x.held.Abandon(context.WithoutCancel(ctx)); {
	case err != nil:
		x.use.Keep()
		x.held.Release(ctx)
	case x.left != nil:
		x.use.Refund(ctx)
		x.held.Release(ctx)
	default:
		x.use.Refund(ctx)
		x.held.Drop(ctx)
	}
}
