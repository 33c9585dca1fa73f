package proxy

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"s3gate/s3client"
	"s3gate/uploads"
)

// putInParts reads the body into memory, part by part, and sends the parts. A
// body of unknown length that turns out to fit into one part is sent as one
// request.
func (x *exchange) putInParts(ctx context.Context, up Upstream) error {
	body, err := x.openBody(ctx)
	if err != nil {
		return err
	}
	defer body.close()
	known := x.r.ContentLength >= 0
	asked := known || x.r.Header.Get("Expect") != ""
	if asked {
		// The client may not have sent anything yet, and need not.
		if err := x.checkAbsent(ctx, up); err != nil {
			return err
		}
	}
	b, err := body.next(ctx, 1)
	if err != nil {
		return err
	}
	if err = sniffed(b.head(sniffBytes), &x.grant().Upload); err == nil && body.ended && !known {
		defer b.release()
		return x.putWhole(ctx, up, b)
	}
	if err == nil && !asked {
		err = x.checkAbsent(ctx, up)
	}
	held := ctx
	if err == nil {
		held, err = x.hold(ctx)
	}
	var upload *s3client.Upload
	if err == nil {
		upload, err = x.beginUpload(held, up)
	}
	if err != nil {
		b.release()
		return err
	}
	sender := newPartSender(held, &x.h.Multipart, up, upload)
	sender.sums = x.protects()
	parts, err := x.sendParts(sender, body, b)
	if err == nil {
		err = x.digests.verify()
	}
	if err == nil {
		var from http.Header
		if from, err = x.complete(held, up, upload, parts); err == nil {
			x.stored(held, from, body.read)
		}
	}
	if err != nil && !errors.Is(err, uploads.ErrUnknown) {
		x.left = x.dropParts(ctx, up, upload)
	}
	return err
}

// putWhole sends a body that is in memory as one request.
func (x *exchange) putWhole(ctx context.Context, up Upstream, b *buffer) error {
	if err := x.digests.verify(); err != nil {
		return err
	}
	body := &uploadBody{
		src: b.reader(), size: b.size, digests: &digests{},
		commit: func() error { return x.commit(ctx, up) }, hurry: func() {},
	}
	if x.protects() {
		body.md5 = b.md5()
	}
	defer body.release()
	from, err := x.send(ctx, up, body)
	if err == nil {
		x.stored(ctx, from, b.size)
	}
	return err
}

// protects reports whether parts carry a checksum of their own, against what
// may happen to them on the way to S3. TLS does that too, and costs less.
func (x *exchange) protects() bool { return x.storage().Plain || x.digests.any() }

// checkAbsent spares the client an upload that S3 would refuse at its end,
// because the object is there.
func (x *exchange) checkAbsent(ctx context.Context, up Upstream) error {
	if x.grant().Upload.Overwrite {
		return nil
	}
	// It is repeated: a stream may not come a second time.
	return x.h.Multipart.retry().Do(ctx, func() error {
		resp, err := up.Do(ctx, &s3client.Request{Method: http.MethodHead, Key: x.key(), Agent: string(x.grant().ID)})
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return uploads.ErrExists
		}
		return nil // what else it may be, the upload will tell
	})
}

// beginUpload begins a multipart upload. When the answer is lost S3 may have
// begun one that nobody knows of, so one that cannot be read is not asked for
// again.
func (x *exchange) beginUpload(ctx context.Context, up Upstream) (*s3client.Upload, error) {
	if err := x.held.Creating(ctx); err != nil {
		return nil, err
	}
	u := &s3client.Upload{Key: x.key(), Agent: string(x.grant().ID)}
	var unreadable error
	err := x.h.Multipart.retry().Do(ctx, func() error {
		resp, err := up.Do(ctx, s3client.NewUploadRequest(u.Key, x.ofObject(), u.Agent))
		if err == nil {
			u.ID, err = s3client.ReadUploadID(resp)
		}
		if err != nil && maybeDone(err) {
			x.held.Astray()
		}
		if errors.Is(err, s3client.ErrMultipart) {
			unreadable = err
			return nil
		}
		return err
	})
	if err = cmp.Or(err, unreadable); err != nil {
		return nil, err
	}
	if err := x.held.Created(ctx, u.ID); err != nil {
		x.left = x.dropParts(ctx, up, u)
		return nil, err
	}
	x.parts = true
	return u, nil
}

// maybeDone reports whether S3 may have carried out a request that failed so.
func maybeDone(err error) bool {
	var answered *s3client.Error
	if errors.As(err, &answered) {
		return answered.Status == http.StatusInternalServerError || answered.Status == http.StatusBadGateway || answered.Status == http.StatusGatewayTimeout
	}
	return !errors.Is(err, s3client.ErrCredentials)
}

// dropParts drops the parts, whatever has become of the request.
func (x *exchange) dropParts(ctx context.Context, up Upstream, u *s3client.Upload) error {
	return uploads.Abort(context.WithoutCancel(ctx), up, u, x.h.Multipart.retry())
}

