package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// errIdle is an upload whose client sends nothing, or next to nothing.
var errIdle = fmt.Errorf("%w: its client is too slow", errShortBody)

// bodyError is why a client's body ended early.
func bodyError(err error) error {
	switch {
	case errors.Is(err, errIdle):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", errIdle, err)
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", errShortBody, err)
}

// idleTimer bounds how long a client may send nothing of its body, and how
// little it may send in that time. A nil idleTimer is for what waits for no
// client. It is not for concurrent use.
type idleTimer struct {
	rc    *http.ResponseController
	idle  time.Duration
	armed time.Time // when the client was last given its time; zero while nobody reads

	least  int64         // bytes a second; 0 is without limit
	waited time.Duration // in reads, since the last look
	got    int64         // in that time
}

func (x *exchange) idleTimer() *idleTimer {
	return &idleTimer{
		rc: http.NewResponseController(x.w), idle: cmp.Or(x.now.UploadIdle, 20*time.Second), least: x.now.UploadMinRate,
	}
}

// arm lets the next read wait for the client for the idle time, or a little
// less: setting a deadline is not free.
func (t *idleTimer) arm() {
	if t == nil {
		return
	}
	if now := time.Now(); now.Sub(t.armed) > t.idle/4 {
		t.armed = now
		_ = t.rc.SetReadDeadline(now.Add(t.idle))
	}
}

// rest stops the client's time: it is the gate's turn.
func (t *idleTimer) rest() {
	if t != nil && !t.armed.IsZero() {
		t.armed = time.Time{}
		_ = t.rc.SetReadDeadline(time.Time{})
	}
}

// reader returns the client's body with its pace watched: only what a read
// waits for is the client's time.
func (t *idleTimer) reader(body io.Reader) io.Reader {
	if t.least <= 0 {
		return body
	}
	return &pacedReader{body, t}
}

type pacedReader struct {
	body  io.Reader
	timer *idleTimer
}

func (r *pacedReader) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := r.body.Read(p)
	if fast := r.timer.took(n, time.Since(began)); !fast && err == nil {
		return 0, errIdle
	}
	return n, err
}

// took counts a read; false says that the client was too slow on average over
// the idle time.
func (t *idleTimer) took(n int, d time.Duration) bool {
	t.waited += d
	t.got += int64(n)
	if t.waited < t.idle {
		return true
	}
	fast := float64(t.got) >= float64(t.least)*t.waited.Seconds()
	t.waited, t.got = 0, 0
	return fast
}
