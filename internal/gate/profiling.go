package gate

import (
	"net/http"
	"net/http/pprof"
)

// profiling serves profiles of the process (https://pkg.go.dev/net/http/pprof) on the
// operators' listener, and never on the API's, which others reach. The command line
// is not among them.
func profiling(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		mux.Handle("GET /debug/pprof/"+name, pprof.Handler(name))
	}
}
