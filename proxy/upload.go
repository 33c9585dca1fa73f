package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"s3gate/s3client"
	"s3gate/tokens"
	"s3gate/uploads"
)

// What is wrong with an upload before a byte of it is read.
var (
	errLength    = errors.New("upload that says nothing of a body")
	errEncoding  = errors.New("upload in an encoding that is not passed on")
	errShortBody = errors.New("upload ended early")
)

// tooLargeError is an upload over the limit. Its size is less than 0 if it did
// not say it.
type tooLargeError struct{ size, limit int64 }

func (e *tooLargeError) Error() string { return "upload too large" }

// typeError is an upload of a media type that the grant does not permit.
type typeError struct{ allowed []string }

func (e *typeError) Error() string { return "media type not permitted" }

// expectAbove is the size in bytes from which it is worth a round trip to
// hear S3's refusal before the body.
const expectAbove = 64 << 10

// uploadHeaders may describe what is uploaded. S3 checks Content-MD5.
var uploadHeaders = []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Md5"}

// upload answers a PUT: by one streamed request to S3, or in parts where that
// cannot be.
func (x *exchange) upload() (err error) {
	if err := checkLength(x.r); err != nil {
		return err
	}
	if x.wary() {
		if _, err := x.look(x.r.Context(), tokens.Put); err != nil {
			return err
		}
	}
	x.register()
	ctx := x.transfer.Context()
	use, err := x.h.Tokens.Redeem(ctx, x.token, x.wants(tokens.Put))
	x.use = use
	if err != nil {
		return err
	}
	defer x.endUse(ctx)
	x.limitTime()
	up, err := x.upstream(http.MethodPut)
	if err != nil {
		return err
	}
	if err := checkUpload(x.r, use.Grant.Upload); err != nil {
		return err
	}
	defer func() { x.endHold(ctx, err) }()
	if size := x.r.ContentLength; size < 0 || size > cmp.Or(x.h.Multipart.SingleMax, s3client.MaxPart) {
		return x.putInParts(ctx, up)
	}
	return x.put(ctx, up)
}

// checkLength insists on a body: by a Content-Length, or one that comes
// without, chunked or over HTTP/2. net/http gives the length 0 where there is
// none, and over HTTP/2 also for one that it cannot read and for a body that
// was announced and never comes.
func checkLength(r *http.Request) error {
	switch declared := r.Header.Get("Content-Length"); {
	case r.ContentLength < 0:
		return nil
	case declared == "":
		return errLength
	case r.ContentLength == 0 && declared != "0":
		return errShortBody
	}
	return nil
}

// checkUpload applies the grant's limits to what the client declares.
func checkUpload(r *http.Request, limits tokens.Upload) error {
	if most := maxUpload(limits); r.ContentLength > most {
		return &tooLargeError{r.ContentLength, most}
	}
	// What a client of S3 would frame in chunks with signatures of its own, or
	// copy on the server, must not be stored as if it were the object.
	encoding := strings.ToLower(strings.Join(r.Header.Values("Content-Encoding"), ","))
	if strings.Contains(encoding, "aws-chunked") || r.Header.Get("X-Amz-Copy-Source") != "" ||
		strings.HasPrefix(strings.ToUpper(r.Header.Get("X-Amz-Content-Sha256")), "STREAMING-") {
		return errEncoding
	}
	if len(limits.ContentTypes) > 0 && !typeAllowed(strings.Join(r.Header.Values("Content-Type"), ", "), limits.ContentTypes) {
		return &typeError{limits.ContentTypes}
	}
	return nil
}

func typeAllowed(declared string, allowed []string) bool {
	media, _, err := mime.ParseMediaType(declared)
	if err != nil {
		return false
	}
	kind, _, typed := strings.Cut(media, "/")
	for _, a := range allowed {
		if a == media || typed && a == kind+"/*" {
			return true
		}
	}
	return false
}

// maxUpload is the size in bytes of the largest upload that the grant permits.
func maxUpload(limits tokens.Upload) int64 {
	if limits.MaxBytes > 0 {
		return min(limits.MaxBytes, s3client.MaxObject)
	}
	return s3client.MaxObject
}

// put streams the body.
func (x *exchange) put(ctx context.Context, up Upstream) error {
	if x.grant().Limited() {
		// Nothing is left of it but the use.
		held, err := x.hold(ctx)
		if err != nil {
			return err
		}
		ctx = held
	}
	pipe, closePipe := x.h.Bandwidth.open(x.grant())
	defer closePipe()
	x.transfer.Expect(x.r.ContentLength)
	body := &uploadBody{
		src: pipe.reader(ctx, x.transfer.Reader(x.r.Body)), size: x.r.ContentLength, commit: x.transfer.Commit, hurry: x.hurry,
		idle: x.idleTimer(),
	}
	defer func() { x.in = body.release() }()
	from, err := x.send(ctx, up, body)
	if err == nil {
		x.stored(ctx, from, body.size)
	}
	return err
}

// send sends the body as one request and finds out what became of it. It returns
// the headers of S3's answer if the object was stored.
func (x *exchange) send(ctx context.Context, up Upstream, body *uploadBody) (http.Header, error) {
	body.left = body.size
	if body.size == 0 {
		// There is no last byte to hold back: ask before the request is sent.
		if err := x.transfer.Commit(); err != nil {
			return nil, err
		}
		body.sent = true
	}
	// After the last byte only S3 can say what became of the upload, so a
	// client that does not wait for the answer no longer ends the request.
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		if body.giveUp() {
			stop()
		}
	})()
	resp, err := up.Do(sending, &s3client.Request{
		Method: http.MethodPut, Key: x.key(), Header: x.putHeader(body.size),
		Body: body, Size: body.size, Agent: string(x.grant().ID),
	})
	return x.conclude(ctx, up, body, resp, err)
}

