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
