package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

const hookSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// hookEnd is a webhook's endpoint.
type hookEnd struct {
	*httptest.Server
	answer func(n int, w http.ResponseWriter)

	mu     sync.Mutex
	bodies []string
	ids    []string
	bad    []error
}

func newHookEnd(t *testing.T, answer func(n int, w http.ResponseWriter)) *hookEnd {
	h := &hookEnd{answer: answer}
	h.Server = httptest.NewServer(h)
	t.Cleanup(func() {
		h.Close()
		for _, err := range h.bad {
			t.Error(err)
		}
	})
	return h
}

func (h *hookEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	verifier, err := standardwebhooks.NewWebhook(hookSecret)
	if err == nil {
		err = verifier.Verify(body, r.Header)
	}
	h.mu.Lock()
	if err != nil {
		h.bad = append(h.bad, err)
	}
	h.bodies, h.ids = append(h.bodies, string(body)), append(h.ids, r.Header.Get("Webhook-Id"))
	n := len(h.ids)
	h.mu.Unlock()
	if h.answer != nil {
		h.answer(n, w)
	}
}

func (h *hookEnd) config() config.Webhook {
	return config.Webhook{URL: h.URL, Secret: hookSecret, AllowPrivate: true, Backoff: 10 * time.Millisecond, Timeout: time.Second}
}

func (h *hookEnd) seen() (ids, bodies []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ids), slices.Clone(h.bodies)
}

