package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// A slow client takes slowBytes a second, through a receive buffer of as little as
// the kernel lets it have.
const (
	slowBytes  = 4 << 10
	slowBuffer = 4 << 10
)

// prepareSlow holds downloads open that get on hardly. An operation ends with the
// run, or when the download is cut, which it must not be.
func prepareSlow(ctx context.Context, w *world) (operation, error) {
	w.checks.expect(notCut)
	dialer := &net.Dialer{Timeout: w.cfg.Timeout}
	w.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, addr)
		if tcp, ok := c.(*net.TCPConn); ok && err == nil {
			err = tcp.SetReadBuffer(slowBuffer)
		}
		return c, err
	}
	w.http.Transport.(*http.Transport).ReadBufferSize = slowBuffer
	link, err := w.download(ctx)
	until := time.Now().Add(w.cfg.Warmup + w.cfg.Duration)
	return func(ctx context.Context, n uint64) outcome {
		o := w.trickle(ctx, link, until)
		w.checks.hold(notCut, o.err == nil, "download %d: %v", n, o.err)
		return o
	}, err
}

func (w *world) trickle(ctx context.Context, link string, until time.Time) outcome {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return outcome{err: cause(err)}
	}
	resp, first, err := w.send(r)
	if err != nil {
		return outcome{err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return outcome{err: &statusError{resp.StatusCode}, first: first}
	}
	c := &comparer{w.content, 0, w.content.size}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		_, err := io.CopyN(c, resp.Body, slowBytes)
		switch {
		case errors.Is(err, io.EOF):
			return outcome{received: c.at, first: first, err: w.judgeBytes(c.whole())}
		case err != nil:
			return outcome{received: c.at, first: first, err: fmt.Errorf("after %d bytes: %w", c.at, w.judgeBytes(err))}
		case !time.Now().Before(until):
			return outcome{received: c.at, first: first, err: w.judgeBytes(nil)}
		}
		select {
		case <-ctx.Done():
			return outcome{received: c.at, first: first, err: ctx.Err()}
		case <-second.C:
		}
	}
}
