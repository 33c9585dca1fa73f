package gate_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/internal/s3gatetest"
)

// Redis away: nothing is given out, and the gate says so and recovers.
func TestRedisDown(t *testing.T) {
	mr := miniredis.RunT(t)
	w := newWorld(t, s3gatetest.DevS3(t), mr.Addr())
	w.store("o", "text/plain", []byte("object"))
	g := w.gate(nil)
	link, limited := g.mint("get", "o", nil).URL, g.mint("get", "o", uses(1)).URL
	mr.Close()
	for _, url := range []string{link, limited} {
		a := do(t, "GET", url, nil)
		if a.status != 503 || a.header.Get("Retry-After") == "" || bytes.Contains(a.body, []byte("refused")) {
			t.Errorf("link without Redis: %d %s", a.status, a.body)
		}
	}
	wantReadyz(t, g, 503) // when the lease has run out
	if a := do(t, "GET", g.APIURL()+"/healthz", nil); a.status != 200 {
		t.Errorf("/healthz without Redis: %d", a.status)
	}
	if err := mr.Restart(); err != nil { // with what it had
		t.Fatal(err)
	}
	wantReadyz(t, g, 200)
	if a := do(t, "GET", link, nil); a.status != 200 || string(a.body) != "object" {
		t.Errorf("link with Redis back: %d %s", a.status, a.body)
	}
	if a := do(t, "GET", limited, nil); a.status != 200 {
		t.Errorf("the refused request cost the only use: %d %s", a.status, a.body)
	}
}

// wantReadyz waits until the gate is as ready as that.
func wantReadyz(t *testing.T, g *testGate, status int) {
	t.Helper()
	for range 1000 {
		if do(t, "GET", g.APIURL()+"/readyz", nil).status == status {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("/readyz never answers %d", status)
}

// S3 away: 502, and the use comes back.
func TestS3Down(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", []byte("object"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	away := w.gate(func(c *config.Config) {
		b := c.Buckets["docs"]
		b.Endpoint = "http://" + l.Addr().String()
		c.Buckets["docs"] = b
	})
	token := away.mint("get", "o", uses(1))
	if a := do(t, "GET", token.URL, nil); a.status != 502 || !bytes.Contains(a.body, []byte("StorageError")) {
		t.Errorf("GET without S3: %d %s", a.status, a.body)
	}
	if a := do(t, "PUT", away.mint("put", "p", nil).URL, []byte("x")); a.status != 502 {
		t.Errorf("PUT without S3: %d %s", a.status, a.body)
	}
	here := w.gate(nil)
	if a := do(t, "GET", here.LinksURL()+"/"+token.Token, nil); a.status != 200 {
		t.Errorf("the failed request cost the only use: %d", a.status)
	}
}

// A client that says more than it sends stores nothing and keeps its use.
func TestShortUpload(t *testing.T) {
	eachWorld(t, func(w *world) {
		g := w.gate(nil)
		token := g.mint("put", "short", nil)
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.LinksURL(), "http://"))
		if err != nil {
			w.t.Fatal(err)
		}
		defer conn.Close()
		_, err = io.WriteString(conn, "PUT /"+token.Token+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 500_000))
		if err != nil {
			w.t.Fatal(err)
		}
		conn.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(conn)
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 400")) {
			w.t.Errorf("answer %.60q", answer)
		}
		if w.stored("short") != nil {
			w.t.Error("a part was stored as the whole")
		}
		if a := do(w.t, "PUT", token.URL, []byte("all of it")); a.status != 200 {
			w.t.Errorf("the use did not come back: %d %s", a.status, a.body)
		}
	})
}

