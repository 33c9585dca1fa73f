package proxy_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/s3client"
	"s3gate/tokens"
)

// fixedTokens permits everything by one grant, without Redis.
type fixedTokens struct{ grant tokens.Grant }

func (f *fixedTokens) Redeem(context.Context, tokens.Token, tokens.Ask) (*tokens.Use, error) {
	return &tokens.Use{Grant: f.grant}, nil
}

func (f *fixedTokens) Look(context.Context, tokens.Token, tokens.Ask) (*tokens.Use, error) {
	return &tokens.Use{Grant: f.grant}, nil
}

func (f *fixedTokens) Occupy(context.Context, tokens.ID, int64) (*tokens.Slot, error) {
	return nil, nil
}

// fixedObject is an upstream with one object.
func fixedObject(data []byte) proxy.Upstream {
	header := http.Header{"Content-Type": {"application/octet-stream"}, "Etag": {etag}, "Last-Modified": {modified}}
	return upstreamFunc(func(context.Context, *s3client.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: header, ContentLength: int64(len(data)), Body: io.NopCloser(bytes.NewReader(data))}, nil
	})
}

// discard is a client that takes everything.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Flush()                      {}

// BenchmarkGet is what a GET of 4 KiB costs in the gate, without S3. With
// Redis it includes what the embedded Redis costs.
func BenchmarkGet(b *testing.B) {
	bench := func(b *testing.B, source proxy.Tokens, token tokens.Token) {
		h := &proxy.Handler{
			Tokens: source, Transfers: &revocation.Transfers{},
			Buckets: map[string]proxy.Upstream{"media": fixedObject(make([]byte, 4<<10))},
		}
		w := &discard{http.Header{}}
		b.ReportAllocs()
		b.SetBytes(4 << 10)
		for b.Loop() {
			clear(w.header)
			h.ServeHTTP(w, httptest.NewRequest("GET", "/"+token.Reveal(), nil))
		}
	}
	for _, test := range []struct {
		name  string
		grant tokens.Grant
	}{{"unlimited", unlimited(get())}, {"limited", get()}} {
		b.Run(test.name, func(b *testing.B) {
			token := tokens.Generate()
			test.grant.ID = token.ID()
			bench(b, &fixedTokens{test.grant}, token)
		})
	}
	b.Run("limited, with Redis", func(b *testing.B) {
		_, store := newStore(b)
		grant := get()
		grant.MaxUses = 1_000_000
		g := &gate{t: b, store: store}
		bench(b, store, g.mint(grant))
	})
}

func BenchmarkContentDisposition(b *testing.B) {
	for _, name := range []string{"report.txt", "Übersicht – 2026.pdf"} {
		b.Run(name, func(b *testing.B) {
			grant := &tokens.Grant{Key: "reports/" + name}
			b.ReportAllocs()
			for b.Loop() {
				proxy.ContentDisposition(grant)
			}
		})
	}
}
