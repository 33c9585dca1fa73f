package s3gatetest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

const pebbleHelp = "pebble (go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1, " +
	"then put it on PATH or name it in S3GATE_TEST_PEBBLE)"

// PebbleOptions are what differs between tests.
type PebbleOptions struct {
	// Validity is the life of its certificates; 0 means an hour.
	Validity time.Duration
	// Accounts are those that have to be named to register, from ID to key in
	// base64url; nil asks for none.
	Accounts map[string]string
	// BadNonces is how many of a hundred good nonces are refused.
	BadNonces int
}

// Pebble is a certificate authority that speaks ACME, for which every name is at
// 127.0.0.1. Whom it gives certificates to it asks at HTTPPort and TLSPort.
type Pebble struct {
	// Directory is its URL, and CA a file with what has signed its own certificate.
	Directory, CA     string
	HTTPPort, TLSPort int

	t          testing.TB
	path       string
	file       string
	env        []string
	dns        string
	management string
	trusts     *http.Client
	proc       *process
}

// NewPebble returns one that [Pebble.Start] starts. The binary is the one that
// S3GATE_TEST_PEBBLE names, else the one on PATH.
func NewPebble(t testing.TB, o PebbleOptions) *Pebble {
	t.Helper()
	path, err := findProgram("S3GATE_TEST_PEBBLE", "pebble")
	Need(t, pebbleHelp, err)
	authority := NewAuthority(t, "authority of the directory's server")
	cert, key := authority.Files(nil)
	p := &Pebble{
		CA: authority.File(), HTTPPort: freePort(t), TLSPort: freePort(t), t: t, path: path, dns: everywhereHere(t),
		env:    []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=" + strconv.Itoa(o.BadNonces), "PEBBLE_AUTHZREUSE=0"},
		trusts: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}},
	}
	t.Cleanup(p.trusts.CloseIdleConnections)
	addr := loopback(freePort(t))
	p.management = loopback(freePort(t))
	p.Directory = "https://" + addr + "/dir"
	if o.Validity == 0 {
		o.Validity = time.Hour
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": addr, "managementListenAddress": p.management, "certificate": cert, "privateKey": key,
		"httpPort": p.HTTPPort, "tlsPort": p.TLSPort, "keyAlgorithm": "ecdsa",
		"externalAccountBindingRequired": len(o.Accounts) > 0, "externalAccountMACKeys": o.Accounts,
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "for tests", "validityPeriod": int(o.Validity / time.Second)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	p.file = write(t, t.TempDir(), "pebble.json", config)
	return p
}

// Start starts it. It knows nothing of what was before.
func (p *Pebble) Start() {
	p.t.Helper()
	p.proc = launch(p.t, p.env, p.path, "-config", p.file, "-dnsserver", p.dns)
	if !p.proc.waitUntil(p.t, func() error { _, err := p.get(p.Directory); return err }) {
		p.t.Fatalf("pebble ended:\n%s", p.proc.output)
	}
}

// Stop ends it at once.
func (p *Pebble) Stop() { p.proc.kill() }

// Output is the last of what it has printed.
func (p *Pebble) Output() string { return p.proc.output.String() }

// Roots trusts the certificates that it has given since it was started.
func (p *Pebble) Roots() *x509.CertPool {
	p.t.Helper()
	raw, err := p.get("https://" + p.management + "/roots/0")
	pool := x509.NewCertPool()
	if err == nil && !pool.AppendCertsFromPEM(raw) {
		err = errors.New("there is no certificate in the answer")
	}
	if err != nil {
		p.t.Fatalf("asking pebble for its certificate: %v", err)
	}
	return pool
}

func (p *Pebble) get(url string) ([]byte, error) {
	resp, err := p.trusts.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// findProgram is the one that a variable names, else the one on PATH.
func findProgram(variable, name string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		return exec.LookPath(path)
	}
	return exec.LookPath(name)
}
