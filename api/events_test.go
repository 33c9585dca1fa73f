package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"s3gate/api"
	"s3gate/auth"
	"s3gate/events"
)

// withEvents gives a gate a stream that so many may follow, and returns what writes
// to it.
func withEvents(t testing.TB, followers int, change ...func(*api.Config)) (*gate, *stream) {
	t.Helper()
	s := &stream{t: t}
	s.gate = newGate(t, append(change, func(c *api.Config) { c.Events = &s.late })...)
	rdb := redis.NewClient(&redis.Options{
		Addr: s.gate.redis.Addr(), MaxRetries: -1, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	s.late.Reader = events.NewReader(rdb, followers)
	s.sink = events.NewStream(rdb, 1000)
	s.rdb = rdb
	t.Cleanup(func() { s.late.Close(); rdb.Close() })
	return s.gate, s
}

// lateReader is a reader that is there before the first request.
type lateReader struct{ *events.Reader }

type stream struct {
	t    testing.TB
	gate *gate
	late lateReader
	sink *events.Stream
	rdb  *redis.Client
}

// emit writes an event.
func (s *stream) emit(kind events.Type, subject string, data any) {
	s.t.Helper()
	r := &events.Record{Event: events.New(kind, "gate-1", subject, data)}
	if err := s.sink.Write(context.Background(), []*events.Record{r}); err != nil {
		s.t.Fatal(err)
	}
}

// emitCuts writes n events of transfers first to first+n-1.
func (s *stream) emitCuts(first, n int) {
	s.t.Helper()
	for i := first; i < first+n; i++ {
		s.emit(events.TransferCut, "", events.Cut{Request: fmt.Sprintf("req_%d", i)})
	}
}

// told is a line of the answer.
type told struct {
	SpecVersion, ID, Type, Position, Subject string
	Data                                     struct{ Request, After, Oldest, Token, Reason, ID string }
}

func readLines(t testing.TB, body string) (all []told) {
	t.Helper()
	for line := range strings.Lines(body) {
		var e told
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.SpecVersion != "1.0" {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

func requestsOf(all []told) (names []string) {
	for _, e := range all {
		names = append(names, strings.TrimPrefix(e.Data.Request, "req_"))
	}
	return names
}

// Lines of JSON: all that there is, after a position, up to a limit, with filters.
func TestEventsAsLines(t *testing.T) {
	g, s := withEvents(t, 1)
	if a := g.do("GET", "/v1/events", ""); a.status != 200 || a.body != "" || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("of nothing: %d %v %q", a.status, a.header, a.body)
	}
	s.emitCuts(0, 5)
	token := g.mint(get()).ID
	s.emit(events.TokenReceipt, token, events.Receipt{Grant: events.Grant{Token: token}, Request: "req_5"})
	all := readLines(t, g.do("GET", "/v1/events", "").body)
	if got := requestsOf(all); !slices.Equal(got, []string{"0", "1", "2", "3", "4", "5"}) {
		t.Fatalf("all: %v", got)
	}
	for query, want := range map[string][]string{
		"after=0": {"0", "1", "2", "3", "4", "5"}, "after=now": nil, "limit=2": {"0", "1"}, "after=" + all[3].Position: {"4", "5"},
		"after=" + all[1].Position + "&limit=2": {"2", "3"}, "after=" + all[5].Position: nil, "follow=false": {"0", "1", "2", "3", "4", "5"},
		"request=req_3": {"3"}, "token=" + token: {"5"}, "type=s3gate.token.receipt.v1": {"5"}, "type=s3gate.token.minted.v1": nil,
		"type=s3gate.transfer.cut.v1&limit=1&after=" + all[2].Position: {"3"},
	} {
		if got := requestsOf(readLines(t, g.do("GET", "/v1/events?"+query, "").body)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for query, field := range map[string]string{
		"after=1": "after", "after=": "after", "limit=0": "limit", "limit=x": "limit", "follow=1": "follow", "type=x": "type",
		"token=x": "token", "request=": "request", "other=1": "other", "limit=1&limit=2": "limit",
	} {
		if a := g.do("GET", "/v1/events?"+query, ""); a.status != 400 || a.problem().Field != field {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	if a := g.do("HEAD", "/v1/events?follow=true", ""); a.status != 200 {
		t.Errorf("HEAD: %d", a.status)
	}
}

// Who comes back too late is told that something is missing, and gets the rest.
func TestEventsSayWhatIsMissing(t *testing.T) {
	g, s := withEvents(t, 1)
	s.emitCuts(0, 3)
	first := readLines(t, g.do("GET", "/v1/events?limit=1", "").body)[0]
	s.rdb.XTrimMaxLen(t.Context(), "s3g:{events}:stream", 1)
	all := readLines(t, g.do("GET", "/v1/events?after="+first.Position, "").body)
	if len(all) != 2 || all[0].Type != "s3gate.events.gap.v1" || all[0].Position != "" || all[0].Data.After != first.Position ||
		all[0].Data.Oldest != all[1].Position || all[1].Data.Request != "req_2" {
		t.Errorf("got %+v", all)
	}
}

// Redis away is 503, and so is one follower more than there may be.
func TestEventsThatCannotBeHad(t *testing.T) {
	g, _ := withEvents(t, 0)
	if a := g.do("GET", "/v1/events?follow=true", ""); a.status != 503 {
		t.Errorf("too many followers: %d %s", a.status, a.body)
	}
	g.redis.SetError("LOADING")
	if a := g.do("GET", "/v1/events", ""); a.status != 503 {
		t.Errorf("without Redis: %d %s", a.status, a.body)
	}
	g.redis.SetError("")
	if a := newGate(t).do("GET", "/v1/events", ""); a.status != 404 {
		t.Errorf("a gate without a stream: %d", a.status)
	}
}

// serve serves the API until the test has ended those who follow.
func serve(t testing.TB, g *gate) *httptest.Server {
	server := httptest.NewServer(g.handler)
	t.Cleanup(server.Close)
	return server
}

// follower reads events as they come.
type follower struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Reader
	stop context.CancelFunc
}

// follow opens a stream of events; header lines are "Name: value".
func follow(t *testing.T, base, bearer, query string, header ...string) *follower {
	t.Helper()
	return followURL(t, base+"/v1/events"+query, bearer, header...)
}

// followURL opens any stream.
func followURL(t *testing.T, url, bearer string, header ...string) *follower {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", bearer)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, resp: resp, in: bufio.NewReader(resp.Body), stop: stop}
	t.Cleanup(f.end)
	return f
}

func (f *follower) end() { f.stop(); f.resp.Body.Close() }

// next reads the fields of the next server-sent event that is one.
func (f *follower) next() map[string]string {
	f.t.Helper()
	fields := map[string]string{}
	for {
		line, err := f.in.ReadString('\n')
		if err != nil {
			f.t.Fatalf("reading events: %v", err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case line == "\n" && fields["data"] != "":
			return fields
		case line != "\n":
			fields[name] = value
		}
	}
}

// Server-sent events: what there is and what comes, resumed after the last one, also
// on another gate, without a gap and without an event twice.
func TestEventsAsServerSentEvents(t *testing.T) {
	g, s := withEvents(t, 10)
	server, another := serve(t, g), serve(t, g)
	s.emitCuts(0, 2)
	f := follow(t, server.URL, g.admin, "", "Accept: text/event-stream")
	if ct := f.resp.Header.Get("Content-Type"); f.resp.StatusCode != 200 || ct != "text/event-stream" {
		t.Fatalf("%d %s", f.resp.StatusCode, ct)
	}
	want := func(f *follower, n int) (position string) {
		t.Helper()
		got := f.next()
		var e told
		if err := json.Unmarshal([]byte(got["data"]), &e); err != nil || got["event"] != "s3gate.transfer.cut.v1" ||
			got["id"] != e.Position || e.Data.Request != fmt.Sprintf("req_%d", n) {
			t.Errorf("%v, want event %d", got, n)
		}
		return got["id"]
	}
	want(f, 0)
	want(f, 1)
	s.emitCuts(2, 1)
	position := want(f, 2)
	f.end()
	server.Close()
	s.emitCuts(3, 3)
	f = follow(t, another.URL, g.admin, "?after=0", "Accept: text/event-stream", "Last-Event-ID: "+position)
	for n := 3; n < 6; n++ {
		want(f, n)
	}
	s.emitCuts(6, 1)
	want(f, 6)
}

// Lines of JSON can be followed too, and a limit ends that.
func TestEventsAreFollowedToALimit(t *testing.T) {
	g, s := withEvents(t, 1)
	server := serve(t, g)
	f := follow(t, server.URL, g.admin, "?follow=true&after=now&limit=2")
	s.emitCuts(0, 3)
	body, err := io.ReadAll(f.in)
	if err != nil {
		t.Fatal(err)
	}
	if got := requestsOf(readLines(t, string(body))); !slices.Equal(got, []string{"0", "1"}) {
		t.Errorf("got %v", got)
	}
	// And its place is free again.
	f = follow(t, server.URL, g.admin, "?follow=true&limit=1")
	if f.resp.StatusCode != 200 {
		t.Errorf("the next one: %d", f.resp.StatusCode)
	}
}

// A gate that shuts down ends those who follow.
func TestEventsEndWithTheGate(t *testing.T) {
	g, s := withEvents(t, 1)
	server := serve(t, g)
	f := follow(t, server.URL, g.admin, "?follow=true")
	s.late.Close()
	if body, err := io.ReadAll(f.in); err != nil || len(body) > 0 {
		t.Errorf("%q, %v", body, err)
	}
	if a := g.do("GET", "/v1/events?follow=true", ""); a.status != 503 {
		t.Errorf("afterwards: %d", a.status)
	}
}

// Who follows and does not read is cut, and holds nobody up.
func TestEventsCutWhoIsTooSlow(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a client may be slow")
	}
	g, s := withEvents(t, 1)
	server := serve(t, g)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(conn, "GET /v1/events?follow=true HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", g.admin)
	large := strings.Repeat("x", 64<<10)
	for range 200 {
		s.emit(events.TransferCut, "", events.Cut{Request: large})
	}
	deadline := time.Now().Add(40 * time.Second)
	for {
		_, end, err := s.late.Follow()
		if err == nil {
			end() // its place is free
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a client that does not read is still there")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Who may see all tokens sees everything; others see what is about theirs (J7).
func TestEventsOfOthersAreNotThere(t *testing.T) {
	v := newIssuersVerifier(t)
	g, s := withEvents(t, 1, func(c *api.Config) { c.Verifier = v })
	grant := func(issuer, by, bucket string) events.Grant {
		return events.Grant{Token: "tok_a", Issuer: issuer, IssuedBy: by, Bucket: bucket}
	}
	ada, bob, foreign := grant(acme, "ada", "docs"), grant(acme, "bob", "inbox"), grant(other, "ada", "docs")
	s.emit(events.TokenMinted, "tok_a", events.Minted{Grant: ada})
	s.emit(events.TokenReceipt, "tok_a", events.Receipt{Grant: bob})
	s.emit(events.TokenRefused, "tok_a", events.Refused{Grant: foreign})
	s.emit(events.TokenRefused, "", events.Refused{Reason: "NotFound"})
	s.emit(events.RuleRevoked, "tok_a", events.Rule{ID: "r1", Token: "tok_a", Grant: &ada})
	s.emit(events.RuleRevoked, "", events.Rule{ID: "r2", Issuer: acme})
	s.emit(events.RuleRevoked, "", events.Rule{ID: "r3", All: true})
	s.emit(events.RuleRevoked, "", events.Rule{ID: "r4", Bucket: "docs"})
	s.emit(events.TransferCut, "", events.Cut{Request: "req_1"})
	s.emit(events.BucketLocked, "", events.Locked{Bucket: "docs"})
	s.emit(events.BucketLocked, "", events.Locked{Bucket: "inbox"})
	everything := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for role, want := range map[string][]int{
		"owner": {0, 4}, "reader": {0, 1, 4, 5}, "ops": {0, 1, 4, 5}, "librarian": {0, 2, 4, 7, 9}, "incident": everything, "chief": everything,
		"minter": nil, "nobody": nil,
	} {
		a := g.as(as(t, "ada@acme", role), "GET", "/v1/events", nil)
		if want == nil {
			if a.status != http.StatusForbidden {
				t.Errorf("%s: %d", role, a.status)
			}
			continue
		}
		all := readLines(t, g.do("GET", "/v1/events", "").body)
		var got []int
		for _, e := range readLines(t, a.body) {
			got = append(got, slices.IndexFunc(all, func(o told) bool { return o.ID == e.ID }))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s sees %v, want %v", role, got, want)
		}
	}
	if a := g.as("", "GET", "/v1/events", nil); a.status != http.StatusUnauthorized {
		t.Errorf("nobody: %d", a.status)
	}
}

// The dead letters are for administrators, and can be taken up again.
func TestDeadLetters(t *testing.T) {
	hooks := &events.Hooks{Metrics: events.NewMetrics(prometheus.NewRegistry())}
	if _, err := hooks.Add(events.Endpoint{Name: "ops", URL: "https://ops.example", Secret: "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}); err != nil {
		t.Fatal(err)
	}
	v := newIssuersVerifier(t)
	g, s := withEvents(t, 1, func(c *api.Config) { c.DeadLetters, c.Verifier = hooks, v })
	hooks.RDB = s.rdb
	if a := g.do("GET", "/v1/events/dead", ""); a.status != 200 || strings.TrimSpace(a.body) != `{"dead":[]}` {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.rdb.ZAdd(t.Context(), "s3g:{hooks}:dead", redis.Z{Score: 1, Member: "ops.evt_1"})
	event := `{"specversion":"1.0","id":"evt_1","source":"/gates/a","type":"s3gate.transfer.cut.v1","time":"2030-01-31T12:00:00Z","datacontenttype":"application/json","data":{"request":"req_1"}}`
	s.rdb.HSet(t.Context(), "s3g:{hooks}:was", "ops.evt_1", event, "ops.evt_1:i", `{"endpoint":"ops","tries":3,"status":500,"error":"no"}`)
	want := `{"dead":[{"id":"ops.evt_1","endpoint":"ops","tries":3,"status":500,"error":"no","at":"1970-01-01T00:00:00.001Z","event":` + event + `}]}`
	if a := g.do("GET", "/v1/events/dead?limit=1", ""); strings.TrimSpace(a.body) != want {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := g.as(as(t, "ada@acme", "incident"), "GET", "/v1/events/dead", nil); a.status != 403 {
		t.Errorf("who is no administrator: %d", a.status)
	}
	if a := g.as(as(t, "ada@acme", "incident"), "POST", "/v1/events/dead/ops.evt_1/redeliver", nil); a.status != 403 {
		t.Errorf("redelivering as who is no administrator: %d", a.status)
	}
	for id, status := range map[string]int{"ops.evt_2": 404, "other.evt_1": 404} {
		if a := g.do("POST", "/v1/events/dead/"+id+"/redeliver", ""); a.status != status {
			t.Errorf("%s: %d %s", id, a.status, a.body)
		}
	}
	if a := g.do("POST", "/v1/events/dead/ops.evt_1/redeliver", ""); a.status != 202 || s.rdb.ZCard(t.Context(), "s3g:{hooks}:q:ops").Val() != 1 {
		t.Errorf("redelivering: %d %s", a.status, a.body)
	}
}

// newIssuersVerifier knows the two identity providers of newIssuers.
func newIssuersVerifier(t testing.TB) *auth.Verifier {
	t.Helper()
	issuer := func(name string, secret []byte) auth.Issuer {
		return auth.Issuer{Issuer: name, Secret: string(secret), Audience: auth.Texts{"s3gate"}, Rules: roleRules()}
	}
	v, err := auth.New(auth.Config{
		Keys: [][]byte{key}, Issuer: "https://id.example",
		Issuers: []auth.Issuer{issuer(acme, acmeKey), issuer(other, otherKey)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
