package events_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"s3gate/events"
)

// secretOf is the text of a secret of so many bytes.
func secretOf(c string, n int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, n)))
}

var hookSecret, oldSecret, otherSecret = secretOf("a", 32), secretOf("b", 24), secretOf("c", 64)

// receiver is a webhook's endpoint.
type receiver struct {
	*httptest.Server
	answer func(n int, w http.ResponseWriter, r *http.Request) // nil takes everything

	mu   sync.Mutex
	got  []request
	came atomic.Int64
}

type request struct {
	header http.Header
	body   []byte
	at     time.Time
}

func newReceiver(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.got = append(r.got, request{req.Header.Clone(), body, time.Now()})
	n := len(r.got)
	r.mu.Unlock()
	r.came.Add(1)
	if r.answer != nil {
		r.answer(n, w, req)
	}
}

// await waits for n requests and returns them.
func (r *receiver) await(t *testing.T, n int) []request {
	t.Helper()
	await(t, func() bool { return r.came.Load() >= int64(n) })
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}

// await waits until something is so.
func await(t *testing.T, so func() bool) {
	t.Helper()
	for range 3000 {
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("waited for half a minute")
}

// hooks are those of one gate, with one endpoint.
type hooks struct {
	*events.Hooks
	hook *events.Hook
	reg  *prometheus.Registry
	end  func()
}

// newHooks starts those of a gate; the test ends them, or end does.
func newHooks(t *testing.T, rdb *redis.Client, e events.Endpoint) *hooks {
	t.Helper()
	if e.Name == "" {
		e.Name = "ops"
	}
	if e.Secret == "" {
		e.Secret = hookSecret
	}
	if e.Backoff == 0 {
		e.Backoff = time.Millisecond
	}
	reg := prometheus.NewRegistry()
	h := &hooks{reg: reg, Hooks: &events.Hooks{RDB: rdb, Metrics: events.NewMetrics(reg), Agent: "s3gate/test"}}
	var err error
	if h.hook, err = h.Add(e); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	h.end = func() { stop(); running.Wait() }
	t.Cleanup(h.end)
	return h
}

func (h *hooks) count(t *testing.T, name string) float64 {
	return value(t, h.reg, "s3gate_events_"+name, map[string]string{"sink": "webhook:ops"})
}

func local(r *receiver) events.Endpoint {
	return events.Endpoint{URL: r.URL + "/in?x=1", AllowPrivate: true}
}

func verify(r request, secret string) error {
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	return w.Verify(r.body, r.header)
}

// What arrives is a CloudEvent, signed by the current secret and the previous one,
// and by no other.
func TestHookSigns(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		in := newReceiver(t, nil)
		e := local(in)
		e.PreviousSecret = oldSecret
		h := newHooks(t, rdb, e)
		batch := records(3)
		write(t, h.hook, batch...)
		seen := map[string]bool{}
		for _, got := range in.await(t, 3) {
			for _, secret := range []string{hookSecret, oldSecret} {
				if err := verify(got, secret); err != nil {
					t.Errorf("%v: %v", got.header, err)
				}
			}
			if verify(got, otherSecret) == nil {
				t.Error("signed by another secret")
			}
			var event events.Event
			if err := json.Unmarshal(got.body, &event); err != nil || event.ID != got.header.Get("Webhook-Id") || event.SpecVersion != "1.0" {
				t.Errorf("%s: %v", got.body, err)
			}
			seen[event.ID] = true
			if ct := got.header.Get("Content-Type"); ct != "application/cloudevents+json; charset=utf-8" || got.header.Get("User-Agent") != "s3gate/test" {
				t.Errorf("headers %v", got.header)
			}
			got.body = append(got.body, ' ')
			if verify(got, hookSecret) == nil {
				t.Error("another body has the same signature")
			}
		}
		if len(seen) != 3 {
			t.Errorf("%d different events", len(seen))
		}
		await(t, func() bool { return h.count(t, "delivered_total") == 3 })
		await(t, func() bool { return len(rdb.Keys(t.Context(), "s3g:{hooks}:*").Val()) == 0 })
	})
}

// What fails is tried again under the same ID until it is taken, whatever the
// endpoint answers; redirects are not followed, and long answers are not read.
func TestHookRepeats(t *testing.T) {
	elsewhere := newReceiver(t, nil)
	for name, answer := range map[string]http.HandlerFunc{
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"429": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"404": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"a dead server": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a long answer": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(503)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
		"a server that hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			in := newReceiver(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n <= 2 {
					answer(w, r)
				}
			})
			e := local(in)
			e.Timeout = 200 * time.Millisecond
			h := newHooks(t, connect(t, miniRedis(t)), e)
			batch := records(1)
			write(t, h.hook, batch...)
			for i, got := range in.await(t, 3) {
				if got.header.Get("Webhook-Id") != batch[0].ID || verify(got, hookSecret) != nil {
					t.Errorf("try %d: %v", i, got.header)
				}
			}
			await(t, func() bool { return h.count(t, "delivered_total") == 1 })
			if n := h.count(t, "failed_total"); n != 2 {
				t.Errorf("%v failures, want 2", n)
			}
		})
	}
	if elsewhere.came.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// An endpoint may put a delivery off.
