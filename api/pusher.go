package api

import (
	"net/http"
	"strings"
	"time"
)

const (
	// heartbeat is how often something is sent to who follows, so that a connection
	// that is gone is noticed, and slow how long sending may take before the client is
	// too slow.
	heartbeat = 15 * time.Second
	slow      = 10 * time.Second
)

// eventStream is the media type of server-sent events (HTML Living Standard,
// section 9.2).
const eventStream = "text/event-stream"

// wantsEvents reports whether a request asks for those.
func wantsEvents(header http.Header) bool {
	return strings.Contains(header.Get("Accept"), eventStream)
}

// pusher writes an answer that goes on, to a client that is not too slow.
type pusher struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	at    time.Time // when something was sent last
}

func newPusher(w http.ResponseWriter) *pusher {
	return &pusher{w, http.NewResponseController(w), time.Now()}
}

// begin sends the headers, at once if it follows.
func (p *pusher) begin(mediaType string, follow bool) {
	p.w.Header().Set("Content-Type", mediaType)
	p.w.Header().Set("X-Accel-Buffering", "no") // a proxy would hold events back
	p.w.WriteHeader(http.StatusOK)
	if follow {
		_ = p.flush.Flush()
	}
}

// end leaves the connection as other requests want it.
func (p *pusher) end() { _ = p.flush.SetWriteDeadline(time.Time{}) }

func (p *pusher) write(text []byte) error {
	p.at = time.Now()
	_ = p.flush.SetWriteDeadline(p.at.Add(slow)) // a recorder has none
	_, err := p.w.Write(text)
	return err
}

// push also sends what it writes.
func (p *pusher) push(text []byte) error {
	if err := p.write(text); err != nil {
		return err
	}
	return p.flush.Flush()
}
