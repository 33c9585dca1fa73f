package gate_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

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
