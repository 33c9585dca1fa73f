package tokens_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"s3gate/tokens"
)

func BenchmarkGenerate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		tokens.Generate()
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct{ name, text string }{
		{"token", golden[0].token},
		{"wrong checksum", golden[0].token[:31] + "0"},
		{"mebibyte", malformed[10].text},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tokens.Parse(bb.text)
			}
		})
	}
}

func BenchmarkID(b *testing.B) {
	token := tokens.Generate()
	b.ReportAllocs()
	for b.Loop() {
		token.ID()
	}
}

func BenchmarkRecord(b *testing.B) {
	g := typicalGrant()
	record := tokens.EncodeGrant(&g)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tokens.EncodeGrant(&g)
		}
		b.ReportMetric(float64(len(record)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var got tokens.Grant
			if err := tokens.DecodeGrant(record, &got); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRedeem(b *testing.B) {
	m := miniredis.RunT(b)
	s := newStore(b, newClient(b, m.Addr(), -1), tokens.Options{})
	unlimited, limited := mint(b, s, 0), mint(b, s, 1)
	b.Run("unlimited", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Redeem(b.Context(), unlimited, tokens.Ask{Operation: tokens.Get}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("limited, with its charge and refund", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			use, err := s.Redeem(b.Context(), limited, tokens.Ask{Operation: tokens.Get})
			if err != nil {
				b.Fatal(err)
			}
			if err := use.Charge(b.Context()); err != nil {
				b.Fatal(err)
			}
			use.Refund(b.Context())
		}
		b.StopTimer()
		m.FastForward(10 * time.Minute) // the marks of the refunds
	})
}

// BenchmarkUse is what a use costs in the gate, from being asked for to being
// settled, with a Redis that answers at once.
func BenchmarkUse(b *testing.B) {
	token, unlimited := cachedGrant()
	limited, upload := unlimited, unlimited
	limited.MaxUses, upload.MaxUses, upload.Operation = 3, 3, tokens.Put
	download := func(b *testing.B, u *tokens.Use) {
		if err := u.Charge(b.Context()); err != nil {
			b.Fatal(err)
		}
		u.Commit(b.Context())
		u.End(b.Context(), 4<<10)
	}
	for _, bb := range []struct {
		name   string
		grant  tokens.Grant
		memory bool
		end    func(*testing.B, *tokens.Use)
	}{
		{"unlimited", unlimited, false, download},
		{"unlimited, from memory", unlimited, true, download},
		{"limited", limited, false, download},
		{"upload", upload, false, func(b *testing.B, u *tokens.Use) {
			if err := u.Stay(b.Context()); err != nil {
				b.Fatal(err)
			}
			u.Commit(b.Context())
			u.End(b.Context(), 4<<10)
		}},
		{"upload that failed", upload, false, func(b *testing.B, u *tokens.Use) { u.Refund(b.Context()) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var opts tokens.Options
			if bb.memory {
				opts.Cache = (&lease{}).cache()
			}
			s := newStore(b, newOracle(bb.grant), opts)
			ask := tokens.Ask{Operation: bb.grant.Operation, Request: "req_1", Client: "192.0.2.1"}
			b.ReportAllocs()
			for b.Loop() {
				u, err := s.Redeem(b.Context(), token, ask)
				if err != nil {
					b.Fatal(err)
				}
				bb.end(b, u)
			}
			if n := s.Unsettled(); n > 0 {
				b.Fatalf("%d unsettled", n)
			}
		})
	}
}

// BenchmarkMint and BenchmarkRevoke include what the embedded Redis costs.
func BenchmarkMint(b *testing.B) {
	m := miniredis.RunT(b)
	s := newStore(b, newClient(b, m.Addr(), -1), tokens.Options{})
	g := typicalGrant()
	b.ReportAllocs()
	for n := 1; b.Loop(); n++ {
		if _, _, err := s.Mint(b.Context(), g, time.Hour); err != nil {
			b.Fatal(err)
		}
		if n%1000 == 0 { // its lists are slow when they are long
			b.StopTimer()
			m.FlushAll()
			b.StartTimer()
		}
	}
}

func BenchmarkRevoke(b *testing.B) {
	m := miniredis.RunT(b)
	s := newStore(b, newClient(b, m.Addr(), -1), tokens.Options{})
	id := mint(b, s, 0).ID()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Revoke(b.Context(), id, "ops", "incident"); err != nil {
			b.Fatal(err)
		}
	}
}
