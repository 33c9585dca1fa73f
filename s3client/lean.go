package s3client

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// lean is a transport for requests without a body, as downloads are. It sends and
// reads on the goroutine that asks: net/http has two more for each connection, and
// waking them is most of what a small request costs there. It keeps connections as
// net/http does, and is asked the same questions; whatever else there is goes
// through net/http. It is safe for concurrent use.
type lean struct {
	base *http.Transport // says how to dial and what to wait for, and carries the rest

	mu    sync.Mutex
	idle  map[place][]*wire // the last one was used last
	sweep *time.Timer       // nil while nothing is idle
	shut  bool              // nothing is kept, until somebody asks again
}

// place is where connections lead.
type place struct{ scheme, addr string }

// newLean returns base with a shorter way for what it can carry. A RoundTripper that
// is not of net/http, or that does more than dial, is used as it is.
func newLean(base http.RoundTripper) http.RoundTripper {
	t, ok := base.(*http.Transport)
	if !ok || !canTell || t.Proxy != nil || t.DialContext == nil || t.DialTLSContext != nil ||
		t.ForceAttemptHTTP2 || t.DisableKeepAlives || !t.DisableCompression || t.MaxConnsPerHost != 0 {
		return base
	}
	return &lean{base: t, idle: map[place][]*wire{}}
}

// ports are those that go without saying.
var ports = map[string]string{"http": "80", "https": "443"}

// carries reports whether a request is one that may be sent again when its
// connection turns out to be dead, and that asks for nothing special.
func carries(r *http.Request) (at place, ok bool) {
	port := ports[r.URL.Scheme]
	if port == "" || r.Method != http.MethodGet && r.Method != http.MethodHead ||
		r.Body != nil && r.Body != http.NoBody || r.Close || r.Header.Get("Expect") != "" || len(r.Trailer) > 0 {
		return at, false
	}
	if !isPrintable(r.URL.Host) {
		return at, false // an international name, which net/http knows to spell
	}
	for _, values := range r.Header {
		for _, v := range values {
			if !isPrintable(v) {
				return at, false // which net/http may refuse
			}
		}
	}
	if r.URL.Port() == "" {
		return place{r.URL.Scheme, net.JoinHostPort(r.URL.Hostname(), port)}, true
	}
	return place{r.URL.Scheme, r.URL.Host}, true
}

// RoundTrip sends r. A connection that was used before may have died since: if it
// ends before a byte of the answer has come, r goes over a new one.
func (l *lean) RoundTrip(r *http.Request) (*http.Response, error) {
	at, ok := carries(r)
	if !ok {
		return l.base.RoundTrip(r)
	}
	if w := l.take(at); w != nil {
		resp, err := w.exchange(r)
		if err == nil || w.answered || r.Context().Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return resp, err
		}
	}
	w, err := l.dial(r.Context(), at)
	if err != nil {
		if r.Context().Err() != nil {
			err = context.Cause(r.Context())
		}
		return nil, err
	}
	return w.exchange(r)
}

// dial opens a connection.
func (l *lean) dial(ctx context.Context, at place) (*wire, error) {
	c, err := l.base.DialContext(ctx, "tcp", at.addr)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: c, tcp: c, owner: l, at: at}
	if s, ok := c.(syscall.Conn); ok {
		w.socket, _ = s.SyscallConn()
	}
	if at.scheme == "https" {
		if w.Conn, err = l.secure(ctx, c, at); err != nil {
			c.Close()
			return nil, err
		}
	}
	return w, nil
}

// secure speaks TLS on a connection.
func (l *lean) secure(ctx context.Context, c net.Conn, at place) (net.Conn, error) {
	cfg := l.base.TLSClientConfig.Clone()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(at.addr)
	}
	if limit := l.base.TLSHandshakeTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	secured := tls.Client(c, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secured, nil
}

// take returns an idle connection that is still good, nil if there is none.
func (l *lean) take(at place) *wire {
	for {
		l.mu.Lock()
		l.shut = false
		list := l.idle[at]
		if len(list) == 0 {
			l.mu.Unlock()
			return nil
		}
		w := list[len(list)-1]
		list[len(list)-1] = nil
		l.idle[at] = list[:len(list)-1]
		l.mu.Unlock()
		if w.quiet() {
			return w
		}
		w.tcp.Close()
	}
}

