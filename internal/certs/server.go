// Package certs is what listeners need to speak TLS: certificates out of files,
// which are read again when they change, or from a certificate authority that
// speaks ACME; the authorities of clients; and a configuration without what is
// weak. Who may do what is not decided here.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"github.com/mholt/acmez/v3"
)

// Source has the certificates of a listener. It is safe for concurrent use.
type Source interface {
	// GetCertificate is for [tls.Config].
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// NotAfter is when the certificate ends, of several the one that ends first.
	// It is the zero Time if there is none, or not for every name.
	NotAfter() time.Time
}

// Clients says which certificates clients present.
type Clients struct {
	// Authorities are who has signed them.
	Authorities *x509.CertPool
	// Auth is who must present one.
	Auth tls.ClientAuthType
}

// Server is how a listener speaks TLS.
type Server struct {
	// Source has its certificates.
	Source Source
	// MinVersion is the oldest version that it speaks; 0 means TLS 1.2.
	MinVersion uint16
	// Clients says for each handshake what is asked of the client; nil, also as
	// its result, asks nothing.
	Clients func() *Clients
	// Challenges says that Source answers the challenge TLS-ALPN-01.
	Challenges bool
}

// suites are those of TLS 1.2 that agree on a key of their own for each connection
// and encrypt with authentication (RFC 9325, section 4.2). TLS 1.3 has no others.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Config is the configuration of a server that speaks HTTP/1.1 and HTTP/2.
//
// Sessions are resumed in TLS 1.3, where each connection has a key of its own all
// the same; crypto/tls makes the keys of the tickets, in memory, and another
// every day. In TLS 1.2 whoever has such a key could read what was recorded, so
// there are no tickets; nor are there where clients present certificates, which
// are looked at on every connection.
func (s *Server) Config() *tls.Config {
	c := s.config()
	c.GetConfigForClient = s.configFor
	return c
}

func (s *Server) config() *tls.Config {
	return &tls.Config{
		MinVersion: max(s.MinVersion, tls.VersionTLS12), CipherSuites: suites,
		GetCertificate: s.Source.GetCertificate, NextProtos: []string{"h2", "http/1.1"},
	}
}

// configFor is nil for what [Server.Config] says.
func (s *Server) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if s.Challenges && isChallenge(hello) {
		c := s.config()
		c.NextProtos = []string{acmez.ACMETLS1Protocol}
		return c, nil
	}
	var clients *Clients
	if s.Clients != nil {
		clients = s.Clients()
	}
	if clients == nil && slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
		return nil, nil
	}
	c := s.config()
	c.SessionTicketsDisabled = true
	if clients != nil {
		c.ClientAuth, c.ClientCAs = clients.Auth, clients.Authorities
	}
	return c, nil
}

// isChallenge reports whether it is a certificate authority that asks, which
// presents no certificate (RFC 8737, section 3). After the handshake there is
// nothing on such a connection: net/http serves no such protocol.
func isChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol
}
