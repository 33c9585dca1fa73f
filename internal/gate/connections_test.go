package gate_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/internal/s3gatetest"
)

// behindProxies trusts proxies on this machine to name clients in the PROXY protocol.
func behindProxies(mode string) func(*config.Config) {
	return func(c *config.Config) {
		c.TrustedProxies, c.Links.ProxyProtocol = []string{"127.0.0.0/8"}, mode
	}
}

// ask sends a request after a header of the PROXY protocol, and returns the status, 0
// for a connection that was closed without an answer.
func (b *besieged) ask(header, path string, more ...string) int {
	b.t.Helper()
	_, addr, _ := strings.Cut(b.LinksURL(), "://")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, header)
	var stream net.Conn = c
	if strings.HasPrefix(b.LinksURL(), "https://") {
		stream = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	fmt.Fprintf(stream, "GET %s HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n%s\r\n", path, strings.Join(more, ""))
	resp, err := http.ReadResponse(bufio.NewReader(stream), nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func proxied(from string) string { return "PROXY TCP4 " + from + " 10.0.0.1 1000 443\r\n" }

// H4: the client that a trusted proxy names in the PROXY protocol counts, before TLS and
// without it: for what networks a link is. What the client says in X-Forwarded-For does
// not, unless the one that was named is a trusted proxy itself.
func TestProxyProtocolNamesTheClient(t *testing.T) {
	for _, secure := range []bool{false, true} {
		b := besiege(t, secure, behindProxies("required"))
		link := "/" + b.mint("get", "o", func(r *client.MintRequest) { r.Clients = []string{"192.0.2.0/24"} }).Token
		const claim = "X-Forwarded-For: 192.0.2.7\r\n"
		for _, tt := range []struct {
			name, header string
			more         []string
			want         int
		}{
			{"from inside", proxied("192.0.2.7"), nil, 200},
			{"from outside", proxied("198.51.100.7"), nil, 403},
			{"from outside, claiming to be inside", proxied("198.51.100.7"), []string{claim}, 403},
			{"from nobody knows where, claiming", "PROXY UNKNOWN\r\n", []string{claim}, 403},
			{"through another proxy", proxied("127.0.0.9"), []string{claim}, 200},
			{"without a header", "", nil, 0},
			{"with half of one", "PROXY TCP4 192.0.2.7\r\n", nil, 0},
		} {
			if got := b.ask(tt.header, link, tt.more...); got != tt.want {
				t.Errorf("%s, secure %v: %d, want %d", tt.name, secure, got, tt.want)
			}
		}
		if n := b.number(`s3gate_connections_refused_total{listener="links",reason="header"}`); n != 2 {
			t.Errorf("%v connections were refused, want 2", n)
		}
	}
}

// The same with HAProxy in front, in both versions of the header, with and without TLS
// on the gate.
func TestProxyProtocolOfHAProxy(t *testing.T) {
	path, err := exec.LookPath("/usr/sbin/haproxy")
	s3gatetest.Need(t, "haproxy (apt-get install haproxy)", err)
	for _, secure := range []bool{false, true} {
		for _, send := range []string{"send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"} {
			t.Run(fmt.Sprint(send, " secure ", secure), func(t *testing.T) {
				b := besiege(t, secure, behindProxies("required"))
				b.whole = strings.Repeat("0123456789", 100_000)
				_, gate, _ := strings.Cut(b.LinksURL(), "://")
				front := haproxy(t, path, gate, send)
				// To the gate the client is 127.0.0.8, which is a trusted proxy only there.
				inside := b.mint("get", "o", func(r *client.MintRequest) { r.Clients = []string{"127.0.0.8"} }).Token
				outside := b.mint("get", "o", func(r *client.MintRequest) { r.Clients = []string{"192.0.2.0/24"} }).Token
				dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 8)}}
				rt := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
				defer rt.CloseIdleConnections()
				scheme, _, _ := strings.Cut(b.LinksURL(), "://")
				a, err := try(t.Context(), rt, "GET", scheme+"://"+front+"/"+inside, nil)
				if err != nil || a.status != 200 || !bytes.Equal(a.body, []byte(b.whole)) {
					t.Errorf("from inside: %d, %d bytes, %v", a.status, len(a.body), err)
				}
				if a, err := try(t.Context(), rt, "GET", scheme+"://"+front+"/"+outside, nil); err != nil || a.status != 403 {
					t.Errorf("from outside: %d, %v", a.status, err)
				}
				if got := b.ask("", "/"+inside); got != 0 {
					t.Errorf("past the proxy: %d", got)
				}
			})
		}
	}
}

