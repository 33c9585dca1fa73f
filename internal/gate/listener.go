package gate

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"s3gate/internal/config"
)

// listener is an open port with the server that will answer on it.
type listener struct {
	net.Listener
	name   string
	server *http.Server
	tls    bool
	// certificate is what it shows with TLS.
	certificate atomic.Pointer[tls.Certificate]
	young       sync.Map // the connections without a request so far
}

// listen opens a port, by open or if that is nil by net.Listen. With a
// certificate it speaks TLS, and HTTP/2 over it.
func listen(name string, cfg config.Listener, open func(network, addr string) (net.Listener, error)) (*listener, error) {
	l := &listener{name: name, server: &http.Server{
		ReadHeaderTimeout: cfg.HeaderTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    cfg.MaxHeader,
	}}
	if cfg.Cert != "" {
		certificate, err := readCertificate(name, cfg)
		if err != nil {
			return nil, err
		}
		l.tls = true
		l.certificate.Store(certificate)
		l.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return l.certificate.Load(), nil
		}}
	}
	if open == nil {
		open = net.Listen
	}
	var err error
	if l.Listener, err = open("tcp", cfg.Addr); err != nil {
		return nil, fmt.Errorf("%s.addr: %w", name, err)
	}
	return l, nil
}

// readCertificate reads the certificate of a listener and its key.
func readCertificate(name string, cfg config.Listener) (*tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("%s.cert: %w", name, err)
	}
	return &certificate, nil
}

func (l *listener) serve() error {
	if l.tls {
		return l.server.ServeTLS(l.Listener, "", "")
	}
	return l.server.Serve(l.Listener)
}

// shutdown ends a server whose requests are short.
func (l *listener) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), newcomers+2*time.Second)
	defer cancel()
	l.stopAccepting(ctx)
	if l.server.Shutdown(ctx) != nil {
		return l.server.Close()
	}
	return nil
}

// url is how the listener is reached from this machine.
func (l *listener) url() string { return URL(l.Addr(), l.tls) }

// URL returns the URL of an address on this machine: an unspecified host
// becomes the loopback address.
func URL(addr net.Addr, secure bool) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err == nil && (host == "" || ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
