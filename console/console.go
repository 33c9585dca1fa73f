// Package console is the page for operators: it shows what runs through the gates,
// what was minted and revoked, and stops it.
//
// It decides nothing. Whoever signs in gives a JWT for the API, which is kept in a
// cookie that no script can read, and what the page asks for is relayed to the API
// with it: what somebody may see and do is decided there, and there only. The JWT is
// in no address, no page and no storage of the browser.
//
// Requests that change something must come from the page itself: a browser says so,
// and the page adds a header that no other page can.
package console

import (
	"cmp"
	"compress/gzip"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"s3gate/auth"
	"s3gate/web"
)

// Path is where the console is, on the listener of the API.
const Path = "/console"

// Config is what a [Handler] is made of. Fields without a default are required.
type Config struct {
	// API answers what is relayed, with the session's JWT as bearer.
	API http.Handler
	// Prove says whose a JWT is, and until when it is accepted. Errors wrap
	// [auth.ErrUnauthenticated] or [auth.ErrUnavailable]. It must be safe for
	// concurrent use.
	Prove func(bearer string) (caller auth.Caller, until time.Time, err error)
	// Session is the longest time between two sign-ins, whatever the JWT says; 0
	// means 8 h.
	Session time.Duration
	// Streams is how many answers that go on one caller may have open; 0 means 20.
	Streams int
	// Clock says when sessions end; nil is [time.Now].
	Clock func() time.Time
	// Logger hears who signs in; nil discards.
	Logger *slog.Logger
}

// Handler answers requests for [Path] and what is below it.
type Handler struct {
	cfg     Config
	mux     *http.ServeMux
	origin  *http.CrossOriginProtection
	streams streams
}

// New returns a Handler.
func New(cfg Config) *Handler {
	cfg.Session, cfg.Streams = cmp.Or(cfg.Session, 8*time.Hour), cmp.Or(cfg.Streams, 20)
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{cfg: cfg, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(), streams: streams{most: cfg.Streams}}
	h.mux.HandleFunc("GET "+Path, h.home)
	h.mux.HandleFunc("GET "+Path+"/{$}", h.home)
	h.mux.HandleFunc("GET "+signInPath, h.askJWT)
	h.mux.HandleFunc("POST "+signInPath, h.signIn)
	h.mux.HandleFunc("POST "+Path+"/sign-out", h.signOut)
	h.mux.HandleFunc("GET "+Path+"/session", h.alive)
	h.mux.HandleFunc("POST "+Path+"/qr", h.code)
	h.mux.HandleFunc(relayPath+"/", h.relay)
	for _, view := range web.ConsoleViews() {
		h.mux.HandleFunc("GET "+Path+"/"+view, h.show)
		h.mux.HandleFunc("GET "+Path+"/"+view+"/{id}", h.show)
	}
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin") // without one a form would come from the origin "null"
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if err := h.origin.Check(r); err != nil {
		refuse(w, http.StatusForbidden, "The request comes from a page of another origin.")
		return
	}
	h.mux.ServeHTTP(w, r)
}

// home leads to the first view.
func (h *Handler) home(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, Path+"/"+web.ConsoleViews()[0], http.StatusSeeOther)
}

// show answers with the page, or leads to where one signs in.
func (h *Handler) show(w http.ResponseWriter, r *http.Request) {
	s, had := h.session(r)
	if s == nil {
		to := url.Values{"next": {r.URL.RequestURI()}}
		if had {
			to.Set("over", "1")
		}
		http.Redirect(w, r, signInPath+"?"+to.Encode(), http.StatusSeeOther)
		return
	}
	view, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Path+"/"), "/")
	h.send(w, r, http.StatusOK, web.Console(look(r), web.ConsolePage{View: view, Subject: s.caller.Subject, Left: s.until.Sub(h.cfg.Clock())}))
}

func look(r *http.Request) web.Look {
	return web.Look{Language: web.Speak(r.Header.Get("Accept-Language"))}
}

// send answers with a page, compressed if the browser takes that.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, status int, doc web.Document) {
	header := w.Header()
	header.Set("Content-Type", web.ContentType)
	header.Set("Content-Language", doc.Language)
	header.Set("Content-Security-Policy", doc.Policy)
	header.Set("Vary", "Accept-Language, Accept-Encoding")
	if !takesGzip(r.Header.Get("Accept-Encoding")) {
		w.WriteHeader(status)
		_, _ = w.Write(doc.HTML) // the browser may be gone
		return
	}
	header.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := gzip.NewWriter(w)
	_, _ = z.Write(doc.HTML)
	_ = z.Close()
}

// takesGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func takesGzip(accept string) bool {
	for coding := range strings.SplitSeq(accept, ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.Trim(strings.TrimSpace(weight), "q=0.") != "" || weight == ""
		}
	}
	return false
}

// Has reports whether a path is [Path] or below it.
func Has(path string) bool { return path == Path || strings.HasPrefix(path, Path+"/") }
