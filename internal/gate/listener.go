package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"s3gate/internal/certs"
	"s3gate/internal/config"
)

// listener is an open port with the server that will answer on it.
type listener struct {
	net.Listener
	name   string
	server *http.Server
	// source has the certificates that it shows; nil is one without TLS.
	source certs.Source
	// files is that source, where they come out of files.
	files pairs
	young sync.Map // the connections without a request so far
}

// listen opens a port, by open or if that is nil by net.Listen.
func listen(name string, cfg config.Listener, open func(network, addr string) (net.Listener, error)) (*listener, error) {
	l := &listener{name: name, server: &http.Server{
		ReadHeaderTimeout: cfg.HeaderTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    cfg.MaxHeader,
		Protocols:         protocols(cfg),
	}}
	if open == nil {
		open = listenTCP
	}
	var err error
	if l.Listener, err = open("tcp", cfg.Addr); err != nil {
		return nil, fmt.Errorf("%s.addr: %w", name, err)
	}
	return l, nil
}

// listenTCP is [net.Listen] without Multipath TCP, which Go offers to clients otherwise:
// Linux before 2026 cuts no such connection at once, and tells and bounds what is in its
// buffers for one of its paths only.
func listenTCP(network, addr string) (net.Listener, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	return c.Listen(context.Background(), network, addr)
}

// protocols are those that a listener speaks: with TLS the client chooses.
func protocols(cfg config.Listener) *http.Protocols {
	p := &http.Protocols{}
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(cfg.H2C)
	return p
}

// secure makes the listener speak TLS.
func (l *listener) secure(s *certs.Server) {
	l.source = s.Source
	l.server.TLSConfig = s.Config()
}

func (l *listener) serve() error {
	if l.source != nil {
		return l.server.ServeTLS(l.Listener, "", "")
	}
	return l.server.Serve(l.Listener)
}

// shutdown ends servers whose requests are short, all at once. Some may be nil.
func shutdown(all ...*listener) error {
	errs := make([]error, len(all))
	var ended sync.WaitGroup
	for i, l := range all {
		if l != nil {
			ended.Go(func() { errs[i] = l.shutdown() })
		}
	}
	ended.Wait()
	return errors.Join(errs...)
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
func (l *listener) url() string { return URL(l.Addr(), l.source != nil) }

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
