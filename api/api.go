// Package api is the control plane: it mints, shows, lists and revokes tokens,
// shows and cuts what runs, over HTTP and JSON, for callers with a bearer JWT.
//
// Every /v1 route asks for a caller and for what the caller may do before it
// reads anything else. Errors are problem documents (RFC 9457) with fixed
// words; what went wrong inside is for the log. The token of a link leaves
// the gate in exactly one answer, that of the mint.
package api

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"s3gate/auth"
	"s3gate/guard"
	"s3gate/revocation"
	"s3gate/tokens"
)

// Tokens is where tokens live; [tokens.Store] is one. It must be safe for
// concurrent use.
type Tokens interface {
	Mint(ctx context.Context, g tokens.Grant, expires time.Duration, quotas ...tokens.Quota) (tokens.Token, tokens.Grant, error)
	Show(ctx context.Context, id tokens.ID) (tokens.Status, error)
	List(ctx context.Context, q tokens.Query) (tokens.Page, error)
	// Check says what is wrong with a grant, as Mint and MintAll would.
	Check(ctx context.Context, g tokens.Grant, expires time.Duration) error
	CheckAll(ctx context.Context, all []tokens.Minting) error
	MintAll(ctx context.Context, all []tokens.Minting) ([]tokens.Minted, error)
	// Reserve takes hold of a request that may come again.
	Reserve(ctx context.Context, r tokens.Request) (*tokens.Reservation, error)
	// Narrow computes what Replace then writes, and Retire revokes a token for
	// another one.
	Narrow(ctx context.Context, g tokens.Grant, n tokens.Narrowing) (tokens.Grant, error)
	Replace(ctx context.Context, from, to tokens.Grant) error
	Retire(ctx context.Context, from tokens.Grant, successor tokens.ID, author, reason string) error
	// Now is the time by which tokens live.
	Now(ctx context.Context) (time.Time, error)
}

// Revoker revokes; [revocation.Revoker] is one. When Revoke returns nil the
// rule holds.
type Revoker interface {
	Revoke(ctx context.Context, r revocation.Rule) (revocation.Receipt, error)
	// Lift ends a rule, once: a second call changes nothing.
	Lift(ctx context.Context, id, author, reason string) (revocation.Receipt, error)
	// Change makes a grant count everywhere that was changed in the store.
	Change(ctx context.Context, from, to *tokens.Grant, author string) (revocation.Receipt, error)
}

// Member is the gate's place among the gates; [revocation.Member] is one.
type Member interface {
	// Lease returns nil while the gate knows everything that was revoked.
	Lease() error
	// Position is how much of the log it has applied, and Rules are what that
	// comes to.
	Position() revocation.Position
	Rules() *revocation.Rules
	// Durability is what an acknowledgement of Redis is worth.
	Durability() revocation.Durability
	// Gates are all gates, as Redis knows them.
	Gates(ctx context.Context) ([]revocation.GateStatus, error)
}

// Fleet is what runs on all gates; [revocation.Fleet] is one. It must be safe
// for concurrent use.
type Fleet interface {
	Running(ctx context.Context) revocation.Overview
	Cut(ctx context.Context, id string) (revocation.Outcome, error)
}

// Transfers are those that run on this gate; [revocation.Transfers] are. They
// must be safe for concurrent use.
type Transfers interface {
	Running(match func(*revocation.Transfer) bool) []revocation.Running
}

// Verifier proves callers; [auth.Verifier] is one.
type Verifier interface {
	Verify(authorization string) (auth.Caller, error)
}

