package tokens_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"s3gate/tokens"
)

// A slot is kept for as long as its transfer runs, and a Redis that is away
// meanwhile ends neither the transfer nor the program.
func TestSlotIsKept(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	b := &backend{addr: m.Addr()}
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 0)
	slot, err := s.Occupy(t.Context(), token.ID(), 1)
	if err != nil {
		t.Fatal(err)
	}
	lapses := func() float64 {
		all := b.client(t).ZRangeWithScores(t.Context(), tokens.SlotsKey(token.ID()), 0, -1).Val()
		if len(all) != 1 {
			t.Fatalf("%d slots, want 1", len(all))
		}
		return all[0].Score
	}
	first := lapses()
	eventually(t, "the slot is refreshed", func() bool { return lapses() >= first+2000 })

	m.SetError("away")
	begin := time.Now()
	slot.Release(t.Context())
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("giving back what Redis does not take: %s", took)
	}
	m.SetError("")
}
