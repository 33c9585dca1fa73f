package proxy_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"s3gate/proxy"
	"s3gate/tokens"
)

func rated(grant tokens.Grant, perSecond int64) tokens.Grant {
	grant.RequestsPerSecond = perSecond
	return grant
}

func oneAtATime(grant tokens.Grant) tokens.Grant {
	grant.MaxConcurrent = 1
	return grant
}

// A token gets a second's worth of requests at once and then its rate, apart
// from other tokens, and few tokens are remembered however many there are.
func TestRates(t *testing.T) {
	var rates proxy.Rates
	grant := rated(tokens.Grant{ID: "tok_a"}, 20)
	begin, allowed := time.Now(), 0
	for range 2000 {
		if proxy.Allow(&rates, &grant) {
			allowed++
		}
	}
	most := 20 + int(20*time.Since(begin).Seconds()) + 1
	if allowed < 20 || allowed > most {
		t.Errorf("%d of 2000 requests, want 20 to %d", allowed, most)
	}
	slow := rated(tokens.Grant{ID: "tok_b"}, 1)
	if !proxy.Allow(&rates, &slow) || proxy.Allow(&rates, &slow) {
		t.Error("another token has no second's worth of its own")
	}
	unlimited := tokens.Grant{ID: "tok_c"}
	for range 100 {
		if !proxy.Allow(&rates, &unlimited) {
			t.Fatal("a token without a limit is limited")
		}
	}
}

// Requests over the rate are answered 429, of any method but OPTIONS, and
// cost no use.
func TestRequestsPerSecond(t *testing.T) {
	g := newGate(t, http1)
	for _, grant := range []tokens.Grant{get(), put()} {
		token := g.mint(rated(grant, 1))
		other := http.MethodHead
		if grant.Operation == tokens.Put {
			other = http.MethodPut
		}
		// Until one is over the rate: a busy machine may take a second each.
		limited := false
		for range 100 {
			a := g.do(g.request(other, token, strings.NewReader(""), "Content-Type", "x/y"))
			if a.StatusCode == 429 {
				limited = a.Header.Get("Retry-After") == "1"
				break
			}
			if other == http.MethodPut { // refused, and free
				if a.StatusCode != 412 {
					t.Fatalf("PUT: %d", a.StatusCode)
				}
			}
		}
		if !limited {
			t.Errorf("%s: never 429 with Retry-After", other)
		}
		g.wantCharge(token, "free")
		if a := g.do(g.request("OPTIONS", token, nil)); a.StatusCode != 204 {
			t.Errorf("OPTIONS: %d", a.StatusCode)
		}
	}
}

// slowPart is enough that the client has its headers while S3 still sends.
const slowPart = 128 << 10

// slow makes S3 send half of an object and wait.
func (s *stubS3) slow() (release func()) {
	wait := make(chan struct{})
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(2*slowPart))
		io.WriteString(w, strings.Repeat("a", slowPart))
		w.(http.Flusher).Flush()
		select {
		case <-wait:
		case <-r.Context().Done():
		}
		io.WriteString(w, strings.Repeat("b", slowPart))
	})
	return sync.OnceFunc(func() { close(wait) })
}

// A transfer has its slot until it ends, however it ends; HEAD needs none,
// and a request without a slot costs no use.
func TestMaxConcurrent(t *testing.T) {
	g := newGate(t, http1)
	release := g.s3.slow()
	defer release()
	grant := oneAtATime(get())
	grant.MaxUses = 9
	token := g.mint(grant)
	begin := func(ctx context.Context) *http.Response {
		t.Helper()
		resp, err := g.client.Do(g.request("GET", token, nil).WithContext(ctx))
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		return resp
	}
	refused := func() bool {
		a := g.get(token)
		return a.StatusCode == 429 && strings.Contains(a.body, "TooManyTransfers") && a.Header.Get("Retry-After") != ""
	}
	taken := func() int {
		members, _ := g.redis.ZMembers("s3g:{" + string(token.ID()) + "}:n")
		return len(members)
	}

	first := begin(t.Context())
	if !refused() || taken() != 1 {
		t.Errorf("a second transfer was let in, %d slots are taken", taken())
	}
	g.s3.answer(nil)
	if a := g.do(g.request("HEAD", token, nil)); a.StatusCode != 200 {
		t.Errorf("HEAD: %d", a.StatusCode)
	}
	release()
	if body, err := io.ReadAll(first.Body); len(body) != 2*slowPart || err != nil {
		t.Errorf("the first transfer: %d bytes, %v", len(body), err)
	}
	first.Body.Close()
	eventually(t, "the slot is free", func() bool { return taken() == 0 })

	defer g.s3.slow()()
	gone, cancel := context.WithCancel(t.Context())
	second := begin(gone)
	cancel()
	second.Body.Close()
	eventually(t, "the slot of a client that left is free", func() bool { return taken() == 0 })

	third := begin(t.Context())
	g.transfers.CutAll()
	third.Body.Close()
	eventually(t, "the slot of a transfer that was cut is free", func() bool { return taken() == 0 })

	status, err := g.store.Show(t.Context(), token.ID())
	if err != nil || status.Uses != 3 || status.InUse != 0 {
		t.Errorf("%d uses are charged and %d taken, want 3: %v", status.Uses, status.InUse, err)
	}
}

// Uploads have slots too, and without Redis there is none.
func TestMaxConcurrentUploads(t *testing.T) {
	g := newGate(t, http1)
	g.s3.clear()
	token := g.mint(oneAtATime(put()))
	slot, err := g.store.Occupy(t.Context(), token.ID(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if a := g.put(token, "x"); a.StatusCode != 429 {
		t.Errorf("a second upload: %d", a.StatusCode)
	}
	slot.Release(t.Context())
	if a := g.put(token, "x"); a.StatusCode != 200 {
		t.Errorf("after the first has ended: %d %s", a.StatusCode, a.body)
	}
	failing := g.mint(oneAtATime(unlimited(get())))
	g.Tokens = noSlots{g.store}
	if a := g.get(failing); a.StatusCode != 503 {
		t.Errorf("without Redis: %d", a.StatusCode)
	}
}

// noSlots is a store that loses Redis between two calls.
type noSlots struct{ *tokens.Store }

func (noSlots) Occupy(context.Context, tokens.ID, int64) (*tokens.Slot, error) {
	return nil, tokens.ErrUnproven
}
