package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"s3gate/s3client"
	"s3gate/tokens"
)

// download answers a GET.
func (x *exchange) download() error {
	if x.wary() {
		answered, err := x.look(x.r.Context(), tokens.Get)
		if errors.Is(err, tokens.ErrOperation) && x.opensUpload() {
			return x.offerUpload(x.r.Context())
		}
		if answered || err != nil {
			return err
		}
	}
	x.register()
	ctx := x.transfer.Context()
	if done, err := x.lookAround(ctx); done || err != nil {
		return err
	}
	use, err := x.h.Tokens.Redeem(ctx, x.token, x.wants(tokens.Get))
	x.use = use
	if err != nil {
		return err
	}
	// Whatever happens before the first byte hands the use back.
	defer x.endUse(ctx)
	x.limitTime()
	if done, err := x.browse(ctx); done || err != nil {
		return err
	}
	resp, err := x.fetch(http.MethodGet)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return x.respond(resp)
}

// head answers a HEAD, which charges nothing.
func (x *exchange) head() error {
	if _, err := x.look(x.r.Context(), tokens.Get); err != nil {
		return err
	}
	if done, err := x.browse(x.r.Context()); done || err != nil {
		return err
	}
	resp, err := x.fetch(http.MethodHead)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return x.refused(resp)
	}
	x.copyHeaders(resp)
	x.writeHeader(http.StatusOK)
	return nil
}

// fetch asks S3 for the object, or for its headers.
func (x *exchange) fetch(method string) (*http.Response, error) {
	up, err := x.upstream(method)
	if err != nil {
		return nil, err
	}
	p, err := planFetch(x.r, x.grant())
	if err != nil {
		return nil, err
	}
	p.pin(x.grant(), x.use.Open)
	p.askChecksum()
	ctx := x.r.Context()
	if x.transfer != nil {
		ctx = x.transfer.Context()
	}
	send := func(p *plan) (*http.Response, error) {
		return up.Do(ctx, &s3client.Request{
			Method: method, Key: x.key(), Query: p.query, Header: p.header, Agent: string(x.grant().ID),
		})
	}
	resp, err := send(p)
	if err != nil {
		return nil, err
	}
	if p.rangeIsStale(resp) {
		drainAndClose(resp.Body)
		p = p.whole()
		if resp, err = send(p); err != nil {
			return nil, err
		}
	}
	if err := p.judge(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	if resp.StatusCode == http.StatusPartialContent && p.header.Get("Range") == "" {
		resp.Body.Close()
		return nil, fmt.Errorf("%w: part of an object that was asked for whole", errUpstream)
	}
	return resp, nil
}

// respond passes S3's answer to a GET on.
func (x *exchange) respond(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
	default:
		return x.refused(resp)
	}
	if resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
		return fmt.Errorf("%w: a body that ends with the connection may have been cut", errUpstream)
	}
	// Under If-Range the whole object is due when the condition does not hold,
	// and never wrong.
	if x.grant().Strict() && x.r.Header.Get("If-Range") == "" &&
		!satisfiable(x.r.Header.Get("Range"), resp.ContentLength) {
		return &rangeError{size: resp.ContentLength}
	}
	part, err := partOf(resp)
	if err != nil {
		return err
	}
	if open := x.use.Open; open != nil && part.whole() && part.length > open.Left {
		return &tokens.SpentError{Left: open.Left}
	}
	return x.stream(resp, part)
}

// part is what of an object an answer holds.
type part struct {
	object        tokens.Object
	first, length int64
}

func (p *part) whole() bool { return p.length == p.object.Size }

// partOf reads what S3 says that it answers with. A size of -1 is unknown.
func partOf(resp *http.Response) (part, error) {
	p := part{length: resp.ContentLength, object: tokens.Object{
		Size: resp.ContentLength, ETag: resp.Header.Get("Etag"), VersionID: resp.Header.Get("X-Amz-Version-Id"),
	}}
	if resp.StatusCode == http.StatusPartialContent {
		text := resp.Header.Get("Content-Range")
		span, _, _ := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
		from, to, _ := strings.Cut(span, "-")
		first, ok1 := parseDigits(from)
		last, ok2 := parseDigits(to)
		p.object.Size = contentRangeSize(text)
		p.first = first
		if !ok1 || !ok2 || p.object.Size <= last || p.length != last-first+1 {
			return p, fmt.Errorf("%w: a part without its place", errUpstream)
		}
	}
	if p.object.Size < 0 {
		p.object = tokens.Object{} // a copy of unknown length has no budget
	}
	return p, nil
}