// The token is in no log line, no metric, no answer but the mint's, and not
// in a dump of Redis (T13, T14).
func TestTokenLeaksNowhere(t *testing.T) {
	server := s3gatetest.RedisServer(t)
	w := newWorld(t, s3gatetest.DevS3(t), server.Addr)
	w.store("o", "text/plain", []byte("object"))
	g := w.gate(nil)
	get, put := g.mint("get", "o", uses(2)), g.mint("put", "u", nil)
	for _, r := range [][2]string{
		{"GET", get.URL}, {"HEAD", get.URL}, {"POST", get.URL}, {"PUT", get.URL}, {"PUT", put.URL}, {"GET", put.URL},
		{"GET", get.URL}, {"GET", get.URL}, {"GET", get.URL[:len(get.URL)-3]}, {"GET", get.URL + "/../x"},
	} {
		do(t, r[0], r[1], nil, "Content-Length: 0", "Accept: text/html")
	}
	if _, err := g.api.Revoke(t.Context(), get.ID, ""); err != nil {
		t.Fatal(err)
	}
	do(t, "GET", get.URL, nil)

	rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer rdb.Close()
	if err := rdb.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	dump, err := os.ReadFile(filepath.Join(server.Dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(dump, []byte(get.ID)) {
		t.Error("the dump does not even hold the ID: this test sees nothing")
	}
	metrics := do(t, "GET", g.APIURL()+"/metrics", nil).body
	if !bytes.Contains(metrics, []byte("s3gate_link_requests_total")) {
		t.Error("no metrics")
	}
	if !strings.Contains(w.log.String(), get.ID) {
		t.Error("the log does not name the ID")
	}
	secret := regexp.MustCompile(`s3g_[0-9A-Za-z]{10}`)
	for name, text := range map[string][]byte{"Redis": dump, "metrics": metrics, "log": []byte(w.log.String())} {
		if found := secret.Find(text); found != nil {
			t.Errorf("%s holds %.8s…", name, found)
		}
	}
}

// selfSigned writes a certificate for 127.0.0.1 and returns its files and a
// pool that trusts it.
func selfSigned(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8), roots
}

// With a certificate both listeners speak TLS, and HTTP/2; a revoked download
// ends in an error on both versions, and other streams go on.
func TestTLSAndRevocation(t *testing.T) {
	cert, key, roots := selfSigned(t)
	w := newEmbedded(t)
	body := make([]byte, 32<<20)
	rand.Read(body)
	w.store("big", "application/octet-stream", body)
	g := w.gate(func(c *config.Config) { c.Links.Cert, c.Links.Key = cert, key })
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: proto == "HTTP/2.0",
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				if err == nil {
					err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
				}
				return c, err
			}}
		defer tr.CloseIdleConnections()
		whole, err := try(t.Context(), tr, "GET", g.mint("get", "big", nil).URL, nil)
		if err != nil || whole.err != nil || whole.proto != proto || !bytes.Equal(whole.body, body) {
			t.Fatalf("%s: download over %s: %v %v", proto, whole.proto, err, whole.err)
		}
		victim, other := g.mint("get", "big", nil), g.mint("get", "big", nil)
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
		cut, on := open(victim.URL), open(other.URL)
		receipt, err := g.api.Revoke(t.Context(), victim.ID, "")
		if err != nil || receipt.Cut != 1 {
			t.Fatalf("%s: %+v, %v", proto, receipt, err)
		}
		if n, err := io.Copy(io.Discard, cut); err == nil {
			t.Errorf("%s: the revoked download ended cleanly after %d bytes", proto, n)
		}
		cut.Close()
		if n, err := io.Copy(io.Discard, on); err != nil || n != int64(len(body))-100<<10 {
			t.Errorf("%s: the other download got %d bytes: %v", proto, n, err)
		}
		on.Close()
	}
}

// A gate that is told to end lets transfers finish, cuts what takes longer
// than it may, and leaves nothing behind.
func TestDrain(t *testing.T) {
	w := newEmbedded(t)
	body := make([]byte, 16<<20)
	w.store("big", "application/octet-stream", body)
	ignore := goleak.IgnoreCurrent()

	cfg := func(drain time.Duration) func(*config.Config) {
		return func(c *config.Config) { c.DrainTimeout = drain }
	}
	tr := &http.Transport{}
	open := func(g *testGate) *http.Response {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", g.mint("get", "big", nil).URL, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	patient := w.open(cfg(20 * time.Second))
	resp := open(patient)
	closed := make(chan error)
	go func() { closed <- patient.Close() }()
	time.Sleep(100 * time.Millisecond)
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(body)) {
		t.Errorf("draining: %d bytes, %v", n, err)
	}
	resp.Body.Close()
	if err := <-closed; err != nil {
		t.Errorf("closing: %v", err)
	}

	hasty := w.open(cfg(50 * time.Millisecond))
	resp = open(hasty)
	if err := hasty.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("the transfer that was cut ended cleanly after %d bytes", n)
	}
	resp.Body.Close()
	tr.CloseIdleConnections()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	patient.api.HTTP.CloseIdleConnections()
	if err := goleak.Find(ignore); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	w := newEmbedded(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name   string
		change func(*config.Config)
		want   string
	}{
		{"port taken", func(c *config.Config) { c.API.Addr = taken.Addr().String() }, "api.addr"},
		{"no certificate", func(c *config.Config) { c.Links.Cert, c.Links.Key = "/nonexistent", "/nonexistent" }, "links.cert"},
		{"endpoint", func(c *config.Config) { c.Buckets["docs"] = config.Bucket{Name: "b", Endpoint: "s3.example.com"} }, "buckets.docs"},
		{"short key", func(c *config.Config) { c.API.JWT.HS256Key = "short" }, "HS256"},
	}
	for _, tt := range tests {
		cfg := w.config()
		tt.change(cfg)
		g, err := gate.Open(t.Context(), cfg, gate.Options{})
		if err == nil {
			g.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Open = %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	g := newEmbedded(t).gate(nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if err := g.Wait(ctx); err != nil {
		t.Errorf("Wait after the context = %v", err)
	}
}
