package api_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"s3gate/api"
	"s3gate/auth"
	"s3gate/tokens"
)

// topic keeps what it is told.
type topic struct {
	err error

	mu   sync.Mutex
	told [][2]string
}

func (f *topic) Tell(_ context.Context, subject, message string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, [2]string{subject, message})
	return f.err
}

func withTopic(t testing.TB, f *topic, change ...func(*api.Config)) *gate {
	return newGate(t, append(change, func(c *api.Config) { c.Topics = map[string]api.Notifier{"mail": f} })...)
}

// The link is sent once, as it stands in the answer, and kept nowhere (I1).
func TestMintNotifies(t *testing.T) {
	for message, want := range map[string]string{
		``:                                  "URL",
		`, "message": "Here: {url} {url}."`: "Here: URL URL.",
		`, "message": "{url}", "subject": "A file"`: "URL",
	} {
		f := &topic{}
		g := withTopic(t, f)
		a := g.do("POST", "/v1/tokens", get(`"notify": {"topic": "mail"`+message+`}`))
		m := a.object(t)
		if a.status != 201 || m["notified"] != true || m["not_notified"] != nil || len(f.told) != 1 {
			t.Fatalf("%d %s, told %v", a.status, a.body, f.told)
		}
		url := m["url"].(string)
		if got := f.told[0][1]; got != strings.ReplaceAll(want, "URL", url) || (f.told[0][0] == "A file") != strings.Contains(message, "subject") {
			t.Errorf("told %v", f.told)
		}
		if dump := g.redis.Dump(); strings.Contains(dump, m["token"].(string)) {
			t.Error("Redis holds the token")
		}
	}
}

// A link that was not sent is minted all the same, and neither the answer nor the
// log says why in words that may hold it.
func TestMintThatCannotNotify(t *testing.T) {
	f := &topic{}
	g := withTopic(t, f)
	fails := &echo{}
	g2 := newGate(t, func(c *api.Config) { c.Topics = map[string]api.Notifier{"mail": fails} })
	a := g2.do("POST", "/v1/tokens", get(`"notify": {"topic": "mail"}`))
	m := a.object(t)
	if a.status != 201 || m["notified"] != false || m["not_notified"] == "" || m["url"] == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if !strings.Contains(g2.log.String(), "a link was not sent") || !strings.Contains(g2.log.String(), "LINK") {
		t.Errorf("the log says %s", g2.log.String())
	}
	if a := g.do("POST", "/v1/tokens", get()); strings.Contains(a.body, "notified") {
		t.Errorf("nothing was asked for: %s", a.body)
	}
}

// echo fails, and repeats what it was told.
type echo struct{}

func (*echo) Tell(_ context.Context, _, message string) error {
	return errors.New("cannot send " + message)
}

// What is wrong with the request is said before anything is minted.
func TestMintNotifiesNobodyElse(t *testing.T) {
	for body, field := range map[string]string{
		`{"topic": "other"}`: "notify.topic", `{"message": "{url}"}`: "notify.topic", `{"topic": "mail", "message": "no link"}`: "notify.message",
		`{"topic": "mail", "message": "{url}` + strings.Repeat("x", 4096) + `"}`: "notify.message",
		`{"topic": "mail", "subject": "` + strings.Repeat("x", 101) + `"}`:       "notify.subject",
		`{"topic": "mail", "subject": "a\nb"}`:                                   "notify.subject", `{"topic": "mail", "to": "x"}`: "notify.to",
	} {
		f := &topic{}
		g := withTopic(t, f)
		a := g.do("POST", "/v1/tokens", get(`"notify": `+body))
		if a.status != 400 || a.problem().Field != field || len(g.stored()) > 0 || len(f.told) > 0 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

// The topic has to be in the rule that takes the rest; administrators have all.
func TestMintNotifiesWithinOneRule(t *testing.T) {
	all := map[string]auth.Texts{"docs": {""}}
	rule := func(role string, allow auth.Allow) auth.Rule {
		return auth.Rule{Name: role, When: map[string]auth.Texts{"role": {role}}, Allow: allow}
	}
	v, err := auth.New(auth.Config{Keys: [][]byte{key}, Issuer: "https://id.example", Issuers: []auth.Issuer{{
		Issuer: acme, Secret: string(acmeKey), Audience: auth.Texts{"s3gate"}, Rules: []auth.Rule{
			rule("with", auth.Allow{Operations: auth.Texts{"get"}, Buckets: all, Notify: auth.Texts{"mail"}}),
			rule("without", auth.Allow{Operations: auth.Texts{"get"}, Buckets: all}),
			rule("elsewhere", auth.Allow{Operations: auth.Texts{"put"}, Buckets: all, Notify: auth.Texts{"mail"}}),
			rule("librarian", auth.Allow{AdminBuckets: auth.Texts{"docs"}}),
			rule("mailing librarian", auth.Allow{AdminBuckets: auth.Texts{"docs"}, Notify: auth.Texts{"mail"}}),
			rule("chief", auth.Allow{Admin: true}),
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for roles, want := range map[string]int{
		"with": 201, "without": 403, "without, elsewhere": 403, "without, with": 201, "librarian": 403, "librarian, elsewhere": 403,
		"mailing librarian": 201, "chief": 201,
	} {
		f := &topic{}
		g := withTopic(t, f, func(c *api.Config) { c.Verifier = v })
		a := g.as(as(t, "ada@acme", strings.Split(roles, ", ")...), "POST", "/v1/tokens", strings.NewReader(get(`"notify": {"topic": "mail"}`)))
		if a.status != want || (len(f.told) == 1) != (want == 201) || want == http.StatusForbidden && len(g.stored()) > 0 {
			t.Errorf("%s: %d %s", roles, a.status, a.body)
		}
	}
}

// Who mints is told of, with whose it is.
func TestMintIsToldOf(t *testing.T) {
	var told []tokens.Grant
	g := newGate(t, func(c *api.Config) { c.Minted = func(g tokens.Grant) { told = append(told, g) } })
	id := g.mint(get()).ID
	g.do("POST", "/v1/tokens", `{}`)
	if len(told) != 1 || string(told[0].ID) != id || told[0].Issuer != "https://id.example" || told[0].IssuedBy != "ops" {
		t.Errorf("told of %+v", told)
	}
}
