package gate_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// putFile replaces a file as a careful program does.
func putFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// dialTLS makes a connection of TLS to a URL, and ends it.
func dialTLS(t *testing.T, url string, c *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", strings.TrimPrefix(url, "https://"), c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

// Certificates of both listeners change without a signal, and one that cannot be
// used changes nothing, is told once and counted.
func TestCertificateFilesAreWatched(t *testing.T) {
	before, after := s3gatetest.NewAuthority(t, "before"), s3gatetest.NewAuthority(t, "after")
	w := newEmbedded(t)
	files := map[string][2]string{}
	for _, name := range []string{"links", "api"} {
		cert, key := before.Files(nil)
		files[name] = [2]string{cert, key}
	}
	g := w.gate(func(c *config.Config) {
		c.Links.Cert, c.Links.Key = files["links"][0], files["links"][1]
		c.API.Cert, c.API.Key = files["api"][0], files["api"][1]
		c.Ops.Addr = "localhost:0"
		c.TLS.ReloadInterval = time.Second
	})
	for name, url := range map[string]string{"links": g.LinksURL(), "api": g.APIURL()} {
		if _, err := dialTLS(t, url, &tls.Config{RootCAs: before.Pool()}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ends := time.Now().Add(48 * time.Hour)
		cert, key := after.Issue(func(c *x509.Certificate) { c.NotAfter = ends })
		putFile(t, files[name][0], cert)
		failure := `s3gate_certificate_reloads_total{file="cert",listener="` + name + `",result="failure"}`
		eventually(t, name+": the pair does not match", func() bool { return g.metric(failure) == "1" })
		if _, err := dialTLS(t, url, &tls.Config{RootCAs: before.Pool()}); err != nil {
			t.Errorf("%s: a pair that does not match has replaced one that does: %v", name, err)
		}
		time.Sleep(2500 * time.Millisecond) // two more looks, or none
		if got := g.metric(failure); got != "1" {
			t.Errorf("%s: the failure is counted %s times, want once", name, got)
		}
		putFile(t, files[name][1], key)
		eventually(t, name+": the new certificate is shown", func() bool {
			_, err := dialTLS(t, url, &tls.Config{RootCAs: after.Pool()})
			return err == nil
		})
		eventually(t, name+": the metrics say so", func() bool {
			return g.metric(strings.Replace(failure, "failure", "success", 1)) == "1"
		})
		if got, want := g.metric(`s3gate_certificate_not_after_timestamp_seconds{listener="`+name+`"}`), fmt.Sprintf("%g", float64(ends.Unix())); got != want {
			t.Errorf("%s: it ends at %s, want %s", name, got, want)
		}
	}
	if n := strings.Count(w.log.String(), "certificates cannot be read again"); n != 2 {
		t.Errorf("it was told %d times, want once for each listener", n)
	}
}

// callers of an API that asks for certificates.
type callers struct {
	g      *testGate
	server *s3gatetest.Authority
}

// get asks as somebody with a certificate, or with none, and returns the status, 0 if
// there is no connection.
func (c callers) get(t *testing.T, path string, certificate *tls.Certificate, protos ...string) int {
	t.Helper()
	config := &tls.Config{RootCAs: c.server.Pool(), NextProtos: protos}
	if certificate != nil {
		// Also one that the server has not asked for.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	tr := &http.Transport{TLSClientConfig: config}
	defer tr.CloseIdleConnections()
	a, err := try(t.Context(), tr, "GET", c.g.APIURL()+path, nil, "Authorization: Bearer "+c.g.bearer)
	if err != nil {
		return 0
	}
	return a.status
}

func keyPair(t *testing.T, a *s3gatetest.Authority, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	cert, key := a.Issue(change)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}

// Who has no certificate, or not the right one, gets no further than the mode says;
// who has it still needs a JWT.
func TestClientCertificates(t *testing.T) {
	server, ours, theirs := s3gatetest.NewAuthority(t, "server"), s3gatetest.NewAuthority(t, "ours"), s3gatetest.NewAuthority(t, "theirs")
	certificates := map[string]*tls.Certificate{
		"none":   nil,
		"ours":   keyPair(t, ours, nil),
		"below":  keyPair(t, ours.Under("below ours"), nil),
		"theirs": keyPair(t, theirs, nil),
		"expired": keyPair(t, ours, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}),
		"early": keyPair(t, ours, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }),
		"for servers": keyPair(t, ours, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}),
	}
	tests := []struct {
		mode         string
		none, health int // what who presents none gets at /v1/gates, and at /readyz
	}{
		{config.ClientAuthRequire, 0, 0},
		{config.ClientAuthRequests, 403, 200},
		{config.ClientAuthIfGiven, 200, 200},
	}
	for _, tt := range tests {
		t.Run(tt.mode, func(t *testing.T) {
			w := newEmbedded(t)
			cert, key := server.Files(nil)
			g := w.gate(func(c *config.Config) {
				c.API.Cert, c.API.Key, c.API.ClientCA, c.API.ClientAuth = cert, key, ours.File(), tt.mode
				c.Ops.Addr = "localhost:0"
			})
			c := callers{g, server}
			for name, certificate := range certificates {
				want, health := 0, 0
				switch name {
				case "none":
					want, health = tt.none, tt.health
				case "ours", "below":
					want, health = 200, 200
				}
				if got := c.get(t, "/v1/gates", certificate); got != want {
					t.Errorf("%s: /v1/gates is %d, want %d", name, got, want)
				}
				if got := c.get(t, "/readyz", certificate); got != health {
					t.Errorf("%s: /readyz is %d, want %d", name, got, health)
				}
			}
			c.g.bearer = "none"
			if got := c.get(t, "/v1/gates", certificates["ours"]); got != 401 {
				t.Errorf("a certificate without a JWT: %d, want 401", got)
			}
		})
	}
}

