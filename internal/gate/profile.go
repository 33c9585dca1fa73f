package gate

import (
	"net/http"
	"net/http/pprof"
)

// operators answers on the operators' own listener: metrics, and Go's profiles
// (https://pkg.go.dev/net/http/pprof) without the command line. It is not for
// the API's listener, since whoever asks costs the gate time.
func operators(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		mux.Handle("GET /debug/pprof/"+name, pprof.Handler(name))
	}
	return mux
}
