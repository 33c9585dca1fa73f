package proxy_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/s3gatetest"
	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/s3client"
	"s3gate/tokens"
)

// replayed is a Redis that answers a script at once, with what it has answered
// before.
type replayed struct {
	tokens.Redis
	answers map[string][]any
}

func (r *replayed) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	answer, ok := r.answers[sha]
	if !ok {
		cmd := r.Redis.EvalSha(ctx, sha, keys, args...)
		if raw, err := cmd.Slice(); err == nil {
			r.answers[sha] = raw
		}
		return cmd
	}
	return redis.NewCmdResult(append([]any{args[0]}, answer[1:]...), nil)
}

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
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Flush()                      {}

// benchGet measures a GET of 4 KiB by a token.
func benchGet(b *testing.B, transfers *revocation.Transfers, source proxy.Tokens, token tokens.Token) {
	h := &proxy.Handler{
		Tokens: source, Transfers: transfers,
		Buckets: map[string]proxy.Upstream{"media": fixedObject(make([]byte, 4<<10))},
	}
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	b.SetBytes(4 << 10)
	for b.Loop() {
		clear(w.header)
		w.status = 0
		h.ServeHTTP(w, httptest.NewRequest("GET", "/"+token.Reveal(), nil))
		if w.status != http.StatusOK {
			b.Fatalf("status %d", w.status)
		}
	}
}

// BenchmarkGet is what a GET of 4 KiB costs in the gate, without S3. With
// Redis it includes what the embedded Redis costs, and without it Redis takes
// no time.
func BenchmarkGet(b *testing.B) {
	b.Run("unlimited", func(b *testing.B) {
		token, grant := tokens.Generate(), unlimited(get())
		grant.ID = token.ID()
		benchGet(b, &revocation.Transfers{}, &fixedTokens{grant}, token)
	})
	for _, test := range []struct {
		name   string
		change func(*tokens.Grant)
	}{
		{"limited", func(*tokens.Grant) {}},
		{"resumable", func(g *tokens.Grant) { g.ResumeWindow = tokens.Duration(time.Minute) }},
	} {
		grant := get()
		grant.MaxUses = 1_000_000
		test.change(&grant)
		b.Run(test.name, func(b *testing.B) {
			server, store := newStore(b)
			token := (&gate{t: b, store: store}).mint(grant)
			rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
			defer rdb.Close()
			replaying := tokens.New(&replayed{rdb, map[string][]any{}}, tokens.Options{BusyWait: -1})
			defer replaying.Close(b.Context())
			benchGet(b, &revocation.Transfers{}, replaying, token)
		})
		b.Run(test.name+", with Redis", func(b *testing.B) {
			_, store := newStore(b)
			benchGet(b, &revocation.Transfers{}, store, (&gate{t: b, store: store}).mint(grant))
		})
	}
}

// BenchmarkGetUnlimited is what a GET of 4 KiB by a token without limit costs in
// the gate, without S3, under a lease of a real Redis: asking it for the grant
// each time, and with the grant in memory.
func BenchmarkGetUnlimited(b *testing.B) {
	rdb := redis.NewClient(&redis.Options{Addr: s3gatetest.Redis(b), MaxRetries: -1})
	defer rdb.Close()
	member := revocation.Join(rdb, revocation.MemberOptions{Fresh: true})
	defer member.Leave(context.Background())
	if err := member.Await(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		entries int
	}{{"asking Redis", 0}, {"from memory", 1000}} {
		b.Run(test.name, func(b *testing.B) {
			store := tokens.New(rdb, tokens.Options{BusyWait: -1, Cache: tokens.CacheOptions{
				MaxEntries: test.entries, Clock: revocation.BootClock,
				Valid: func() (int64, bool) { return member.Position().Gen, member.Remaining() > 0 },
			}})
			defer store.Close(b.Context())
			token := (&gate{t: b, store: store}).mint(unlimited(get()))
			benchGet(b, &revocation.Transfers{Gate: member}, store, token)
		})
	}
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

// partsUpstream takes everything that is sent to it.
func partsUpstream(_ context.Context, r *s3client.Request) (*http.Response, error) {
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, onlyReader{r.Body}); err != nil {
			return nil, err
		}
	}
	status, body := http.StatusOK, ""
	switch {
	case r.Method == http.MethodHead:
		status = http.StatusNotFound
	case r.Query.Has("uploads"):
		body = "<InitiateMultipartUploadResult><UploadId>x</UploadId></InitiateMultipartUploadResult>"
	case r.Method == http.MethodPost:
		body = "<CompleteMultipartUploadResult><ETag>x-1</ETag></CompleteMultipartUploadResult>"
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Etag": {etag}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

type onlyReader struct{ io.Reader }

// zeros is a body of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// BenchmarkUploadInParts is what an upload of unknown length of 256 MiB costs
// in the gate, without S3 and the network.
func BenchmarkUploadInParts(b *testing.B) { benchParts(b, nil, nil) }

const benchSize = 256 << 20

func benchParts(b *testing.B, storage map[string]proxy.Storage, header http.Header) {
	token, grant := tokens.Generate(), unlimited(put())
	grant.ID = token.ID()
	h := &proxy.Handler{
		Tokens: &fixedTokens{grant}, Transfers: &revocation.Transfers{},
		Buckets: map[string]proxy.Upstream{"media": upstreamFunc(partsUpstream)}, Storage: storage,
	}
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	b.SetBytes(benchSize)
	for b.Loop() {
		clear(w.header)
		w.status = 0
		r := httptest.NewRequest("PUT", "/"+token.Reveal(), io.LimitReader(zeros{}, benchSize))
		maps.Copy(r.Header, header)
		r.ContentLength = -1
		h.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatalf("status %d", w.status)
		}
	}
	b.ReportMetric(float64(proxy.MemoryPeak(&h.Multipart))/(1<<20), "peak-MiB")
}