// Config is what a [Handler] is made of. Fields without a default are
// required.
type Config struct {
	Tokens    Tokens
	Revoker   Revoker
	Member    Member
	Transfers Transfers
	Fleet     Fleet
	Verifier  Verifier
	// Buckets are the aliases that a grant may name.
	Buckets []string
	// PublicURL begins links, such as https://files.example.com, without a
	// slash at the end.
	PublicURL string
	// Cut hears of transfers that a caller has ended; nil hears nothing. It
	// must not block.
	Cut func(CutTransfer)
	// Minted hears of every token that is minted; nil hears nothing. It must not
	// block.
	Minted func(g tokens.Grant)
	// Events is what has happened, and DeadLetters what a webhook did not take; nil
	// means that the routes are not there.
	Events      Events
	DeadLetters DeadLetters
	// Guard knows which of Buckets are locked; nil means that nobody does.
	Guard Guard
	// Audit looks at one of Buckets, by its alias; nil lets nobody look. Errors are
	// those of a store that does not answer. It must be safe for concurrent use.
	Audit func(ctx context.Context, alias string) (guard.AuditReport, error)
	// Leaks are the findings of the leak watch; nil means that the route answers 404.
	Leaks Leaks
	// Topics are those through which a mint may have its link sent, by alias.
	Topics map[string]Notifier
	// Ready reports why the gate cannot serve, or nil.
	Ready func(ctx context.Context) error
	// Origins are the web origins, such as https://app.example.com, whose pages
	// may call the API with a JWT of theirs; none if it is empty.
	Origins []string
	// Metrics answers /metrics; nil means that the route is not there.
	Metrics http.Handler
	// MaxBody is the largest request body in bytes; 0 means 64 KiB.
	MaxBody int64
	// MaxBatch is how many tokens one request may mint; 0 means 1,000. MaxBatchBody
	// is the largest body of such a request in bytes; 0 means 4 MiB.
	MaxBatch     int
	MaxBatchBody int64
	// Limits bound what one caller may mint; [Handler.Adjust] changes them. The
	// zero Limits are none.
	Limits Limits
	// Limited hears of each request that a limit has refused, by the limit's
	// name; nil hears nothing. It must not block.
	Limited func(limit string)
	// Clock is what MintRate goes by; nil is [time.Now].
	Clock func() time.Time
	// Pace is how often those who follow the transfers, or the gates, hear of
	// changes; 0 means 1 s.
	Pace time.Duration
	// Answered is told of each call that is over, with its context, ID, route (a pattern
	// such as POST /v1/tokens, or "") and status, and how long it took. It must not
	// block; nil hears nothing.
	Answered func(ctx context.Context, request, route string, status int, took time.Duration)
	// Logger gets one line for each call; nil discards.
	Logger *slog.Logger
}

// Handler answers API requests.
type Handler struct {
	cfg    Config
	mux    *http.ServeMux
	routes []string // the patterns
	limits limits
	// hashing is held by those who hash passcodes, so that half of the machine is
	// left to others.
	hashing chan struct{}

	fleet    *feed[revocation.Overview]
	members  *feed[[]revocation.GateStatus]
	stopped  chan struct{} // closed when nobody may follow any more
	stopOnce sync.Once
}

