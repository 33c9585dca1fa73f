package gate

import (
	"crypto/tls"
	"io"
	"net/http"
	"strconv"

	"s3gate/internal/certs"
	"s3gate/internal/config"
)

// askedOfClients is which certificates are asked of the API's callers at the
// moment; nil asks for none.
func (g *Gate) askedOfClients() *certs.Clients {
	authorities := g.tls.clients.Load()
	if authorities == nil {
		return nil
	}
	auth := tls.VerifyClientCertIfGiven
	if g.live.cfg.Load().API.ClientAuth == config.ClientAuthRequire {
		auth = tls.RequireAndVerifyClientCert
	}
	return &certs.Clients{Authorities: authorities.Value(), Auth: auth}
}

// noCertificate is what the API answers to a caller without a certificate.
const noCertificate = `{"type":"about:blank","title":"Forbidden","status":403,"detail":"This gate wants a client certificate besides the JWT."}` + "\n"

// withClients refuses requests without a certificate that has been verified, where
// one is required. It is there for those whom the handshake lets through: who may ask
// for the health of the gate, and whose connection is older than the setting.
func (g *Gate) withClients(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verified := r.TLS != nil && len(r.TLS.VerifiedChains) > 0
		if verified || g.tls.clients.Load() == nil || mayPass(g.live.cfg.Load().API.ClientAuth, r) {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/problem+json")
		h.Set("Content-Length", strconv.Itoa(len(noCertificate)))
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, noCertificate)
	})
}

// mayPass reports whether a request needs no certificate.
func mayPass(auth string, r *http.Request) bool {
	switch auth {
	case config.ClientAuthIfGiven:
		return true
	case config.ClientAuthRequests:
		return r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
	}
	return false
}