// conclude judges by S3's answer and by how far the body came.
func (x *exchange) conclude(ctx context.Context, up Upstream, body *uploadBody, resp *http.Response, err error) (http.Header, error) {
	clientErr, complete := body.state()
	switch {
	case err == nil && resp.StatusCode == http.StatusOK:
		resp.Body.Close()
		if !complete {
			return nil, fmt.Errorf("%w: success before the body was sent", errUpstream)
		}
		return resp.Header, nil
	case err == nil:
		err = s3client.ReadError(resp)
		if resp.StatusCode == http.StatusPreconditionFailed {
			err = uploads.ErrExists
		}
		if resp.StatusCode < 500 || resp.StatusCode == http.StatusServiceUnavailable {
			return nil, err // S3 says that it has not stored it
		}
	case clientErr != nil:
		return nil, fmt.Errorf("%w: %w", errShortBody, clientErr)
	}
	if !complete {
		return nil, err // S3 never had the last byte
	}
	// What stands between may say 502 or 504 while S3 still works.
	var answered *s3client.Error
	failed := errors.As(err, &answered) &&
		answered.Status != http.StatusBadGateway && answered.Status != http.StatusGatewayTimeout
	return x.target().Resolve(context.WithoutCancel(ctx), up, err, failed)
}

// target is the object that is to be.
func (x *exchange) target() *uploads.Object {
	return &uploads.Object{
		Key: x.key(), Mark: x.use.Mark(), Overwrite: x.grant().Upload.Overwrite, Agent: string(x.grant().ID),
	}
}

// ofObject is what S3 is told of the object to be.
func (x *exchange) ofObject() http.Header {
	if x.described != nil {
		return x.described.Clone()
	}
	header := http.Header{}
	for _, name := range uploadHeaders {
		if v := x.r.Header.Values(name); len(v) > 0 {
			header.Set(name, strings.Join(v, ", "))
		}
	}
	header.Set(uploads.UseMark, x.use.Mark())
	return header
}

func (x *exchange) putHeader(size int64) http.Header {
	header := x.ofObject()
	if !x.grant().Upload.Overwrite {
		header.Set("If-None-Match", "*")
	}
	if size > expectAbove {
		// S3 can then refuse before the body is on its way.
		header.Set("Expect", "100-continue")
	}
	return header
}

// stored charges the use and answers a PUT as S3 does.
func (x *exchange) stored(ctx context.Context, from http.Header, size int64) {
	x.charge(ctx, from, size)
	x.showResult()
	x.w.Header().Set("Content-Length", "0")
	x.writeHeader(http.StatusOK)
}

// charge charges the use for what S3 has stored, with these headers in its
// answer.
func (x *exchange) charge(ctx context.Context, from http.Header, size int64) {
	x.use.Stored(tokens.Object{
		Size: size, ETag: from.Get("Etag"), VersionID: from.Get("X-Amz-Version-Id"),
	})
	x.use.Commit(ctx)
	x.result = http.Header{}
	for name, values := range from {
		if putAnswerHeader(name) {
			x.result[name] = values
		}
	}
}

// showResult tells the client what S3 has said of the object.
func (x *exchange) showResult() {
	header := x.w.Header()
	for name, values := range x.result {
		header[asSent(name)] = values
	}
}

func putAnswerHeader(name string) bool {
	return name == "Etag" || name == "X-Amz-Version-Id" || strings.HasPrefix(name, "X-Amz-Checksum-")
}

// uploadBody passes the client's body on. Before it gives out the last bytes
// it asks whether the upload may be completed, and gives none out if not.
//
// The transport waits for a read to return before it returns itself, and it
// may go on reading when it has. So no read may block for ever, and none may
// give anything out once the handler has lost interest.
type uploadBody struct {
	src    io.Reader
	size   int64
	commit func() error
	hurry  func()
	idle   *idleTimer // nil if no client is waited for

	mu   sync.Mutex
	left int64 // bytes still to come
	read int64
	err  error // why the client's body ended early
	sent bool  // the last bytes were given out
	done bool  // nothing more is given out
}

func (b *uploadBody) Read(p []byte) (int, error) {
	if err := b.arm(); err != nil {
		return 0, err
	}
	n, err := b.src.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left -= int64(n)
	b.read += int64(n)
	if err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && b.left > 0 {
		b.err = err
	}
	if b.done {
		return 0, errShortBody
	}
	if n > 0 && b.left == 0 {
		if cut := b.commit(); cut != nil {
			return 0, cut
		}
		b.sent = true
	}
	return n, err
}

// arm lets the next read wait for the client, if there is more to come.
func (b *uploadBody) arm() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return errShortBody
	}
	if b.left > 0 {
		b.idle.arm()
	}
	return nil
}

// giveUp stops the body before its last bytes; it reports whether that was
// not too late.
func (b *uploadBody) giveUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sent || b.done {
		return false
	}
	b.done = true
	b.hurry()
	return true
}

// Close leaves the client's body to net/http.
func (b *uploadBody) Close() error { return nil }

// state returns why the client's body ended early, if it did, and whether
// the last bytes were given out.
func (b *uploadBody) state() (clientErr error, complete bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err, b.sent
}

// release ends reading and returns the number of bytes that were read.
func (b *uploadBody) release() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	return b.read
}
