package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
)

// Identity is what a client and a gate know each other by over TLS, besides the
// bearer. The zero Identity presents no certificate, and believes in the
// authorities that the system trusts.
type Identity struct {
	// Cert and Key are PEM files with the certificate that a gate wants to see
	// whose api.client_ca is set, its chain, and its key; "" presents none. They are
	// read for each connection, so that others may take their place.
	Cert, Key string
	// ServerCA is a PEM file with those who have signed the gate's certificate; ""
	// means those that the system trusts.
	ServerCA string
}

// Config returns how to speak TLS with that identity. It is an error if a file
// cannot be used.
func (i Identity) Config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if i.ServerCA != "" {
		raw, err := os.ReadFile(i.ServerCA)
		if err != nil {
			return nil, fmt.Errorf("reading who has signed the gate's certificate: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("%s holds no certificate", i.ServerCA)
		}
	}
	if i.Cert == "" && i.Key == "" {
		return c, nil
	}
	if _, err := i.certificate(nil); err != nil {
		return nil, err
	}
	c.GetClientCertificate = i.certificate
	return c, nil
}

func (i Identity) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(i.Cert, i.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate: %w", err)
	}
	return &c, nil
}

// Present makes the client use an identity, with a transport of its own instead of
// the one in [Client.HTTP]. Call it before the client is used. The zero Identity
// changes nothing.
func (c *Client) Present(i Identity) error {
	if i == (Identity{}) {
		return nil
	}
	config, err := i.Config()
	if err != nil {
		return err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = config
	c.HTTP.Transport = t
	return nil
}
