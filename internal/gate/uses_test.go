package gate_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// once and resumable are what a single copy is minted with.
func once(r *client.MintRequest) { uses(1)(r) }

func resumable(window string) func(*client.MintRequest) {
	return func(r *client.MintRequest) {
		once(r)
		r.ResumeWindow = window
	}
}

// A thousand clients race over three gates for a token that is good for
// seven copies: seven get one, whole, and everybody else is told that it is
// used or in use (T1, T7).
func TestRaceOverThreeGates(t *testing.T) {
	const racers, copies = 1000, 7
	for _, tt := range []struct {
		name  string
		redis func(t *testing.T) string
		mint  func(*client.MintRequest)
	}{
		{"on Redis", func(t *testing.T) string { return s3gatetest.Redis(t) }, uses(copies)},
		{"on the embedded Redis", func(t *testing.T) string { return miniredis.RunT(t).Addr() }, uses(copies)},
		{"copies that may be resumed, on Redis", func(t *testing.T) string { return s3gatetest.Redis(t) }, func(r *client.MintRequest) {
			uses(copies)(r)
			r.ResumeWindow = "10m"
			none := int64(0)
			r.ResumeSlack = &none
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := make([]byte, 256<<10)
			rand.Read(body)
			w := newWorld(t, s3gatetest.DevS3(t), tt.redis(t))
			w.store("prize", "application/octet-stream", body)
			patient := func(c *config.Config) { c.Revocation.Lease = 5 * time.Second } // with a thousand requests at once
			gates := []*testGate{w.gate(patient), w.gate(patient), w.gate(patient)}
			token := gates[0].mint("get", "prize", tt.mint)
			tr := &http.Transport{MaxConnsPerHost: 100, MaxIdleConnsPerHost: 100}
			defer tr.CloseIdleConnections()

			var whole, used, busy, other atomic.Int64
			var wg sync.WaitGroup
			for i := range racers {
				wg.Go(func() {
					a, err := try(t.Context(), tr, "GET", gates[i%3].LinksURL()+"/"+token.Token, nil)
					switch {
					case err != nil:
						other.Add(1)
						t.Errorf("racer %d: %v", i, err)
					case a.status == 200 && a.err == nil && bytes.Equal(a.body, body):
						whole.Add(1)
					case a.status == 410:
						used.Add(1)
					case a.status == 409:
						busy.Add(1)
					default:
						other.Add(1)
						t.Errorf("racer %d: %d, %d bytes, %v", i, a.status, len(a.body), a.err)
					}
				})
			}
			wg.Wait()
			t.Logf("%d racers on 3 gates for %d copies: %d whole copies, %d told used (410), %d told in use (409), %d else",
				racers, copies, whole.Load(), used.Load(), busy.Load(), other.Load())
			if whole.Load() != copies {
				t.Errorf("%d whole copies, want %d", whole.Load(), copies)
			}
			if s, err := gates[1].api.Show(t.Context(), token.ID); err != nil || s.Uses != copies || s.InUse != 0 {
				t.Errorf("shown %+v, %v", s, err)
			}
		})
	}
}