// haproxy passes connections on to a gate, and says how it is reached.
func haproxy(t *testing.T, path, gate, send string) (addr string) {
	t.Helper()
	for range 5 { // another process can take the port in between
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr = l.Addr().String()
		l.Close()
		file := filepath.Join(t.TempDir(), "haproxy.cfg")
		text := fmt.Sprintf("defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n unique-id-format %%{+X}o%%ci\nlisten front\n bind %s\n server gate %s %s\n", addr, gate, send)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p := s3gatetest.Start(t, nil, path, "-db", "-f", file)
		ready := false
		for deadline := time.Now().Add(patience); !ready && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				ready = true
			}
		}
		if ready {
			return addr
		}
		t.Logf("haproxy: %s", p.Output())
	}
	t.Fatal("haproxy does not start")
	return ""
}

// With optional, connections without a header are what they are, and so are those that
// come from no trusted proxy.
func TestOptionalProxyProtocol(t *testing.T) {
	b := besiege(t, false, behindProxies("optional"))
	if got := b.ask("", b.link); got != 200 {
		t.Errorf("without a header: %d", got)
	}
	if got := b.ask(proxied("192.0.2.7"), b.link); got != 200 {
		t.Errorf("with a header: %d", got)
	}
	none := besiege(t, false, func(c *config.Config) { c.Links.ProxyProtocol = "optional" })
	if got := none.ask(proxied("192.0.2.7"), none.link); got != 400 {
		t.Errorf("of nobody who is trusted: %d", got)
	}
}

// One network has its share of connections and of requests, and others have theirs
// meanwhile; over it a connection is closed, and a request is 429, which says when to
// come again. Settings count from a reload.
func TestSharesOfNetworks(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", bytes.Repeat([]byte("x"), 8<<20))
	limits := func(c *config.Config) {
		behindProxies("required")(c)
		c.Links.MaxConnectionsPerNetwork, c.Links.MaxRequestsPerNetwork = 3, 2
	}
	b := &besieged{testGate: w.gate(limits)}
	b.link = "/" + b.mint("get", "o", nil).Token
	open := func(from string) {
		t.Helper()
		c := b.dial()
		io.WriteString(c, proxied(from)+"GET "+b.link+" HTTP/1.1\r\nHost: gate\r\n\r\n")
		if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	open("192.0.2.7")
	if got := b.ask(proxied("192.0.2.8"), b.link, "Range: bytes=0-9\r\n"); got != 206 {
		t.Errorf("the second request: %d", got)
	}
	await(t, "it is over", func() bool {
		return b.number("s3gate_transfers") == 1 && b.number(`s3gate_connections{listener="links"}`) == 1
	})
	open("192.0.2.8")
	await(t, "two transfers run", func() bool { return b.number("s3gate_transfers") == 2 })
	if got := b.ask(proxied("192.0.2.9"), b.link); got != 429 {
		t.Errorf("the third request: %d", got)
	}
	if got := b.ask(proxied("198.51.100.7"), b.link, "Range: bytes=0-9\r\n"); got != 206 {
		t.Errorf("of another network: %d", got)
	}
	idle := b.dial()
	io.WriteString(idle, proxied("192.0.2.1"))
	refused := `s3gate_connections_refused_total{listener="links",reason="network"}`
	await(t, "a fourth connection is refused", func() bool {
		return b.ask(proxied("192.0.2.9"), b.link) == 0 && b.number(refused) > 0
	})
	b.reload(w, func(c *config.Config) {
		limits(c)
		c.Links.MaxConnectionsPerNetwork, c.Links.MaxRequestsPerNetwork = 100, 100
	})
	if got := b.ask(proxied("192.0.2.9"), b.link, "Range: bytes=0-9\r\n"); got != 206 {
		t.Errorf("after the reload: %d", got)
	}
	if n := b.number(`s3gate_connections{listener="links"}`); n < 3 {
		t.Errorf("%v connections are open", n)
	}
}

// The API has its limits too: of connections, of requests, of how long a body may take;
// and a stream of events is none of that.
func TestLimitsOfTheAPI(t *testing.T) {
	w := newEmbedded(t)
	g := w.gate(func(c *config.Config) {
		c.API.BodyTimeout, c.API.WriteTimeout, c.API.MaxRequestsPerNetwork = 2*time.Second, 2*time.Second, 2
	})
	dial := func(request string) *bufio.Reader {
		t.Helper()
		c, err := net.Dial("tcp", strings.TrimPrefix(g.APIURL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, request)
		return bufio.NewReader(c)
	}
	head := "Host: gate\r\nAuthorization: Bearer " + g.bearer + "\r\n"
	stream := dial("GET /v1/events HTTP/1.1\r\n" + head + "Accept: text/event-stream\r\n\r\n")
	resp, err := http.ReadResponse(stream, nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("events: %v, %v", resp, err)
	}
	slow := dial("POST /v1/tokens HTTP/1.1\r\n" + head + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	await(t, "two requests run", func() bool {
		resp, err := http.ReadResponse(dial("GET /v1/limits HTTP/1.1\r\n"+head+"Connection: close\r\n\r\n"), nil)
		return err == nil && resp.StatusCode == 429 && resp.Header.Get("Retry-After") != ""
	})
	// The answer waits for what is left of the body, for as long as a body may take.
	if resp, err := http.ReadResponse(dial("POST /v1/tokens HTTP/1.1\r\n"+head+"Content-Length: 1\r\n\r\n"), nil); err != nil || resp.StatusCode != 429 {
		t.Errorf("a body that does not come, of a network with too many requests: %v, %v", resp, err)
	}
	for _, path := range []string{"/healthz", "/readyz"} { // which count for nobody
		if resp, err := http.ReadResponse(dial("GET "+path+" HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n"), nil); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %v, %v", path, resp, err)
		}
	}
	resp, err = http.ReadResponse(slow, nil)
	if err != nil || resp.StatusCode/100 != 4 {
		t.Errorf("a body that does not come: %v, %v", resp, err)
	}
	// The stream goes on, longer than any of the times.
	g.mint("get", "o", nil)
	for {
		line, err := stream.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream of events: %v", err)
		}
		if strings.Contains(line, "minted") {
			return
		}
	}
}

// A body that has come in time bounds nothing any more: who waits for the answer is not
// taken for gone.
func TestBodyTimeoutEndsWithTheBody(t *testing.T) {
	g := newEmbedded(t).gate(func(c *config.Config) { c.API.BodyTimeout = 200 * time.Millisecond })
	api := httptest.NewServer(gate.Limited(g.Gate, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusRequestTimeout)
			return
		}
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusGatewayTimeout)
		case <-time.After(time.Second):
		}
	})))
	defer api.Close()
	if a := do(t, "POST", api.URL, []byte("{}")); a.status != 200 {
		t.Errorf("a body that came: %d", a.status)
	}
	slow, feed := io.Pipe()
	defer feed.Close()
	if resp, err := http.Post(api.URL, "text/plain", slow); err != nil || resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("a body that does not: %v, %v", resp, err)
	}
}

