package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"s3gate/client"
)

// world is what the operations of a run have in common.
type world struct {
	cfg      Config
	checks   *checks
	measures *measures
	content  *content
	http     *http.Client
	api      *client.Client
	idle     []*http.Transport
}

func newWorld(cfg Config) *world {
	links := newTransport(cfg.Workers * max(1, cfg.Clients))
	calls := newTransport(cfg.Workers)
	calls.TLSClientConfig = cfg.Target.TLS
	w := &world{
		cfg: cfg, checks: &checks{}, measures: &measures{}, content: newContent(cfg.Seed, cfg.Size),
		http: &http.Client{Transport: links, CheckRedirect: noRedirect},
		api:  client.New(cfg.Target.APIURL, cfg.Target.Bearer),
		idle: []*http.Transport{links, calls},
	}
	w.api.HTTP = &http.Client{Transport: calls, CheckRedirect: noRedirect}
	w.checks.expect(noServerErr)
	return w
}

// with is the same world for objects of another size.
func (w *world) with(size int64) *world {
	other := *w
	other.cfg.Size = size
	other.content = newContent(w.cfg.Seed, size)
	return &other
}

// cause is what is behind an error of net/http, whose text has the URL.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newTransport keeps a connection for each client, as many clients would.
func newTransport(idle int) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	t.DisableCompression = true
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, max(idle, 16)
	t.ReadBufferSize, t.WriteBufferSize = 64<<10, 64<<10
	return t
}

func (w *world) close() {
	for _, t := range w.idle {
		t.CloseIdleConnections()
	}
}

// statusError is an answer with a status that was not asked for.
type statusError struct{ status int }

func (e *statusError) Error() string {
	return fmt.Sprintf("answered %d %s", e.status, http.StatusText(e.status))
}

// mint mints a token for one of the run's objects.
func (w *world) mint(ctx context.Context, operation, key string, change func(*client.MintRequest)) (*client.Token, error) {
	r := client.MintRequest{
		Operation: operation, Bucket: w.cfg.Target.Bucket, Key: w.cfg.Target.Prefix + key,
		ExpiresIn: (w.cfg.Warmup + w.cfg.Duration + time.Hour).Truncate(time.Second).String(), Labels: map[string]string{"made-by": "s3gate-loadtest"},
	}
	if change != nil {
		change(&r)
	}
	t, err := w.api.Mint(ctx, r)
	w.holdAPI("a mint", err)
	if err != nil {
		return nil, fmt.Errorf("minting: %w", err)
	}
	return t, nil
}

// holdAPI looks at what the API has answered.
func (w *world) holdAPI(what string, err error) {
	var refused *client.Error
	failed := errors.As(err, &refused) && refused.Status >= 500
	w.checks.hold(noServerErr, !failed, "%s: %v", what, err)
}

// link is where a token opens, on the gates that are to be loaded: their public URL
// may be that of somebody in front of them.
func (w *world) link(t *client.Token) string { return w.cfg.Target.LinksURL + "/" + t.Token }

// furnish stores the object of the run, for those scenarios that download it.
func (w *world) furnish(ctx context.Context) (key string, err error) {
	key = fmt.Sprintf("object-%d", w.cfg.Size)
	t, err := w.mint(ctx, "put", key, func(r *client.MintRequest) { r.Upload = overwriting() })
	if err != nil {
		return "", err
	}
	if o := w.put(ctx, w.link(t)); o.err != nil {
		return "", fmt.Errorf("storing an object of %d bytes: %w", w.cfg.Size, o.err)
	}
	return key, nil
}

// send sends a request for a link, and sees what no answer may be.
func (w *world) send(r *http.Request) (*http.Response, time.Time, error) {
	var first time.Time
	trace := &httptrace.ClientTrace{GotFirstResponseByte: func() { first = time.Now() }}
	resp, err := w.http.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil {
		// The text has the URL, and with it the token.
		return nil, first, fmt.Errorf("%s: %w", r.Method, cause(err))
	}
	w.checks.hold(noServerErr, resp.StatusCode < 500, "%s answered %d", r.Method, resp.StatusCode)
	return resp, first, nil
}

// carry gives a request its body, which can be read anew: a server may refuse a request
// that it has not begun with, as by GOAWAY (RFC 9113, section 6.8), and the client then
// sends it again.
func carry(r *http.Request, size int64, body func() io.Reader) {
	r.ContentLength = size
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(body()), nil }
	r.Body, _ = r.GetBody()
}

// put uploads the run's object to a link.
func (w *world) put(ctx context.Context, link string) outcome {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, link, nil)
	if err != nil {
		return outcome{err: cause(err)}
	}
	carry(r, w.content.size, func() io.Reader { return w.content.reader(0, w.content.size) })
	resp, first, err := w.send(r)
	if err != nil {
		return outcome{err: err}
	}
	defer discard(resp)
	if resp.StatusCode != http.StatusOK {
		return outcome{err: &statusError{resp.StatusCode}, first: first}
	}
	return outcome{sent: w.content.size, first: first}
}

// get downloads from a link the bytes from to to, without to, or all if to is 0, and
// compares them.
func (w *world) get(ctx context.Context, link string, from, to int64) outcome {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return outcome{err: cause(err)}
	}
	want := http.StatusOK
	if to > 0 {
		want = http.StatusPartialContent
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
	} else {
		to = w.content.size
	}
	resp, first, err := w.send(r)
	if err != nil {
		return outcome{err: err}
	}
	defer discard(resp)
	if resp.StatusCode != want {
		return outcome{err: &statusError{resp.StatusCode}, first: first}
	}
	c := &comparer{w.content, from, to}
	_, err = io.Copy(c, resp.Body)
	if err == nil {
		err = c.whole()
	}
	return outcome{received: c.at - from, first: first, err: w.judgeBytes(err)}
}

// judgeBytes tells bytes that are wrong from those that did not come.
func (w *world) judgeBytes(err error) error {
	w.checks.hold(rightBytes, !errors.Is(err, errBytes), "%v", err)
	return err
}

// discard reads what is left of a small answer, so that its connection goes on.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
}
