package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"s3gate/client"
)

// download reads an object through a link, over as many connections as it
// takes. After open, Read yields the object from offset on.
type download struct {
	ctx      context.Context
	link     string
	passcode string // "" for none
	most     int    // retries without progress

	retries int // left until there is progress again
	object  object
	offset  int64
	body    io.ReadCloser // nil before the first answer
}

var (
	errChanged = errors.New("the file has changed meanwhile")
	errRange   = errors.New("the answer is another range than was asked for")
)

// open asks for the object: from an offset on, if it is the known one, and
// whole otherwise. Then offset is 0 and object the new one.
func (d *download) open(known object, from int64) error {
	d.object, d.offset, d.retries = known, from, d.most
	resp, err := d.ask(nil)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK {
		d.object, d.offset, d.body = objectOf(resp), 0, resp.Body
		return nil
	}
	return d.goOn(resp)
}

// objectOf reads what an answer with the whole object says of it.
func objectOf(resp *http.Response) object {
	o := object{Size: resp.ContentLength, Name: filename(resp), Check: checkOf(resp.Header)}
	if etag := resp.Header.Get("ETag"); resp.Header.Get("Accept-Ranges") == "bytes" && strings.HasPrefix(etag, `"`) {
		o.ETag = etag
	}
	return o
}

// goOn takes the body of an answer to a request for what is missing.
func (d *download) goOn(resp *http.Response) error {
	err := d.fits(resp)
	if err != nil {
		resp.Body.Close()
		return err
	}
	d.body = resp.Body
	d.object.Name = cmp.Or(filename(resp), d.object.Name)
	return nil
}

func (d *download) fits(resp *http.Response) error {
	from, size, ok := contentRange(resp.Header.Get("Content-Range"))
	switch {
	case resp.StatusCode == http.StatusOK:
		return errChanged
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && d.offset == d.object.Size:
		return nil // there is nothing missing, and the body is empty
	case resp.StatusCode != http.StatusPartialContent || d.offset == 0:
		return errRange
	case cmp.Or(resp.Header.Get("ETag"), d.object.ETag) != d.object.ETag:
		return errChanged
	case !ok || from != d.offset:
		return errRange
	case size >= 0 && size != d.object.Size:
		return errChanged
	}
	return nil
}

// contentRange reads a Content-Range (RFC 9110, section 14.4); what it does
// not say is -1.
func contentRange(text string) (from, size int64, ok bool) {
	text, ok = strings.CutPrefix(text, "bytes ")
	span, total, found := strings.Cut(text, "/")
	first, _, _ := strings.Cut(span, "-")
	from, size = -1, -1
	var err error
	if span != "*" {
		from, err = strconv.ParseInt(first, 10, 64)
	}
	if total != "*" && err == nil {
		size, err = strconv.ParseInt(total, 10, 64)
	}
	return from, size, ok && found && err == nil
}

func (d *download) Close() error {
	if d.body == nil {
		return nil
	}
	return d.body.Close()
}

// Read reads on over other connections when one breaks, as long as the object
// is the same.
func (d *download) Read(p []byte) (int, error) {
	for {
		n, err := d.body.Read(p)
		d.offset += int64(n)
		if n > 0 {
			d.retries = d.most
		}
		switch {
		case d.object.Size >= 0 && d.offset > d.object.Size:
			return 0, errRange
		case n > 0 && err != nil && err != io.EOF:
			return n, nil // the next read hears of it
		case n > 0 || err == nil:
			return n, err
		case d.offset == d.object.Size, err == io.EOF && d.object.Size < 0:
			return 0, io.EOF
		case err == io.EOF:
			err = io.ErrUnexpectedEOF
		}
		if err := d.resume(err); err != nil {
			return 0, err
		}
	}
}

// resume takes the download up again after cause has ended it.
func (d *download) resume(cause error) error {
	d.body.Close()
	if !d.object.resumable() {
		return cause
	}
	resp, err := d.ask(cause)
	if err != nil {
		return err
	}
	return d.goOn(resp)
}

// ask sends the request for what is missing until there is an answer, or no
// sense in asking on. The cause is why it asks again, nil for the first time.
func (d *download) ask(cause error) (*http.Response, error) {
	for {
		if cause != nil {
			wait, again := d.wait(cause)
			if !again || d.retries <= 0 {
				return nil, cause
			}
			d.retries--
			select {
			case <-d.ctx.Done():
				return nil, d.ctx.Err()
			case <-time.After(wait):
			}
		}
		resp, err := d.request()
		if err == nil {
			return resp, nil
		}
		cause = err
	}
}

// maxWait is the longest Retry-After that is waited for.
const maxWait = time.Minute

// wait returns how long to wait before asking again, and whether to do so.
// A server that cannot be reached is asked again only when it has been.
func (d *download) wait(cause error) (time.Duration, bool) {
	backoff := time.Duration(1+d.most-d.retries) * 300 * time.Millisecond
	var r *refusal
	switch {
	case d.ctx.Err() != nil:
		return 0, false
	case !errors.As(cause, &r):
		return backoff, d.body != nil
	case r.after != nil:
		return max(*r.after, backoff), *r.after <= maxWait
	}
	return backoff, d.body != nil && r.problem.Status >= 500
}

// refusal is an error answer.
type refusal struct {
	problem *client.Error
	after   *time.Duration // to wait before it is worth asking again; nil if that is not known
}

func (r *refusal) Error() string { return r.problem.Error() }

func (r *refusal) Unwrap() error { return r.problem }

// request asks once for what is missing, if it is still the same object. An
// answer that there is nothing missing is none of the errors.
func (d *download) request() (*http.Response, error) {
	req, err := http.NewRequestWithContext(d.ctx, http.MethodGet, d.link, nil)
	if err != nil {
		return nil, usagef("not a link")
	}
	if d.passcode != "" {
		req.Header.Set("X-S3gate-Passcode", d.passcode)
	}
	if d.offset > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(d.offset, 10)+"-")
		req.Header.Set("If-Range", d.object.ETag)
	}
	resp, err := roundTrip(req)
	if err != nil || resp.StatusCode/100 == 2 {
		return resp, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && d.offset > 0 {
		_, size, ok := contentRange(resp.Header.Get("Content-Range"))
		switch {
		case ok && size >= 0 && size != d.object.Size:
			return nil, errChanged
		case d.offset == d.object.Size:
			resp.Body.Close()
			resp.Body = http.NoBody
			return resp, nil
		}
	}
	return nil, &refusal{problem: client.ReadError(resp), after: retryAfter(resp, time.Now())}
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3) from an answer that
// may be another one later.
func retryAfter(resp *http.Response, now time.Time) *time.Duration {
	switch resp.StatusCode {
	case http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable:
	default:
		return nil
	}
	text := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait := time.Duration(seconds) * time.Second
		return &wait
	}
	if at, err := http.ParseTime(text); err == nil {
		wait := max(at.Sub(now), 0)
		return &wait
	}
	return nil
}

// transport sends requests for links. It leaves bodies as they are.
var transport = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	return t
}()

// roundTrip sends a request for a link. Errors leave the link out, which is a
// secret.
func roundTrip(req *http.Request) (*http.Response, error) {
	req.Header.Set("Accept", "application/problem+json")
	req.Header.Set("User-Agent", "s3gate/"+versionString())
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	return resp, nil
}
