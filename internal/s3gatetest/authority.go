package s3gatetest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates for a test.
type Authority struct {
	t     testing.TB
	cert  *x509.Certificate
	key   crypto.Signer
	chain []byte // its own certificate and those above it but the first, in PEM
	root  []byte
}

// NewAuthority returns one that nobody has signed.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{t: t}
	a.cert, a.key = a.sign(nil, authorityNamed(name), newECDSA())
	a.root = toPEM("CERTIFICATE", a.cert.Raw)
	return a
}

// Under returns one that this one has signed.
func (a *Authority) Under(name string) *Authority {
	a.t.Helper()
	b := &Authority{t: a.t, root: a.root}
	b.cert, b.key = b.sign(a, authorityNamed(name), newECDSA())
	b.chain = append(toPEM("CERTIFICATE", b.cert.Raw), a.chain...)
	return b
}

func authorityNamed(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

func newECDSA() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// sign makes a certificate of a key; without an authority that signs itself.
func (*Authority) sign(by *Authority, c *x509.Certificate, key crypto.Signer) (*x509.Certificate, crypto.Signer) {
	c.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		panic(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	return c, key
}

// Issue returns a certificate with its chain, and its key, in PEM. It is for
// 127.0.0.1 and localhost, for clients and servers, and good for an hour, but for
// what change, which may be nil, does to it.
func (a *Authority) Issue(change func(*x509.Certificate)) (cert, key []byte) {
	a.t.Helper()
	return a.issue(change, newECDSA())
}

func (a *Authority) issue(change func(*x509.Certificate), private crypto.Signer) (cert, key []byte) {
	a.t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(c)
	}
	signed, _ := a.sign(a, c, private)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return append(toPEM("CERTIFICATE", signed.Raw), a.chain...), toPEM("PRIVATE KEY", pkcs8)
}

// Files is Issue, in files.
func (a *Authority) Files(change func(*x509.Certificate)) (cert, key string) {
	a.t.Helper()
	return a.files(a.Issue(change))
}

// RSAFiles is Files, for a key of RSA.
func (a *Authority) RSAFiles(change func(*x509.Certificate)) (cert, key string) {
	a.t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.files(a.issue(change, private))
}

func (a *Authority) files(c, k []byte) (cert, key string) {
	a.t.Helper()
	dir := a.t.TempDir()
	return write(a.t, dir, "tls.crt", c), write(a.t, dir, "tls.key", k)
}

// PEM is the certificate at the top.
func (a *Authority) PEM() []byte { return bytes.Clone(a.root) }

// File is a file that holds it.
func (a *Authority) File() string {
	a.t.Helper()
	return write(a.t, a.t.TempDir(), "ca.crt", a.root)
}

// Pool trusts it.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.root)
	return pool
}

func write(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func toPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
