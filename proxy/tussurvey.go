package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"s3gate/s3client"
	"s3gate/uploads"
)

// survey asks S3 how far the upload has come. One of which S3 has everything is
// stored before the client hears of it.
func (t *resumable) survey(ctx context.Context) error {
	if err := t.resolve(ctx); err != nil || t.held.State == uploads.Done {
		return err
	}
	if err := t.listParts(ctx); err != nil || t.held.State == uploads.Done {
		return err
	}
	if err := t.listTails(ctx); err != nil {
		return err
	}
	if t.offset() < t.size {
		return nil
	}
	var last *buffer
	if t.tail != nil {
		var err error
		if last, err = t.load(ctx); err != nil {
			return err
		}
	}
	return t.finish(ctx, last)
}

// holdingThis is ctx until the upload is not ours any more. What is done nobody
// holds.
func (t *resumable) holdingThis(ctx context.Context) context.Context {
	if t.held.State == uploads.Done {
		return ctx
	}
	return t.holding(ctx, t.held)
}

// resolve finds out what became of an upload that an earlier request may have
// stored.
func (t *resumable) resolve(ctx context.Context) error {
	if t.held.State != uploads.Completing {
		return nil
	}
	stored, err := t.held.Settle(ctx, t.up, nil)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", uploads.ErrUnknown, err)
	case stored != nil:
		t.done(ctx, stored)
		return nil
	}
	return t.held.Resume(ctx)
}

// listParts asks S3 for the parts, and takes those that count.
func (t *resumable) listParts(ctx context.Context) error {
	if t.held.Multipart && t.held.UploadID == "" {
		t.held.Astray() // another one is begun
	}
	t.parts, t.whole = nil, 0
	u := t.held.Upload()
	if u == nil {
		return nil
	}
	parts, err := uploads.Parts(ctx, t.up, u)
	if answered := (*s3client.Error)(nil); errors.As(err, &answered) && answered.Status == http.StatusNotFound {
		return t.ended(ctx)
	}
	if err != nil {
		return err
	}
	if t.held.Part == 0 && len(parts) > 0 && parts[0].Number == 1 {
		t.part = parts[0].Size
	}
	for i, p := range parts {
		if p.Number != i+1 || p.Size != t.next() || p.Size == 0 {
			break
		}
		t.parts, t.whole = append(t.parts, p), t.whole+p.Size
	}
	return nil
}

// ended finds out why S3 does not know the upload any more: it was completed, or
// something has aborted it.
func (t *resumable) ended(ctx context.Context) error {
	stored, err := t.target().Find(ctx, t.up)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", uploads.ErrUnknown, err)
	case stored != nil:
		t.done(ctx, stored)
		return nil
	}
	return uploads.ErrGone
}

// next is the size of the part that follows.
func (t *resumable) next() int64 { return min(t.part, t.size-t.whole) }

// listTails asks S3 for what it has after the last whole part.
func (t *resumable) listTails(ctx context.Context) (err error) {
	if t.tails, err = t.temp.List(ctx, t.up); err != nil {
		return err
	}
	for i, tail := range t.tails {
		if tail.From == t.whole && tail.Size > 0 && tail.Size <= t.next() && (t.tail == nil || tail.Size > t.tail.Size) {
			t.tail = &t.tails[i]
		}
	}
	return nil
}

// load reads the tail into memory, where there is room for the whole part.
func (t *resumable) load(ctx context.Context) (*buffer, error) {
	b, err := t.memory.take(ctx, t.next())
	if err != nil {
		return nil, context.Cause(ctx)
	}
	if t.tail == nil {
		return b, nil
	}
	resp, err := t.up.Do(ctx, &s3client.Request{Method: http.MethodGet, Key: t.tail.Key, Agent: string(t.held.Token)})
	if err == nil && resp.StatusCode != http.StatusOK {
		err = s3client.ReadError(resp)
	}
	if err == nil {
		if err = b.fill(resp.Body, t.tail.Size); b.size == t.tail.Size {
			err = nil // the end may come with the last bytes
		} else {
			err = fmt.Errorf("%w: reading a temporary object: %w", errUpstream, err)
		}
		drainAndClose(resp.Body)
	}
	if err == nil {
		return b, nil
	}
	b.release()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, err
}
