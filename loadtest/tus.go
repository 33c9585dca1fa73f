package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"s3gate/client"
)

// prepareTus uploads in two requests (tus 1.0), of which the first breaks off in the
// middle, and the second goes on from where the gate says.
func prepareTus(_ context.Context, w *world) (operation, error) {
	w.checks.expect(storedWhole)
	return func(ctx context.Context, n uint64) outcome {
		key := fmt.Sprintf("tus-%d", n%uploadKeys)
		t, err := w.mint(ctx, "put", key, func(r *client.MintRequest) { r.Upload = overwriting() })
		if err != nil {
			return outcome{err: err}
		}
		o := w.tus(ctx, w.link(t), n)
		if o.err == nil && n%uploadKeys == 0 {
			w.holdStored(ctx, key)
		}
		return o
	}, nil
}

func (w *world) tus(ctx context.Context, link string, n uint64) (o outcome) {
	resp, err := w.tusRequest(ctx, http.MethodPost, link, nil, 0, http.Header{"Upload-Length": {strconv.FormatInt(w.cfg.Size, 10)}})
	if err != nil {
		return outcome{err: err}
	}
	discard(resp)
	if resp.StatusCode != http.StatusCreated {
		return outcome{err: &statusError{resp.StatusCode}}
	}
	upload, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil {
		return outcome{err: fmt.Errorf("the upload's Location cannot be read")}
	}
	// Where it breaks off differs, and the gate keeps what it likes of it.
	half := w.cfg.Size * int64(1+n%7) / 8
	if _, err := w.patch(ctx, upload, 0, half); err == nil {
		return outcome{err: fmt.Errorf("a PATCH that broke off was answered with success")}
	}
	sent, err := w.resume(ctx, upload)
	return outcome{sent: half + sent, err: err}
}

// resume sends what is missing. The gate may still be busy with the request that broke
// off, and then says so, or knows more than it did a moment ago: clients ask again.
func (w *world) resume(ctx context.Context, upload *url.URL) (sent int64, err error) {
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		at, err := w.offset(ctx, upload)
		status := http.StatusNoContent
		if err == nil {
			status, err = w.patch(ctx, upload, at, w.cfg.Size)
		}
		var refused *statusError
		if errors.As(err, &refused) {
			status = refused.status
		}
		switch status {
		case http.StatusConflict, http.StatusLocked:
		case http.StatusNoContent:
			return w.cfg.Size - at, err
		default:
			return 0, cmp.Or(err, error(&statusError{status}))
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// patch sends the bytes from at to to. Unless that is all of them it says that the
// rest comes too, and breaks off.
func (w *world) patch(ctx context.Context, upload *url.URL, at, to int64) (status int, err error) {
	header := http.Header{"Content-Type": {"application/offset+octet-stream"}, "Upload-Offset": {strconv.FormatInt(at, 10)}}
	body := func() io.Reader {
		if to < w.cfg.Size {
			return io.MultiReader(w.content.reader(at, to), broken{})
		}
		return w.content.reader(at, to)
	}
	resp, err := w.tusRequest(ctx, http.MethodPatch, upload.String(), body, w.cfg.Size-at, header)
	if err != nil {
		return 0, err
	}
	discard(resp)
	return resp.StatusCode, nil
}

// broken is where a body breaks off.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (w *world) offset(ctx context.Context, upload *url.URL) (int64, error) {
	resp, err := w.tusRequest(ctx, http.MethodHead, upload.String(), nil, 0, http.Header{})
	if err != nil {
		return 0, err
	}
	discard(resp)
	if resp.StatusCode != http.StatusOK {
		return 0, &statusError{resp.StatusCode}
	}
	at, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || at < 0 || at > w.cfg.Size {
		return 0, fmt.Errorf("the offset is %q", resp.Header.Get("Upload-Offset"))
	}
	return at, nil
}

func (w *world) tusRequest(ctx context.Context, method, link string, body func() io.Reader, size int64, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, link, nil)
	if err != nil {
		return nil, cause(err)
	}
	if body != nil {
		carry(r, size, body)
	}
	r.Header = header
	r.Header.Set("Tus-Resumable", "1.0.0")
	resp, _, err := w.send(r)
	return resp, err
}
