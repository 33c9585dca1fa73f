package gate_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
)

// patch changes a token through a gate, from its first version.
func (g *testGate) patch(id string, p client.Patch) *client.Changed {
	g.t.Helper()
	changed, err := g.api.Patch(g.t.Context(), id, 1, p)
	if err != nil {
		g.t.Fatal(err)
	}
	return changed
}

func on(g *testGate, token *client.Token) string { return g.LinksURL() + "/" + token.Token }

// When a change through one gate has been answered, every gate goes by it, also
// where the grant was in memory.
func TestChangeCountsOnEveryGate(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.store("o", "text/plain", []byte("object"))
		one, two := w.gate(nil), w.gate(nil)
		limited, short, labelled := one.mint("get", "o", nil), one.mint("get", "o", nil), one.mint("get", "o", nil)
		for _, token := range []*client.Token{limited, short, labelled} {
			for _, g := range []*testGate{one, two} {
				wantStatus(t, "before", on(g, token), 200)
				wantStatus(t, "from memory", on(g, token), 200)
			}
		}
		if n := metric(t, two, "s3gate_grant_cache_entries"); n != 3 {
			t.Fatalf("%d grants in memory, want 3", n)
		}
		most := int64(1)
		changed := one.patch(limited.ID, client.Patch{MaxUses: &most})
		if len(changed.AcknowledgedBy) != 2 || len(changed.ExpiredLeases) != 0 || changed.Version != 2 || changed.Durability == "" {
			t.Errorf("%+v", changed)
		}
		wantStatus(t, "the one use", on(two, limited), 200)
		wantStatus(t, "used up", on(two, limited), 410)
		wantStatus(t, "used up", on(one, limited), 410)

		one.patch(short.ID, client.Patch{ExpiresIn: "500ms"})
		time.Sleep(600 * time.Millisecond)
		wantStatus(t, "expired", on(two, short), 410)

		value := "x"
		one.patch(labelled.ID, client.Patch{Labels: map[string]*string{"later": &value}})
		wantStatus(t, "labelled", on(two, labelled), 200)
		wantStatus(t, "labelled", on(two, labelled), 200) // and in memory again
		revoke(t, one, `{"labels": {"later": "x"}}`)
		wantStatus(t, "revoked by its new label", on(two, labelled), 410)
	})
}

// A change reaches transfers that run: their end, and the rules that cover them.
func TestChangeReachesTransfers(t *testing.T) {
	w := newEmbedded(t)
	w.store("large", "text/plain", bytes.Repeat([]byte("x"), 16<<20))
	one, two := w.gate(nil), w.gate(func(c *config.Config) { c.DrainTimeout = 100 * time.Millisecond })
	slowly := func(r *client.MintRequest) { r.Bandwidth = 64 << 10 }
	start := func(token *client.Token) <-chan answer {
		done := make(chan answer, 1)
		go func() { done <- do(t, "GET", on(two, token), nil) }()
		for range 200 {
			list, err := one.api.Transfers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range list.Transfers {
				if r.Token == token.ID && r.Bytes > 0 {
					return done
				}
			}
		}
		t.Fatal("the transfer does not begin")
		return nil
	}
	broken := func(what string, done <-chan answer) {
		t.Helper()
		select {
		case a := <-done:
			if a.err == nil {
				t.Errorf("%s: it came to its end with %d bytes", what, len(a.body))
			}
		case <-time.After(time.Minute):
			t.Errorf("%s: it goes on", what)
		}
	}
	cut := one.mint("get", "large", func(r *client.MintRequest) { slowly(r); r.CutAtExpiry = true })
	running := start(cut)
	one.patch(cut.ID, client.Patch{ExpiresIn: "300ms"})
	broken("with cut_at_expiry", running)

	labelled := one.mint("get", "large", slowly)
	running = start(labelled)
	value := "x"
	one.patch(labelled.ID, client.Patch{Labels: map[string]*string{"later": &value}})
	if receipt := revoke(t, one, `{"labels": {"later": "x"}}`); receipt.Cut != 1 {
		t.Errorf("revoking the new label has cut %d transfers, want 1", receipt.Cut)
	}
	broken("by its new label", running)

	// A rule was there first, and the label makes the transfer one of its.
	standing := one.mint("get", "large", slowly)
	running = start(standing)
	revoke(t, one, `{"labels": {"dead": "x"}, "standing": true}`)
	if changed := one.patch(standing.ID, client.Patch{Labels: map[string]*string{"dead": &value}}); changed.Cut != 1 {
		t.Errorf("the change has cut %d transfers, want 1", changed.Cut)
	}
	broken("by an old rule", running)
}

// One request for a token on two gates at once makes one.
func TestMintAgainOnAnotherGate(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", []byte("object"))
	secret := func(c *config.Config) { c.Tokens.MintSecret = "the mint secret of two gates, 32 bytes" }
	gates := []*testGate{w.gate(secret), w.gate(secret)}
	var mu sync.Mutex
	urls := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			for range 1000 {
				token, err := gates[i%2].api.Mint(t.Context(), client.MintRequest{Operation: "get", Bucket: "docs", Key: "o"}, client.IdempotencyKey("k"))
				var busy *client.Error
				if errors.As(err, &busy) && busy.Status == 409 {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				urls[token.Token] = true
				return
			}
			t.Error("busy for ever")
		})
	}
	wg.Wait()
	if len(urls) != 1 {
		t.Errorf("%d tokens", len(urls))
	}
	for token := range urls {
		wantStatus(t, "the token", gates[0].LinksURL()+"/"+token, 200)
	}
}

// A link that was reissued works under its new name, as often as it would have.
func TestReissueOnAnotherGate(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", []byte("object"))
	one, two := w.gate(nil), w.gate(nil)
	old := one.mint("get", "o", uses(3))
	wantStatus(t, "before", on(two, old), 200)
	fresh, err := two.api.Reissue(t.Context(), old.ID, client.Reissue{Reason: "leaked"})
	if err != nil {
		t.Fatal(err)
	}
	if fresh.MaxUses != 2 || fresh.Replaces == nil || fresh.Replaces.ID != old.ID || len(fresh.Replaces.AcknowledgedBy) != 2 {
		t.Errorf("%+v, replacing %+v", fresh.Grant, fresh.Replaces)
	}
	wantStatus(t, "the old one", on(one, old), 410)
	wantStatus(t, "the new one", on(one, fresh), 200)
	wantStatus(t, "the new one", on(two, fresh), 200)
	wantStatus(t, "the new one used up", on(one, fresh), 410)
	batch, err := one.api.MintBatch(t.Context(), []client.MintRequest{
		{Operation: "get", Bucket: "docs", Key: "o"}, {Operation: "get", Bucket: "docs", Key: "o"}})
	if err != nil || len(batch) != 2 || batch[0].Token == nil || batch[1].Token == nil {
		t.Fatal(batch, err)
	}
	wantStatus(t, "one of a batch", on(two, batch[1].Token), 200)
}
