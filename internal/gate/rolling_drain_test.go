package gate_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"s3gate/auth"
	"s3gate/internal/config"
	"s3gate/internal/gate"

	"github.com/alicebob/miniredis/v2"
)

// alone asks over a connection of its own.
func alone(t *testing.T, method, url string) (answer, error) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	return try(t.Context(), tr, method, url, nil)
}

// untilRefused waits until nobody listens at an address any more.
func untilRefused(t *testing.T, url string) {
	t.Helper()
	addr := url[strings.LastIndex(url, "/")+1:]
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
	}
	t.Fatal("the port stays open")
}

// Before the ports of a gate close it says that it is not ready, for long enough that
// those in front of it notice, and serves; clients are asked to go elsewhere.
func TestDrainBeginsWithReadiness(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", []byte("object"))
	g := w.open(func(c *config.Config) { c.DrainDelay = 4 * time.Second })
	link := g.mint("get", "o", nil).URL
	if a := do(t, "GET", link, nil); a.status != 200 || a.header.Get("Connection") != "" {
		t.Fatalf("before: %d %v", a.status, a.header)
	}
	began, closed := time.Now(), make(chan error, 1)
	go func() { closed <- g.Close() }()
	for ready := 200; ready != 503; time.Sleep(time.Millisecond) {
		a, err := alone(t, "GET", g.APIURL()+"/readyz")
		if err != nil {
			t.Fatalf("the gate closed its port and was still ready: %v", err)
		}
		ready = a.status
	}
	if a, err := alone(t, "GET", g.APIURL()+"/healthz"); err != nil || a.status != 200 {
		t.Errorf("/healthz while it drains: %d, %v", a.status, err)
	}
	kept := &http.Transport{}
	defer kept.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", link, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := kept.RoundTrip(req)
	if err != nil {
		t.Fatalf("a request while it is not ready any more: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || string(body) != "object" || err != nil {
		t.Errorf("while it is not ready any more: %d %q, %v", resp.StatusCode, body, err)
	}
	if !resp.Close {
		t.Error("the client may take the same connection again")
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 4*time.Second {
		t.Errorf("it was closed after %s, before its delay", took)
	}
	if a, err := alone(t, "GET", link); err == nil {
		t.Errorf("after the end: %d", a.status)
	}
}

// The streams of HTTP/2 are a connection's. Those that run end whole after their port
// has closed; a client that asks again gets another connection while there is one.
func TestDrainOverHTTP2(t *testing.T) {
	w := newEmbedded(t)
	body := make([]byte, 16<<20)
	w.store("big", "application/octet-stream", body)
	cert, key, roots := selfSigned(t)
	g := w.open(func(c *config.Config) {
		c.Links.Cert, c.Links.Key = cert, key
		c.DrainDelay, c.DrainTimeout = 3*time.Second, 30*time.Second
	})
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer tr.CloseIdleConnections()
	link := g.mint("get", "big", nil).URL
	req, err := http.NewRequestWithContext(t.Context(), "GET", link, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	closed := make(chan error, 1)
	go func() { closed <- g.Close() }()
	for ready := 200; ready != 503; time.Sleep(time.Millisecond) {
		ready = do(t, "GET", g.APIURL()+"/readyz", nil).status
	}
	for range 3 { // the first is answered with GOAWAY, and others come over others
		if a, err := try(t.Context(), tr, "HEAD", link, nil); err != nil || a.status != 200 || a.proto != "HTTP/2.0" {
			t.Errorf("while it is not ready any more: %d over %s, %v", a.status, a.proto, err)
		}
	}
	untilRefused(t, g.LinksURL())
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(body)) {
		t.Errorf("a stream that ran: %d bytes, %v", n, err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A gate that has ended is none that a revocation has to wait for.
func TestDrainHandsTheLeaseBack(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", []byte("object"))
	stays, goes := w.gate(nil), w.open(nil)
	if err := goes.Close(); err != nil {
		t.Fatal(err)
	}
	receipt, err := stays.api.Revoke(t.Context(), stays.mint("get", "o", nil).ID, "")
	if err != nil || len(receipt.ExpiredLeases) != 0 || len(receipt.AcknowledgedBy) != 1 {
		t.Errorf("%+v, %v", receipt, err)
	}
}

// A gate answers that it runs before it can serve, and that it can serve when it can.
func TestReadinessComesLater(t *testing.T) {
	w := newEmbedded(t)
	redis := w.redis
	w.redis = "127.0.0.1:1" // nobody is there
	w.t = t
	g := w.gate(nil)
	if a := do(t, "GET", g.APIURL()+"/healthz", nil); a.status != 200 {
		t.Errorf("/healthz: %d", a.status)
	}
	if a := do(t, "GET", g.APIURL()+"/readyz", nil); a.status != 503 {
		t.Errorf("/readyz without Redis: %d", a.status)
	}
	w.redis = redis
	if a := do(t, "GET", w.gate(nil).APIURL()+"/readyz", nil); a.status != 200 {
		t.Errorf("/readyz: %d", a.status)
	}
}

// Who calls the API of a gate that has just been begun waits until that has its lease,
// and is not told that nothing can be proven.
func TestCallsWaitForTheLease(t *testing.T) {
	w, addrs := newEmbedded(t), [2]string{}
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs[i] = l.Addr().String()
		l.Close()
	}
	bearer, err := auth.Sign(jwtKey, auth.Caller{Subject: "tester", Admin: true}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan answer, 1)
	go func() {
		for t.Context().Err() == nil {
			a, err := try(t.Context(), http.DefaultTransport, "POST", "http://"+addrs[0]+"/v1/tokens",
				[]byte(`{"operation": "get", "bucket": "docs", "key": "k"}`), "Authorization: Bearer "+bearer, "Content-Type: application/json")
			if err == nil {
				first <- a
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	redis := miniredis.NewMiniRedis()
	defer redis.Close()
	time.AfterFunc(300*time.Millisecond, func() { _ = redis.StartAddr(addrs[1]) })
	w.redis = addrs[1]
	w.gate(func(c *config.Config) { c.API.Addr, c.Ops.Addr = addrs[0], "" })
	if a := <-first; a.status != http.StatusCreated {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A socket that nobody would answer on is an error, and no client waits there.
func TestSocketsAreRefused(t *testing.T) {
	w := newEmbedded(t)
	open := func(network string) net.Listener {
		addr := "127.0.0.1:0"
		if network == "unix" {
			addr = t.TempDir() + "/socket"
		}
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	for want, sockets := range map[string]map[string]net.Listener{
		`"http": its name`:     {"http": open("tcp")},
		`"links": must be`:     {"links": open("unix")},
		`"ops": ops.addr says`: {"ops": open("tcp")},
	} {
		g, err := gate.Open(t.Context(), w.config(), gate.Options{Sockets: sockets})
		if err == nil {
			g.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
