package gate

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// newPanics registers s3gate_panics_total, requests that ended by a mistake in s3gate.
func newPanics(reg prometheus.Registerer) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "s3gate_panics_total", Help: "Requests that ended by a mistake in s3gate, which the log has."})
	reg.MustRegister(c)
	return c
}

// catching logs and counts panics of a handler. The connection or the stream is reset
// as net/http does it, and the gate goes on.
func (g *Gate) catching(next http.Handler, listener string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler {
				g.observing.panics.Inc()
				g.logger.Error("panic", "listener", listener, "panic", saidBy(p), "stack", string(debug.Stack()))
			}
			panic(http.ErrAbortHandler)
		}()
		next.ServeHTTP(w, r)
	})
}

// saidBy is what a panic says, without what could be of the request: the runtime names
// types and numbers, our own panics are constants, and of all else the type is kept.
func saidBy(p any) string {
	switch p := p.(type) {
	case runtime.Error:
		return p.Error()
	case string:
		return p
	}
	return fmt.Sprintf("%T", p)
}

// serverLog takes what net/http logs. Nearly all of it is what clients do wrong.
type serverLog struct{ logger *slog.Logger }

func (l serverLog) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	if strings.HasPrefix(text, "http: Accept error") { // such as too many open files
		l.logger.Error("no connection is accepted", "err", strings.TrimPrefix(text, "http: Accept error: "))
	} else {
		l.logger.Debug(text)
	}
	return len(p), nil
}
