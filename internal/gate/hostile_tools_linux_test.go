package gate_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/s3gatetest"
)

// slowClients is how many connections slowhttptest holds, or tries to.
const slowClients = 400

// What a connection that is held up may take of memory in bytes, with all that belongs to
// it. Over TLS a download holds a chunk in the clear, and encrypted.
const (
	perConnection = 128 << 10
	perSecureGet  = 320 << 10
)

// reaches asks a gate that is a process of its own for a few bytes, as somebody would
// whom a flood does not concern.
func (p *served) reaches(link string) error {
	rt := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	r, err := http.NewRequest("GET", link, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Range", "bytes=0-9")
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 206 || len(body) != 10 {
		return fmt.Errorf("%s, %d bytes, %v", resp.Status, len(body), err)
	}
	return nil
}

// get mints a link.
func (p *served) get(t *testing.T, key string) string {
	t.Helper()
	token, err := p.api.Mint(t.Context(), client.MintRequest{Operation: "get", Bucket: "docs", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return p.at.Links + "/" + token.Token
}

// connections is how many clients are connected to the links of a gate, as the kernel
// counts them.
func (p *served) connections(t *testing.T) (n int) {
	t.Helper()
	_, addr, _ := strings.Cut(p.at.Links, "://")
	_, port, _ := net.SplitHostPort(addr)
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		// proc_net_tcp(5): the local address, and the state, of which 1 is established.
		if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) && f[3] == "01" {
			n++
		}
	}
	return n
}

// H5: slowhttptest, in its three modes, holds connections no longer than the time-outs
// say; others are served meanwhile, and the gate takes little memory for it.
func TestSlowHTTPTest(t *testing.T) {
	path, err := exec.LookPath("slowhttptest")
	s3gatetest.Need(t, "slowhttptest (apt-get install slowhttptest)", err)
	w, p := newServed(t, "S3GATE_LINKS_HEADER_TIMEOUT=3s", "S3GATE_DOWNLOAD_IDLE_TIMEOUT=3s", "S3GATE_UPLOAD_IDLE_TIMEOUT=3s", "S3GATE_LINKS_MAX_CONNECTIONS_PER_NETWORK=1000")
	w.store("large", "text/plain", make([]byte, 8<<20))
	link := p.get(t, "large")
	put, err := p.api.Mint(t.Context(), client.MintRequest{Operation: "put", Bucket: "docs", Key: "up"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.reaches(link); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []struct {
		name string
		args []string
	}{
		{"slow headers", []string{"-H", "-i", "1", "-u", link}},
		{"slow body", []string{"-B", "-i", "1", "-t", "PUT", "-s", "100000", "-u", p.at.Links + "/" + put.Token}},
		{"slow read", []string{"-X", "-w", "100", "-y", "200", "-n", "1", "-z", "10", "-u", link}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			rest := peakMemory(t, p.PID())
			cmd := exec.CommandContext(t.Context(), path, append([]string{"-c", fmt.Sprint(slowClients), "-r", "200", "-l", "10", "-p", "3"}, mode.args...)...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- cmd.Wait() }()
			asked, failed, held := 0, 0, 0
			for running := true; running; {
				select {
				case <-done:
					running = false
				case <-time.After(200 * time.Millisecond):
					asked++
					held = max(held, p.connections(t))
					if err := p.reaches(link); err != nil {
						failed++
						t.Logf("another client: %v", err)
					}
				}
			}
			if failed > 0 || asked < 5 {
				t.Errorf("%d of %d other clients were not served", failed, asked)
			}
			peak := peakMemory(t, p.PID())
			if held < slowClients/4 {
				t.Errorf("at most %d connections were held: that is no attack", held)
			}
			t.Logf("%d connections at most, %d other clients served; %d MiB resident at most, %d before", held, asked, peak>>20, rest>>20)
			if most := rest + slowClients*perConnection + 16<<20; peak > most {
				t.Errorf("%d MiB of memory, want at most %d", peak>>20, most>>20)
			}
		})
	}
}

// H7: many streams on few connections, as h2load opens them, are answered, all of them.
func TestManyStreams(t *testing.T) {
	path, err := exec.LookPath("h2load")
	s3gatetest.Need(t, "h2load (apt-get install nghttp2-client)", err)
	cert, key, _ := selfSigned(t)
	w, p := newServed(t, "S3GATE_LINKS_CERT="+cert, "S3GATE_LINKS_KEY="+key, "S3GATE_LINKS_MAX_REQUESTS_PER_NETWORK=10000")
	w.store("small", "text/plain", make([]byte, 1000))
	link := p.get(t, "small")
	rest := peakMemory(t, p.PID())
	out, err := exec.CommandContext(t.Context(), path, "-n", "5000", "-c", "20", "-m", "200", link).CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	peak := peakMemory(t, p.PID())
	t.Logf("%d MiB resident at most, %d before\n%s", peak>>20, rest>>20, regexp.MustCompile(`(?m)^(finished|requests|status codes).*$`).FindAllString(string(out), -1))
	if !strings.Contains(string(out), "status codes: 5000 2xx") {
		t.Errorf("not all were answered:\n%s", out)
	}
	if peak > rest+192<<20 {
		t.Errorf("%d MiB of memory, %d before", peak>>20, rest>>20)
	}
}

// What connections take that their clients hold up: those that say nothing, and
// downloads of which nothing is read, plain and with TLS.
func TestMemoryOfHeldConnections(t *testing.T) {
	const held = 400
	cert, key, _ := selfSigned(t)
	for _, tt := range []struct {
		name   string
		secure bool
		get    bool
	}{
		{"silent", false, false}, {"silent after the handshake of TLS", true, false},
		{"downloads", false, true}, {"downloads with TLS", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := []string{"S3GATE_LINKS_HEADER_TIMEOUT=5m", "S3GATE_LINKS_MAX_CONNECTIONS_PER_NETWORK=1000"}
			if tt.secure {
				env = append(env, "S3GATE_LINKS_CERT="+cert, "S3GATE_LINKS_KEY="+key)
			}
			w, p := newServed(t, env...)
			w.store("large", "text/plain", make([]byte, 16<<20))
			link := p.get(t, "large")
			if err := p.reaches(link); err != nil {
				t.Fatal(err)
			}
			rest := peakMemory(t, p.PID())
			_, addr, _ := strings.Cut(p.at.Links, "://")
			for range held {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.(*net.TCPConn).SetReadBuffer(64 << 10)
				c.SetDeadline(time.Now().Add(3 * patience))
				var stream net.Conn = c
				if tt.secure {
					own := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
					if err := own.Handshake(); err != nil {
						t.Fatal(err)
					}
					stream = own
				}
				if tt.get {
					fmt.Fprintf(stream, "GET %s HTTP/1.1\r\nHost: gate\r\n\r\n", strings.TrimPrefix(link, p.at.Links))
					if _, err := io.ReadFull(stream, make([]byte, 1000)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := p.reaches(link); err != nil {
				t.Error(err)
			}
			each := (peakMemory(t, p.PID()) - rest) / held
			t.Logf("%d KiB each", each>>10)
			most := int64(perConnection)
			if tt.secure && tt.get {
				most = perSecureGet
			}
			if each > most {
				t.Errorf("%d KiB each, want at most %d", each>>10, most>>10)
			}
		})
	}
}
