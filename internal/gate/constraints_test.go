package gate_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
)

// A token that is for some networks does not work from others, and trying
// costs nothing. What a client says of its own address counts only through a
// proxy that is trusted (H4).
func TestClients(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", []byte("object"))
	g := w.gate(func(c *config.Config) { c.TrustedProxies = []string{"127.0.0.0/8"} })
	direct := w.gate(nil)
	only := func(networks ...string) func(*client.MintRequest) {
		return func(r *client.MintRequest) {
			uses(1)(r)
			r.Clients = networks
		}
	}
	get, put := g.mint("get", "o", only("192.0.2.0/24", "2001:db8::/32")), g.mint("put", "p", only("192.0.2.7"))
	const inside, outside = "X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 192.0.2.7, 203.0.113.1"
	tests := []struct {
		name, method, url, header string
		status                    int
	}{
		{"from outside", "GET", get.URL, outside, 403},
		{"head from outside", "HEAD", get.URL, outside, 403},
		{"upload from outside", "PUT", put.URL, outside, 403},
		{"no proxy is trusted", "GET", direct.LinksURL() + "/" + get.Token, inside, 403},
		{"without a header", "GET", get.URL, "Accept: */*", 403},
		{"head from inside", "HEAD", get.URL, inside, 200},
		{"from inside", "GET", get.URL, inside, 200},
		{"used", "GET", get.URL, inside, 410},
		{"upload from inside", "PUT", put.URL, inside, 200},
	}
	for _, tt := range tests {
		var body []byte
		if tt.method == "PUT" {
			body = []byte("x")
		}
		if a := do(t, tt.method, tt.url, body, tt.header); a.status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, a.status, a.body, tt.status)
		}
	}
}

// All transfers of a token share its bandwidth, up and down. Only the least
// time is checked: a busy machine may take any more.
func TestBandwidth(t *testing.T) {
	t.Parallel()
	const size, perSecond = 96 << 10, 64 << 10
	body := make([]byte, size)
	rand.Read(body)
	w := newEmbedded(t)
	w.store("o", "application/octet-stream", body)
	g := w.gate(nil)
	limited := func(r *client.MintRequest) { r.Bandwidth = perSecond }
	least := func(bytes int) time.Duration { // what a quarter of a second lets through is free
		return time.Duration(bytes-perSecond/4) * time.Second / perSecond
	}

	link := g.mint("get", "o", limited).URL
	begin := time.Now()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if a := do(t, "GET", link, nil); a.status != 200 || !bytes.Equal(a.body, body) {
				t.Errorf("download: %d, %d bytes", a.status, len(a.body))
			}
		})
	}
	wg.Wait()
	if took := time.Since(begin); took < least(2*size) {
		t.Errorf("two downloads took %s, at least %s", took, least(2*size))
	}

	begin = time.Now()
	if a := do(t, "PUT", g.mint("put", "up", limited).URL, body); a.status != 200 || !bytes.Equal(w.stored("up"), body) {
		t.Errorf("upload: %d %s", a.status, a.body)
	}
	if took := time.Since(begin); took < least(size) {
		t.Errorf("an upload took %s, at least %s", took, least(size))
	}

	// A revocation does not wait for the bandwidth.
	slow := g.mint("get", "o", func(r *client.MintRequest) { r.Bandwidth = 1024 })
	tr := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(t.Context(), "GET", slow.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req) // the first bytes are there
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if receipt, err := g.api.Revoke(t.Context(), slow.ID, ""); err != nil || receipt.Cut != 1 {
		t.Errorf("Revoke = %+v, %v", receipt, err)
	}
	begin = time.Now()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("the revoked download ended cleanly after %d bytes", n)
	}
	if took := time.Since(begin); took > 30*time.Second { // the whole takes three times as long
		t.Errorf("the revoked download went on for %s", took)
	}
}