// New returns a Handler.
func New(cfg Config) *Handler {
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 64 << 10
	}
	cfg.MaxBatch = cmp.Or(cfg.MaxBatch, 1000)
	cfg.MaxBatchBody = cmp.Or(cfg.MaxBatchBody, 4<<20)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Minted == nil {
		cfg.Minted = func(tokens.Grant) {}
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	cfg.Pace = cmp.Or(cfg.Pace, time.Second)
	h := &Handler{
		cfg: cfg, mux: http.NewServeMux(), hashing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), stopped: make(chan struct{}),
		fleet: &feed[revocation.Overview]{pace: cfg.Pace, look: func(ctx context.Context) (revocation.Overview, error) {
			return cfg.Fleet.Running(ctx), nil
		}},
		members: &feed[[]revocation.GateStatus]{pace: cfg.Pace, look: func(ctx context.Context) ([]revocation.GateStatus, error) {
			return cfg.Member.Gates(ctx)
		}},
	}
	h.Adjust(cfg.Limits)
	h.handle("GET /openapi.yaml", http.HandlerFunc(serveDocument))
	h.handle("GET /docs", http.HandlerFunc(serveDocs))
	h.handle("GET /healthz", http.HandlerFunc(h.health))
	h.handle("GET /readyz", http.HandlerFunc(h.ready))
	if cfg.Metrics != nil {
		h.handle("GET /metrics", cfg.Metrics)
	}
	h.route("POST /v1/tokens", auth.Caller.MayMint, h.mint)
	h.route("POST "+batchRoute, auth.Caller.MayMint, h.mintBatch)
	h.route("GET /v1/tokens", auth.Caller.MayList, h.list)
	h.route("GET /v1/tokens/{id}", auth.Caller.MayList, h.show)
	h.route("DELETE /v1/tokens/{id}", auth.Caller.MayRevoke, h.revoke)
	h.route("PATCH /v1/tokens/{id}", auth.Caller.MayRevoke, h.patch)
	h.route("POST /v1/tokens/{id}:reissue", func(c auth.Caller) bool { return c.MayMint() && c.MayRevoke() }, h.reissue)
	h.route("POST /v1/revocations", auth.Caller.MayRule, h.revokeBy)
	h.route("GET /v1/revocations", auth.Caller.MayList, h.revocations)
	h.route("GET /v1/revocations/{id}", auth.Caller.MayList, h.revocation)
	h.route("DELETE /v1/revocations/{id}", auth.Caller.MayRule, h.lift)
	h.route("GET /v1/buckets", auth.Caller.MayGuard, h.buckets)
	h.route("POST /v1/buckets/{id}:verify", auth.Caller.MayGuard, h.verifyBucket)
	h.route("GET /v1/buckets/{id}:audit", auth.Caller.MayGuard, h.auditBucket)
	h.route("GET /v1/gates", auth.Caller.MayAdminister, h.gates)
	h.route("GET /v1/transfers", auth.Caller.MayList, h.running)
	h.route("DELETE /v1/transfers/{id}", auth.Caller.MayRevoke, h.cut)
	h.routeEvents()
	h.route("GET /v1/leaks", auth.Caller.MayAdminister, h.leaks)
	return h
}

// handle registers a handler for a route of openapi.yaml.
func (h *Handler) handle(pattern string, handler http.Handler) {
	h.routes = append(h.routes, pattern)
	h.mux.Handle(strings.Replace(pattern, "}:", "}/:", 1), handler) // see splitVerb
}

// call is one request of a proven caller.
type call struct {
	*http.Request
	caller auth.Caller
	query  url.Values
	w      http.ResponseWriter
	asked  time.Time // the time of Redis; zero until it was asked

	doc  *document
	op   *operation
	sent bytes.Buffer // what was read of the body
}

// answered is the status of a call that has written its answer itself.
const answered = 0

// route registers a handler for callers of whom may says that there is anything
// that they may do here. The pattern is a method and a path of openapi.yaml,
// which says what query parameters and what body the call takes.
func (h *Handler) route(pattern string, may func(auth.Caller) bool, serve func(*call) (status int, body any, err error)) {
	doc := readDocument()
	op := doc.operation(pattern)
	h.handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := h.cfg.Verifier.Verify(r.Header.Get("Authorization"))
		if err != nil {
			h.fail(w, err)
			return
		}
		if !may(caller) {
			h.fail(w, forbidden(caller))
			return
		}
		c := &call{Request: r, caller: caller, w: w, doc: doc, op: op}
		h.announce(c)
		if err := c.parseQuery(); err != nil {
			h.fail(w, err)
			return
		}
		if limit := h.bodyLimit(r); r.ContentLength > limit {
			h.fail(w, &tooLargeError{limit}) // and nobody has to send it
			return
		}
		r.Body = &sentBody{r.Body, &c.sent}
		status, body, err := serve(c)
		if err != nil {
			h.fail(w, c.explain(h.overQuota(c, err)))
			return
		}
		if status != answered {
			writeJSON(w, status, "application/json", body)
		}
	}))
}

// sentBody keeps what is read of a body.
type sentBody struct {
	io.ReadCloser
	sent *bytes.Buffer
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.sent.Write(p[:n])
	return n, err
}

