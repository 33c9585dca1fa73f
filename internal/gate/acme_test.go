package gate_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

const acmeName = "files.example.com"

// withACME makes the certificate of the link listener one of pebble's, by both
// challenges.
func withACME(p *s3gatetest.Pebble, storage string) func(*config.Config) {
	return func(c *config.Config) {
		c.PublicURL = "https://" + acmeName
		c.Links.ACME, c.Links.Addr = true, fmt.Sprintf("127.0.0.1:%d", p.TLSPort)
		c.ACME.Agree, c.ACME.Directory, c.ACME.CA, c.ACME.Storage = true, p.Directory, p.CA, storage
		c.ACME.HTTPAddr = fmt.Sprintf("127.0.0.1:%d", p.HTTPPort)
		c.ACME.CheckInterval = time.Second
	}
}

// acmeStorage is a directory that goes with the test, although certmagic may still
// write there for a moment after it was stopped.
func acmeStorage(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s3gate-acme-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 {
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("%s cannot be removed", dir)
	})
	return dir
}

// shown is the certificate that the link listener shows to who asks for a name, once
// it verifies with roots.
func (g *testGate) shown(name string, roots *x509.CertPool) (*x509.Certificate, error) {
	conn, err := tls.Dial("tcp", strings.TrimPrefix(g.LinksURL(), "https://"), &tls.Config{ServerName: name, RootCAs: roots})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// awaitCertificate is shown, after a while that is as long as it has to be.
func (g *testGate) awaitCertificate(w *world, p *s3gatetest.Pebble, within time.Duration) *x509.Certificate {
	g.t.Helper()
	var err error
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var c *x509.Certificate
		if c, err = g.shown(acmeName, p.Roots()); err == nil {
			return c
		}
	}
	g.t.Fatalf("no certificate: %v\nthe gate: %s\npebble: %s", err, acmeLog(w), p.Output())
	return nil
}

func acmeLog(w *world) string {
	var lines []string
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, `"msg":"acme: `) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func (g *testGate) metric(name string) string {
	g.t.Helper()
	return metricIn(string(do(g.t, "GET", g.OpsURL()+"/metrics", nil).body), name)
}

// metricIn is the value of a metric with its labels, "" if it is not there.
func metricIn(text, name string) string {
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return found[1]
}

// A certificate comes by either challenge, although the authority refuses good
// nonces now and then, as it may.
func TestACMEIssues(t *testing.T) {
	tests := []struct {
		name   string
		change func(*config.Config)
		by     string
	}{
		{"TLS-ALPN-01 alone", func(c *config.Config) { c.ACME.HTTPAddr = "" }, "tls-alpn-01"},
		{"HTTP-01 alone", func(c *config.Config) { c.ACME.TLSALPN = false }, "http-01"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := s3gatetest.NewPebble(t, s3gatetest.PebbleOptions{BadNonces: 30})
			p.Start()
			w := newEmbedded(t)
			g := w.gate(func(c *config.Config) { withACME(p, acmeStorage(t))(c); tt.change(c) })
			leaf := g.awaitCertificate(w, p, 30*time.Second)
			if got := leaf.DNSNames; len(got) != 1 || got[0] != acmeName {
				t.Errorf("the certificate is for %v", got)
			}
			if !strings.Contains(acmeLog(w), tt.by) {
				t.Errorf("nothing in the log of %s:\n%s", tt.by, acmeLog(w))
			}
			if got, want := g.metric(`s3gate_certificate_not_after_timestamp_seconds{listener="links"}`), fmt.Sprintf("%g", float64(leaf.NotAfter.Unix())); got != want {
				t.Errorf("the metric says that it ends at %s, want %s", got, want)
			}
			if got := g.metric(`s3gate_acme_certificates_total{result="success"}`); got != "1" {
				t.Errorf("%s certificates counted, want 1", got)
			}
			// A client that asks for another name, or for none, sees whose it is.
			for _, name := range []string{"other.example.com", ""} {
				conn, err := tls.Dial("tcp", strings.TrimPrefix(g.LinksURL(), "https://"), &tls.Config{ServerName: name, InsecureSkipVerify: true})
				if err != nil {
					t.Errorf("asking for %q: %v", name, err)
					continue
				}
				if got := conn.ConnectionState().PeerCertificates[0]; !got.Equal(leaf) {
					t.Errorf("asking for %q shows %v", name, got.DNSNames)
				}
				conn.Close()
			}
		})
	}
}

