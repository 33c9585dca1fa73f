package gate_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// front is a proxy in front of gates that runs as the file in deploy says, but for
// addresses and certificates.
type front struct {
	*s3gatetest.Program
	name  string
	url   string // of links
	api   string
	dir   string // where it may write
	roots *x509.CertPool

	certificate string // the roots as PEM
	admin       string // a socket of HAProxy's, if it has one
}

// behind are the addresses of a gate, host:port each.
type behind struct{ links, api string }

func (g *testGate) behind() behind {
	return behind{strings.TrimPrefix(g.LinksURL(), "http://"), strings.TrimPrefix(g.APIURL(), "http://")}
}

// program is where one is that Debian has in a place where only root looks.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	s3gatetest.Need(t, name+" (apt-get install "+name+")", err)
	return path
}

// unused is an address on which nobody listened a moment ago.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// filledIn is a file of deploy with some of its text replaced, all of which has to be
// there.
func filledIn(t *testing.T, file string, replace ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "deploy", file))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(string(raw), replace[i]) {
			t.Fatalf("%s has no %q", file, replace[i])
		}
	}
	return strings.NewReplacer(replace...).Replace(string(raw))
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs the front until it listens at both of its addresses. Others can take one
// of its ports in between.
func (f *front) start(t *testing.T, run func(links, api string) *s3gatetest.Program) *front {
	t.Helper()
	var err error
	for range 5 {
		links, api := unused(t), unused(t)
		f.Program = run(links, api)
		f.url, f.api = "https://"+links, "https://"+api
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && !f.Ended(); time.Sleep(20 * time.Millisecond) {
			if err = errors.Join(dial(links), dial(api)); err == nil {
				return f
			}
		}
		f.Kill()
	}
	t.Fatalf("%s does not start: %v\n%s", f.name, err, f.Output())
	return nil
}

func dial(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		c.Close()
	}
	return err
}

// nginxFront starts nginx with deploy/nginx/s3gate.conf before two gates, or twice the
// same. With replacements it is not quite that file.
func nginxFront(t *testing.T, one, two behind, replace ...string) *front {
	t.Helper()
	path := program(t, "nginx")
	f := &front{name: "nginx", dir: t.TempDir()}
	cert, key, roots := selfSigned(t)
	f.roots = roots
	raw, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	f.certificate = string(raw)
	return f.start(t, func(links, api string) *s3gatetest.Program {
		writeFile(t, filepath.Join(f.dir, "s3gate.conf"), filledIn(t, "nginx/s3gate.conf", append(replace,
			"listen 443 ssl", "listen "+links+" ssl", "listen 8443 ssl", "listen "+api+" ssl",
			"/etc/nginx/s3gate.crt", cert, "/etc/nginx/s3gate.key", key,
			"10.0.0.11:8080", one.links, "10.0.0.12:8080", two.links,
			"10.0.0.11:8090", one.api, "10.0.0.12:8090", two.api, "allow 10.0.0.0/8", "allow 127.0.0.0/8")...))
		main := writeFile(t, filepath.Join(f.dir, "nginx.conf"), strings.ReplaceAll(`
daemon off;
master_process off;
pid DIR/pid;
error_log DIR/error.log debug;
events {}
http {
  access_log DIR/access.log combined;
  client_body_temp_path DIR/body;
  proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi;
  scgi_temp_path DIR/scgi;
  proxy_cache_path DIR/cache keys_zone=CACHE:1m;
  include DIR/s3gate.conf;
}
`, "DIR", f.dir))
		return s3gatetest.Start(t, nil, path, "-p", f.dir, "-e", filepath.Join(f.dir, "error.log"), "-c", main)
	})
}