// No protocol that a client may ask for goes past the certificate.
func TestClientCertificatesWhateverTheProtocol(t *testing.T) {
	server, ours := s3gatetest.NewAuthority(t, "server"), s3gatetest.NewAuthority(t, "ours")
	w := newEmbedded(t)
	cert, key := server.Files(nil)
	g := w.gate(func(c *config.Config) {
		c.API.Cert, c.API.Key, c.API.ClientCA = cert, key, ours.File()
		c.Ops.Addr = "localhost:0"
	})
	for _, protos := range [][]string{nil, {"h2"}, {"http/1.1"}, {"acme-tls/1"}, {"acme-tls/1", "http/1.1"}} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := &tls.Config{RootCAs: server.Pool(), NextProtos: protos, MaxVersion: version}
			conn, err := tls.Dial("tcp", strings.TrimPrefix(g.APIURL(), "https://"), config)
			if err != nil {
				continue
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = conn.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))
			if n, err := conn.Read(make([]byte, 100)); err == nil {
				t.Errorf("%v over %s: %d bytes were answered", protos, tls.VersionName(version), n)
			}
			conn.Close()
		}
	}
}

// The authorities of clients change without a restart: those who are gone cannot
// begin another connection, and a session is no way around it.
func TestClientAuthoritiesAreWatched(t *testing.T) {
	server, before, after := s3gatetest.NewAuthority(t, "server"), s3gatetest.NewAuthority(t, "before"), s3gatetest.NewAuthority(t, "after")
	w := newEmbedded(t)
	cert, key := server.Files(nil)
	file := before.File()
	g := w.gate(func(c *config.Config) {
		c.API.Cert, c.API.Key, c.API.ClientCA = cert, key, file
		c.Ops.Addr = "localhost:0"
		c.TLS.ReloadInterval = time.Second
	})
	c := callers{g, server}
	old, young := keyPair(t, before, nil), keyPair(t, after, nil)
	if got := c.get(t, "/v1/gates", old); got != 200 {
		t.Fatalf("before: %d", got)
	}
	putFile(t, file, append(before.PEM(), after.PEM()...))
	eventually(t, "both are taken", func() bool { return c.get(t, "/v1/gates", young) == 200 })
	if got := c.get(t, "/v1/gates", old); got != 200 {
		t.Errorf("while both are taken: %d", got)
	}
	putFile(t, file, after.PEM())
	eventually(t, "the old one is taken no more", func() bool { return c.get(t, "/v1/gates", old) == 0 })
	putFile(t, file, nil)
	eventually(t, "a file with nothing in it is told", func() bool {
		return g.metric(`s3gate_certificate_reloads_total{file="client_ca",listener="api",result="failure"}`) == "1"
	})
	if got := c.get(t, "/v1/gates", nil); got != 0 {
		t.Errorf("a file with nothing in it lets everybody in: %d", got)
	}
	if got := c.get(t, "/v1/gates", young); got != 200 {
		t.Errorf("a file with nothing in it: %d, want 200 as before", got)
	}
}

