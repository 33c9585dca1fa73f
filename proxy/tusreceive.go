package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"s3gate/s3client"
	"s3gate/uploads"
)

// flushTime is how long what was received is still sent to S3 when the client is
// gone or somebody takes the upload over: less than that one waits.
const flushTime = 5 * time.Second

// patch answers a PATCH: a piece of the upload.
func (x *exchange) patch() error {
	if !isPatchType(x.r) {
		return errPatchType
	}
	if x.r.Header.Get("Content-Encoding") != "" {
		return errEncoding
	}
	offset, ok := parseDigits(x.r.Header.Get("Upload-Offset"))
	if !ok || x.r.Header.Get("Upload-Offset") == "" {
		return errOffsetForm
	}
	sum, err := readChecksum(x.r)
	if err != nil {
		return err
	}
	t, err := x.resume()
	if err != nil {
		return err
	}
	ctx := t.holdingThis(x.transfer.Context())
	if err = t.survey(ctx); err == nil {
		err = t.take(ctx, offset, sum)
	}
	if err := t.leave(ctx, err); err != nil {
		return err
	}
	t.answerTus(http.StatusNoContent)
	return nil
}

// take takes the piece that is the body of the request, which begins at an offset.
func (t *resumable) take(ctx context.Context, offset int64, sum *checksum) error {
	room := t.size - t.offset()
	switch {
	case offset != t.offset():
		return errOffset
	case t.r.ContentLength > room:
		return errBeyond
	case t.r.ContentLength == 0 || room == 0:
		return nil
	}
	body := &partBody{
		x: t.exchange, memory: t.memory, idle: t.idleTimer(),
		plan: partPlan{size: t.r.ContentLength}, limit: room,
	}
	body.open(ctx)
	defer body.close()
	if sum == nil {
		return t.receive(ctx, body)
	}
	checked, err := t.check(ctx, body, sum)
	if err != nil {
		return err
	}
	defer checked.release()
	return t.receive(ctx, &partBody{
		x: t.exchange, memory: t.memory, plan: body.plan, limit: room, src: checked.reader(),
	})
}

// receive reads the body, part by part, and sends the parts. What is less than a
// part when the body ends or breaks off is kept in a temporary object, so that the
// client need not send it again.
func (t *resumable) receive(ctx context.Context, body *partBody) error {
	work, stop := t.outlasting(ctx)
	defer stop()
	var b *buffer
	var err error
	for err == nil && !body.ended {
		if b, err = t.fill(ctx, body); b == nil || b.size < t.next() {
			break
		}
		if t.whole+b.size == t.size {
			return t.finish(work, b) // also if the body has broken off behind it
		}
		if failed := t.send(work, body, b); failed != nil {
			err = failed
		}
		b = nil
	}
	if failed := t.wait(); failed != nil {
		err = failed
	} else if b != nil {
		if failed := t.keep(work, b); err == nil {
			err = failed
		}
	}
	if b != nil {
		b.release()
	}
	return err
}

// fill reads what the next part lacks. The buffer is nil if there was no memory, or
// nothing of the body is to count; else it has what there is, and the error says why
// that is less than a part: nil if the body has ended.
func (t *resumable) fill(ctx context.Context, body *partBody) (*buffer, error) {
	body.rest()
	b, err := t.load(ctx)
	if err != nil {
		return nil, err
	}
	err = b.fill(body, t.next())
	if err == nil && (body.read == body.plan.size || t.whole+b.size == t.size) {
		err = body.end()
	}
	body.rest()
	switch {
	case body.read > body.limit:
		b.release()
		return nil, errBeyond
	case err == io.EOF:
		err = nil
	case err != nil && ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.Canceled):
		err = context.Cause(ctx) // the client has done nothing wrong
	case errors.Is(err, errShortBody) && !errors.Is(err, errIdle):
		err = fmt.Errorf("%w: %w", errBroken, err)
	}
	return b, err
}

// send sends a part, and begins the multipart upload with the first one.
func (t *resumable) send(ctx context.Context, body *partBody, b *buffer) error {
	if err := t.sniff(b); err != nil {
		b.release()
		return err
	}
	if t.sender == nil {
		u := t.held.Upload()
		if u == nil {
			var err error
			if u, err = t.beginUpload(ctx, t.up); err != nil {
				b.release()
				return err
			}
		}
		t.sender = newPartSender(ctx, &t.h.Multipart, t.up, u)
		t.sender.sums = t.protects()
		t.reading = func() bool { return true }
		if body != nil {
			t.reading = context.AfterFunc(t.sender.ctx, body.stop)
		}
	}
	size := b.size
	t.sender.send(int(t.whole/t.part)+1, b)
	t.whole, t.tail = t.whole+size, nil
	return nil
}

// sniff looks at the beginning of the first part, if the grant wants that.
func (t *resumable) sniff(b *buffer) error {
	if t.whole > 0 {
		return nil
	}
	return sniffed(b.head(sniffBytes), &t.grant().Upload)
}

// wait waits until S3 has the parts that are on their way.
func (t *resumable) wait() error {
	if t.sender == nil {
		return nil
	}
	t.reading()
	sent, err := t.sender.wait()
	t.parts, t.sender = append(t.parts, sent...), nil
	return err
}

// keep puts what is less than a part into a temporary object, unless one has as
// much.
func (t *resumable) keep(ctx context.Context, b *buffer) error {
	if b.size == 0 || t.tail != nil && b.size == t.tail.Size {
		return nil
	}
	tail := uploads.Tail{Key: t.temp.Key(t.whole, t.held.Fence()), From: t.whole, Size: b.size}
	header := http.Header{}
	storage := t.storage()
	storage.Encrypt(header)
	err := t.h.Multipart.retry().Do(ctx, func() error {
		resp, err := t.up.Do(ctx, &s3client.Request{
			Method: http.MethodPut, Key: tail.Key, Header: header.Clone(), Body: b.reader(), Size: b.size, Agent: string(t.held.Token),
		})
		switch {
		case err != nil:
			return err
		case resp.StatusCode != http.StatusOK:
			return s3client.ReadError(resp)
		}
		resp.Body.Close()
		return nil
	})
	if err != nil {
		return fmt.Errorf("keeping what is less than a part: %w", err)
	}
	old := t.tails
	t.tail, t.tails = &tail, []uploads.Tail{tail}
	t.forget(ctx, old)
	return nil
}

// forget removes temporary objects that are of no use any more. What stays goes
// with the upload.
func (t *resumable) forget(ctx context.Context, tails []uploads.Tail) {
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	for _, tail := range tails {
		if t.temp.Remove(ctx, t.up, tail) != nil {
			return
		}
	}
}

// outlasting returns a context that goes on for a while when ctx ends, for what was
// received before, but not when the transfer was cut; the caller calls stop.
func (t *resumable) outlasting(ctx context.Context) (work context.Context, stop func()) {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	watching := context.AfterFunc(ctx, func() {
		if !overForGood(t.transfer.Err()) {
			select {
			case <-work.Done():
			case <-time.After(flushTime):
			}
		}
		cancel(context.Cause(ctx))
	})
	return work, func() { watching(); cancel(nil) }
}