// One use that may be resumed, asked for by two hundred clients at once in
// parts and as a whole, yields no more than its budget (T8).
func TestRaceForOneBudget(t *testing.T) {
	const racers, size, slack = 200, 1 << 20, 256 << 10
	body := make([]byte, size)
	rand.Read(body)
	w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
	w.store("prize", "application/octet-stream", body)
	gates := []*testGate{w.gate(nil), w.gate(nil), w.gate(nil)}
	token := gates[0].mint("get", "prize", func(r *client.MintRequest) {
		resumable("10m")(r)
		n := int64(slack)
		r.ResumeSlack = &n
	})
	tr := &http.Transport{MaxConnsPerHost: 70, MaxIdleConnsPerHost: 70}
	defer tr.CloseIdleConnections()
	ranges := []string{"bytes=0-", "bytes=1-", "bytes=-262144", "bytes=524288-", "bytes=100-299", "bytes=0-1,2-3", ""}
	var total, answered atomic.Int64
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			var header []string
			if r := ranges[i%len(ranges)]; r != "" {
				header = []string{"Range: " + r}
			}
			a, err := try(t.Context(), tr, "GET", gates[i%3].LinksURL()+"/"+token.Token, nil, header...)
			if err == nil && a.status/100 == 2 {
				answered.Add(1)
				total.Add(int64(len(a.body)))
				if a.status == 206 && !bytes.Contains(body, a.body) {
					t.Error("a part holds other bytes")
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d racers: %d were answered and got %d bytes of a budget of %d", racers, answered.Load(), total.Load(), size+slack)
	if got := total.Load(); got > size+slack || got < size/2 {
		t.Errorf("%d bytes came out, the budget is %d", got, size+slack)
	}
}

// Expiry is checked when a use starts. A transfer that runs goes on, and a
// broken one may be resumed in its window; cut_at_expiry is for the strict.
func TestExpiryAndOpenUses(t *testing.T) {
	body := make([]byte, 2<<20)
	rand.Read(body)
	w := newEmbedded(t)
	w.store("o", "application/octet-stream", body)
	g := w.gate(nil)
	short := func(r *client.MintRequest) {
		resumable("10m")(r)
		r.ExpiresIn = "1500ms"
	}
	link := g.mint("get", "o", short).URL
	if a := do(t, "GET", link, nil, "Range: bytes=0-999"); a.status != 206 {
		t.Fatalf("before: %d", a.status)
	}
	cut := g.mint("get", "o", func(r *client.MintRequest) {
		short(r)
		r.CutAtExpiry = true
	}).URL
	if a := do(t, "GET", cut, nil, "Range: bytes=0-999"); a.status != 206 {
		t.Fatalf("before: %d", a.status)
	}
	unused := g.mint("get", "o", short).URL

	// A slow download that is cut when the token expires.
	slow := g.mint("get", "o", func(r *client.MintRequest) {
		r.ExpiresIn, r.CutAtExpiry, r.Bandwidth = "1500ms", true, 256<<10
	}).URL
	begin := time.Now()
	a := do(t, "GET", slow, nil)
	if a.status != 200 || a.err == nil {
		t.Errorf("a download over the end with cut_at_expiry: %d, %v; want it to break off", a.status, a.err)
	}
	time.Sleep(time.Until(begin.Add(1600 * time.Millisecond)))

	if a := do(t, "GET", link, nil, "Range: bytes=1000-"); a.status != 206 || !bytes.Equal(a.body, body[1000:]) {
		t.Errorf("resumed after the expiry: %d, %d bytes", a.status, len(a.body))
	}
	if a := do(t, "GET", unused, nil); a.status != 410 {
		t.Errorf("begun after the expiry: %d", a.status)
	}
	if a := do(t, "GET", cut, nil, "Range: bytes=1000-"); a.status != 410 {
		t.Errorf("resumed after the expiry with cut_at_expiry: %d", a.status)
	}
}

// While a charged use runs nobody has told how it ended, and the status says
// so; when its client has left there is a receipt.
func TestUnreportedUse(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", bytes.Repeat([]byte("x"), 4<<20))
	g := w.gate(nil)
	token := g.mint("get", "o", func(r *client.MintRequest) {
		once(r)
		r.Bandwidth = 64 << 10
	})
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", token.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(resp.Body, make([]byte, 1))
	s, err := w.gate(nil).api.Show(t.Context(), token.ID)
	if err != nil || s.Uses != 1 || s.Unreported != 1 || len(s.Receipts) != 0 {
		t.Errorf("while it runs: %+v, %v", s, err)
	}
	leave()
	resp.Body.Close()
	for range 100 {
		if s, err = g.api.Show(t.Context(), token.ID); err != nil || len(s.Receipts) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil || s.Unreported != 0 || len(s.Receipts) != 1 || s.Receipts[0].Outcome != "aborted" {
		t.Errorf("when it has ended: %+v, %v", s, err)
	}
}

// Each use ends in one event: in the audit log, and with the token.
func TestReceipts(t *testing.T) {
	file := t.TempDir() + "/audit.log"
	for _, detail := range []struct{ name, want string }{{"full", "127.0.0.1"}, {"prefix", "127.0.0.0/24"}, {"none", ""}} {
		w := newEmbedded(t)
		w.store("dir/o", "text/plain", []byte("0123456789"))
		g := w.gate(func(c *config.Config) { c.Audit = config.Audit{File: file + detail.name, ClientAddress: detail.name} })
		strict := g.mint("get", "dir/o", uses(2))
		window := g.mint("get", "dir/o", func(r *client.MintRequest) {
			resumable("1s")(r)
			r.Subject = "ada"
		})
		put := g.mint("put", "up", nil)
		do(t, "GET", strict.URL, nil)
		do(t, "GET", window.URL, nil, "Range: bytes=2-4")
		do(t, "GET", window.URL, nil, "Range: bytes=4-7")
		do(t, "PUT", put.URL, []byte("four"))

		open, err := g.api.Show(t.Context(), window.ID)
		if err != nil || len(open.Open) != 1 || open.Open[0].Bytes != 7 || open.Open[0].Left != 13 || open.Unreported != 0 {
			t.Errorf("open use: %+v, %v", open, err)
		}
		wantReceipt(t, g, strict.ID, client.UseReceipt{Key: "dir/o", Requests: 1, Client: detail.want, Size: 10, Bytes: 10,
			Ranges: [][2]int64{{0, 10}}, Outcome: "complete"})
		wantReceipt(t, g, put.ID, client.UseReceipt{Key: "up", Requests: 1, Client: detail.want, Size: 4, Bytes: 4,
			Ranges: [][2]int64{{0, 4}}, Outcome: "complete"})
		wantReceipt(t, g, window.ID, client.UseReceipt{Key: "dir/o", Requests: 2, Client: detail.want, Size: 10, Bytes: 7,
			Ranges: [][2]int64{{2, 8}}, Outcome: "aborted"})
		wantEvents(t, file+detail.name, strict.ID, put.ID, window.ID)
	}
}
