package gate_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"s3gate/auth"
	"s3gate/client"
	"s3gate/internal/config"
)

// reload gives the gate the settings of its world with a change.
func (g *testGate) reload(w *world, change func(*config.Config)) {
	g.t.Helper()
	err := g.Reload(func() (*config.Config, error) {
		cfg := w.config()
		change(cfg)
		return cfg, nil
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// with returns a client of the API with a JWT that another key has signed.
func (g *testGate) with(key string) *client.Client {
	g.t.Helper()
	bearer, err := auth.Sign([]byte(key), auth.Caller{Subject: "tester", Admin: true}, "", time.Hour)
	if err != nil {
		g.t.Fatal(err)
	}
	return client.New(g.APIURL(), bearer)
}

const otherKey = "another key for the tests of the gate, long enough"

// Settings change under load, and nobody notices but by what they say.
func TestReloadUnderLoad(t *testing.T) {
	w := newEmbedded(t)
	w.store("a", "text/plain", []byte("hello"))
	g := w.gate(nil)
	token := g.mint("get", "a", nil)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var requests atomic.Int64
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				a, err := try(ctx, http.DefaultTransport, "GET", token.URL, nil)
				if ctx.Err() == nil && (err != nil || a.status != 200 || string(a.body) != "hello") {
					t.Errorf("download: %d %s %v", a.status, a.body, err)
				}
				_, err = g.api.Mint(ctx, client.MintRequest{Operation: "get", Bucket: "docs", Key: "a", ExpiresIn: "1h"})
				if ctx.Err() == nil && err != nil {
					t.Errorf("mint: %v", err)
				}
				requests.Add(1)
			}
		})
	}
	for n := range 200 {
		before := requests.Load()
		g.reload(w, func(c *config.Config) {
			c.API.JWT.PreviousHS256Key = fmt.Sprintf("a key that is there for one reload only: %d", n)
			c.Tokens.MaxLife = time.Duration(n+1) * time.Hour
			c.Passcode.Tries, c.Guesses.Burst = n+1, n%3
			c.TrustedProxies, c.Contact = []string{"10.0.0.0/8"}, fmt.Sprint("reload ", n)
			c.Upload.MinRate, c.Log.Level = int64(n), "debug"
		})
		for n%50 == 0 && requests.Load() == before && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
	}
	stop()
	load.Wait()
}

