package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"s3gate/api"
	"s3gate/auth"
	"s3gate/revocation"
)

// Whatever is asked, the answer is one that the document knows of, and nothing
// is a mistake of the gate's. The requests are made of the document: what is
// valid, what is nearly so, and what is not.
func TestGeneratedRequestsGetDocumentedAnswers(t *testing.T) {
	gates := uint64(20)
	if testing.Short() || raceDetector {
		gates = 4
	}
	var mu sync.Mutex
	seen := map[string]int{}
	t.Run("gates", func(t *testing.T) {
		for seed := range gates {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				answers := generate(t, seed, 1_000)
				mu.Lock()
				defer mu.Unlock()
				for name, n := range answers {
					seen[name] += n
				}
			})
		}
	})
	// What never gets through tests nothing.
	for method, wants := range map[string][]string{
		"POST /v1/tokens":              {"201", "400", "401", "403", "413"},
		"GET /v1/tokens":               {"200", "400", "401"},
		"GET /v1/tokens/{id}":          {"200", "404"},
		"DELETE /v1/tokens/{id}":       {"200", "400", "404"},
		"POST /v1/revocations":         {"200", "400"},
		"GET /v1/revocations":          {"200", "400"},
		"GET /v1/revocations/{id}":     {"200", "404"},
		"DELETE /v1/revocations/{id}":  {"200", "404"},
		"GET /v1/buckets":              {"200"},
		"POST /v1/buckets/{id}:verify": {"200", "404", "409"},
		"GET /v1/buckets/{id}:audit":   {"200", "404"},
		"GET /v1/gates":                {"200"},
		"GET /v1/transfers":            {"200"},
		"DELETE /v1/transfers/{id}":    {"200", "404"},
	} {
		for _, want := range wants {
			if name := method + " " + want; seen[name] == 0 {
				t.Errorf("no request was answered %s; the answers: %v", name, slices.Sorted(maps.Keys(seen)))
			}
		}
	}
}

