package config

import (
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// TLS says how listeners with a certificate speak, and for how long browsers
// are told to use nothing else.
type TLS struct {
	// MinVersion is the oldest version that is spoken: 1.2 or 1.3. Default 1.2.
	MinVersion float64 `koanf:"min_version"`
	// ReloadInterval is how often the files of certificates, and api.client_ca,
	// are read to see whether they have changed; 0 reads them at SIGHUP alone.
	// Default 5s.
	ReloadInterval time.Duration `koanf:"reload_interval" reload:"true"`
	// HSTSMaxAge is for how long browsers are told, on every answer over https, to
	// use nothing else for this host (Strict-Transport-Security), in whole seconds;
	// 0 tells them nothing. Default 365d.
	HSTSMaxAge time.Duration `koanf:"hsts_max_age" reload:"true"`
	// HSTSSubdomains tells them the same of every host below this one. Default
	// false.
	HSTSSubdomains bool `koanf:"hsts_subdomains" reload:"true"`
}

// ACME says from whom the listeners with acme: true get their certificates
// (RFC 8555).
type ACME struct {
	// Domains are the names of the certificates, one each. Default: the host of
	// public_url.
	Domains []string `koanf:"domains"`
	// Email is where the certificate authority writes to.
	Email string `koanf:"email"`
	// Agree says that you agree to the terms of the certificate authority. Required
	// with acme: true. Default false.
	Agree bool `koanf:"agree"`
	// Directory is the URL of the certificate authority's directory. Default
	// https://acme-v02.api.letsencrypt.org/directory.
	Directory string `koanf:"directory"`
	// CA is a PEM file with what has signed the certificate of the directory's
	// server, where that is not public. Default: what the system trusts.
	CA string `koanf:"ca"`
	// Storage is a directory for the account, certificates and their keys, for
	// nobody else to read. Gates with the same one share them. Required with
	// acme: true.
	Storage string `koanf:"storage"`
	// HTTPAddr is host:port of a listener of plain HTTP, which the certificate
	// authority reaches at port 80: it answers the challenge HTTP-01, and sends
	// everybody else to https; empty turns both off. Default :80.
	HTTPAddr string `koanf:"http_addr"`
	// TLSALPN answers the challenge TLS-ALPN-01 on the listeners with acme: true,
	// one of which the certificate authority reaches at port 443. Default true.
	TLSALPN bool `koanf:"tls_alpn"`
	// EABKeyID names an account that you have with the certificate authority
	// already (External Account Binding), where it asks for one.
	EABKeyID string `koanf:"eab_key_id"`
	// EABKey is the key that goes with it, in base64url as you were given it.
	EABKey string `koanf:"eab_key" secret:"true"`
	// CheckInterval is how often it is looked whether a certificate must be renewed.
	// Default 10m.
	CheckInterval time.Duration `koanf:"check_interval"`
}

// LetsEncrypt is the directory that counts where none is set.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// Who must present a certificate where api.client_ca is set.
const (
	ClientAuthRequire  = "require"
	ClientAuthRequests = "require-but-health"
	ClientAuthIfGiven  = "verify-if-given"
)

// Secure reports whether the listener speaks TLS.
func (l *Listener) Secure() bool { return l.Cert != "" || l.ACME }

// ACMEDomains are the names of the certificates that ACME gets.
func (c *Config) ACMEDomains() []string {
	if len(c.ACME.Domains) > 0 {
		return c.ACME.Domains
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Hostname() == "" {
		return nil // it was validated
	}
	return []string{strings.ToLower(u.Hostname())}
}

func (c *Config) validateTLS(bad func(name, format string, args ...any)) {
	if v := c.TLS.MinVersion; v != 1.2 && v != 1.3 {
		bad("tls.min_version", "must be 1.2 or 1.3, got %g", v)
	}
	for name, d := range map[string]time.Duration{"tls.reload_interval": c.TLS.ReloadInterval, "tls.hsts_max_age": c.TLS.HSTSMaxAge} {
		if d < 0 || d%time.Second != 0 {
			bad(name, "must be whole seconds, and not less than 0, got %s", d)
		}
	}
	for name, l := range map[string]*Listener{"links": &c.Links, "api": &c.API.Listener} {
		if l.ACME && l.Cert != "" {
			bad(name+".acme", "and %s.cert exclude each other: a listener has its certificate from one place", name)
		}
		if l.H2C && l.Secure() {
			bad(name+".h2c", "is for a listener without TLS, which %s is not; with TLS there is HTTP/2 anyway", name)
		}
	}
	c.validateClientAuth(bad)
	if c.Links.ACME || c.API.ACME {
		c.validateACME(bad)
	}
}

func (c *Config) validateClientAuth(bad func(name, format string, args ...any)) {
	all := []string{ClientAuthRequire, ClientAuthRequests, ClientAuthIfGiven}
	if !slices.Contains(all, c.API.ClientAuth) {
		bad("api.client_auth", "must be %s, got %q", strings.Join(all, ", "), c.API.ClientAuth)
	}
	if c.API.ClientCA != "" && !c.API.Secure() {
		bad("api.client_ca", "needs TLS on that listener: set api.cert and api.key, or api.acme")
	}
}

// domainForm is that of names that both challenges can prove: no wildcard, which
// takes DNS-01, and in the form that is in a certificate.
var domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (c *Config) validateACME(bad func(name, format string, args ...any)) {
	a := &c.ACME
	for _, d := range c.ACMEDomains() {
		if !domainForm.MatchString(d) || len(d) > 253 {
			bad("acme.domains", "must be names such as files.example.com, in lower case and without *, got %q%s", d, fromPublicURL(a))
		}
	}
	if !a.Agree {
		bad("acme.agree", "must be true: a certificate authority gives nothing to who has not agreed to its terms")
	}
	if a.Storage == "" {
		bad("acme.storage", "is required: a directory that outlives the gate, such as /var/lib/s3gate/acme")
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		bad("acme.directory", "must be a URL that begins with https://, got %q", withoutPassword(a.Directory))
	}
	if _, err := mail.ParseAddress(a.Email); a.Email != "" && err != nil {
		bad("acme.email", "must be a mail address, got %q", a.Email)
	}
	if (a.EABKeyID == "") != (a.EABKey == "") {
		bad("acme.eab_key_id", "and acme.eab_key go together: set both or none")
	}
	if a.CheckInterval <= 0 {
		bad("acme.check_interval", "must be more than 0, got %s", a.CheckInterval)
	}
	if a.HTTPAddr == "" && !a.TLSALPN {
		bad("acme.tls_alpn", "must be true where acme.http_addr is empty: a name must be proven somehow")
	}
	if a.HTTPAddr != "" {
		c.validateACMEHost(bad)
	}
}

func fromPublicURL(a *ACME) string {
	if len(a.Domains) > 0 {
		return ""
	}
	return " (the host of public_url)"
}

// validateACMEHost wants the challenges answered at one address. What solves them
// finds its own listeners by it.
func (c *Config) validateACMEHost(bad func(name, format string, args ...any)) {
	http, err := hostOf(c.ACME.HTTPAddr)
	if err != nil {
		bad("acme.http_addr", "must be host:port or :port, got %q", c.ACME.HTTPAddr)
		return
	}
	if l, err := hostOf(c.ACMEAddr()); err == nil && l != http && c.ACME.TLSALPN {
		bad("acme.http_addr", "must have the same host as %q, where the other challenge is answered, got %q", c.ACMEAddr(), c.ACME.HTTPAddr)
	}
}

// ACMEAddr is the address of the listener that answers TLS-ALPN-01.
func (c *Config) ACMEAddr() string {
	if c.Links.ACME {
		return c.Links.Addr
	}
	return c.API.Addr
}

// hostOf is the host of an address, "" for all.
func hostOf(addr string) (string, error) {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = ""
	}
	return host, err
}
