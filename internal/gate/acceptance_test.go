package gate_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"syscall"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
	"s3gate/revocation"
)

// oneFrame is what may follow a revocation on a connection of HTTP/2: one DATA
// frame that had been framed, the reset of the stream, and TLS around them.
const oneFrame = 16<<10 + 1<<10

// chunk is what a gate writes at once: what it copies, headers, and what TLS adds.
const chunk = 72 << 10

// The promise of revocation, by the write(2)s of the gates: when the answer has
// come, no write to a client of a revoked transfer is under way and none
// begins that hands over a byte; HTTP/2 may finish one frame. Every download
// breaks off visibly, on all gates, and what is outside of the rule goes on
// (R2).
func TestOracleRevocationOverThreeGates(t *testing.T) {
	for _, v := range []struct {
		name       string
		tls, http2 bool
		rounds     int // of six downloads each, of both kinds
		downloads  int // of one more
	}{
		{"HTTP/1.1", false, false, 20, 300},
		{"HTTP/1.1 over TLS", true, false, 5, 30},
		{"HTTP/2", true, true, 5, 30},
	} {
		t.Run(v.name, func(t *testing.T) {
			s := newStage(t, v.tls, v.http2, nil)
			for _, slowly := range []bool{false, true} {
				var took []time.Duration
				for i := range v.rounds {
					r := s.revoke(fmt.Sprintf("round-%v-%d/", slowly, i), 6, slowly)
					took = append(took, r.acked-r.sent)
					s.judge(r)
				}
				slices.Sort(took)
				t.Logf("%d times 6 downloads on 3 gates, the gates blocked in writes: %v. Acknowledged in %s (p50), %s (p99)",
					v.rounds, slowly, micro(took[len(took)/2]), micro(took[len(took)*99/100]))
			}
			spared := s.gates[1].mint("get", "public/film", func(m *client.MintRequest) { m.Bandwidth = 2 << 20 })
			other := s.open(s.reader(), s.gates[2], spared)
			r := s.revoke("all/", v.downloads, false)
			s.judge(r)
			s.refused(r)
			if err := other.wait(t); err != nil || other.got.Load() != int64(len(s.body)) {
				t.Errorf("a download outside of the rule: %d bytes, %v", other.got.Load(), err)
			}
			t.Logf("%d downloads: acknowledged in %s, %.1f ms of them in the gate", v.downloads, micro(r.acked-r.sent), r.receipt.TookMS)
		})
	}
}

func micro(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

// stage is three gates on one Redis, with the oracle below them.
type stage struct {
	*world
	t     *testing.T
	gates []*testGate
	roots *x509.CertPool // nil without TLS
	http2 bool
	body  []byte
}

// newStage opens the gates with a configuration that change may change of each
// of them; nil changes none.
func newStage(t *testing.T, secure, http2 bool, change func(i int, c *config.Config)) *stage {
	t.Helper()
	s := &stage{world: newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t)), t: t, http2: http2, body: make([]byte, 4<<20)}
	s.writes = &oracle{}
	rand.Read(s.body)
	s.store("public/film", "video/mp4", s.body)
	var cert, key string
	if secure {
		cert, key, s.roots = selfSigned(t)
	}
	for i := range 3 {
		s.gates = append(s.gates, s.gate(func(c *config.Config) {
			c.Links.Cert, c.Links.Key = cert, key
			if change != nil {
				change(i, c)
			}
		}))
	}
	return s
}

func (s *stage) reader() reader { return reader{roots: s.roots, http2: s.http2} }

// open begins a download through one of the gates.
func (s *stage) open(r reader, g *testGate, token *client.Token) *download {
	s.t.Helper()
	d, err := r.open(s.t.Context(), g.LinksURL()+"/"+token.Token)
	if err != nil {
		s.t.Fatal(err)
	}
	if d.proto == "HTTP/2.0" != s.http2 {
		s.t.Fatalf("spoke %s", d.proto)
	}
	return d
}

// round is the revocation of a prefix while downloads from it run.
type round struct {
	prefix      string
	tokens      []*client.Token
	downloads   []*download
	sent, acked time.Duration // the request, and the first byte of its answer
	receipt     revocation.Receipt
}

// revoke begins downloads through all gates and revokes them. Their bandwidth
// is limited, so that the gates wait for the next chunk; or the clients read
// slowly, so that the gates hang in writes.
func (s *stage) revoke(prefix string, downloads int, slowly bool) *round {
	s.t.Helper()
	s.store(prefix+"film", "video/mp4", s.body)
	r := &round{prefix: prefix}
	client, limit := s.reader(), func(m *client.MintRequest) { m.Bandwidth = 64 << 10 }
	if slowly {
		client.buffer, client.pause, limit = 16<<10, 5*time.Millisecond, nil
	}
	for i := range downloads {
		r.tokens = append(r.tokens, s.gates[i%3].mint("get", prefix+"film", limit))
		r.downloads = append(r.downloads, s.open(client, s.gates[i%3], r.tokens[i]))
	}
	r.receipt, r.sent, r.acked = revokeTimed(s.t, s.gates[0], fmt.Sprintf(`{"bucket": "docs", "prefix": %q, "reason": "leaked"}`, prefix))
	for _, d := range r.downloads {
		if err := d.wait(s.t); err == nil {
			s.t.Errorf("%s: a download ended as if it were complete, after %d bytes", prefix, d.got.Load())
		}
	}
	return r
}