// The Go client presents a certificate.
func TestClientPresents(t *testing.T) {
	server, ours := s3gatetest.NewAuthority(t, "server"), s3gatetest.NewAuthority(t, "ours")
	w := newEmbedded(t)
	cert, key := server.Files(nil)
	g := w.gate(func(c *config.Config) {
		c.API.Cert, c.API.Key, c.API.ClientCA = cert, key, ours.File()
		c.Ops.Addr = "localhost:0"
	})
	id := client.Identity{ServerCA: server.File()}
	id.Cert, id.Key = ours.Files(nil)
	c := client.New(g.APIURL(), g.bearer)
	if err := c.Present(id); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Gates(t.Context()); err != nil {
		t.Error(err)
	}
	without := client.New(g.APIURL(), g.bearer)
	if err := without.Present(client.Identity{ServerCA: server.File()}); err != nil {
		t.Fatal(err)
	}
	if _, err := without.Gates(t.Context()); err == nil {
		t.Error("a client without a certificate is answered")
	}
	missing := client.Identity{Cert: filepath.Join(t.TempDir(), "none"), Key: id.Key}
	if err := client.New(g.APIURL(), g.bearer).Present(missing); err == nil {
		t.Error("a file that is not there was taken")
	}
}

// unencrypted speaks HTTP/2 without TLS, from the beginning.
func unencrypted(t *testing.T) *http.Transport {
	t.Helper()
	tr := &http.Transport{Protocols: &http.Protocols{}}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// HTTP/2 without TLS is there where the settings say so, and only there.
func TestH2C(t *testing.T) {
	w := newEmbedded(t)
	w.store("a", "text/plain", []byte("hello"))
	for _, on := range []bool{false, true} {
		g := w.gate(func(c *config.Config) { c.Links.H2C, c.API.H2C = on, on })
		link := g.mint("get", "a", nil).URL
		for name, url := range map[string]string{"links": link, "api": g.APIURL() + "/healthz"} {
			a, err := try(t.Context(), unencrypted(t), "GET", url, nil)
			if got := err == nil && a.status == 200 && a.proto == "HTTP/2.0"; got != on {
				t.Errorf("h2c %v: %s answers %d over %s, %v", on, name, a.status, a.proto, err)
			}
			if a := do(t, "GET", url, nil); a.status != 200 || a.proto != "HTTP/1.1" {
				t.Errorf("h2c %v: %s answers %d over %s", on, name, a.status, a.proto)
			}
		}
	}
	secure := w.gate(func(c *config.Config) {
		c.Links.Cert, c.Links.Key = s3gatetest.NewAuthority(t, "authority").Files(nil)
	})
	if a, err := try(t.Context(), unencrypted(t), "GET", strings.Replace(secure.LinksURL(), "https:", "http:", 1), nil); err == nil && a.status != 400 {
		t.Errorf("a listener with TLS answers %d over %s", a.status, a.proto)
	}
}

// Browsers are told to stay with https on every answer over it, errors too, and on
// none over plain HTTP, but behind a proxy that is trusted.
func TestHSTS(t *testing.T) {
	authority := s3gatetest.NewAuthority(t, "authority")
	cert, key := authority.Files(nil)
	secure := func(c *config.Config) {
		c.Links.Cert, c.Links.Key, c.API.Cert, c.API.Key = cert, key, cert, key
		c.Ops.Addr = "localhost:0"
	}
	behind := func(c *config.Config) {
		c.PublicURL, c.TrustedProxies = "https://files.example.com", []string{"127.0.0.0/8"}
	}
	const year = "max-age=31536000"
	tests := []struct {
		name       string
		change     func(*config.Config)
		links, api string
	}{
		{"TLS", secure, year, year},
		{"with subdomains, for a day", func(c *config.Config) {
			secure(c)
			c.TLS.HSTSMaxAge, c.TLS.HSTSSubdomains = 24*time.Hour, true
		}, "max-age=86400; includeSubDomains", "max-age=86400; includeSubDomains"},
		{"turned off", func(c *config.Config) { secure(c); c.TLS.HSTSMaxAge = 0 }, "", ""},
		{"plain", func(*config.Config) {}, "", ""},
		{"plain, public URL with https", func(c *config.Config) { behind(c); c.TrustedProxies = nil }, "", ""},
		{"plain, behind somebody else", func(c *config.Config) { behind(c); c.TrustedProxies = []string{"192.0.2.0/24"} }, "", ""},
		{"plain, public URL without https", func(c *config.Config) { behind(c); c.PublicURL = "http://files.example.com" }, "", ""},
		{"plain, behind a trusted proxy", behind, year, ""},
		{"plain, behind one that speaks the PROXY protocol", func(c *config.Config) { behind(c); c.Links.ProxyProtocol = "required" }, year, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newEmbedded(t)
			w.store("a", "text/plain", []byte("hello"))
			g := w.gate(tt.change)
			tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err == nil && strings.Contains(tt.name, "PROXY protocol") && strings.HasSuffix(g.LinksURL(), addr) {
					_, err = io.WriteString(conn, proxied("198.51.100.7"))
				}
				return conn, err
			}
			defer tr.CloseIdleConnections()
			g.api.HTTP = &http.Client{Transport: tr}
			link := g.LinksURL() + "/" + g.mint("get", "a", nil).Token
			for _, at := range []struct {
				method, url string
				status      int
				want        string
			}{
				{"GET", link, 200, tt.links},
				{"HEAD", link, 200, tt.links},
				{"GET", g.LinksURL() + "/s3g_0000000000000000000000000000", 404, tt.links},
				{"TRACE", link, 405, tt.links},
				{"GET", g.LinksURL() + "/", 404, tt.links},
				{"GET", g.APIURL() + "/healthz", 200, tt.api},
				{"GET", g.APIURL() + "/v1/tokens", 401, tt.api},
				{"GET", g.APIURL() + "/nothing", 404, tt.api},
				{"GET", g.APIURL() + "/console", 0, tt.api},
			} {
				a, err := try(t.Context(), tr, at.method, at.url, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := a.header.Values("Strict-Transport-Security"); strings.Join(got, "|") != at.want {
					t.Errorf("%s %s: %q, want %q", at.method, at.url, got, at.want)
				}
				if at.status != 0 && a.status != at.status {
					t.Errorf("%s %s: %d, want %d", at.method, at.url, a.status, at.status)
				}
			}
		})
	}
}

