package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strconv"
	"strings"
	"time"

	"s3gate/auth"
	"s3gate/internal/config"
)

// profilesAt is where profiles of the process are.
const profilesAt = "/debug/pprof/"

// profiles serves profiles of the process (https://pkg.go.dev/net/http/pprof). The
// command line is not among them. None takes longer than limit says.
func profiles(limit func() time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+profilesAt+"profile", within(limit, pprof.Profile))
	mux.Handle("GET "+profilesAt+"trace", within(limit, pprof.Trace))
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		mux.Handle("GET "+profilesAt+name, within(limit, pprof.Handler(name).ServeHTTP))
	}
	return mux
}

// within refuses profiles of more seconds than the limit.
func within(limit func() time.Duration, serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most := limit()
		text := r.FormValue("seconds")
		if text == "" && strings.HasSuffix(r.URL.Path, "/profile") && most < 30*time.Second {
			text = "30" // what pprof takes it for
		}
		if seconds, err := strconv.ParseInt(text, 10, 32); text != "" && (err != nil || seconds < 1 || float64(seconds) > most.Seconds()) {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("seconds must be a whole number from 1 to %g, as ops.profile_limit says.", most.Seconds()))
			return
		}
		serve(w, r)
	})
}

func (g *Gate) profileLimit() time.Duration { return g.live.cfg.Load().Ops.ProfileLimit }

// withProfiles puts the profiles beside the API, for administrators, unless they are
// turned off.
func (g *Gate) withProfiles(next http.Handler) http.Handler {
	served := profiles(g.profileLimit)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, profilesAt) {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if !g.live.cfg.Load().API.Profiles {
			refuse(w, http.StatusNotFound, "There is no such route.")
			return
		}
		switch caller, err := g.live.Verify(r.Header.Get("Authorization")); {
		case errors.Is(err, auth.ErrUnavailable):
			refuse(w, http.StatusServiceUnavailable, "The keys of the bearer JWT's issuer cannot be had at the moment. Ask again.")
		case err != nil:
			h.Set("WWW-Authenticate", `Bearer realm="s3gate"`)
			refuse(w, http.StatusUnauthorized, "A valid bearer JWT is required.")
		case !caller.MayAdminister():
			refuse(w, http.StatusForbidden, "Profiles are for administrators.")
		default:
			g.logger.Info("profile taken", "profile", strings.TrimPrefix(r.URL.Path, profilesAt), "by", caller.Subject)
			served.ServeHTTP(w, r)
		}
	})
}

// refuse answers with a problem (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
}

// adjustProfiles turns the sampling of what waits on or off. It is that of the whole
// process.
func adjustProfiles(o *config.Ops) {
	runtime.SetBlockProfileRate(o.BlockProfileRate)
	runtime.SetMutexProfileFraction(o.MutexProfileFraction)
}