// judge holds what the gates have written against the answer.
func (s *stage) judge(r *round) {
	s.t.Helper()
	n := len(r.downloads)
	allowed := 0
	if s.http2 {
		allowed = oneFrame
	}
	switch in, out := len(r.receipt.AcknowledgedBy), len(r.receipt.ExpiredLeases); {
	case r.receipt.Cut == n && in == 3 && out == 0:
	case n > 6 && in+out == 3 && out > 0:
		s.t.Logf("%s: the machine was too slow for some gate to confirm in time: %+v", r.prefix, r.receipt)
		allowed = chunk
	default:
		s.t.Errorf("%s: %d downloads ran on 3 gates, and the receipt is %+v", r.prefix, n, r.receipt)
	}
	clients := map[string]bool{}
	for _, d := range r.downloads {
		clients[d.client] = true
	}
	if len(clients) != n {
		s.t.Fatalf("%s: %d downloads came on %d connections", r.prefix, n, len(clients))
	}
	writes := s.writes.to(s.t, clients)
	if got := writes.byClient(); len(got) != n {
		s.t.Errorf("%s: the oracle knows of %d clients of %d", r.prefix, len(got), n)
	}
	after := writes.after(r.acked)
	for client, bytes := range after.byClient() {
		if bytes > allowed {
			s.t.Errorf("%s: %s was given %d bytes after the answer", r.prefix, client, bytes)
		}
	}
	if n > 6 || len(after) > 0 {
		s.t.Logf("%s: %d writes; the last one returned %s before the answer, and %d bytes followed it",
			r.prefix, len(writes), micro(r.acked-writes.before(r.acked).last()), after.bytes())
	}
}

// refused checks that what was revoked is refused by all gates, and that what
// is minted now works.
func (s *stage) refused(r *round) {
	s.t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: s.roots}, ForceAttemptHTTP2: s.http2}
	defer tr.CloseIdleConnections()
	get := func(g *testGate, token *client.Token) int {
		s.t.Helper()
		a, err := try(s.t.Context(), tr, "GET", g.LinksURL()+"/"+token.Token, nil, "Range: bytes=0-0")
		if err != nil {
			s.t.Fatal(err)
		}
		return a.status
	}
	for i, g := range s.gates {
		if status := get(g, r.tokens[i]); status != 410 {
			s.t.Errorf("gate %d: %d after the revocation", i, status)
		}
	}
	if status := get(s.gates[2], s.gates[1].mint("get", r.prefix+"film", nil)); status != 206 {
		s.t.Errorf("minted after the revocation: %d", status)
	}
}

// revokeTimed is revoke, with when the request began to be sent and when the
// first byte of the answer was here.
func revokeTimed(t *testing.T, g *testGate, rule string) (receipt revocation.Receipt, sent, acked time.Duration) {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotFirstResponseByte: func() { acked = monotonic() }})
	sent = monotonic()
	a, err := try(ctx, http.DefaultTransport, "POST", g.APIURL()+"/v1/revocations", []byte(rule),
		"Authorization: Bearer "+g.bearer, "Content-Type: application/json")
	if err == nil {
		err = json.Unmarshal(a.body, &receipt)
	}
	if err != nil || a.status != 200 {
		t.Fatalf("revoking %s: %v, %d %s", rule, err, a.status, a.body)
	}
	return receipt, sent, acked
}

// A client with a small buffer reads slowly, so that the gate hangs in writes.
// What it gets after the answer is what was in buffers: over HTTP/1.1 that of
// its own kernel, since the gate's is thrown away with the reset (R9).
func TestOracleSlowReader(t *testing.T) {
	for _, v := range []struct {
		name       string
		tls, http2 bool
		residue    int64
	}{
		{"HTTP/1.1", false, false, 64 << 10},
		{"HTTP/1.1 over TLS", true, false, 64 << 10},
		{"HTTP/2", true, true, 512 << 10},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, v.tls, v.http2, nil)
			s.store("secret/film", "video/mp4", s.body)
			slow := s.reader()
			slow.buffer, slow.pause = 4<<10, 5*time.Millisecond
			d := s.open(slow, s.gates[1], s.gates[0].mint("get", "secret/film", nil))
			time.Sleep(500 * time.Millisecond) // the buffers fill
			_, _, acked := revokeTimed(t, s.gates[0], `{"bucket": "docs", "prefix": "secret/"}`)
			before := d.read.Load()
			err := d.wait(t)
			if err == nil {
				t.Errorf("it ended as if it were complete, after %d bytes", d.got.Load())
			}
			if !v.http2 && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client saw %v, want a reset connection", err)
			}
			residue := d.read.Load() - before
			if residue > v.residue {
				t.Errorf("the client read %d bytes after the answer", residue)
			}
			writes := s.writes.to(t, map[string]bool{d.client: true})
			allowed := 0
			if v.http2 {
				allowed = oneFrame
			}
			if n := writes.after(acked).bytes(); n > allowed {
				t.Errorf("%d bytes were handed to the kernel after the answer", n)
			}
			t.Logf("the client had read %d bytes of %d that were handed to the kernel, and read %d after the answer", before, writes.bytes(), residue)
		})
	}
}