// put keeps a connection for the next request.
func (l *lean) put(w *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut || w.socket == nil || len(l.idle[w.at]) >= cmp.Or(l.base.MaxIdleConnsPerHost, http.DefaultMaxIdleConnsPerHost) {
		w.tcp.Close()
		return
	}
	w.since = time.Now()
	l.idle[w.at] = append(l.idle[w.at], w)
	if l.sweep == nil {
		l.sweep = time.AfterFunc(l.pause(), l.closeOld)
	}
}

// pause is how long idle connections are left alone.
func (l *lean) pause() time.Duration {
	return max(cmp.Or(l.base.IdleConnTimeout, time.Minute)/4, 10*time.Millisecond)
}

// closeOld closes what has been idle for too long, and what the other side has closed.
func (l *lean) closeOld() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep = nil
	for at, list := range l.idle {
		kept := list[:0:0]
		for _, w := range list {
			if limit := l.base.IdleConnTimeout; limit > 0 && time.Since(w.since) >= limit || !w.quiet() {
				w.tcp.Close()
				continue
			}
			kept = append(kept, w)
		}
		if l.idle[at] = kept; len(kept) == 0 {
			delete(l.idle, at)
		}
	}
	if len(l.idle) > 0 {
		l.sweep = time.AfterFunc(l.pause(), l.closeOld)
	}
}

// CloseIdleConnections closes those that nobody uses now.
func (l *lean) CloseIdleConnections() {
	l.base.CloseIdleConnections()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, list := range l.idle {
		for _, w := range list {
			w.tcp.Close()
		}
	}
	clear(l.idle)
	l.shut = true
	if l.sweep != nil {
		l.sweep.Stop()
		l.sweep = nil
	}
}

// wire is a connection, which carries one request at a time.
type wire struct {
	net.Conn                 // plain or TLS
	tcp      net.Conn        // below TLS
	socket   syscall.RawConn // nil where there is none
	owner    *lean
	at       place
	since    time.Time // when it became idle

	// Of the request that it carries:
	answered bool          // something of an answer has come
	room     int64         // how much of headers may still come
	reader   *bufio.Reader // nil while there is nothing in it
	stop     func() bool   // ends the watch for the request's end
}

// wireBuffer holds the headers of an answer and a small object, which so come in
// one read.
const wireBuffer = 8 << 10

var (
	wireReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, wireBuffer) }}
	wireWriters = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 4<<10) }}
)

// Read counts what comes of headers.
func (w *wire) Read(p []byte) (int, error) {
	if w.room <= 0 {
		return 0, errHeaderSize
	}
	n, err := w.Conn.Read(p)
	w.room -= int64(n)
	w.answered = w.answered || n > 0
	return n, err
}

var errHeaderSize = errors.New("s3 answers with too many headers")

// defaultHeaderSize is that of net/http.
const defaultHeaderSize = 10 << 20

// quiet reports whether an idle connection is as it was left: open, and with
// nothing on it, since what comes unasked would answer the next request.
func (w *wire) quiet() bool {
	if !silent(w.socket) {
		return false
	}
	if w.Conn == w.tcp {
		return true
	}
	// TLS may hold what it has read too far. That needs no waiting.
	_ = w.SetReadDeadline(time.Unix(1, 0))
	_, err := w.Conn.Read(make([]byte, 1))
	_ = w.SetReadDeadline(time.Time{})
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// exchange sends a request and reads the headers of its answer. Whatever fails
// closes the connection; so does the end of the request's context.
func (w *wire) exchange(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	w.answered, w.room = false, cmp.Or(w.owner.base.MaxResponseHeaderBytes, defaultHeaderSize)
	w.stop = context.AfterFunc(ctx, func() { w.tcp.Close() })
	resp, err := w.ask(r)
	if err == nil {
		w.room = math.MaxInt64
		return w.open(resp), nil
	}
	w.stop()
	w.tcp.Close()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, err
}

func (w *wire) ask(r *http.Request) (*http.Response, error) {
	if err := w.send(r); err != nil {
		return nil, fmt.Errorf("sending: %w", err)
	}
	if limit := w.owner.base.ResponseHeaderTimeout; limit > 0 {
		_ = w.SetReadDeadline(time.Now().Add(limit))
		defer w.SetReadDeadline(time.Time{})
	}
	w.reader = wireReaders.Get().(*bufio.Reader)
	w.reader.Reset(w)
	return w.answer(r)
}

func (w *wire) send(r *http.Request) error {
	writer := wireWriters.Get().(*bufio.Writer)
	defer wireWriters.Put(writer)
	defer writer.Reset(nil)
	writer.Reset(w.Conn)
	if err := r.Write(writer); err != nil {
		return err
	}
	return writer.Flush()
}

// answer reads the headers of the answer, after interim ones (RFC 9110, section
// 15.2), of which there may be as many as the room for headers holds.
func (w *wire) answer(r *http.Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(w.reader, r)
		switch {
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("s3 switches protocols unasked")
		case resp.StatusCode/100 != 1:
			return resp, nil
		}
	}
}