func TestHookWaitsAsItIsAsked(t *testing.T) {
	in := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
		}
	})
	h := newHooks(t, connect(t, miniRedis(t)), local(in))
	write(t, h.hook, records(1)...)
	got := in.await(t, 2)
	if wait := got[1].at.Sub(got[0].at); wait < time.Second {
		t.Errorf("the second try came after %s, and a second was asked for", wait)
	}
}

// After so many tries a delivery is dead: it stands in a list, from which it can be
// taken up again.
func TestHookGivesUpAndRedelivers(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		var broken atomic.Bool
		broken.Store(true)
		in := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			if broken.Load() {
				w.WriteHeader(500)
			}
		})
		e := local(in)
		e.Tries = 3
		h := newHooks(t, rdb, e)
		batch := records(1)
		write(t, h.hook, batch...)
		var dead []events.Dead
		await(t, func() bool {
			var err error
			if dead, err = h.Dead(t.Context(), 10); err != nil {
				t.Fatal(err)
			}
			return len(dead) > 0
		})
		raw, _ := batch[0].JSON()
		d := dead[0]
		if d.ID != "ops."+batch[0].ID || d.Endpoint != "ops" || d.Tries != 3 || d.Status != 500 || d.Error == "" || string(d.Event) != string(raw) || time.Since(d.At) > time.Hour {
			t.Errorf("dead %+v", d)
		}
		if n := in.came.Load(); n != 3 {
			t.Errorf("%d tries", n)
		}
		for _, id := range []string{"", "ops.", "ops.evt_1", "other." + batch[0].ID, batch[0].ID} {
			if err := h.Redeliver(t.Context(), id); err != events.ErrNoDead {
				t.Errorf("redelivering %q: %v", id, err)
			}
		}
		broken.Store(false)
		if err := h.Redeliver(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		got := in.await(t, 4)
		if got[3].header.Get("Webhook-Id") != batch[0].ID {
			t.Errorf("redelivered as %v", got[3].header)
		}
		await(t, func() bool { return len(rdb.Keys(t.Context(), "s3g:{hooks}:*").Val()) == 0 })
		if err := h.Redeliver(t.Context(), d.ID); err != events.ErrNoDead {
			t.Errorf("redelivering it again: %v", err)
		}
	})
}

// After so long a delivery is dead, however few tries it has had.
func TestHookGivesUpInTime(t *testing.T) {
	in := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	e := local(in)
	e.GiveUp, e.Backoff = time.Minute, time.Hour
	h := newHooks(t, connect(t, miniRedis(t)), e)
	write(t, h.hook, records(1)...)
	await(t, func() bool { dead, _ := h.Dead(t.Context(), 1); return len(dead) == 1 && dead[0].Tries == 1 })
}

// The list of the dead is bounded.
func TestHookForgetsTheOldestDead(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		in := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		e := local(in)
		e.Tries = 1
		h := newHooks(t, rdb, e)
		h.MaxDead = 2
		write(t, h.hook, records(5)...)
		await(t, func() bool {
			return value(t, h.reg, "s3gate_events_dropped_total", map[string]string{"reason": "forgotten"}) == 3
		})
		dead, err := h.Dead(t.Context(), 10)
		if err != nil || len(dead) != 2 || rdb.HLen(t.Context(), "s3g:{hooks}:was").Val() != 4 {
			t.Errorf("%d dead, %v", len(dead), err)
		}
	})
}

// 410 means that nobody is there any more: it is not tried again, and the endpoint
// is left alone until somebody takes it up.
func TestHookThatIsGone(t *testing.T) {
	var gone atomic.Bool
	gone.Store(true)
	in := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusGone)
		}
	})
	rdb := connect(t, miniRedis(t))
	h := newHooks(t, rdb, local(in))
	write(t, h.hook, records(1)...)
	await(t, func() bool { dead, _ := h.Dead(t.Context(), 1); return len(dead) == 1 })
	write(t, h.hook, records(1)...)
	gone.Store(false)
	time.Sleep(700 * time.Millisecond) // longer than a look at the queue
	if n := in.came.Load(); n != 1 {
		t.Errorf("%d requests while it is left alone", n)
	}
	if ttl := rdb.PTTL(t.Context(), "s3g:{hooks}:off:ops").Val(); ttl < 50*time.Minute || ttl > time.Hour {
		t.Errorf("left alone for %s", ttl)
	}
	dead, _ := h.Dead(t.Context(), 1)
	if err := h.Redeliver(t.Context(), dead[0].ID); err != nil {
		t.Fatal(err)
	}
	in.await(t, 3)
}