// generate sends requests to a gate of its own, and counts the answers. After an
// answer that is wrong it stops.
func generate(t *testing.T, seed uint64, requests int) map[string]int {
	g := newLeasedGate(t, time.Minute, idle)
	f := newGenerator(g, seed)
	seen := map[string]int{}
	for n := range requests {
		r, about := f.request()
		a := send(t, g.handler, r)
		if a.status >= 500 {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a.status >= 400 && strings.Contains(a.body, hiddenToken[4:]) {
			t.Errorf("a token is echoed: %s", a.body)
		}
		if t.Failed() {
			t.Fatalf("request %d: %s %s (%s)\n%s", n, r.Method, r.URL, about, f.sent)
		}
		seen[fmt.Sprintf("%s %s %d", r.Method, f.template, a.status)]++
		f.learn(r, a)
	}
	return seen
}

// hiddenToken is a token that somebody has put where none belongs. It lacks its
// last character, so that the test does not take it for one that was minted.
const hiddenToken = "s3g_0123456789abcdefghijABCDEFG"

// idle answers at once for what waits for other gates, of which there are none.
func idle(c *api.Config) {
	c.Member = loneMember{c.Member}
	w := &watch{}
	c.Fleet, c.Guard, c.Audit = loneFleet{}, w, w.audit
}

type loneMember struct{ api.Member }

func (m loneMember) Gates(context.Context) ([]revocation.GateStatus, error) {
	return []revocation.GateStatus{{Name: "gate-1", Position: m.Position(), CaughtUp: true, Live: true, Durability: m.Durability()}}, nil
}

const runningID = "req_01K3QJ4N8M5Z6T7V8W9X0Y1Z2A"

type loneFleet struct{}

func (loneFleet) Running(context.Context) revocation.Overview {
	return revocation.Overview{Complete: true, Running: []revocation.Running{{
		Gate: "gate-1", ID: runningID, Token: "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", Bucket: "docs", Key: "k", Direction: "download", Since: start,
	}}}
}

func (loneFleet) Cut(_ context.Context, id string) (revocation.Outcome, error) {
	if id != runningID {
		return revocation.Outcome{}, revocation.ErrNoTransfer
	}
	return revocation.Outcome{Stopped: true}, nil
}

// generator makes requests of the document.
type generator struct {
	*rand.Rand
	*contract
	admin, reader string
	known         map[string][]string // IDs by the template of a path

	template, sent string // of the last request
}

func newGenerator(g *gate, seed uint64) *generator {
	return &generator{
		Rand: rand.New(rand.NewPCG(seed, 4711)), contract: theContract(), admin: g.admin,
		reader: bearer(g, auth.Caller{Issuer: "https://id.example", Subject: "nobody"}),
		known:  map[string][]string{"/v1/transfers/{id}": {runningID}, "/v1/buckets/{id}:verify": {"docs", "inbox"}, "/v1/buckets/{id}:audit": {"docs"}},
	}
}

// learn keeps the IDs of what was made.
func (f *generator) learn(r *http.Request, a answer) {
	var made struct{ ID string }
	if a.status != http.StatusCreated && (a.status != http.StatusOK || r.Method != http.MethodPost) || json.Unmarshal([]byte(a.body), &made) != nil || made.ID == "" {
		return
	}
	f.known[f.template+"/{id}"] = append(f.known[f.template+"/{id}"], made.ID)
	if standing := strings.Contains(f.sent, "standing") || strings.Contains(f.sent, `"all"`); standing && f.template == "/v1/revocations" {
		// The next requests lift it: otherwise nothing could be minted any more.
		f.known["lift"] = append(f.known["lift"], made.ID)
	}
}

// pick returns one of several.
func pick[T any](f *generator, all ...T) T { return all[f.IntN(len(all))] }

// once in so many times is true.
func (f *generator) once(in int) bool { return f.IntN(in) == 0 }

// request makes the next request and says what is special about it.
func (f *generator) request() (r *http.Request, about string) {
	if lift := f.known["lift"]; len(lift) > 0 {
		f.known["lift"] = lift[1:]
		return f.build("DELETE", "/v1/revocations/{id}", "/v1/revocations/"+lift[0], nil, f.admin), "lifting"
	}
	paths := f.doc["paths"].(map[string]any)
	f.template = pick(f, slices.Sorted(maps.Keys(paths))...)
	if f.once(3) {
		f.template = pick(f, "/v1/tokens", "/v1/revocations")
	}
	item := paths[f.template].(map[string]any)
	method := pick(f, methods(item)...)
	operation := item[strings.ToLower(method)].(map[string]any)
	target := f.path() + f.query(item, operation)
	authorization := f.admin
	var body []byte
	if schema := f.at(operation, "requestBody", "content", "application/json", "schema"); schema != nil {
		body, about = f.body(operation, schema)
	} else if f.once(20) {
		body, about = []byte("{}"), "a body that nobody wants"
	}
	switch f.IntN(60) {
	case 0:
		method, about = pick(f, "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "get", "LOCK", "QUERY"), about+", another method"
	case 1:
		authorization, about = pick(f, "", "Bearer", "Bearer x", "Basic eDp5", f.admin+"x", "bearer "+strings.Repeat("x", 9000)), about+", no JWT"
	case 2:
		authorization, about = f.reader, about+", no right"
	case 3:
		target, about = pick(f, "/v1"+target, target+"/", target+"/x", "//"+target[1:], "/v1/tokens/../tokens", "/%2e%2e/v1/tokens", "/v1/tok%65ns"), about+", another path"
	case 4:
		method, about = "HEAD", about+", head"
	}
	return f.build(method, f.template, target, body, authorization), strings.TrimPrefix(about, ", ")
}

// build puts a request together, with headers that should not matter.
func (f *generator) build(method, template, target string, body []byte, authorization string) *http.Request {
	f.template, f.sent = template, string(body)
	u, err := url.ParseRequestURI(target)
	if err != nil {
		u = &url.URL{Path: "/v1/tokens", RawQuery: "limit=%zz"}
	}
	r := httptest.NewRequest(http.MethodGet, "/", bytes.NewReader(body))
	r.Method, r.URL, r.RequestURI = method, u, u.RequestURI()
	r.ContentLength = pick(f, int64(len(body)), int64(len(body)), -1)
	r.Header.Set("Authorization", authorization)
	for _, h := range [][2]string{
		{"Content-Type", pick(f, "application/json", "application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "", "\x01")},
		{"Accept", pick(f, "*/*", "text/html", "application/xml", "image/png;q=2")},
		{"X-Request-Id", "req_of_the_client"},
		{"Idempotency-Key", pick(f, "a", strings.Repeat("k", 300))},
		{"Expect", "100-continue"}, {"X-HTTP-Method-Override", "DELETE"}, {"If-Match", `"x"`}, {"Range", "bytes=0-1"},
	} {
		if f.once(10) {
			r.Header.Set(h[0], h[1])
		}
	}
	return r
}

// path fills in the path's parameter.
func (f *generator) path() string {
	id := pick(f, "x", "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", "rev_00000000000000000000000000", "%00", "%ff", "a%2Fb", strings.Repeat("x", 3000), "tok_", hiddenToken, "%20", "{id}")
	if known := f.known[f.template]; len(known) > 0 && !f.once(4) {
		id = known[f.IntN(len(known))]
	}
	return strings.Replace(f.template, "{id}", id, 1)
}

// query makes a query string of the parameters that there are, and of others.
func (f *generator) query(item, operation map[string]any) string {
	var parts []string
	all, _ := operation["parameters"].([]any)
	more, _ := item["parameters"].([]any)
	for _, p := range slices.Concat(all, more) {
		parameter := f.deref(p).(map[string]any)
		name := parameter["name"].(string)
		if parameter["in"] != "query" || !f.once(4) {
			continue
		}
		value := f.value(f.at(parameter, "schema"), !f.once(4))
		parts = append(parts, name+"="+url.QueryEscape(fmt.Sprint(value)))
		if f.once(20) {
			parts = append(parts, parts[0])
		}
	}
	if f.once(40) {
		parts = append(parts, pick(f, "nonsense=1", "limit", "%zz=1", "a;b", "=", "&&", "cursor="+strings.Repeat("A", 500), "Limit=1", "limti=1"))
	}
	if len(parts) == 0 {
		return ""
	}
	return "?" + strings.Join(parts, "&")
}

// body makes a body: most are nearly valid.
func (f *generator) body(operation, schema map[string]any) (body []byte, about string) {
	examples := f.at(operation, "requestBody", "content", "application/json", "examples")
	var value any
	if f.once(3) {
		name := pick(f, slices.Sorted(maps.Keys(examples))...)
		value = maps.Clone(f.at(examples, name, "value"))
		about = "the example " + name
	} else {
		value = f.object(schema, true)
		about = "fields that are allowed"
	}
	fields := value.(map[string]any)
	properties := f.at(schema, "properties")
	names := slices.Sorted(maps.Keys(properties))
	if f.once(2) {
		name := pick(f, names...)
		fields[name] = f.value(f.at(properties, name), false)
		about += ", a bad " + name
	}
	if f.once(15) {
		delete(fields, pick(f, names...))
		about += ", one left out"
	}
	if f.once(15) {
		name := pick(f, "nonsense", "max_use", "Key", "", "a.b", "a/b~c", strings.Repeat("é", 100), "token", "__proto__", hiddenToken)
		fields[name] = f.hostile()
		about += ", an unknown field"
	}
	body, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return f.mangle(body, about)
}

// mangle makes some bodies no JSON, or not the JSON that they were.
func (f *generator) mangle(body []byte, about string) ([]byte, string) {
	switch f.IntN(80) {
	case 0:
		return body[:f.IntN(len(body))], about + ", cut off"
	case 1:
		return append(body, body...), about + ", twice"
	case 2:
		return bytes.Replace(body, []byte(`{`), []byte(`{"max_uses":1,"max_uses":2,`), 1), about + ", a field twice"
	case 3:
		return bytes.Replace(body, []byte(`":"`), []byte("\":\"\xff\xfe"), 1), about + ", not UTF-8"
	case 4:
		return bytes.Replace(body, []byte(`":"`), []byte(`":"\ud800`), 1), about + ", half a character"
	case 5:
		return append(body, bytes.Repeat([]byte(" "), 65<<10)...), about + ", huge"
	case 6:
		return []byte(pick(f, "", "null", "[]", `""`, "0", "true", "\ufeff{}", "{", strings.Repeat("[", 12000), `{"a":`+strings.Repeat(`{"a":`, 5000))), "no object"
	case 7:
		return bytes.Replace(body, []byte(`":`), []byte(`":1e999,"x":`), 1), about + ", a huge number"
	}
	return body, about
}

// object makes an object of what its schema requires and some of the rest.
func (f *generator) object(schema map[string]any, valid bool) map[string]any {
	object := map[string]any{}
	required, _ := schema["required"].([]any)
	properties := f.at(schema, "properties")
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property := f.at(properties, name)
		switch {
		case property["writeOnly"] == true:
			if !f.once(100) { // hashing one takes long
				continue
			}
		case !slices.Contains(required, any(name)) && !f.once(8):
			continue
		}
		object[name] = f.value(property, valid)
	}
	if extra := f.at(schema, "additionalProperties"); extra != nil {
		for range f.IntN(3) {
			object[pick(f, "team", "case", "a.b", "ü", "x-y")] = f.value(extra, valid)
		}
	}
	return object
}

// value makes a value that a schema allows, or one at whose sight it might not
// be sure.
func (f *generator) value(schema map[string]any, valid bool) any {
	if !valid && f.once(2) {
		return f.hostile()
	}
	examples, _ := schema["examples"].([]any)
	enum, _ := schema["enum"].([]any)
	switch {
	case len(enum) > 0 && valid:
		return pick(f, enum...)
	case len(examples) > 0 && valid && !f.once(3):
		return pick(f, examples...)
	}
	switch schema["type"] {
	case "string":
		return f.text(schema, valid)
	case "integer":
		return f.number(schema, valid)
	case "boolean":
		return f.once(2)
	case "array":
		var list []any
		for range pick(f, 0, 1, 2, 16, 17) {
			list = append(list, f.value(f.at(schema, "items"), valid))
		}
		return list
	case "object":
		return f.object(schema, valid)
	}
	return f.hostile()
}

// bound reads a limit of a schema; other if it has none.
func (f *generator) bound(schema map[string]any, name string, other int64) int64 {
	if n, ok := schema[name].(json.Number); ok {
		if i, err := n.Int64(); err == nil {
			return i
		}
	}
	return other
}

func (f *generator) text(schema map[string]any, valid bool) any {
	least, most := f.bound(schema, "minLength", 0), f.bound(schema, "maxLength", 300)
	switch {
	case schema["format"] == "date-time" && f.once(2):
		return pick(f, "2030-02-01T00:00:00Z", "2031-01-01T00:00:00.123456789+14:00", "2030-01-31T11:00:00Z", "1969-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2030-13-01T00:00:00Z")
	case schema["pattern"] != nil && f.once(2):
		return pick(f, "1h", "90s", "1d12h", "0s", "3651d", "1ns", "99999999d", "-1h", "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa")
	case valid:
		return strings.Repeat("x", int(pick(f, max(least, 1), most, min(most, 12))))
	}
	return strings.Repeat(pick(f, "x", "é", "\n", "\x00", "/", "{uuid}"), int(pick(f, max(least-1, 0), most+1, most/2+1)))
}

func (f *generator) number(schema map[string]any, valid bool) any {
	least, most := f.bound(schema, "minimum", 0), f.bound(schema, "maximum", 1<<40)
	if valid {
		return pick(f, least, most, least+1, most-1)
	}
	return pick(f, least-1, most+1, -1<<63, 1<<62)
}

// hostile is what no schema asks for.
func (f *generator) hostile() any {
	return pick[any](f, nil, true, 0, -1, 1.5, 1e300, "", " ", "nonsense", hiddenToken, strings.Repeat("y", 2000), "a\r\nb", "\u202e\u0000",
		[]any{}, []any{nil}, []any{1, "x"}, map[string]any{}, map[string]any{"": nil}, map[string]any{"a": map[string]any{"b": []any{}}}, json.Number("1e5"), json.Number("12345678901234567890"))
}

// A document that says something else than the gate is noticed: the judge of
// the tests has teeth.
func TestTheContractIsHeldAgainstAnswers(t *testing.T) {
	g := newGate(t)
	id := g.mint(get(`"max_uses": 1`)).ID
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, new, target, words string }{
		{"as it is", "", "", "/v1/tokens/" + id, ""},
		{"a field that is not described", "            uses_left:\n", "            uses_right:\n", "/v1/tokens/" + id, "uses_left"},
		{"another type", "            in_use:\n              description: How many are taken by a request under way and not charged yet.\n              type: integer\n", "            in_use:\n              type: string\n", "/v1/tokens/" + id, "in_use"},
		{"a field that is not there", "required: [state, uses, in_use]", "required: [state, uses, in_use, colour]", "/v1/tokens/" + id, "colour"},
		{"another value", "enum: [active, pending, used, expired, revoked]", "enum: [alive, dead]", "/v1/tokens/" + id, "state"},
		{"a status that is not listed", "        \"404\": {$ref: \"#/components/responses/NotFound\"}\n", "", "/v1/tokens/x", "does not list the status"},
		{"a path that is not described", "  /v1/tokens/{id}:\n", "  /v2/tokens/{id}:\n", "/v1/tokens/" + id, "does not know the path"},
		{"another content type", "application/problem+json:", "application/problem+xml:", "/v1/tokens/x", "content type"},
	} {
		changed := strings.ReplaceAll(string(text), tt.old, tt.new)
		if tt.old == "" {
			changed = string(text)
		} else if changed == string(text) {
			t.Errorf("%s: the document has nothing to change", tt.name)
		}
		c, err := newContract([]byte(changed))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		r := httptest.NewRequest("GET", tt.target, nil)
		if got := c.check(r, g.do("GET", tt.target, "")); (got == "") != (tt.words == "") || !strings.Contains(got, tt.words) {
			t.Errorf("%s: %q, want … %s …", tt.name, got, tt.words)
		}
	}
}
