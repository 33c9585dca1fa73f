package api_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/goleak"

	"s3gate/api"
	"s3gate/auth"
	"s3gate/internal/s3gatetest"
	"s3gate/revocation"
	"s3gate/tokens"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	goleak.VerifyTestMain(m)
}

// quiet keeps the Redis client from writing to the test's output that a server
// which a test has stopped does not answer.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// start is the time of Redis when a gate starts.
var start = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

const publicURL = "https://files.example.com"

// mintSecret is that of the gate, which must be nowhere else.
const mintSecret = "the mint secret of the tests: 4711 canary"

var key = []byte("0123456789abcdef0123456789abcdef")

// gate is an API on a store of its own.
type gate struct {
	testing.TB
	redis     *miniredis.Miniredis
	store     *tokens.Store
	transfers *revocation.Transfers
	member    *revocation.Member
	handler   *api.Handler
	log       s3gatetest.Log
	admin     string // an Authorization header

	mu    sync.Mutex
	ready error
}

// newGate starts a gate. When the test ends, its log is searched for secrets
// (T14).
func newGate(t testing.TB, change ...func(*api.Config)) *gate {
	t.Helper()
	return newLeasedGate(t, 0, change...)
}

// newLeasedGate is newGate for a test that would not survive the loss of its lease
// on a machine that is busy; 0 is the usual one.
func newLeasedGate(t testing.TB, lease time.Duration, change ...func(*api.Config)) *gate {
	t.Helper()
	g := &gate{TB: t, redis: miniredis.RunT(t), transfers: &revocation.Transfers{}}
	g.redis.SetTime(start)
	rdb := redis.NewClient(&redis.Options{
		Addr: g.redis.Addr(), MaxRetries: -1, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	logger := slog.New(slog.NewTextHandler(&g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	g.store = tokens.New(rdb, tokens.Options{BusyWait: -1, Logger: logger, MintSecrets: [][]byte{[]byte(mintSecret)}})
	verifier, err := auth.New(auth.Config{Keys: [][]byte{key}, Issuer: "https://id.example"})
	if err != nil {
		t.Fatal(err)
	}
	member := revocation.Join(rdb, revocation.MemberOptions{
		Name: "gate-1/4711", Lease: cmp.Or(lease, 3*time.Second), Fresh: true, Answer: g.transfers.Answer,
		Apply: func(r *revocation.Rule) revocation.Effect {
			stopped, late := g.transfers.Cut(r.CoversTransfer)
			return revocation.Effect{Stopped: stopped, Committing: late}
		},
	})
	g.transfers.Gate, g.member = member, member
	if err := member.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg := api.Config{
		Tokens:  g.store,
		Revoker: &revocation.Revoker{Member: member, Tombstones: g.store, Now: g.store.Now},
		Member:  member, Transfers: g.transfers, Fleet: &revocation.Fleet{Member: member, Transfers: g.transfers},
		Verifier: verifier, Buckets: []string{"docs", "inbox"}, PublicURL: publicURL,
		Ready: g.readiness, Logger: logger,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "up 1\n") }),
	}
	for _, c := range change {
		c(&cfg)
	}
	g.handler = api.New(cfg)
	g.admin = bearer(t, auth.Caller{Issuer: "https://id.example", Subject: "ops", Admin: true})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		member.Leave(ctx)
		_ = g.store.Close(ctx) // its Redis may be gone
		rdb.Close()
		for _, secret := range []string{tokenForm.FindString(g.log.String()), jwtForm.FindString(g.log.String())} {
			if secret != "" {
				t.Errorf("the log holds the secret %s", secret)
			}
		}
	})
	return g
}

var (
	tokenForm = regexp.MustCompile(`s3g_[0-9A-Za-z]{28}`)
	jwtForm   = regexp.MustCompile(`eyJ[\w-]+\.[\w-]*\.[\w-]*`)
)

// stored are the keys in Redis, but for those with which gates know of each
// other.
func (g *gate) stored() []string {
	return slices.DeleteFunc(g.redis.Keys(), func(key string) bool { return strings.HasPrefix(key, "s3g:{rev}:") })
}

func (g *gate) readiness(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ready != nil {
		return g.ready
	}
	_, err := g.store.Now(ctx)
	return err
}

func (g *gate) setReady(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ready = err
}

