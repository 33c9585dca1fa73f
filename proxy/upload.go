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

// typeError is an upload of a media type that the grant does not permit: the
// declared one, or that which its content looks like.
type typeError struct {
	allowed []string
	sniffed bool
}

func (e *typeError) Error() string { return "media type not permitted" }

// expectAbove is the size in bytes from which it is worth a round trip to
// hear S3's refusal before the body.
const expectAbove = 64 << 10

// uploadHeaders may describe what is uploaded.
var uploadHeaders = []string{"Content-Type", "Content-Encoding", "Content-Language"}

// upload answers a PUT: by one streamed request to S3, or in parts where that
// cannot be.
func (x *exchange) upload() error {
	if err := checkLength(x.r); err != nil {
		return err
	}
	return x.uploading(x.store)
}

// uploading redeems a use of the token for an upload, has it served, and ends the
// use.
func (x *exchange) uploading(serve func(ctx context.Context, up Upstream) error) error {
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
	x.tellRedeemed()
	return serve(ctx, up)
}

// store stores the body.
func (x *exchange) store(ctx context.Context, up Upstream) (err error) {
	x.place(tailName(x.tail))
	if err := x.checkUpload(); err != nil {
		return err
	}
	defer func() { x.endHold(ctx, err) }()
	if x.grant().Limited() {
		// Of one request only the use is left.
		if ctx, err = x.hold(ctx); err != nil {
			return err
		}
	}
	if err := x.mayOverwrite(ctx, up); err != nil {
		return err
	}
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
func (x *exchange) checkUpload() (err error) {
	r, limits := x.r, &x.grant().Upload
	if most := maxUpload(limits); r.ContentLength > most {
		return &tooLargeError{r.ContentLength, most}
	}
	// What a client of S3 would frame in chunks with signatures of its own, or
	// copy on the server, must not be stored as if it were the object.
	encoding := strings.ToLower(strings.Join(r.Header.Values("Content-Encoding"), ","))
	if strings.Contains(encoding, "aws-chunked") || r.Header.Get("X-Amz-Copy-Source") != "" ||
		strings.HasPrefix(strings.ToUpper(r.Header.Get("X-Amz-Content-Sha256")), "STREAMING-") || r.Header.Get("X-Amz-Trailer") != "" {
		return errEncoding
	}
	if len(limits.ContentTypes) > 0 && !typeAllowed(strings.Join(r.Header.Values("Content-Type"), ", "), limits.ContentTypes) {
		return &typeError{limits.ContentTypes, false}
	}
	if x.digests, err = uploadDigests(r.Header); err != nil {
		return err
	}
	if err := x.digests.demand(limits.Checksum); err != nil {
		return err
	}
	x.metadata, err = uploadMetadata(r.Header, limits)
	return err
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
func maxUpload(limits *tokens.Upload) int64 {
	if limits.MaxBytes > 0 {
		return min(limits.MaxBytes, s3client.MaxObject)
	}
	return s3client.MaxObject
}

// put streams the body.
func (x *exchange) put(ctx context.Context, up Upstream) error {
	pipe, closePipe := x.h.Bandwidth.open(x.grant())
	defer closePipe()
	x.transfer.Expect(x.r.ContentLength)
	idle := x.idleTimer()
	body := &uploadBody{
		src: pipe.reader(ctx, x.transfer.Reader(idle.reader(x.r.Body))), size: x.r.ContentLength, digests: x.digests,
		commit: func() error { return x.commit(ctx, up) }, hurry: x.hurry, idle: idle,
	}
	defer func() { x.in = body.release() }()
	if err := body.sniff(ctx, &x.grant().Upload); err != nil {
		return err
	}
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
		if err := body.end(); err != nil {
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
	header := x.putHeader(body.size)
	x.digests.forS3(header)
	if body.md5 != "" {
		header.Set("Content-Md5", body.md5)
	}
	resp, err := up.Do(sending, &s3client.Request{
		Method: http.MethodPut, Key: x.key(), Header: header,
		Body: body, Size: body.size, Agent: string(x.grant().ID),
	})
	return x.conclude(ctx, up, body, resp, err)
}

// conclude judges by S3's answer and by how far the body came.
func (x *exchange) conclude(ctx context.Context, up Upstream, body *uploadBody, resp *http.Response, err error) (http.Header, error) {
	stopped, complete := body.state()
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
		if body.md5 != "" && isDamage(err) {
			err = damaged(err) // it was right in memory
		}
		if resp.StatusCode < 500 || resp.StatusCode == http.StatusServiceUnavailable {
			return nil, err // S3 says that it has not stored it
		}
	case stopped != nil:
		return nil, stopped
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
		Key: x.key(), Mark: x.use.Mark(), Overwrite: !x.conditional(), Agent: string(x.grant().ID),
	}
}

func (x *exchange) putHeader(size int64) http.Header {
	header := x.ofObject()
	if x.conditional() {
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
		Key: x.key(), Size: size, ETag: from.Get("Etag"), VersionID: from.Get("X-Amz-Version-Id"),
	})
	x.use.Commit(ctx)
	x.h.Metrics.stored(x)
	x.result = http.Header{}
	for name, values := range from {
		if putAnswerHeader(name) {
			x.result[name] = values
		}
	}
}

// showResult tells the client what S3 has said of the object, if it is stored.
func (x *exchange) showResult() {
	if x.result == nil {
		return
	}
	x.revealKey()
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
	src     io.Reader
	size    int64
	digests *digests // of all that is read
	md5     string   // Content-MD5 of what is in memory; else ""
	commit  func() error
	hurry   func()
	idle    *idleTimer // nil if no client is waited for

	mu   sync.Mutex
	left int64 // bytes still to come
	read int64
	err  error // why the body was not sent to its end
	sent bool  // the last bytes were given out
	done bool  // nothing more is given out
}

func (b *uploadBody) Read(p []byte) (int, error) {
	if err := b.arm(); err != nil {
		return 0, err
	}
	n, err := b.src.Read(p)
	b.digests.Write(p[:n])
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left -= int64(n)
	b.read += int64(n)
	if err != nil && b.left > 0 {
		b.err = bodyError(err)
		err = b.err
	}
	if b.done {
		return 0, errShortBody
	}
	if n > 0 && b.left == 0 {
		if b.err = b.end(); b.err != nil {
			return 0, b.err
		}
		b.sent = true
	}
	return n, err
}

// end says whether the last bytes may be given out.
func (b *uploadBody) end() error {
	if err := b.digests.verify(); err != nil {
		return err
	}
	return b.commit()
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

// state returns why the body was not sent to its end, if it was not, and
// whether the last bytes were given out.
func (b *uploadBody) state() (stopped error, complete bool) {
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