// open gives an answer its body.
func (w *wire) open(resp *http.Response) *http.Response {
	b := &wireBody{wire: w, ctx: resp.Request.Context(), keep: !resp.Close}
	switch {
	case resp.Body == http.NoBody, resp.ContentLength == 0, resp.Request.Method == http.MethodHead:
		b.end(true)
		resp.Body = http.NoBody
		return resp
	case resp.ContentLength > 0 && len(resp.TransferEncoding) == 0:
		b.left = resp.ContentLength
	default:
		b.framed = resp.Body
	}
	resp.Body = b
	return resp
}

// wireBody is the body of an answer. At its end the connection may carry the next
// request; who closes it earlier closes the connection.
type wireBody struct {
	wire   *wire
	ctx    context.Context // the request's
	keep   bool            // the server does
	left   int64           // of a body of known length
	framed io.Reader       // any other
	err    error           // how it has ended; nil before
	over   atomic.Bool
}

func (b *wireBody) Read(p []byte) (n int, err error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case b.over.Load():
		return 0, http.ErrBodyReadAfterClose
	case len(p) == 0:
		return 0, nil
	case b.framed != nil:
		n, err = b.framed.Read(p)
	default:
		n, err = b.wire.body(p[:min(int64(len(p)), b.left)])
		err = b.took(n, err)
	}
	if err != nil {
		err = b.fail(err)
	}
	return n, err
}

// Socket implements what package splice asks of a body: its bytes can be spliced
// once those that came with the headers were read, if they are not encrypted.
func (b *wireBody) Socket() (syscall.RawConn, int64) {
	w := b.wire
	if b.err != nil || b.over.Load() || b.framed != nil || w.Conn != w.tcp || w.reader != nil && w.reader.Buffered() > 0 {
		return nil, 0
	}
	w.forgetReader()
	return w.socket, b.left
}

// Took counts what was spliced.
func (b *wireBody) Took(n int, err error) error {
	if err = b.took(n, err); err != nil {
		err = b.fail(err)
	}
	return err
}

// took counts bytes of a body of known length. The last ones come with io.EOF.
func (b *wireBody) took(n int, err error) error {
	b.left -= int64(n)
	switch {
	case b.left == 0:
		return io.EOF
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// fail ends the body with an error, or with io.EOF. The end of the request is the
// reason for whatever follows from it.
func (b *wireBody) fail(err error) error {
	if err != io.EOF && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	b.err = err
	b.end(err == io.EOF)
	return err
}

// Close lets go of the connection.
func (b *wireBody) Close() error {
	b.end(false)
	return nil
}

// end is called by whoever is first.
func (b *wireBody) end(whole bool) {
	if b.over.Swap(true) {
		return
	}
	w := b.wire
	// A watch that was not stopped closes the connection now.
	if stopped := w.stop(); !stopped || !whole || !b.keep || w.reader != nil && w.reader.Buffered() > 0 {
		w.tcp.Close()
		return
	}
	w.forgetReader()
	w.owner.put(w)
}

// body reads of a body of known length: first what came with the headers.
func (w *wire) body(p []byte) (n int, err error) {
	if w.reader != nil && w.reader.Buffered() > 0 {
		return w.reader.Read(p)
	}
	w.forgetReader()
	n, err = w.Conn.Read(p)
	if w.Conn == w.tcp || w.socket == nil {
		return n, err
	}
	// TLS gives a record at a time. Those that are here already come along, so that
	// they can leave together.
	for err == nil && n < len(p) && waiting(w.socket) >= tlsRecord {
		var m int
		m, err = w.Conn.Read(p[n:])
		n += m
	}
	return n, err
}

// tlsRecord is what the largest record of TLS takes with all that belongs to it (RFC
// 8446, section 5.2).
const tlsRecord = 5 + 16<<10 + 256

// forgetReader gives the reader, which is empty, to other connections.
func (w *wire) forgetReader() {
	if w.reader != nil {
		w.reader.Reset(nil)
		wireReaders.Put(w.reader)
		w.reader = nil
	}
}