// parseQuery reads query parameters. One that the route does not know, one
// that is given twice and is no list, and one that cannot be read are errors:
// leaving a filter out would show too much.
func (c *call) parseQuery() (err error) {
	if c.query, err = url.ParseQuery(c.URL.RawQuery); err != nil {
		return &tokens.FieldError{Field: "query", Problem: "cannot be read"}
	}
	known := c.op.query()
	for _, name := range slices.Sorted(maps.Keys(c.query)) {
		var field error
		switch {
		case !slices.Contains(known, name):
			field = strange("parameter", clip(name), name, known)
		case len(c.query[name]) > 1 && !c.op.repeats(name):
			field = &tokens.FieldError{Field: name, Problem: "is given twice", Allowed: "once"}
		default:
			continue
		}
		return c.explainQuery(field)
	}
	return nil
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	id := "req_" + ulid.Make().String()
	w.Header().Set("X-Request-Id", id)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// The server's own writer: it stops reading when it hears of the limit.
	r.Body = http.MaxBytesReader(w, r.Body, h.bodyLimit(r))
	rec := &recorder{ResponseWriter: w}
	defer func() { h.told(r, id, rec.status, begin) }()
	// The mux would redirect a path such as //v1/tokens.
	odd := path.Clean(r.URL.Path) != r.URL.Path
	split := strings.Contains(r.URL.EscapedPath(), "/:")
	preflight := h.cors(w, r)
	r = splitVerb(r)
	if _, pattern := h.mux.Handler(r); split {
		h.fail(rec, errNoRoute)
	} else if preflight {
		h.preflight(rec, r)
	} else if pattern == "" || odd {
		h.fail(rec, h.unrouted(rec, r))
	} else {
		h.mux.ServeHTTP(rec, r)
	}
}

// told counts and logs a request. One without a status has ended by a panic.
func (h *Handler) told(r *http.Request, id string, status int, begin time.Time) {
	status = cmp.Or(status, http.StatusInternalServerError)
	route, took := strings.Replace(r.Pattern, "/:", ":", 1), time.Since(begin)
	if h.cfg.Answered != nil {
		h.cfg.Answered(r.Context(), id, route, status, took)
	}
	h.cfg.Logger.LogAttrs(r.Context(), slog.LevelInfo, "api request",
		slog.String("request", id), slog.String("route", route), slog.Int("status", status),
		slog.Float64("ms", float64(took.Microseconds())/1000))
}

// splitVerb brings /v1/tokens/{id}:verb, and that of buckets, into a form that a pattern of the mux can
// have, whose wildcards are whole segments: /v1/tokens/{id}/:verb. Nobody else can
// ask for that.
func splitVerb(r *http.Request) *http.Request {
	of, path := "/v1/tokens/", r.URL.EscapedPath()
	if strings.HasPrefix(path, "/v1/buckets/") {
		of = "/v1/buckets/"
	}
	rest, ok := strings.CutPrefix(path, of)
	id, verb, found := strings.Cut(rest, ":")
	if !ok || !found || id == "" || strings.Contains(rest, "/") {
		return r
	}
	target, split := *r.URL, *r
	target.RawPath = of + id + "/:" + verb
	plain, err := url.PathUnescape(target.RawPath)
	if err != nil {
		return r
	}
	target.Path, split.URL = plain, &target
	return &split
}

// bodyLimit is how many bytes the body of a request may have.
func (h *Handler) bodyLimit(r *http.Request) int64 {
	if r.URL.Path == batchRoute {
		return h.cfg.MaxBatchBody
	}
	return h.cfg.MaxBody
}

// unrouted tells an unknown path from a known one with another method.
func (h *Handler) unrouted(w http.ResponseWriter, r *http.Request) error {
	probe := &recorder{ResponseWriter: discard{http.Header{}}}
	h.mux.ServeHTTP(probe, r)
	if probe.status != http.StatusMethodNotAllowed {
		return errNoRoute
	}
	w.Header().Set("Allow", probe.Header().Get("Allow"))
	return errMethod
}

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// discard takes the mux's own answer, which is not a problem document.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

func (h *Handler) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ok"})
}

func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := h.cfg.Ready(ctx); err != nil {
		h.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{"status": "ready", "durability": h.cfg.Member.Durability()})
}
