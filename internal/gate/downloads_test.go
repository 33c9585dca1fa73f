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
	pause  time.Duration // before each read of 4 KiB from the connection; 0 reads all there is
	into   io.Writer     // of the body; nil discards it
}

// download is one that has begun.
type download struct {
	client string // its connection, as the oracle names it
	header http.Header
	status int
	proto  string
	got    atomic.Int64 // of the body
	read   atomic.Int64 // from the connection, of everything
	ended  chan struct{}
	err    error // why it ended; nil if all has come. Set when it has ended
}

// open begins a download, and returns when the first bytes are here.
func (r reader) open(ctx context.Context, url string) (*download, error) {
	d := &download{ended: make(chan struct{})}
	tr := &http.Transport{ForceAttemptHTTP2: r.http2, DisableKeepAlives: !r.http2, DisableCompression: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return r.dial(ctx, d, network, addr)
		}}
	if r.roots != nil {
		tr.TLSClientConfig = &tls.Config{RootCAs: r.roots}
	}
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

func (r reader) dial(ctx context.Context, d *download, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil && r.buffer > 0 {
		err = c.(*net.TCPConn).SetReadBuffer(r.buffer)
	}
	return &readerConn{c, r.pause, &d.read}, err
}

// readerConn reads as slowly as its reader.
type readerConn struct {
	net.Conn
	pause time.Duration
	read  *atomic.Int64
}

func (c *readerConn) Read(p []byte) (int, error) {
	if c.pause > 0 {
		time.Sleep(c.pause)
		p = p[:min(len(p), 4<<10)]
	}
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func (r reader) read(d *download, body io.Reader) error {
	buf := make([]byte, 64<<10)
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
