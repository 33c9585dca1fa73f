package gate_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"testing"
	"time"
)

// reader is a client that downloads on a connection of its own.
type reader struct {
	roots  *x509.CertPool // nil for plain HTTP
	http2  bool
	buffer int           // of its kernel, for what it has not read yet; 0 is the system's
	pause  time.Duration // between reads of 4 KiB each; 0 reads all it gets
	into   io.Writer     // of the body; nil discards it
}

// download is one that has begun.
type download struct {
	client string // its connection, as the oracle names it
	header http.Header
	status int
	proto  string
	got    atomic.Int64
	ended  chan struct{}
	err    error // why it ended; nil if all has come. Set when it has ended
}

// open begins a download, and returns when the first bytes are here.
func (r reader) open(ctx context.Context, url string) (*download, error) {
	tr := &http.Transport{ForceAttemptHTTP2: r.http2, DisableKeepAlives: !r.http2, DisableCompression: true, DialContext: r.dial}
	if r.roots != nil {
		tr.TLSClientConfig = &tls.Config{RootCAs: r.roots}
	}
	d := &download{ended: make(chan struct{})}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) { d.client = connection(c.Conn.LocalAddr(), c.Conn.RemoteAddr()) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	d.header, d.status, d.proto = resp.Header, resp.StatusCode, resp.Proto
	first := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		resp.Body.Close()
		return nil, fmt.Errorf("%s, and then: %w", resp.Status, err)
	}
	if err := r.take(d, first); err != nil {
		resp.Body.Close()
		return nil, err
	}
	go func() {
		defer close(d.ended)
		defer tr.CloseIdleConnections()
		defer resp.Body.Close()
		d.err = r.read(d, resp.Body)
	}()
	return d, nil
}

func (r reader) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil && r.buffer > 0 {
		err = c.(*net.TCPConn).SetReadBuffer(r.buffer)
	}
	return c, err
}

func (r reader) read(d *download, body io.Reader) error {
	buf := make([]byte, 64<<10)
	if r.pause > 0 {
		buf = buf[:4<<10]
	}
	for {
		n, err := body.Read(buf)
		if err := r.take(d, buf[:n]); err != nil {
			return err
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		time.Sleep(r.pause)
	}
}

func (r reader) take(d *download, p []byte) error {
	d.got.Add(int64(len(p)))
	if r.into == nil {
		return nil
	}
	_, err := r.into.Write(p)
	return err
}

// wait waits until the download has ended, and returns why.
func (d *download) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-d.ended:
	case <-time.After(2 * time.Minute):
		t.Fatalf("a download still runs, after %d bytes", d.got.Load())
	}
	return d.err
}
