package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/tokens"
)

// benchServe measures a request for an unlimited token, for whose bodies the
// gate asks nobody; change may alter the gate.
func benchServe(b *testing.B, grant tokens.Grant, size int64, request func(target string) *http.Request, upstream proxy.Upstream, change func(*proxy.Handler)) {
	token, grant := tokens.Generate(), unlimited(grant)
	grant.ID = token.ID()
	h := &proxy.Handler{
		Tokens: &fixedTokens{grant}, Transfers: &revocation.Transfers{},
		Buckets: map[string]proxy.Upstream{"media": upstream},
	}
	if change != nil {
		change(h)
	}
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	b.SetBytes(size)
	for b.Loop() {
		clear(w.header)
		w.status = 0
		h.ServeHTTP(w, request("/"+token.Reveal()))
		if w.status != http.StatusOK {
			b.Fatalf("status %d", w.status)
		}
	}
}

func getRequest(target string) *http.Request { return httptest.NewRequest("GET", target, nil) }

// BenchmarkGetBody is what a GET of a larger object costs in the gate, without S3
// and the network.
func BenchmarkGetBody(b *testing.B) {
	for _, mib := range []int{1, 16} {
		b.Run(fmt.Sprintf("%d MiB", mib), func(b *testing.B) {
			data := make([]byte, mib<<20)
			benchServe(b, get(), int64(len(data)), getRequest, fixedObject(data), nil)
		})
	}
}

// BenchmarkPut is what an upload of known length costs in the gate, without S3 and
// the network.
func BenchmarkPut(b *testing.B) {
	for _, test := range []struct {
		name string
		size int
	}{{"4 KiB", 4 << 10}, {"1 MiB", 1 << 20}, {"16 MiB", 16 << 20}} {
		b.Run(test.name, func(b *testing.B) {
			data := make([]byte, test.size)
			request := func(target string) *http.Request {
				r := httptest.NewRequest("PUT", target, bytes.NewReader(data))
				r.Header.Set("Content-Length", fmt.Sprint(len(data)))
				return r
			}
			benchServe(b, put(), int64(test.size), request, upstreamFunc(partsUpstream), nil)
		})
	}
}

// BenchmarkRequestLine is what the line in the log adds to a GET of 4 KiB.
func BenchmarkRequestLine(b *testing.B) {
	for _, test := range []struct {
		name   string
		logger *slog.Logger
	}{
		{"none", nil},
		{"text", slog.New(slog.NewTextHandler(io.Discard, nil))},
		{"json", slog.New(slog.NewJSONHandler(io.Discard, nil))},
	} {
		b.Run(test.name, func(b *testing.B) {
			benchServe(b, get(), 4<<10, getRequest, fixedObject(make([]byte, 4<<10)), func(h *proxy.Handler) { h.Logger = test.logger })
		})
	}
}