// haproxyFront starts HAProxy with deploy/haproxy/haproxy.cfg before two gates, or
// twice the same.
func haproxyFront(t *testing.T, one, two behind, replace ...string) *front {
	t.Helper()
	path := program(t, "haproxy")
	f := &front{name: "HAProxy", dir: t.TempDir()}
	cert, key, roots := selfSigned(t)
	f.roots = roots
	var pem []byte
	for _, file := range []string{cert, key} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pem = append(pem, raw...)
	}
	f.certificate = string(pem)
	both := writeFile(t, filepath.Join(f.dir, "s3gate.pem"), string(pem))
	return f.start(t, func(links, api string) *s3gatetest.Program {
		port := func(b behind) string { return b.api[strings.LastIndex(b.api, ":")+1:] }
		file := writeFile(t, filepath.Join(f.dir, "haproxy.cfg"), filledIn(t, "haproxy/haproxy.cfg", append(replace,
			"bind :443 ", "bind "+links+" ", "bind :8443 ", "bind "+api+" ", "/etc/haproxy/s3gate.pem", both,
			"10.0.0.11:8080 check port 8090", one.links+" check port "+port(one),
			"10.0.0.12:8080 check port 8090", two.links+" check port "+port(two),
			"10.0.0.11:8090", one.api, "10.0.0.12:8090", two.api, "src 10.0.0.0/8", "src 127.0.0.0/8", "maxconn 20000", "maxconn 2000")...))
		return s3gatetest.Start(t, nil, path, "-db", "-f", file)
	})
}

// eachFront runs a test through nginx and through HAProxy, with one gate behind them.
func eachFront(t *testing.T, test func(t *testing.T, w *world, g *testGate, f *front)) {
	for name, start := range map[string]func(*testing.T, behind, behind, ...string) *front{"nginx": nginxFront, "HAProxy": haproxyFront} {
		t.Run(name, func(t *testing.T) {
			w := newEmbedded(t)
			w.t = t
			g := w.gate(func(c *config.Config) { c.TrustedProxies = []string{"127.0.0.1"} })
			f := start(t, g.behind(), g.behind())
			test(t, w, g, f)
			f.wantNoLinks(t)
		})
	}
}

// link is a token's, through the front.
func (f *front) link(token *client.Token) string { return f.url + "/" + token.Token }

// transport speaks HTTP/2 to the front or HTTP/1.1, from an address of this machine.
func (f *front) transport(t *testing.T, http2 bool, from string) *http.Transport {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: f.roots}, ForceAttemptHTTP2: http2, DisableCompression: true,
		ExpectContinueTimeout: 20 * time.Second,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := d.DialContext(ctx, network, addr)
			if err == nil {
				err = c.(*net.TCPConn).SetReadBuffer(64 << 10) // so that little is on its way
			}
			return c, err
		},
	}
	if !http2 {
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// eachProtocol runs a test over HTTP/1.1 and HTTP/2.
func (f *front) eachProtocol(t *testing.T, test func(proto string, tr *http.Transport)) {
	test("HTTP/1.1", f.transport(t, false, "127.0.0.2"))
	test("HTTP/2.0", f.transport(t, true, "127.0.0.2"))
}

// wantNoLinks looks for tokens in everything that the front has written.
func (f *front) wantNoLinks(t *testing.T) {
	t.Helper()
	written := map[string]string{"output": f.Output()}
	for _, name := range []string{"error.log", "access.log"} {
		if raw, err := os.ReadFile(filepath.Join(f.dir, name)); err == nil {
			written[name] = string(raw)
		}
	}
	for name, text := range written {
		if at := strings.Index(text, "s3g_"); at >= 0 {
			t.Errorf("the %s of %s holds links: %.200s", name, f.name, text[max(0, at-100):])
		}
	}
}

// wantRunning waits until so many transfers run on the gate.
func (g *testGate) wantRunning(t *testing.T, n int) (running []client.Transfer) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all, err := g.api.Transfers(t.Context())
		if err == nil && len(all.Transfers) == n {
			return all.Transfers
		}
		if time.Now().After(end) {
			t.Fatalf("%d transfers should run: %+v, %v", n, all, err)
		}
	}
}

// through makes a URL of a gate's one of the front's.
func (f *front) through(t *testing.T, at string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(f.url, u.RequestURI())
}
