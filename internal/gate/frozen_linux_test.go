package gate_test

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/s3gatetest"
)

// A gate is frozen while it serves downloads, and these are revoked. The answer
// comes when its lease must have run out, and names it. When the gate goes on it
// finishes the write at which it was frozen, at most, breaks off what was
// revoked, and serves the rest (R5).
func TestFrozenGate(t *testing.T) {
	for _, v := range []struct {
		name       string
		tls, http2 bool
	}{
		{"HTTP/1.1", false, false},
		{"HTTP/1.1 over TLS", true, false},
		{"HTTP/2", true, true},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
			body := make([]byte, 16<<20)
			rand.Read(body)
			w.store("secret/film", "video/mp4", body)
			w.store("public/film", "video/mp4", body)
			var cert, key string
			fast := reader{http2: v.http2}
			if v.tls {
				cert, key, fast.roots = selfSigned(t)
			}
			var gates []*gateProcess
			for range 3 {
				gates = append(gates, w.process(t, cert, key))
			}
			frozen := gates[2]
			mint := func(key string, bandwidth int64) *client.Token {
				t.Helper()
				token, err := gates[0].api.Mint(t.Context(), client.MintRequest{Operation: "get", Bucket: "docs", Key: key, Bandwidth: bandwidth})
				if err != nil {
					t.Fatal(err)
				}
				return token
			}
			open := func(r reader, token *client.Token) *download {
				t.Helper()
				d, err := r.open(t.Context(), frozen.Links+"/"+token.Token)
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			// Half of them wait for the next chunk, half hang in a write.
			slow := fast
			slow.buffer, slow.pause = 16<<10, 5*time.Millisecond
			var doomed []*download
			for range 6 {
				doomed = append(doomed, open(fast, mint("secret/film", 256<<10)), open(slow, mint("secret/film", 0)))
			}
			spared := open(fast, mint("public/film", 4<<20))
			late := mint("public/film", 0)

			frozen.Pause()
			begun := time.Now()
			receipt, err := gates[0].api.RevokeBy(t.Context(), client.Rule{Bucket: "docs", Prefix: "secret/", Reason: "leaked"})
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(begun)
			t.Logf("a gate is frozen, leases of %s: acknowledged in %s", processLease, micro(took))
			if !slices.Equal(receipt.ExpiredLeases, []string{frozen.name}) || len(receipt.AcknowledgedBy) != 2 || took < processLease*11/10 {
				t.Errorf("after %s: %+v; want %s in expired_leases", took, receipt, frozen.name)
			}
			resumed := monotonic()
			frozen.Resume()

			clients := map[string]bool{}
			for _, d := range doomed {
				clients[d.client] = true
				if err := d.wait(t); err == nil {
					t.Errorf("a revoked download ended as if it were complete, after %d bytes", d.got.Load())
				}
			}
			if err := spared.wait(t); err != nil || spared.got.Load() != int64(len(body)) {
				t.Errorf("a download outside of the rule: %d bytes, %v", spared.got.Load(), err)
			}
			next := open(fast, late)
			if err := next.wait(t); err != nil || next.status != 200 || next.got.Load() != int64(len(body)) {
				t.Errorf("after it was frozen: %d, %d bytes, %v", next.status, next.got.Load(), err)
			}
			delete(clients, next.client) // it may have got the port of one that was reset
			for _, g := range gates {
				g.Stop()
			}
			after := slices.DeleteFunc(frozen.written(t), func(w write) bool { return !clients[w.Client] }).after(resumed)
			most := 0
			for client, n := range after.byClient() {
				most = max(most, n)
				if n > chunk {
					t.Errorf("%s was given %d bytes after the gate went on", client, n)
				}
			}
			t.Logf("after it went on %d of %d connections were given %d bytes, one of them %d", len(after.byClient()), len(clients), after.bytes(), most)
		})
	}
}