// happened reads the events that there are from a position on.
func happened(t *testing.T, g *testGate, q client.EventQuery) (all []client.Event) {
	t.Helper()
	if err := g.api.Events(t.Context(), q, func(e client.Event) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// awaitEvents waits until there are n.
func awaitEvents(t *testing.T, g *testGate, q client.EventQuery, n int) (all []client.Event) {
	t.Helper()
	for range 300 {
		if all = happened(t, g, q); len(all) >= n {
			return all
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%d events of %+v, want %d", len(all), q, n)
	return nil
}

func typesOf(all []client.Event) (types []string) {
	for _, e := range all {
		types = append(types, strings.TrimSuffix(strings.TrimPrefix(e.Type, "s3gate."), ".v1"))
	}
	return types
}

// What happens to one link is in every sink, in order, and no sink has the link, its
// passcode or a JWT (T14).
func TestEventsReachEverySink(t *testing.T) {
	eachWorld(t, func(w *world) {
		t := w.t
		w.store("o", "text/plain", []byte("object"))
		end, topic := newHookEnd(t, nil), s3gatetest.NewSNS(t)
		file := t.TempDir() + "/audit.log"
		g := w.gate(func(c *config.Config) {
			c.Audit.File, c.Audit.Fsync = file, "always"
			c.Webhooks = map[string]config.Webhook{"ops": end.config()}
			c.SNS = map[string]config.Topic{
				"all": {ARN: topic.ARN, Endpoint: topic.URL, AccessKeyID: topic.AccessKey, SecretAccessKey: topic.Secret, Types: []string{"*"}, Notify: true},
			}
		})
		const passcode = "canary-passcode"
		link := g.mint("get", "o", func(r *client.MintRequest) {
			uses(1)(r)
			r.Passcode = passcode
			r.Notify = &client.Notify{Topic: "all", Message: "for you: {url}"}
		})
		if link.Notified == nil || !*link.Notified {
			t.Errorf("not notified: %s", link.NotNotified)
		}
		wantStatus(t, "without its passcode", link.URL, 401)
		wantStatus(t, "with its passcode", link.URL, 200, "X-S3gate-Passcode: "+passcode)
		wantStatus(t, "once more", link.URL, 410)
		if _, err := g.api.Revoke(t.Context(), link.ID, "test"); err != nil {
			t.Fatal(err)
		}
		want := []string{"token.minted", "token.refused", "token.redeemed", "token.receipt", "token.refused", "rule.revoked"}
		all := awaitEvents(t, g, client.EventQuery{Token: link.ID}, len(want))
		if got := typesOf(all); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		logged, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sinks := map[string]func() string{
			"the audit log": func() string { raw, _ := os.ReadFile(file); return string(raw) },
			"the webhook":   func() string { _, bodies := end.seen(); return strings.Join(bodies, "\n") },
			"the topic": func() string {
				text := ""
				for _, m := range topic.Messages() {
					if m.Type != "" { // else it is the message with the link
						text += m.Text + "\n"
					}
				}
				return text
			},
		}
		for name, read := range sinks {
			for range 300 {
				if strings.Contains(read(), all[len(all)-1].ID) {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			text := read()
			for _, e := range all {
				if !strings.Contains(text, e.ID) {
					t.Errorf("%s lacks %s", name, e.Type)
				}
			}
			for what, secret := range map[string]string{"token": link.Token, "passcode": passcode, "JWT": g.bearer} {
				if strings.Contains(text, secret) {
					t.Errorf("%s has the %s", name, what)
				}
			}
		}
		for what, secret := range map[string]string{"token": link.Token, "passcode": passcode, "JWT": g.bearer} {
			raw, _ := json.Marshal(happened(t, g, client.EventQuery{}))
			if strings.Contains(string(raw), secret) || strings.Contains(w.log.String(), secret) || strings.Contains(string(logged), secret) {
				t.Errorf("the stream or the log has the %s", what)
			}
		}
		told := slices.IndexFunc(topic.Messages(), func(m s3gatetest.Message) bool { return m.Text == "for you: "+link.URL })
		if told < 0 {
			t.Errorf("the link was not sent: %v", topic.Messages())
		}
	})
}

// A link is minted also if nobody takes the message, and the answer says so.
func TestNotifyThatFails(t *testing.T) {
	w := newEmbedded(t)
	topic := s3gatetest.NewSNS(t)
	topic.Answer = func(rw http.ResponseWriter, _ *http.Request, _ int) bool { rw.WriteHeader(403); return true }
	g := w.gate(func(c *config.Config) {
		c.SNS = map[string]config.Topic{"mail": {ARN: topic.ARN, Endpoint: topic.URL, AccessKeyID: topic.AccessKey, SecretAccessKey: topic.Secret, Notify: true}}
	})
	link := g.mint("get", "o", func(r *client.MintRequest) { r.Notify = &client.Notify{Topic: "mail"} })
	if link.Notified == nil || *link.Notified || link.NotNotified == "" || strings.Contains(w.log.String(), link.Token) {
		t.Errorf("notified %v: %s", link.Notified, link.NotNotified)
	}
}

// A flood of guesses is a few events (T11).
func TestGuessesAreFewEvents(t *testing.T) {
	w := newEmbedded(t)
	file := t.TempDir() + "/audit.log"
	g := w.open(func(c *config.Config) { c.Audit.File, c.Events.RefusalWindow = file, time.Hour })
	for range 200 {
		do(t, "GET", g.LinksURL()+"/not-a-token", nil)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	refused := auditLog(t, file, "s3gate.token.refused.v1", 2)
	count := 0
	for _, e := range refused {
		count += e.Data.Count
		if e.Data.Reason != "NotFound" || e.Subject != "" || e.Data.Client != "127.0.0.1" {
			t.Errorf("%+v", e)
		}
	}
	if len(refused) != 2 || count != 200 {
		t.Errorf("%d events for %d guesses, want 2 for 200", len(refused), count)
	}
}

// Who follows through one gate goes on through another after the first has ended,
// without a gap and without an event twice.
func TestEventsAreFollowedAcrossGates(t *testing.T) {
	eachWorld(t, func(w *world) {
		t := w.t
		first, second := w.open(nil), w.gate(nil)
		var want, got []string
		mint := func(g *testGate, n int) {
			for range n {
				want = append(want, g.mint("get", "o", nil).ID)
			}
		}
		query := client.EventQuery{Type: "s3gate.token.minted.v1", Follow: true}
		enough := errors.New("enough")
		read := func(g *testGate, n int) error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			return g.api.Events(ctx, query, func(e client.Event) error {
				got, query.After = append(got, e.Subject), e.Position
				if n--; n == 0 {
					return enough
				}
				return nil
			})
		}
		mint(first, 5)
		if err := read(first, 3); !errors.Is(err, enough) {
			t.Fatal(err)
		}
		mint(first, 2)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		mint(second, 3)
		if err := read(second, 7); !errors.Is(err, enough) {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("read %v\nwant %v", got, want)
		}
		if more := happened(t, second, client.EventQuery{Type: query.Type, After: query.After}); len(more) != 0 {
			t.Errorf("%d more", len(more))
		}
	})
}

// A gate is killed while its webhooks fail: another one delivers them, and so it
// does what the killed one had written into the stream.
func TestEventsSurviveAGateThatIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts gates in processes of their own")
	}
	w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
	var mu sync.Mutex
	broken := true
	end := newHookEnd(t, func(_ int, rw http.ResponseWriter) {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			rw.WriteHeader(500)
		}
	})
	hook := end.config()
	hook.Tries, hook.MaxBackoff, hook.Types = 10_000, 50*time.Millisecond, []string{"s3gate.token.minted.v1"}
	p := w.processWith(t, orders{S3: w.s3, Redis: w.redis, Webhook: &hook})
	var want []string
	for range 5 {
		token, err := p.api.Mint(t.Context(), client.MintRequest{Operation: "get", Bucket: "docs", Key: "o"})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, token.ID)
	}
	p.Await(func() error {
		ids, _ := end.seen()
		slices.Sort(ids)
		if len(slices.Compact(ids)) < 5 {
			return errors.New("not all were tried")
		}
		return nil
	})
	p.Kill()
	mu.Lock()
	broken = false
	mu.Unlock()
	g := w.gate(func(c *config.Config) { c.Webhooks = map[string]config.Webhook{"ops": hook} })
	// What the killed gate had under way is due after its time-out and some.
	var delivered []string
	for range 600 {
		delivered = nil
		if n := len(happened(t, g, client.EventQuery{Type: "s3gate.token.minted.v1"})); n != 5 {
			t.Fatalf("the stream has %d of 5", n)
		}
		if value := metricOf(t, g, `s3gate_events_waiting{sink="webhook:ops"}`); value == "0" {
			_, bodies := end.seen()
			for _, body := range bodies {
				var e client.Event
				if err := json.Unmarshal([]byte(body), &e); err != nil {
					t.Fatal(err)
				}
				delivered = append(delivered, e.Subject)
			}
			slices.Sort(delivered)
			delivered = slices.Compact(delivered)
			if metricOf(t, g, `s3gate_events_delivered_total{sink="webhook:ops"}`) != "0" {
				break
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	slices.Sort(want)
	if !slices.Equal(delivered, want) {
		t.Errorf("delivered %v, want %v", delivered, want)
	}
}

// metricOf reads a metric with its labels.
func metricOf(t *testing.T, g *testGate, name string) string {
	t.Helper()
	for line := range strings.Lines(string(do(t, "GET", g.OpsURL()+"/metrics", nil).body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// While sinks hang downloads go on, and a gate closes.
func TestDownloadsDoNotWaitForSinks(t *testing.T) {
	server := s3gatetest.RedisServer(t)
	w := newWorld(t, s3gatetest.DevS3(t), server.Addr)
	w.store("o", "text/plain", []byte("object"))
	topic := s3gatetest.NewSNS(t)
	topic.Answer = func(_ http.ResponseWriter, r *http.Request, _ int) bool { <-r.Context().Done(); return true }
	g := w.gate(func(c *config.Config) {
		c.Revocation.Lease, c.Redis.Timeout, c.Events.Queue = time.Minute, 300*time.Millisecond, 10
		c.SNS = map[string]config.Topic{"all": {ARN: topic.ARN, Endpoint: topic.URL, AccessKeyID: topic.AccessKey, SecretAccessKey: topic.Secret, Types: []string{"*"}}}
	})
	link := g.mint("get", "o", nil)
	wantStatus(t, "the first", link.URL, 200)
	server.Pause()
	defer server.Resume()
	for range 50 {
		wantStatus(t, "while Redis and SNS hang", link.URL, 200)
	}
	for _, sink := range []string{"sns:all", "stream"} {
		if n := metricOf(t, g, `s3gate_events_dropped_total{reason="full",sink="`+sink+`"}`); n == "" || n == "0" {
			t.Errorf("%s: %s dropped", sink, n)
		}
	}
}
