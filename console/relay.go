package console

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
)

const (
	relayPath = Path + "/api"
	// header is what the page sends with each request that changes something. A page
	// of another origin cannot, unless it is allowed to, which it is not.
	header = "X-S3gate-Console"
)

// relayed are the header fields that get to the API, with the bearer of the
// session. Cookies do not, and no Origin, so that what the API allows to other
// origins does not count here.
var relayed = []string{"Accept", "Content-Type", "If-Match", "Idempotency-Key", "Last-Event-Id"}

// relay passes a request on to the API.
func (h *Handler) relay(w http.ResponseWriter, r *http.Request) {
	s, ok := h.trusted(w, r)
	if !ok {
		return
	}
	ctx, end := context.WithDeadline(r.Context(), s.until)
	defer end()
	if goesOn(r) {
		who := sha256.Sum256([]byte(s.caller.Issuer + "\x00" + s.caller.Subject))
		if !h.streams.begin(who) {
			refuse(w, http.StatusTooManyRequests, "Too many views are open. Close some of them.")
			return
		}
		defer h.streams.end(who)
	}
	to := r.Clone(ctx)
	to.URL.Path, to.URL.RawPath = strings.TrimPrefix(r.URL.Path, relayPath), strings.TrimPrefix(r.URL.RawPath, relayPath)
	to.RequestURI = strings.TrimPrefix(r.RequestURI, relayPath)
	to.Header = http.Header{"Authorization": {"Bearer " + s.jwt}}
	for _, name := range relayed {
		if values := r.Header.Values(name); len(values) > 0 {
			to.Header[name] = values
		}
	}
	h.cfg.API.ServeHTTP(w, to)
}

// goesOn reports whether the API answers a request until somebody ends it: it sends
// server-sent events, or lines to whoever follows.
func goesOn(r *http.Request) bool {
	return r.Method == http.MethodGet && (strings.Contains(r.Header.Get("Accept"), "text/event-stream") || r.URL.Query().Get("follow") == "true")
}

// trusted returns the session of a request that the page has made, or answers.
func (h *Handler) trusted(w http.ResponseWriter, r *http.Request) (*session, bool) {
	s, _ := h.session(r)
	site := r.Header.Get("Sec-Fetch-Site")
	switch {
	case s == nil:
		refuse(w, http.StatusUnauthorized, "There is no session, or it is over.")
	case site != "" && site != "same-origin" && site != "none":
		refuse(w, http.StatusForbidden, "The request comes from a page of another origin.")
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get(header) == "":
		refuse(w, http.StatusForbidden, "The header "+header+" is missing.")
	default:
		return s, true
	}
	return nil, false
}

// refuse answers with a problem (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client may be gone
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail,
	})
}

// streams counts the answers that go on, by caller. It is safe for concurrent use.
type streams struct {
	most int
	mu   sync.Mutex
	open map[[sha256.Size]byte]int
}

func (s *streams) begin(who [sha256.Size]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[who] >= s.most {
		return false
	}
	if s.open == nil {
		s.open = map[[sha256.Size]byte]int{}
	}
	s.open[who]++
	return true
}

func (s *streams) end(who [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[who]--; s.open[who] == 0 {
		delete(s.open, who)
	}
}