// A queue is bounded; an event that is in it already takes no other place.
func TestHookQueueIsBounded(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		hold := make(chan struct{})
		in := newReceiver(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		})
		e := local(in)
		e.MaxPending = 3
		h := newHooks(t, rdb, e)
		batch := records(5)
		write(t, h.hook, batch...)
		write(t, h.hook, batch[:3]...)
		if n := value(t, h.reg, "s3gate_events_dropped_total", map[string]string{"sink": "webhook-queue:ops", "reason": "full"}); n != 2 {
			t.Errorf("%v dropped, want 2", n)
		}
		close(hold)
		await(t, func() bool { return h.count(t, "delivered_total") == 3 })
	})
}

// Two gates share the work: each event arrives, and without trouble once.
func TestHooksOfManyGates(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		in := newReceiver(t, nil)
		a, b := newHooks(t, rdb, local(in)), newHooks(t, rdb, local(in))
		for _, r := range records(50) {
			write(t, a.hook, r)
			write(t, b.hook, records(1)...)
		}
		await(t, func() bool { return a.count(t, "delivered_total")+b.count(t, "delivered_total") == 100 })
		seen := map[string]int{}
		for _, got := range in.await(t, 100) {
			seen[got.header.Get("Webhook-Id")]++
		}
		if len(seen) != 100 || in.came.Load() != 100 {
			t.Errorf("%d events in %d requests", len(seen), in.came.Load())
		}
	})
}

// A gate that ends in the middle of a delivery leaves it to another one.
func TestHookOutlivesItsGate(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		in := newReceiver(t, func(n int, _ http.ResponseWriter, r *http.Request) {
			if n == 1 {
				<-r.Context().Done()
			}
		})
		first := newHooks(t, rdb, local(in))
		batch := records(1)
		write(t, first.hook, batch...)
		in.await(t, 1)
		first.end()
		// As if what the first one may take for it had passed.
		rdb.ZAdd(t.Context(), "s3g:{hooks}:q:ops", redis.Z{Score: 0, Member: batch[0].ID})
		second := newHooks(t, rdb, local(in))
		got := in.await(t, 2)
		if got[1].header.Get("Webhook-Id") != batch[0].ID {
			t.Errorf("another event: %v", got[1].header)
		}
		await(t, func() bool { return second.count(t, "delivered_total") == 1 })
	})
}

// While a gate has a delivery under way nobody else takes it.
func TestHookHoldsWhatIsUnderWay(t *testing.T) {
	rdb := connect(t, miniRedis(t))
	hold := make(chan struct{})
	in := newReceiver(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	a := newHooks(t, rdb, local(in))
	write(t, a.hook, records(1)...)
	in.await(t, 1)
	newHooks(t, rdb, local(in))
	time.Sleep(700 * time.Millisecond) // longer than a look at the queue
	if n := in.came.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
	close(hold)
	await(t, func() bool { return a.count(t, "delivered_total") == 1 })
}

// Only what was asked for is queued.
func TestHookTypes(t *testing.T) {
	rdb := connect(t, miniRedis(t))
	h := newHooks(t, rdb, events.Endpoint{URL: "https://a", Types: []events.Type{events.TransferCut}})
	if !h.hook.Wants(events.TransferCut) || h.hook.Wants(events.TokenMinted) {
		t.Error("wants what it should not, or not what it should")
	}
	if all := newHooks(t, rdb, events.Endpoint{Name: "all", URL: "https://a"}); !all.hook.Wants(events.TokenMinted) {
		t.Error("without types it wants all")
	}
}

// A secret is whsec_ and base64 of 24 to 64 bytes, and no error repeats it.
func TestSecrets(t *testing.T) {
	for text, ok := range map[string]bool{
		hookSecret: true, oldSecret: true, otherSecret: true,
		secretOf("a", 23): false, secretOf("a", 65): false, strings.TrimPrefix(hookSecret, "whsec_"): false, "whsec_secret!": false, "": false,
	} {
		err := events.CheckSecret(text)
		if (err == nil) != ok || err != nil && text != "" && strings.Contains(err.Error(), strings.TrimPrefix(text, "whsec_")) {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := new(events.Hooks).Add(events.Endpoint{Name: "x", Secret: text}); (err == nil) != ok {
			t.Errorf("adding an endpoint with %q: %v", text, err)
		}
	}
}

// How a receiver checks what it gets.
func ExampleHooks() {
	receive := func(body []byte, header http.Header) error {
		w, err := standardwebhooks.NewWebhook(hookSecret)
		if err != nil {
			return err
		}
		return w.Verify(body, header)
	}
	fmt.Println(receive([]byte("{}"), http.Header{}))
	// Output: unable to verify payload, err: missing required headers
}