// A gate does not speak Multipath TCP, of which most kernels end no connection at once.
func TestPlainTCP(t *testing.T) {
	g := newEmbedded(t).gate(func(c *config.Config) { c.Ops.Addr = "localhost:0" })
	offered := func(addr string) bool {
		d := &net.Dialer{Timeout: patience}
		d.SetMultipathTCP(true)
		conn, err := d.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		is, err := conn.(*net.TCPConn).MultipathTCP()
		return err == nil && is
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !offered(l.Addr().String()) {
		t.Log("this kernel has no Multipath TCP: nothing can be seen here")
	}
	for _, url := range []string{g.LinksURL(), g.APIURL(), g.OpsURL()} {
		if offered(strings.TrimPrefix(url, "http://")) {
			t.Errorf("%s speaks Multipath TCP", url)
		}
	}
}

// Who asks through a trusted proxy is in no network's count at the API, since the proxy
// does not say who that is, and takes no place of others.
func TestProxiesOfTheAPIDoNotCount(t *testing.T) {
	g := newEmbedded(t).gate(func(c *config.Config) {
		c.API.MaxRequestsPerNetwork, c.TrustedProxies = 1, []string{"127.0.0.1/32"}
	})
	from := func(ip byte) int {
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, ip)}}
		tr := &http.Transport{DialContext: d.DialContext}
		t.Cleanup(tr.CloseIdleConnections)
		r, err := http.NewRequestWithContext(t.Context(), "GET", g.APIURL()+"/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/event-stream")
		r.Header.Set("Authorization", "Bearer "+g.bearer)
		resp, err := tr.RoundTrip(r) // and goes on
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp.StatusCode
	}
	for _, tt := range []struct {
		ip   byte
		want int
	}{{1, 200}, {1, 200}, {2, 200}, {2, 429}, {1, 200}} {
		if got := from(tt.ip); got != tt.want {
			t.Errorf("from 127.0.0.%d: %d, want %d", tt.ip, got, tt.want)
		}
	}
}
