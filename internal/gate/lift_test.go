package gate_test

import (
	"testing"

	"s3gate/internal/s3gatetest"
)

// A token whose revocation was lifted works, also on gates that read of the
// revocation only afterwards.
func TestLiftedTokenStaysSo(t *testing.T) {
	w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
	w.store("o", "text/plain", []byte("object"))
	g := w.gate(nil)
	token := g.mint("get", "o", nil)
	receipt, err := g.api.Revoke(t.Context(), token.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.api.Lift(t.Context(), receipt.ID, ""); err != nil {
		t.Fatal(err)
	}
	for _, g := range []*testGate{g, w.gate(nil)} {
		if a := do(t, "GET", g.LinksURL()+"/"+token.Token, nil); a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}