// refused handles what is not a success: 304 is passed on, the rest becomes
// an error.
func (x *exchange) refused(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusNotModified:
		x.copyHeaders(resp)
		x.w.Header().Del("Content-Length")
		x.w.Header().Del("Content-Type")
		x.writeHeader(http.StatusNotModified)
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		return &rangeError{size: contentRangeSize(resp.Header.Get("Content-Range"))}
	}
	return s3client.ReadError(resp)
}

// stream charges the use and carries the body. Nothing is sent before the
// first bytes are at hand, so that a failure until then costs no use and has
// a status of its own.
func (x *exchange) stream(resp *http.Response, part part) error {
	ctx := x.transfer.Context()
	pipe, closePipe := x.h.Bandwidth.open(x.grant())
	defer closePipe()
	source := &source{x: x, part: part, body: resp.Body}
	defer source.Close()
	c := x.newCarrier(source, pipe.reader(ctx, source))
	defer c.close()
	buf := c.buffer()
	n, readErr := readSome(c.body, buf)
	if readErr != nil && readErr != io.EOF {
		return fmt.Errorf("%w: %w", s3client.ErrUnreachable, readErr)
	}
	if err := x.use.Pin(ctx, part.object, part.first, part.length); err != nil {
		return err
	}
	// Both are still free: nothing has been given out.
	if err := cmp.Or(x.transfer.Err(), ctx.Err()); err != nil {
		return err
	}
	// From here on the use is spent, whatever becomes of the bytes; an empty
	// body is charged by its headers.
	x.use.Commit(ctx)
	x.tellRedeemed()
	source.resuming = true
	x.transfer.Expect(part.length)
	x.copyHeaders(resp)
	x.writeHeader(resp.StatusCode)
	x.endBody(c.carry(ctx, buf[:n], readErr))
	return nil
}

// give hands size bytes of the body to the client, or as many as the use has left,
// by write, which is told how many.
func (x *exchange) give(ctx context.Context, size int, write func(n int) (int, error)) {
	before := x.transfer.Bytes()
	allowed, err := x.use.Allow(ctx, before+int64(size))
	if err == nil && allowed < before+int64(size) {
		size, err = int(max(0, allowed-before)), &tokens.SpentError{}
	}
	if size > 0 && (err == nil || errors.Is(err, tokens.ErrUsed)) {
		n, writeErr := write(size)
		if writeErr != nil {
			x.maybe = x.sentInPart(size-n, writeErr)
			err = fmt.Errorf("writing to the client: %w", writeErr)
		}
	}
	if err != nil {
		x.breakOff(err)
	}
}

// breakOff ends a body in the middle.
func (x *exchange) breakOff(err error) {
	x.err = err
	_ = x.transfer.Flush() // what was charged may leave
	x.abort()
}

// sentInPart is how many bytes may have left of the rest of a write that has
// failed. HTTP/2 sends a write in frames and does not say which have left when
// the stream is reset; unless the transfer was stopped before it, all of it
// may be with the client.
func (x *exchange) sentInPart(rest int, err error) int64 {
	if x.r.ProtoMajor < 2 || errors.Is(err, x.transfer.Err()) {
		return 0
	}
	return int64(rest)
}

// endBody ends a body that has begun: cleanly if S3's came to its end.
func (x *exchange) endBody(readErr error) {
	flushErr := x.transfer.Flush()
	switch {
	case readErr != io.EOF:
		x.err = fmt.Errorf("reading from s3: %w", readErr)
	case flushErr != nil:
		x.err = fmt.Errorf("writing to the client: %w", flushErr)
	default:
		return
	}
	x.abort()
}

// readSome reads until there is something: bytes, the end, or an error.
func readSome(r io.Reader, p []byte) (n int, err error) {
	for n == 0 && err == nil {
		n, err = r.Read(p)
	}
	return n, err
}

// methodError is a method that the token does not permit.
type methodError struct{ allow string }

func (e *methodError) Error() string { return "method not allowed" }

// rangeError is a range outside the object; size is -1 if unknown.
type rangeError struct{ size int64 }

func (e *rangeError) Error() string { return "range not satisfiable" }

func (e *rangeError) contentRange() string {
	if e.size < 0 {
		return ""
	}
	return "bytes */" + strconv.FormatInt(e.size, 10)
}

var (
	errUpstream = errors.New("unexpected answer from s3")
	errNoBucket = errors.New("bucket alias is not configured")
)
