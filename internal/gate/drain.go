package gate

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"
)

// leave makes readiness fail and gives those who ask for it drain_delay to notice.
// Until it returns everything else works.
func (g *Gate) leave() {
	g.draining.Store(true)
	if delay := g.live.cfg.Load().DrainDelay; delay > 0 {
		g.logger.Info("not ready any more", "drain_delay", delay.String())
		time.Sleep(delay)
	}
}

// leaving asks clients of a gate that is about to end for another connection with
// their next request: HTTP/1 by "Connection: close", which net/http makes a GOAWAY of
// HTTP/2 (RFC 9113, section 6.8). What runs on the connection is not touched.
func (g *Gate) leaving(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// begin waits until the gate can serve, but not for long. Until then its port is open and
// nobody answers: a client who connects to a gate that has just been begun again gets
// what it wants, and not 503.
func (g *Gate) begin(ctx context.Context) {
	defer close(g.begun)
	soon, cancel := context.WithTimeout(ctx, beginning)
	defer cancel()
	_ = g.member.Await(soon) // else it answers 503
}

// afterBegin has calls of the API wait for the same, but not those that ask how the gate
// is.
func (g *Gate) afterBegin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			select {
			case <-g.begun:
			case <-r.Context().Done():
			}
		}
		next.ServeHTTP(w, r)
	})
}

// beginning is how long those who connect first may wait. A gate that joins others has
// its lease in a fraction of that.
const beginning = 2 * time.Second

// newcomers is how long connections that were accepted may take to say what they want
// once the port is closed, and a pause of settled says that none is left.
const (
	newcomers = 2 * time.Second
	settled   = 20 * time.Millisecond
)

// stopAccepting closes the port and waits for the connections that it has accepted to
// get their first request to the handler: [http.Server.Shutdown] would end them without
// an answer, as if they were idle.
func (l *listener) stopAccepting(ctx context.Context) {
	_ = l.Listener.Close()
	ctx, cancel := context.WithTimeout(ctx, newcomers)
	defer cancel()
	for quiet := 0; quiet < 2 && ctx.Err() == nil; quiet++ {
		time.Sleep(settled)
		l.young.Range(func(any, any) bool { quiet = -1; return false })
	}
}

// notice keeps the connections that have not sent a whole request yet.
func (l *listener) notice(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		l.young.Store(c, nil)
	} else {
		l.young.Delete(c)
	}
}