// Whoever comes to the port of the challenge is sent to https, and nowhere else.
func TestACMERedirects(t *testing.T) {
	p := s3gatetest.NewPebble(t, s3gatetest.PebbleOptions{})
	w := newEmbedded(t)
	w.gate(func(c *config.Config) {
		withACME(p, acmeStorage(t))(c)
		c.ACME.Domains = []string{acmeName, "api.example.com"}
		c.ACME.Directory = "https://127.0.0.1:1/dir" // nobody is there
	})
	at := fmt.Sprintf("http://127.0.0.1:%d", p.HTTPPort)
	tests := []struct{ name, method, host, path, to string }{
		{"a link", "GET", acmeName, "/s3g_x/a%2Fb%20c?download=1", "https://" + acmeName + "/s3g_x/a%2Fb%20c?download=1"},
		{"a link, by port", "HEAD", acmeName + ":8080", "/s3g_x", "https://" + acmeName + "/s3g_x"},
		{"another name of ours", "GET", "API.example.com", "/docs", "https://api.example.com/docs"},
		{"somebody else's name", "GET", "evil.example.net", "/s3g_x", "https://" + acmeName + "/s3g_x"},
		{"a path that looks like a host", "GET", acmeName, "//evil.example.net/x", "https://" + acmeName + "/evil.example.net/x"},
		{"an upload", "PUT", acmeName, "/s3g_x", ""},
		{"a challenge of nobody", "GET", acmeName, "/.well-known/acme-challenge/x", "https://" + acmeName + "/.well-known/acme-challenge/x"},
	}
	for _, tt := range tests {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, at+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tt.host
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want := http.StatusPermanentRedirect
		if tt.to == "" {
			want = http.StatusForbidden
		}
		if got := resp.Header.Get("Location"); resp.StatusCode != want || got != tt.to {
			t.Errorf("%s: %d to %q, want %d to %q", tt.name, resp.StatusCode, got, want, tt.to)
		}
		if got := resp.Header.Get("Strict-Transport-Security"); got != "" {
			t.Errorf("%s: over plain HTTP it says %q", tt.name, got)
		}
	}
}

// H5: the port for challenges has the limits of that for links too, and waits for no
// body.
func TestACMEPortIsBounded(t *testing.T) {
	p := s3gatetest.NewPebble(t, s3gatetest.PebbleOptions{})
	g := newEmbedded(t).gate(func(c *config.Config) {
		withACME(p, acmeStorage(t))(c)
		c.ACME.Directory = "https://127.0.0.1:1/dir" // nobody is there
		c.Links.HeaderTimeout, c.Links.MaxConnectionsPerNetwork = 2*time.Second, 3
	})
	dial := func() net.Conn {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.HTTPPort))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
	for range 3 {
		fmt.Fprintf(dial(), "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 1\r\n\r\n", acmeName)
	}
	await(t, "three are open", func() bool { return g.metric(`s3gate_connections{listener="acme"}`) == "3" })
	ended(t, dial())
	if n := g.metric(`s3gate_connections_refused_total{listener="acme",reason="network"}`); n != "1" {
		t.Errorf("%s were refused, want 1", n)
	}
	await(t, "those that wait for nothing end", func() bool { return g.metric(`s3gate_connections{listener="acme"}`) == "0" })
}

// A certificate is renewed long before its end, without a restart; one that is in
// the storage is shown after a restart although nobody answers there any more.
func TestACMERenewsAndSurvives(t *testing.T) {
	p := s3gatetest.NewPebble(t, s3gatetest.PebbleOptions{Validity: 30 * time.Second, BadNonces: 10})
	p.Start()
	storage := filepath.Join(acmeStorage(t), "acme")
	w := newEmbedded(t)
	g := w.open(withACME(p, storage))
	first := g.awaitCertificate(w, p, 30*time.Second)
	var next *x509.Certificate
	eventuallyWithin(t, time.Minute, "the certificate is renewed", func() bool {
		var err error
		next, err = g.shown(acmeName, p.Roots())
		return err == nil && next.SerialNumber.Cmp(first.SerialNumber) != 0
	})
	if !next.NotAfter.After(first.NotAfter) {
		t.Errorf("it ends %s, and the one before %s", next.NotAfter, first.NotAfter)
	}
	if time.Now().After(first.NotAfter) {
		t.Error("it was renewed after its end")
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(storage)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the storage has mode %v, %v", info.Mode(), err)
	}
}

func TestACMESurvivesItsAuthority(t *testing.T) {
	p := s3gatetest.NewPebble(t, s3gatetest.PebbleOptions{})
	p.Start()
	storage := acmeStorage(t)
	w := newEmbedded(t)
	g := w.open(withACME(p, storage))
	before := g.awaitCertificate(w, p, 30*time.Second)
	roots := p.Roots()
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	p.Stop()
	again := w.gate(withACME(p, storage))
	var after *x509.Certificate
	eventually(t, "the certificate is taken from the storage", func() bool {
		var err error
		after, err = again.shown(acmeName, roots)
		return err == nil
	})
	if !after.Equal(before) {
		t.Error("it is another certificate")
	}
	if got := again.metric(`s3gate_acme_certificates_total{result="failure"}`); got != "0" {
		t.Errorf("%s attempts have failed, want 0: nobody had to be asked", got)
	}
	// A gate with the same storage has it too, and asks nobody.
	other := w.gate(func(c *config.Config) {
		withACME(p, storage)(c)
		c.Links.Addr, c.ACME.HTTPAddr = "127.0.0.1:0", ""
	})
	eventually(t, "another gate takes it too", func() bool {
		c, err := other.shown(acmeName, roots)
		return err == nil && c.Equal(before)
	})
}