// A key that is gone is refused from then on, and a limit counts from then on.
func TestReloadedSettingsCount(t *testing.T) {
	w := newEmbedded(t)
	w.store("a", "text/plain", []byte("hello"))
	g := w.gate(func(c *config.Config) { c.API.JWT.PreviousHS256Key = otherKey })
	request := client.MintRequest{Operation: "get", Bucket: "docs", Key: "a", ExpiresIn: "10h", Clients: []string{"192.0.2.0/24"}}
	other := g.with(otherKey)
	if _, err := other.Mint(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	token, err := g.api.Mint(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	const inside = "X-Forwarded-For: 192.0.2.7"
	unknown := g.LinksURL() + "/s3g_0000000000000000000000000000"
	wantStatus(t, "no proxy is trusted", token.URL, 403, inside)
	wantStatus(t, "no link", unknown, 404, "Accept: text/html")

	g.reload(w, func(c *config.Config) {
		c.Tokens.MaxLife, c.Tokens.MaxUses = time.Hour, 5
		c.TrustedProxies, c.Contact = []string{"127.0.0.1"}, "ops@example.com"
		c.Redis.DB = 3 // not without a restart
	})
	status := func(err error) int {
		var e *client.Error
		if errors.As(err, &e) {
			return e.Status
		}
		return 0
	}
	if _, err := other.Mint(t.Context(), request); status(err) != 401 {
		t.Errorf("a key that is gone: %v, want 401", err)
	}
	if _, err := g.api.Mint(t.Context(), request); status(err) != 400 || !strings.Contains(err.Error(), "expires_in") {
		t.Errorf("too long a life: %v, want 400", err)
	}
	request.ExpiresIn = "1h"
	if _, err := g.api.Mint(t.Context(), request); err != nil {
		t.Error(err)
	}
	wantStatus(t, "a proxy is trusted", token.URL, 200, inside)
	page := do(t, "GET", unknown, nil, "Accept: text/html")
	if !bytes.Contains(page.body, []byte("ops@example.com")) {
		t.Errorf("the page does not say whom to ask: %s", page.body)
	}
	log := w.log.String()
	for _, want := range []string{
		`"api.jwt.previous_hs256_key changed"`, `"tokens.max_life: 3650d → 1h"`, `"trusted_proxies: [] → [127.0.0.1]"`, `"needs_restart":["redis.db: 0 → 3"]`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	if strings.Contains(log, otherKey) {
		t.Error("the log holds a key")
	}
}

// What is wrong changes nothing, and is counted.
func TestReloadRefused(t *testing.T) {
	w := newEmbedded(t)
	g := w.gate(nil)
	cause := errors.New("cannot be read")
	if err := g.Reload(func() (*config.Config, error) { return nil, cause }); !errors.Is(err, cause) {
		t.Errorf("Reload = %v, want %v", err, cause)
	}
	err := g.Reload(func() (*config.Config, error) {
		cfg := w.config()
		cfg.TrustedProxies, cfg.Tokens.MaxLife, cfg.API.JWT.HS256Key = []string{"lan"}, time.Second, otherKey
		return cfg, nil
	})
	if err == nil {
		t.Error("a network that is none was taken")
	}
	g.mint("get", "a", func(r *client.MintRequest) { r.ExpiresIn = "1h" }) // as before
	metrics := string(do(t, "GET", g.OpsURL()+"/metrics", nil).body)
	for _, want := range []string{
		`s3gate_config_reloads_total{result="failure"} 2`, `s3gate_config_reloads_total{result="success"} 0`,
		"s3gate_config_last_reload_success_timestamp_seconds 1.",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics does not say %s", want)
		}
	}
	if !strings.Contains(w.log.String(), `"msg":"configuration not reloaded, everything stays as it was","err":"cannot be read"`) {
		t.Error("the log does not say why")
	}
}

// A request that is under way keeps what it began with.
func TestReloadLeavesRequestsAlone(t *testing.T) {
	w := newEmbedded(t)
	g := w.gate(func(c *config.Config) { c.Upload.MinRate = 0 })
	token := g.mint("put", "up", nil)
	body, to := io.Pipe()
	send := func(text string) {
		t.Helper()
		if _, err := io.WriteString(to, text); err != nil {
			t.Error(err)
		}
	}
	done := make(chan answer)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), "PUT", token.URL, body)
		req.ContentLength = 10
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			done <- answer{err: err}
			return
		}
		resp.Body.Close()
		done <- answer{status: resp.StatusCode}
	}()
	send("hello")
	eventually(t, "the upload has begun", func() bool {
		return bytes.Contains(do(t, "GET", g.OpsURL()+"/metrics", nil).body, []byte("s3gate_transfers 1\n"))
	})
	g.reload(w, func(c *config.Config) { c.Upload.IdleTimeout = time.Millisecond })
	// Longer than the new setting would leave it.
	time.Sleep(50 * time.Millisecond)
	send("again")
	if a := <-done; a.status != 200 || a.err != nil {
		t.Errorf("upload: %d %v", a.status, a.err)
	}
}

// A certificate that was renewed is shown to the next connection.
func TestReloadCertificate(t *testing.T) {
	cert, key, oldRoots := selfSigned(t)
	newCert, newKey, newRoots := selfSigned(t)
	w := newEmbedded(t)
	change := func(c *config.Config) { c.Links.Cert, c.Links.Key = cert, key }
	g := w.gate(change)
	dial := func(c *tls.Config) error {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(g.LinksURL(), "https://"), c)
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := dial(&tls.Config{RootCAs: oldRoots}); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		raw, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.reload(w, change)
	if err := dial(&tls.Config{RootCAs: newRoots}); err != nil {
		t.Errorf("the new certificate: %v", err)
	}
	if err := dial(&tls.Config{RootCAs: oldRoots}); err == nil {
		t.Error("the old certificate is still shown")
	}
	if !strings.Contains(w.log.String(), `"links certificate: until `) {
		t.Error("the log does not say so")
	}
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(func() (*config.Config, error) { c := w.config(); change(c); return c, nil }); err == nil {
		t.Error("a key that is none was taken")
	}
	if err := dial(&tls.Config{RootCAs: newRoots}); err != nil {
		t.Errorf("after a failure: %v", err)
	}
}
