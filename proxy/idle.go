package proxy

import (
	"cmp"
	"net/http"
	"time"
)

// idleTimer bounds how long a client may send nothing of its body. A nil
// idleTimer is for what waits for no client. It is not for concurrent use.
type idleTimer struct {
	rc    *http.ResponseController
	idle  time.Duration
	armed time.Time // when the client was last given its time; zero while nobody reads
}

func (x *exchange) idleTimer() *idleTimer {
	return &idleTimer{rc: http.NewResponseController(x.w), idle: cmp.Or(x.h.UploadIdle, 20*time.Second)}
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
