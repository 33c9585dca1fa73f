package tokens_test

import (
	"crypto/sha256"
	"testing"

	"pgregory.net/rapid"

	"s3gate/tokens"
)

// What a seed stands for must never change: a request that comes again would have
// another token.
func TestSeedsKeepTheirTokens(t *testing.T) {
	for _, tt := range []struct {
		name string
		seed [sha256.Size]byte
		want string
	}{
		{"zero", [sha256.Size]byte{}, "s3g_0000000000000000000000"},
		{"one", [sha256.Size]byte{31: 1}, "s3g_0000000000000000000001"},
		{"61", [sha256.Size]byte{31: 61}, "s3g_000000000000000000000z"},
		{"62", [sha256.Size]byte{31: 62}, "s3g_0000000000000000000010"},
		{"256", [sha256.Size]byte{30: 1}, "s3g_0000000000000000000048"},
	} {
		got := tokens.FromSeed(tt.seed).Reveal()
		if got[:26] != tt.want || !parses(got) {
			t.Errorf("%s: %s, want %s…", tt.name, got, tt.want)
		}
	}
}

// Each of the 256 bits of a seed makes another token, and each is well formed.
func TestSeedsGiveTokens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var seed, other [sha256.Size]byte
		copy(seed[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed"))
		bit := rapid.IntRange(0, 255).Draw(t, "bit")
		other = seed
		other[bit/8] ^= 1 << (bit % 8)
		a, b := tokens.FromSeed(seed), tokens.FromSeed(other)
		if !parses(a.Reveal()) || !parses(b.Reveal()) || a.ID() == b.ID() {
			t.Fatalf("%s and %s", a.Reveal(), b.Reveal())
		}
	})
}
