package api

import (
	"errors"
	"net/http"
	"slices"
)

// What a page of another origin may send and read, besides what is always
// permitted (Fetch standard, "HTTP extensions").
const (
	askedHeaders   = "Authorization, Content-Type, Idempotency-Key, If-Match"
	exposedHeaders = "ETag, Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
)

// cors lets pages of the configured origins read the answer, whatever it will
// be, and reports whether the request is a preflight of one. Nothing else is
// permitted to them: without a JWT, which no browser sends by itself, they get
// what everybody gets.
func (h *Handler) cors(w http.ResponseWriter, r *http.Request) (preflight bool) {
	if len(h.cfg.Origins) == 0 {
		return false
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !slices.Contains(h.cfg.Origins, origin) {
		return false
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Expose-Headers", exposedHeaders)
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// preflight answers what a browser asks before a call, without a JWT, which it
// does not send.
func (h *Handler) preflight(w http.ResponseWriter, r *http.Request) {
	err := h.unrouted(w, r)
	if !errors.Is(err, errMethod) {
		h.fail(w, err)
		return
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", header.Get("Allow"))
	header.Set("Access-Control-Allow-Headers", askedHeaders)
	header.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
