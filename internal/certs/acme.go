package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// ACMEConfig says from whom certificates come, and how names are proven.
type ACMEConfig struct {
	// Domains are the names of the certificates, one each.
	Domains []string
	// Email, Directory and Storage are as in the settings of a gate. All but Email
	// are required.
	Email, Directory, Storage string
	// Roots are what the certificate of the directory's server is verified with;
	// nil means those of the system.
	Roots *x509.CertPool
	// EABKeyID and EABKey bind to an account that there is; "" binds to none.
	EABKeyID, EABKey string
	// Host is where both challenges are answered, "" for all addresses, by
	// listeners that are open already: TLSPort is that of a [Server] with this
	// source, and HTTPPort that of a server with [ACME.Handler]. 0 does without the
	// challenge.
	Host              string
	TLSPort, HTTPPort int
	// CheckInterval is how often it is looked whether a certificate must be
	// renewed; 0 means ten minutes.
	CheckInterval time.Duration
	// Ended is told of each attempt to get a certificate, and may be nil.
	Ended func(ok bool)
	// Logger is where the attempts are logged; nil discards.
	Logger *slog.Logger
}

// ACME gets certificates from a certificate authority (RFC 8555), and renews them
// when a third of their life is left, or when the authority says so (RFC 9773).
// What it has it keeps in its storage, so that neither a restart nor other
// processes with the same storage ask again. It is a [Source]: a client that
// asks for a name that it has not gets the first one's.
type ACME struct {
	config ACMEConfig
	cache  *certmagic.Cache
	magic  *certmagic.Config
	issuer *certmagic.ACMEIssuer
	ctx    context.Context // of getting certificates
	stop   context.CancelFunc
	close  sync.Once
}

// OpenACME makes the storage, and gets nothing yet.
func OpenACME(c ACMEConfig) (*ACME, error) {
	if err := prepare(c.Storage); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	a := &ACME{config: c}
	a.ctx, a.stop = context.WithCancel(context.Background())
	logger := zap.New(core{c.Logger})
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return a.magic, nil },
		RenewCheckInterval: c.CheckInterval, Logger: logger,
	})
	a.magic = certmagic.New(a.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: c.Storage}, Logger: logger, OnEvent: a.onEvent,
		DefaultServerName: c.Domains[0], FallbackServerName: c.Domains[0],
	})
	a.issuer = certmagic.NewACMEIssuer(a.magic, a.template(logger))
	a.magic.Issuers = []certmagic.Issuer{a.issuer}
	return a, nil
}

func (a *ACME) template(logger *zap.Logger) certmagic.ACMEIssuer {
	c := a.config
	t := certmagic.ACMEIssuer{
		CA: c.Directory, Email: c.Email, Agreed: true, TrustedRoots: c.Roots, Logger: logger,
		ListenHost: c.Host, AltHTTPPort: c.HTTPPort, AltTLSALPNPort: c.TLSPort,
		DisableHTTPChallenge: c.HTTPPort == 0, DisableTLSALPNChallenge: c.TLSPort == 0,
	}
	if c.EABKeyID != "" {
		t.ExternalAccount = &acme.EAB{KeyID: c.EABKeyID, MACKey: c.EABKey}
	}
	return t
}

// prepare makes a directory that only its owner reads, and tries to write there.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".try-*")
	if err != nil {
		return fmt.Errorf("nothing can be written: %w", err)
	}
	f.Close()
	return os.Remove(f.Name())
}

// Start takes the certificates from storage, or gets them, in the background, and
// tries again for as long as it takes: after a minute, and ever more rarely, at
// last every six hours. [ACME.Close] ends it.
func (a *ACME) Start() error {
	return a.magic.ManageAsync(a.ctx, a.config.Domains)
}

// Close ends everything, and gives back what others with the same storage would
// wait for.
func (a *ACME) Close() {
	a.close.Do(func() {
		a.stop()
		a.cache.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		certmagic.CleanUpOwnLocks(ctx, a.magic.Logger)
	})
}

// GetCertificate is for [tls.Config].
func (a *ACME) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.magic.GetCertificate(hello)
}

// NotAfter is when the first certificate ends; the zero Time if one is missing.
func (a *ACME) NotAfter() (first time.Time) {
	for _, domain := range a.config.Domains {
		var ends time.Time
		for _, c := range a.cache.AllMatchingCertificates(domain) {
			if c.Leaf.NotAfter.After(ends) {
				ends = c.Leaf.NotAfter
			}
		}
		if ends.IsZero() {
			return ends
		}
		if first.IsZero() || ends.Before(first) {
			first = ends
		}
	}
	return first
}

// Handler answers the challenge HTTP-01, whoever of those with the same storage
// has begun it, and leaves every other request to next.
func (a *ACME) Handler(next http.Handler) http.Handler { return a.issuer.HTTPChallengeHandler(next) }

func (a *ACME) onEvent(_ context.Context, event string, _ map[string]any) error {
	if a.config.Ended != nil && (event == "cert_obtained" || event == "cert_failed") {
		a.config.Ended(event == "cert_obtained")
	}
	return nil
}

// Storable reports why a directory cannot be the storage, without making it.
func Storable(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		switch {
		case os.IsNotExist(err) && dir != filepath.Dir(dir):
			continue
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s is no directory", dir)
		}
		return nil
	}
}
