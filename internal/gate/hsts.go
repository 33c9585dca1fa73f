package gate

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"s3gate/internal/config"
	"s3gate/internal/conns"
)

// withHSTS tells browsers on every answer over https, errors too, to use nothing
// else for this host (RFC 6797). Over plain HTTP they are told nothing (section
// 7.2), unless behind, which may be nil, says that the client's side of a proxy
// is https.
func (g *Gate) withHSTS(next http.Handler, behind func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil || behind != nil && behind(r) {
			if policy := hsts(g.live.cfg.Load().TLS); policy != "" {
				w.Header().Set("Strict-Transport-Security", policy)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// hsts is what they are told, "" for nothing.
func hsts(c config.TLS) string {
	if c.HSTSMaxAge == 0 {
		return ""
	}
	policy := fmt.Sprintf("max-age=%d", c.HSTSMaxAge/time.Second)
	if c.HSTSSubdomains {
		policy += "; includeSubDomains"
	}
	return policy
}

// behindHTTPS reports whether a request has come through a trusted proxy, where links
// begin with https. With the PROXY protocol the address is the client's.
func (g *Gate) behindHTTPS(r *http.Request) bool {
	if !strings.HasPrefix(g.publicURL, "https://") {
		return false
	}
	if mode, _ := conns.ParseProxy(g.live.cfg.Load().Links.ProxyProtocol); mode == conns.ProxyRequired {
		return true
	}
	_, trusted := g.connections.peer(r)
	return trusted
}