func bearer(t testing.TB, c auth.Caller) string {
	t.Helper()
	signed, err := auth.Sign(key, c, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + signed
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request as the administrator.
func (g *gate) do(method, target, body string) answer {
	g.Helper()
	return g.as(g.admin, method, target, strings.NewReader(body))
}

// as sends a request with an Authorization header, and checks what holds for
// every answer.
func (g *gate) as(authorization, method, target string, body io.Reader) answer {
	g.Helper()
	return g.with(authorization, method, target, body)
}

// with sends header lines too.
func (g *gate) with(authorization, method, target string, body io.Reader, header ...string) answer {
	g.Helper()
	r := httptest.NewRequest(method, target, body)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return send(g, g.handler, r)
}

func send(t testing.TB, h http.Handler, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{w.Code, w.Header(), w.Body.String()}
	if err := cmp.Or(a.check(), theContract().check(r, a)); err != "" {
		t.Errorf("%s %s: %s\n%d %v\n%s", r.Method, r.URL, err, a.status, a.header, a.body)
	}
	return a
}

var requestForm = regexp.MustCompile(`^req_[0-9A-Z]{26}$`)

// check says what is wrong with an answer of whatever kind; "" if nothing is.
func (a answer) check() string {
	id := a.header.Get("X-Request-Id")
	switch {
	case !requestForm.MatchString(id):
		return "X-Request-Id is " + id
	case a.header.Get("Cache-Control") != "no-store":
		return "may be cached"
	case a.header.Get("X-Content-Type-Options") != "nosniff":
		return "may be sniffed"
	case a.status != http.StatusCreated && a.status != http.StatusMultiStatus && tokenForm.MatchString(a.body):
		return "holds a token"
	case a.status < 400:
		return ""
	}
	p := a.problem()
	switch {
	case a.header.Get("Content-Type") != "application/problem+json":
		return "an error that is no problem document"
	case p.Status != a.status || p.Title != http.StatusText(a.status) || p.Type != "about:blank" || p.Detail == "":
		return "a problem that does not describe its status"
	case p.RequestID != id:
		return "a problem that names another request"
	case a.status != http.StatusTooManyRequests && (a.status == http.StatusServiceUnavailable || strings.Contains(a.body, "is being answered")) != (a.header.Get("Retry-After") == "1"):
		return "Retry-After is " + a.header.Get("Retry-After")
	case (a.status == http.StatusUnauthorized) != (a.header.Get("WWW-Authenticate") == `Bearer realm="s3gate"`):
		return "WWW-Authenticate is " + a.header.Get("WWW-Authenticate")
	}
	return ""
}

// problem reads a problem document; the zero Problem if it is none.
func (a answer) problem() (p api.Problem) {
	if json.Unmarshal([]byte(a.body), &p) != nil {
		return api.Problem{}
	}
	return p
}

// object reads a JSON object.
func (a answer) object(t testing.TB) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("%v in the answer %d %s", err, a.status, a.body)
	}
	return m
}

// minted is what the tests need of a mint's answer.
type minted struct {
	ID, Token, URL string
}

// mint mints a token from the text of a request.
func (g *gate) mint(body string) minted {
	g.Helper()
	a := g.do("POST", "/v1/tokens", body)
	if a.status != http.StatusCreated {
		g.Fatalf("minting %s: %d %s", body, a.status, a.body)
	}
	var m minted
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		g.Fatal(err)
	}
	return m
}

// use uses a token once.
func (g *gate) use(token string) {
	g.Helper()
	parsed, err := tokens.Parse(token)
	if err != nil {
		g.Fatal(err)
	}
	use, err := g.store.Redeem(g.Context(), parsed, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		g.Fatal(err)
	}
	if err := use.Charge(g.Context()); err != nil {
		g.Fatal(err)
	}
	use.Commit(g.Context())
}

// get is the text of a request for a download with more fields, such as
// `"max_uses": 1`.
func get(more ...string) string {
	return "{" + strings.Join(append([]string{`"operation": "get", "bucket": "docs", "key": "report.pdf"`}, more...), ", ") + "}"
}

// put is the same for an upload.
func put(more ...string) string {
	return "{" + strings.Join(append([]string{`"operation": "put", "bucket": "inbox", "key": "in/video.mp4"`}, more...), ", ") + "}"
}

// golden compares a JSON answer with a file, after replacing what differs from
// run to run.
func golden(t testing.TB, name string, a answer) {
	t.Helper()
	var got bytes.Buffer
	if err := json.Indent(&got, []byte(normal(a.body)), "", "  "); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	path := "testdata/" + name + ".golden.json"
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the answer differs from %s:\n%s", path, got.String())
	}
}

// normal replaces random names and measured times.
func normal(body string) string {
	for _, r := range []struct{ form, by string }{
		{`s3g_[0-9A-Za-z]{28}`, "s3g_TOKEN"},
		{`tok_[a-z2-7]{26}`, "tok_ID"},
		{`(req|rev)_[0-9A-Z]{26}`, "${1}_ID"},
		{`"took_ms":[0-9.]+`, `"took_ms":0`},
		{`"gen":[0-9]+`, `"gen":1`},
		{`"bytes_per_second":[0-9]+`, `"bytes_per_second":0`},
		{`"since":"[^"]+"`, `"since":"2030-01-31T12:00:00Z"`},
		{`"next":"[^"]+"`, `"next":"CURSOR"`},
	} {
		body = regexp.MustCompile(r.form).ReplaceAllString(body, r.by)
	}
	return body
}
