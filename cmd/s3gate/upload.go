package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const tusVersion = "1.0.0"

// upload sends a file through a link by tus 1.0
// (https://tus.io/protocols/resumable-upload), over as many connections as it
// takes.
type upload struct {
	requests
	link   link
	source *source
	chunk  int64 // bytes of one request; 0 for the rest at once
	show   *bar
	wait   *patience

	sums    bool   // the server checks what a chunk adds up to
	name    string // that the server has given it; "" before that
	offset  int64  // up to where the server has it
	best    int64  // the highest offset so far
	resumed int64  // what an earlier run had sent
	sent    bool   // every byte has left, and for all that is known it may have them
	expires time.Time
	last    http.Header // of the latest answer
}

var (
	errOffset   = errors.New("the server has another part of the file")
	errProtocol = errors.New("the server does not keep to tus 1.0")
	errNoTus    = errors.New("the server does not take uploads that can be resumed")
	errLost     = errors.New("every byte was sent, and the server no longer knows the upload: the file may have been stored")
)

// try repeats what may succeed later.
func (u *upload) try(f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		if err := u.wait.wait(err); err != nil {
			return err
		}
	}
}

// discover returns errNoTus unless the server takes resumable uploads through
// the link.
func (u *upload) discover() error {
	resp, err := u.do(http.MethodOptions, u.link.url.String(), http.Header{}, nil, 0)
	var r *refusal
	switch {
	case errors.As(err, &r) && r.after == nil:
		return errNoTus
	case err != nil:
		return err
	case !lists(resp.Header.Get("Tus-Version"), tusVersion) || !lists(resp.Header.Get("Tus-Extension"), "creation"):
		return errNoTus
	}
	u.sums = lists(resp.Header.Get("Tus-Checksum-Algorithm"), "sha256")
	u.wait.reached = true
	return nil
}

// lists reports whether a header that lists things names one.
func lists(header, name string) bool {
	return slices.ContainsFunc(strings.Split(header, ","), func(s string) bool { return strings.TrimSpace(s) == name })
}

// begin makes an upload for the file.
func (u *upload) begin(media string) error {
	h := tusHeader()
	h.Set("Upload-Length", strconv.FormatInt(u.source.size, 10))
	metadata := "filename " + base64.StdEncoding.EncodeToString([]byte(u.filename()))
	if media != "" {
		metadata += ",filetype " + base64.StdEncoding.EncodeToString([]byte(media))
	}
	h.Set("Upload-Metadata", metadata)
	resp, err := u.do(http.MethodPost, u.link.url.String(), h, nil, 0)
	if err != nil {
		return err
	}
	location, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || location.Query().Get("upload") == "" {
		return fmt.Errorf("%w: it does not say where to send the file", errProtocol)
	}
	u.name, u.sent, u.best = location.Query().Get("upload"), false, 0
	u.at(0, resp.Header)
	u.wait.progress()
	return nil
}

// filename is what the file is called on the other side, if the link does not
// say where to put it.
func (u *upload) filename() string { return cmp.Or(u.link.name(), u.source.name) }

func tusHeader() http.Header { return http.Header{"Tus-Resumable": {tusVersion}} }

// locate asks how much of the file the server has.
func (u *upload) locate() error {
	resp, err := u.do(http.MethodHead, u.link.upload(u.name), tusHeader(), nil, 0)
	if err != nil {
		return err
	}
	if length := resp.Header.Get("Upload-Length"); length != "" && length != strconv.FormatInt(u.source.size, 10) {
		return fmt.Errorf("%w: it has an upload of another length, %q and not %d", errProtocol, length, u.source.size)
	}
	offset, err := u.offsetIn(resp)
	if err != nil {
		return err
	}
	u.at(offset, resp.Header)
	u.sent = offset == u.source.size
	u.wait.reached = true
	return nil
}

func (u *upload) offsetIn(resp *http.Response) (int64, error) {
	offset, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || offset < 0 || offset > u.source.size {
		return 0, fmt.Errorf("%w: it says that it has %q of %d bytes", errProtocol, resp.Header.Get("Upload-Offset"), u.source.size)
	}
	return offset, nil
}

// at takes note of how much the server has.
func (u *upload) at(offset int64, answer http.Header) {
	if offset > u.best {
		u.best = offset
		u.wait.progress()
	}
	if expires, err := http.ParseTime(answer.Get("Upload-Expires")); err == nil {
		u.expires = expires
	}
	u.offset, u.last = offset, answer
	u.show.set(offset - u.resumed)
}

// send sends what is missing. Then last is the answer to the last byte.
func (u *upload) send() error {
	for {
		err := u.patch()
		switch {
		case err == nil && u.offset == u.source.size:
			return nil
		case err == nil:
			continue
		case u.offset == u.source.size && !u.wait.passing(err):
			return nil // the server has said before that the file is whole
		}
		if changed := u.source.unchanged(); changed != nil {
			_ = u.end()
			return changed
		}
		if err := u.wait.wait(err); err != nil {
			return err
		}
		if err := u.try(u.locate); err != nil {
			return err
		}
	}
}

// patch sends one request with what is missing, or a chunk of it. If nothing
// is, the answer still tells what was stored.
func (u *upload) patch() error {
	n := u.source.size - u.offset
	if u.chunk > 0 {
		n = min(n, u.chunk)
	}
	h := tusHeader()
	h.Set("Content-Type", "application/offset+octet-stream")
	h.Set("Upload-Offset", strconv.FormatInt(u.offset, 10))
	if u.chunk > 0 && u.sums {
		sum := sha256.New()
		if _, err := io.Copy(sum, u.source.stretch(u.offset, n)); err != nil {
			return err
		}
		h.Set("Upload-Checksum", "sha256 "+base64.StdEncoding.EncodeToString(sum.Sum(nil)))
	}
	var at atomic.Int64
	at.Store(u.offset)
	file := u.source.stretch(u.offset, n)
	resp, err := u.do(http.MethodPatch, u.link.upload(u.name), h, readFunc(func(p []byte) (int, error) {
		n, err := file.Read(p)
		u.show.set(at.Add(int64(n)) - u.resumed)
		return n, err
	}), n)
	u.sent = u.sent || at.Load() == u.source.size
	var r *refusal
	if errors.As(err, &r) && r.problem.Status == http.StatusConflict && r.after == nil {
		return errOffset
	}
	if err != nil {
		return err
	}
	return u.advance(resp, n)
}

// advance takes the answer to n bytes.
func (u *upload) advance(resp *http.Response, n int64) error {
	offset, err := u.offsetIn(resp)
	if err != nil {
		return err
	}
	if offset > u.offset+n || offset == u.offset && n > 0 {
		return fmt.Errorf("%w: it has %d bytes after %d were sent from %d on", errProtocol, offset, n, u.offset)
	}
	u.at(offset, resp.Header)
	return nil
}

// end tells the server to forget the upload. One that does not know it, or
// how to, will in time.
func (u *upload) end() error {
	_, err := u.do(http.MethodDelete, u.link.upload(u.name), tusHeader(), nil, 0)
	if refused(err)/100 == 4 && refused(err) != http.StatusLocked && refused(err) != http.StatusTooManyRequests {
		return nil
	}
	return err
}

// gone reports whether an error says that the server has no such upload.
func gone(err error) bool {
	return refused(err) == http.StatusNotFound || refused(err) == http.StatusGone
}
