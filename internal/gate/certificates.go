package gate

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"s3gate/internal/certs"
	"s3gate/internal/config"
)

// secured is what the listeners show, and ask for, with TLS.
type secured struct {
	acme *certs.ACME // nil gets no certificates
	http *listener   // nil answers no challenge over plain HTTP
	// clients are those who have signed the certificates of the API's callers; nil
	// asks for none.
	clients atomic.Pointer[certs.Authorities]
	reloads *prometheus.CounterVec
}

// pairs is a [certs.Source] that a reload can give other files.
type pairs struct{ atomic.Pointer[certs.Pair] }

func (p *pairs) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.Load().GetCertificate(hello)
}

func (p *pairs) NotAfter() time.Time { return p.Load().NotAfter() }

// certificates are those that were read and do not count yet.
type certificates struct {
	pairs   map[*listener]*certs.Pair
	clients *certs.Authorities
}

// secure makes the listeners speak TLS whose settings say so.
func (g *Gate) secure() error {
	g.tls.register(g.metrics)
	if g.cfg.Links.ACME || g.cfg.API.ACME {
		if err := g.openACME(); err != nil {
			return err
		}
	}
	for l, cfg := range map[*listener]config.Listener{g.links: g.cfg.Links, g.api: g.cfg.API.Listener} {
		switch {
		case cfg.ACME:
			l.source = g.tls.acme
		case cfg.Cert != "":
			l.source = &l.files
		}
	}
	read, err := g.tls.read(g.cfg, g.links, g.api)
	if err != nil {
		return err
	}
	g.tls.use(read)
	for _, l := range []*listener{g.links, g.api} {
		if l.source != nil {
			registerNotAfter(g.metrics, l)
			l.secure(g.speaks(l))
		}
	}
	return nil
}

// speaks is how a listener speaks TLS.
func (g *Gate) speaks(l *listener) *certs.Server {
	s := &certs.Server{Source: l.source, MinVersion: tls.VersionTLS12}
	_, files := l.source.(*pairs)
	s.Challenges = !files
	if g.cfg.TLS.MinVersion == 1.3 {
		s.MinVersion = tls.VersionTLS13
	}
	if l == g.api {
		s.Clients = g.askedOfClients
	}
	return s
}

// read reads the files of those listeners whose certificates are in files, and of
// the authorities of clients.
func (s *secured) read(cfg *config.Config, links, api *listener) (*certificates, error) {
	read := &certificates{pairs: map[*listener]*certs.Pair{}}
	for l, c := range map[*listener]config.Listener{links: cfg.Links, api: cfg.API.Listener} {
		if l.source != &l.files {
			continue
		}
		pair, err := certs.OpenPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("%s.cert: %w", l.name, err)
		}
		read.pairs[l] = &pair
	}
	if cfg.API.ClientCA != "" {
		clients, err := certs.OpenAuthorities(cfg.API.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("api.client_ca: %w", err)
		}
		read.clients = &clients
	}
	return read, nil
}

// use makes what was read count, and says which certificates are others.
func (s *secured) use(read *certificates) (changed []config.Change) {
	s.clients.Store(read.clients)
	for l, pair := range read.pairs {
		old := l.files.Swap(pair)
		if old == nil || bytes.Equal(old.Value().Certificate[0], pair.Value().Certificate[0]) {
			continue
		}
		s.reloads.WithLabelValues(l.name, "cert", "success").Inc()
		changed = append(changed, config.Change{Setting: l.name + " certificate", Old: until(old), New: until(pair)})
	}
	return changed
}

// until says when a certificate ends.
func until(s certs.Source) string { return "until " + s.NotAfter().UTC().Format(time.DateTime) }

// watchCertificates looks at the files of certificates until ctx is done. It does not
// wait for a SIGHUP: what renews certificates may be somewhere else.
func (g *Gate) watchCertificates(ctx context.Context) {
	for {
		interval := g.live.cfg.Load().TLS.ReloadInterval
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(interval, time.Second)):
		}
		if interval > 0 {
			g.lookAtCertificates()
		}
	}
}

func (g *Gate) lookAtCertificates() {
	g.live.mu.Lock() // or what a reload has replaced would be told of
	defer g.live.mu.Unlock()
	cfg := g.live.cfg.Load()
	for l, cert := range map[*listener]string{g.links: cfg.Links.Cert, g.api: cfg.API.Cert} {
		if pair := l.files.Load(); pair != nil {
			changed, err := pair.Look()
			g.looked(l.name, "cert", cert, changed, err)
			if changed && !time.Now().Before(pair.NotAfter()) {
				g.logger.Warn("the certificate has expired", "listener", l.name, "file", cert, "not_after", pair.NotAfter())
			}
		}
	}
	if clients := g.tls.clients.Load(); clients != nil {
		changed, err := clients.Look()
		g.looked("api", "client_ca", cfg.API.ClientCA, changed, err)
	}
}

// looked logs and counts what came of a look at a file.
func (g *Gate) looked(listener, setting, file string, changed bool, err error) {
	about := slog.Group("", "listener", listener, "setting", listener+"."+setting, "file", file)
	switch {
	case err != nil:
		g.tls.reloads.WithLabelValues(listener, setting, "failure").Inc()
		g.logger.Error("certificates cannot be read again, those from before stay", about, "err", err)
	case changed:
		g.tls.reloads.WithLabelValues(listener, setting, "success").Inc()
		g.logger.Info("certificates read again", about)
	}
}

// register registers what came of looking at files that have changed:
//
//	s3gate_certificate_reloads_total{listener,file,result}  file is cert or client_ca
func (s *secured) register(reg prometheus.Registerer) {
	s.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "s3gate_certificate_reloads_total",
		Help: "Files of certificates that have changed and were read again, by listener, file (cert, client_ca) and result: success or failure."},
		[]string{"listener", "file", "result"})
	reg.MustRegister(s.reloads)
	for _, of := range [][2]string{{"links", "cert"}, {"api", "cert"}, {"api", "client_ca"}} {
		for _, result := range []string{"success", "failure"} {
			s.reloads.WithLabelValues(of[0], of[1], result)
		}
	}
}

// registerNotAfter registers when the certificate ends that a listener shows:
//
//	s3gate_certificate_not_after_timestamp_seconds{listener}  0 if it has none yet
func registerNotAfter(reg prometheus.Registerer, l *listener) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "s3gate_certificate_not_after_timestamp_seconds", ConstLabels: prometheus.Labels{"listener": l.name},
		Help: "When the certificate of a listener ends, of several the first one, in seconds since 1970; 0 if there is none yet.",
	}, func() float64 {
		if ends := l.source.NotAfter(); !ends.IsZero() {
			return float64(ends.Unix())
		}
		return 0
	}))
}

func (s *secured) close() {
	if s.acme != nil {
		s.acme.Close()
	}
}