// A gate whose certificate authority does not answer starts all the same, says so,
// and has a certificate when it is there again. That takes certmagic a minute.
func TestACMEAuthorityDown(t *testing.T) {
	if testing.Short() {
		t.Skip("takes more than a minute")
	}
	t.Parallel()
	p := s3gatetest.NewPebble(t, s3gatetest.PebbleOptions{})
	w := newEmbedded(t)
	g := w.gate(withACME(p, acmeStorage(t)))
	eventually(t, "the attempt has failed", func() bool {
		return strings.Contains(acmeLog(w), `"level":"ERROR"`)
	})
	if a := do(t, "GET", g.APIURL()+"/readyz", nil); a.status != 200 {
		t.Errorf("/readyz is %d, want 200: to a gate that is not ready no challenge is sent", a.status)
	}
	if _, err := g.shown(acmeName, nil); err == nil {
		t.Error("it shows a certificate")
	}
	if got := g.metric(`s3gate_certificate_not_after_timestamp_seconds{listener="links"}`); got != "0" {
		t.Errorf("the metric says %q, want 0", got)
	}
	p.Start()
	g.awaitCertificate(w, p, 2*time.Minute)
}

// An authority that gives certificates to its customers alone is told which one this
// is.
func TestACMEExternalAccount(t *testing.T) {
	const secret = "a key of thirty-two bytes or more"
	p := s3gatetest.NewPebble(t, s3gatetest.PebbleOptions{Accounts: map[string]string{"kid-1": base64.RawURLEncoding.EncodeToString([]byte(secret))}})
	p.Start()
	w := newEmbedded(t)
	g := w.gate(func(c *config.Config) {
		withACME(p, acmeStorage(t))(c)
		c.ACME.Email = "ops@example.com"
		c.ACME.EABKeyID, c.ACME.EABKey = "kid-1", base64.RawURLEncoding.EncodeToString([]byte(secret))
	})
	g.awaitCertificate(w, p, 30*time.Second)
	if strings.Contains(w.log.String(), base64.RawURLEncoding.EncodeToString([]byte(secret))) {
		t.Error("the key is in the log")
	}
}

func eventuallyWithin(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// On the API's listener the authority, which has no certificate, gets as far as the
// challenge, and nobody gets past it by the same protocol.
func TestACMEBesideClientCertificates(t *testing.T) {
	p := s3gatetest.NewPebble(t, s3gatetest.PebbleOptions{})
	p.Start()
	ours := s3gatetest.NewAuthority(t, "ours")
	w := newEmbedded(t)
	g := w.gate(func(c *config.Config) {
		withACME(p, acmeStorage(t))(c)
		c.API.ACME, c.API.Addr, c.API.ClientCA = true, c.Links.Addr, ours.File()
		c.Links.ACME, c.Links.Addr, c.ACME.HTTPAddr = false, "127.0.0.1:0", ""
		c.Ops.Addr = "localhost:0"
	})
	addr := strings.TrimPrefix(g.APIURL(), "https://")
	config := &tls.Config{ServerName: acmeName, RootCAs: p.Roots(), Certificates: []tls.Certificate{*keyPair(t, ours, nil)}}
	eventually(t, "the API has a certificate", func() bool { _, err := dialTLS(t, addr, config); return err == nil })
	config.Certificates = nil
	for _, protos := range [][]string{{"acme-tls/1"}, {"acme-tls/1", "http/1.1"}} {
		config.NextProtos = protos
		conn, err := tls.Dial("tcp", addr, config)
		if err != nil {
			continue
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = conn.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))
		if n, err := conn.Read(make([]byte, 100)); err == nil {
			t.Errorf("over %v %d bytes were answered", protos, n)
		}
		conn.Close()
	}
}

// Of gates that share a storage one asks the authority, and the other has the
// certificate too, whoever of them the challenge comes to.
func TestACMESharedStorage(t *testing.T) {
	p := s3gatetest.NewPebble(t, s3gatetest.PebbleOptions{})
	p.Start()
	storage := acmeStorage(t)
	w := newEmbedded(t)
	w.shared = true
	// The second one asks; the challenge over HTTP comes to the first.
	first := w.gate(func(c *config.Config) {
		withACME(p, storage)(c)
		c.ACME.TLSALPN = false
	})
	second := w.gate(func(c *config.Config) {
		withACME(p, storage)(c)
		c.Links.Addr, c.ACME.HTTPAddr, c.ACME.TLSALPN = "127.0.0.1:0", "127.0.0.1:0", false
	})
	var a, b *x509.Certificate
	eventually(t, "both have a certificate", func() bool {
		var errA, errB error
		a, errA = first.shown(acmeName, p.Roots())
		b, errB = second.shown(acmeName, p.Roots())
		return errA == nil && errB == nil
	})
	if !a.Equal(b) {
		t.Error("each has its own")
	}
}