// complete makes the parts an object, unless that may not be any more. It
// returns the headers with which S3 answers a PUT.
func (x *exchange) complete(ctx context.Context, up Upstream, u *s3client.Upload, parts []s3client.Part) (http.Header, error) {
	if err := x.held.Completing(ctx, parts); err != nil {
		return nil, err
	}
	if err := x.commit(ctx, up); err != nil {
		return nil, err
	}
	// Only S3 can say now what becomes of it, whatever the client does.
	return x.target().Complete(context.WithoutCancel(ctx), up, u, parts, x.h.Multipart.retry())
}

// sendParts sends b, which is the first part, and all that follow.
func (x *exchange) sendParts(s *partSender, body *partBody, b *buffer) ([]s3client.Part, error) {
	var err error
	// A part that cannot be sent ends the reading.
	reading := context.AfterFunc(s.ctx, body.stop)
	for number := 1; ; number++ {
		s.send(number, b)
		if body.ended {
			break
		}
		if b, err = body.next(s.ctx, number+1); err != nil {
			break
		}
		if b.size == 0 {
			b.release()
			break
		}
	}
	reading()
	if err != nil {
		s.stop()
		_, _ = s.wait()
		return nil, err
	}
	return s.wait()
}

// partBody reads a client's body into memory. It is used by one goroutine, but
// for stop.
type partBody struct {
	x      *exchange
	src    io.Reader
	memory *memory
	plan   partPlan
	limit  int64 // the most bytes that it may have
	read   int64
	ended  bool // the body was read to its end; mu guards the writing
	idle   *idleTimer
	leave  func()

	mu      sync.Mutex
	stopped bool
}

// openBody prepares for reading the body; the caller closes it.
func (x *exchange) openBody(ctx context.Context) (*partBody, error) {
	m := &x.h.Multipart
	b := &partBody{
		x: x, memory: m.memory(), plan: m.plan(x.r.ContentLength),
		idle: x.idleTimer(),
	}
	b.limit = min(maxUpload(&x.grant().Upload), b.plan.reach())
	if x.r.ContentLength > b.limit {
		return nil, &tooLargeError{x.r.ContentLength, b.limit}
	}
	b.open(ctx)
	return b, nil
}

// open connects b to the client, until ctx ends.
func (b *partBody) open(ctx context.Context) {
	pipe, closePipe := b.x.h.Bandwidth.open(b.x.grant())
	b.x.transfer.Expect(b.x.r.ContentLength)
	b.src = pipe.reader(ctx, b.x.transfer.Reader(b.idle.reader(b.x.r.Body)))
	reading := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), uploads.ErrTaken) {
			b.stopIn(0) // somebody waits
			return
		}
		b.stop()
	})
	b.leave = func() { reading(); closePipe() }
}

// close ends reading and says how much was read. A stop that comes later does
// nothing: the request may be over.
func (b *partBody) close() {
	b.leave()
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.x.in = b.read
}

// stop bounds a read that hangs, when the upload is of no use any more.
func (b *partBody) stop() { b.stopIn(bodyGrace) }

func (b *partBody) stopIn(grace time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return
	}
	b.stopped = true
	if !b.ended { // else net/http would take the client for gone
		b.x.hurryIn(grace)
	}
}

// next reads a part when there is memory for it. The client's time does not
// run meanwhile. At the end of the body the part may be smaller, and empty.
func (b *partBody) next(ctx context.Context, number int) (*buffer, error) {
	size := b.plan.part(number)
	if b.plan.size >= 0 {
		size = min(size, b.plan.size-b.read)
	} else {
		size = min(size, b.limit-b.read+1) // one more tells that it is too large
	}
	b.rest()
	part, err := b.memory.take(ctx, size)
	if err != nil {
		return nil, context.Cause(ctx)
	}
	err = part.fill(b, size)
	if err == nil && b.read == b.plan.size {
		err = b.end()
	}
	if err == nil || err == io.EOF {
		b.rest() // others may have to be waited for
		return part, nil
	}
	part.release()
	if ctx.Err() != nil && b.x.r.Context().Err() == nil {
		return nil, context.Cause(ctx) // the client has done nothing wrong
	}
	return nil, err
}

// Read reads from the client, which has its idle time for it.
func (b *partBody) Read(p []byte) (int, error) {
	if !b.arm() {
		return 0, errShortBody
	}
	n, err := b.src.Read(p)
	b.read += int64(n)
	b.x.digests.Write(p[:n])
	switch {
	case b.read > b.limit:
		return n, &tooLargeError{-1, b.limit}
	case err == io.EOF && b.read < b.plan.size:
		return n, bodyError(err)
	case err == io.EOF:
		b.mu.Lock()
		b.ended = true
		b.mu.Unlock()
		b.rest()
	case err != nil:
		return n, bodyError(err)
	}
	return n, err
}

// end reads past the last byte of a body of known length, so that net/http
// sees its end.
func (b *partBody) end() error {
	for !b.ended {
		if n, err := b.Read(make([]byte, 1)); err != nil {
			return err
		} else if n > 0 {
			return errShortBody // it is longer than it said
		}
	}
	return nil
}

// arm lets the next read wait for the client, unless reading was stopped.
func (b *partBody) arm() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return false
	}
	b.idle.arm()
	return true
}

// rest stops the client's idle time: it is the gate's turn.
func (b *partBody) rest() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped {
		b.idle.rest()
	}
}