// A download over HTTP/2 without TLS is as long as it should be, and a revocation
// ends one of two on a connection.
func TestH2CAndRevocation(t *testing.T) {
	w := newEmbedded(t)
	body := make([]byte, 32<<20)
	rand.Read(body)
	w.store("big", "application/octet-stream", body)
	g := w.gate(func(c *config.Config) { c.Links.H2C = true })
	tr := unencrypted(t)
	whole, err := try(t.Context(), tr, "GET", g.mint("get", "big", nil).URL, nil)
	if err != nil || whole.err != nil || whole.proto != "HTTP/2.0" || !bytes.Equal(whole.body, body) {
		t.Fatalf("download over %s: %v %v", whole.proto, err, whole.err)
	}
	upload := g.mint("put", "up", nil)
	if a, err := try(t.Context(), tr, "PUT", upload.URL, body); err != nil || a.status != 200 || !bytes.Equal(w.stored("up"), body) {
		t.Errorf("upload: %d %v", a.status, err)
	}
	open := func(url string) io.ReadCloser {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 100<<10)); err != nil {
			t.Fatal(err)
		}
		return resp.Body
	}
	victim, other := g.mint("get", "big", nil), g.mint("get", "big", nil)
	cut, on := open(victim.URL), open(other.URL)
	defer cut.Close()
	defer on.Close()
	receipt, err := g.api.Revoke(t.Context(), victim.ID, "")
	if err != nil || receipt.Cut != 1 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if n, err := io.Copy(io.Discard, cut); err == nil {
		t.Errorf("the revoked download ended cleanly after %d bytes", n)
	}
	if n, err := io.Copy(io.Discard, on); err != nil || n != int64(len(body))-100<<10 {
		t.Errorf("the other download got %d bytes: %v", n, err)
	}
}
