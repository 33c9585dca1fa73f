package gate

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"s3gate/internal/certs"
)

// openACME opens the listener for challenges over plain HTTP, and what gets
// certificates once the gate serves.
func (g *Gate) openACME() (err error) {
	a := g.cfg.ACME
	c := certs.ACMEConfig{
		Domains: g.cfg.ACMEDomains(), Email: a.Email, Directory: a.Directory, Storage: a.Storage,
		EABKeyID: a.EABKeyID, EABKey: a.EABKey, CheckInterval: a.CheckInterval,
		Ended: g.observing.acme, Logger: g.logger,
	}
	if c.Roots, err = authorities(a.CA); err != nil {
		return fmt.Errorf("acme.ca: %w", err)
	}
	if a.TLSALPN {
		l := g.api
		if g.cfg.Links.ACME {
			l = g.links
		}
		c.Host, c.TLSPort = place(l)
	}
	if a.HTTPAddr != "" {
		if err := g.listenHTTP(a.HTTPAddr); err != nil {
			return err
		}
		c.Host, c.HTTPPort = place(g.tls.http)
	}
	if g.tls.acme, err = certs.OpenACME(c); err != nil {
		return fmt.Errorf("acme.storage: %w", err)
	}
	if g.tls.http != nil {
		g.tls.http.server.Handler = g.tls.acme.Handler(http.HandlerFunc(g.toHTTPS))
	}
	return nil
}

// listenHTTP opens the listener of plain HTTP. It has the limits of that for links, and
// takes no bodies.
func (g *Gate) listenHTTP(addr string) error {
	cfg := g.cfg.Links
	cfg.Addr, cfg.H2C = addr, false
	l, err := listen("acme", cfg, nil)
	if err != nil {
		return fmt.Errorf("acme.http_addr: %w", errors.Unwrap(err))
	}
	l.server.ReadTimeout = cfg.HeaderTimeout
	l.Listener = g.bound(l)
	g.tls.http = l
	return nil
}

// authorities are those in a file, nil for those of the system.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	a, err := certs.OpenAuthorities(path)
	if err != nil {
		return nil, err
	}
	return a.Value(), nil
}

// place is where a listener is, with "" for all addresses.
func place(l *listener) (host string, port int) {
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return "", 0
	}
	if !addr.IP.IsUnspecified() {
		host = addr.IP.String()
	}
	return host, addr.Port
}

// toHTTPS sends whoever has asked over plain HTTP to https, by the same path. It
// takes no body, since that would be sent in the clear first, and leads nowhere
// but to names of ours, whatever Host says.
func (g *Gate) toHTTPS(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "Use https.", http.StatusForbidden)
		return
	}
	to := g.publicURL
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	host = strings.ToLower(host)
	public, _ := url.Parse(to)
	if host != public.Hostname() && slices.Contains(g.cfg.ACMEDomains(), host) {
		to = "https://" + host
	}
	path := &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	http.Redirect(w, r, to+"/"+strings.TrimLeft(path.String(), "/"), http.StatusPermanentRedirect)
}

// startACME begins to get certificates.
func (g *Gate) startACME() {
	if g.tls.acme == nil {
		return
	}
	if err := g.tls.acme.Start(); err != nil {
		g.logger.Error("no certificate is asked for", "err", err)
	}
}
