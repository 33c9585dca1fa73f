package gate_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
	"s3gate/revocation"
)

// revoke sends a rule to a gate.
func revoke(t *testing.T, g *testGate, rule string) revocation.Receipt {
	t.Helper()
	a := callAPI(t, g, "POST", "/v1/revocations", rule)
	var receipt revocation.Receipt
	if err := json.Unmarshal(a.body, &receipt); err != nil || a.status != 200 {
		t.Fatalf("revoking %s: %d %s", rule, a.status, a.body)
	}
	return receipt
}

func callAPI(t *testing.T, g *testGate, method, path, body string) answer {
	t.Helper()
	return do(t, method, g.APIURL()+path, []byte(body), "Authorization: Bearer "+g.bearer, "Content-Type: application/json")
}

// received is what a client has got so far.
type received struct {
	bytes.Buffer
	n atomic.Int64
}

func (r *received) Write(p []byte) (int, error) {
	r.n.Add(int64(len(p)))
	return r.Buffer.Write(p)
}

// Redis is frozen in the middle of a download: it stalls, and then completes.
// What comes meanwhile is told to come back (R4).
func TestRedisFrozenDuringADownload(t *testing.T) {
	server := s3gatetest.RedisServer(t)
	w := newWorld(t, s3gatetest.DevS3(t), server.Addr)
	body := make([]byte, 16<<20)
	rand.Read(body)
	w.store("film", "video/mp4", body)
	g := w.gate(nil)
	running := g.mint("get", "film", func(r *client.MintRequest) { r.Bandwidth = 8 << 20 })
	other := g.mint("get", "film", nil)
	begun, done := make(chan struct{}), make(chan answer, 1)
	var got received
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), "GET", running.URL, nil)
		if err != nil {
			return
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			done <- answer{err: err}
			return
		}
		defer resp.Body.Close()
		_, err = io.CopyN(&got, resp.Body, 1)
		close(begun)
		if err == nil {
			_, err = io.Copy(&got, resp.Body)
		}
		done <- answer{status: resp.StatusCode, body: got.Bytes(), err: err}
	}()
	<-begun
	server.Pause()
	time.Sleep(1500 * time.Millisecond) // the lease has run out
	before := got.n.Load()
	if a := do(t, "GET", other.URL, nil); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("while Redis is frozen: %d", a.status)
	}
	time.Sleep(time.Second)
	if after := got.n.Load(); after != before || after >= int64(len(body)) {
		t.Errorf("%d bytes came without a lease, of %d", after-before, len(body))
	}
	server.Resume()
	if a := <-done; a.status != 200 || a.err != nil || string(a.body) != string(body) {
		t.Errorf("the download: %d, %d bytes, %v", a.status, len(a.body), a.err)
	}
	wantReadyz(t, g, 200)
	if a := do(t, "GET", other.URL, nil, "Range: bytes=0-0"); a.status != 206 {
		t.Errorf("afterwards: %d", a.status)
	}
}

// Redis comes back empty: what was revoked stays revoked, since the gates
// know it (D4).
func TestRedisRestartsEmpty(t *testing.T) {
	server := s3gatetest.RedisServer(t)
	w := newWorld(t, s3gatetest.DevS3(t), server.Addr)
	w.store("o", "text/plain", []byte("object"))
	w.shared = true
	change := func(c *config.Config) { c.Revocation.Lease = 300 * time.Millisecond }
	one, two := w.gate(change), w.gate(change)
	revoke(t, one, `{"subject": "ada", "standing": true}`)
	token := one.mint("get", "o", nil)
	server.Restart()
	wait, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	time.Sleep(600 * time.Millisecond) // longer than the old leases
	for _, g := range []*testGate{one, two, w.gate(change)} {
		if err := g.Await(wait); err != nil {
			t.Fatal(err)
		}
		if a := do(t, "GET", g.LinksURL()+"/"+token.Token, nil); a.status != 404 {
			t.Errorf("a token that Redis has lost: %d", a.status)
		}
		a := callAPI(t, g, "POST", "/v1/tokens", `{"operation": "get", "bucket": "docs", "key": "o", "subject": "ada"}`)
		if a.status != 403 {
			t.Errorf("minting against a standing revocation that Redis had lost: %d %s", a.status, a.body)
		}
	}
}
