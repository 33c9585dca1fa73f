package proxy_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"

	"s3gate/proxy"
	"s3gate/tokens"
)

// listener keeps what the handler tells.
type listener struct {
	mu       sync.Mutex
	redeemed []proxy.Redemption
	refused  []proxy.Refusal
}

func listen(g *gate) *listener {
	l := &listener{}
	g.ReceiptAddress = proxy.AddressFull
	g.Redeemed = func(r proxy.Redemption) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.redeemed = append(l.redeemed, r)
	}
	g.Refused = func(r proxy.Refusal) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused = append(l.refused, r)
	}
	return l
}

// A use that begins is told once: not what costs nothing, not what goes on with it.
func TestRedemptionsAreTold(t *testing.T) {
	g := newGate(t, http1)
	l := listen(g)
	token := g.mint(get())
	g.do(g.request("HEAD", token, nil))
	g.get(token, "If-None-Match", etag)
	if len(l.redeemed) != 0 {
		t.Fatalf("told %+v", l.redeemed)
	}
	a := g.get(token)
	resumed := g.mint(resumable(10))
	g.get(resumed, "Range", "bytes=0-1")
	g.get(resumed, "Range", "bytes=2-3")
	up := g.mint(tokens.Grant{Operation: tokens.Put, Bucket: "media", Key: "new", MaxUses: 1})
	g.put(up, content)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.redeemed) != 3 {
		t.Fatalf("told %d redemptions, want 3: %+v", len(l.redeemed), l.redeemed)
	}
	for i, want := range []struct {
		token tokens.Token
		key   string
	}{{token, canaryKey}, {resumed, canaryKey}, {up, "new"}} {
		got := l.redeemed[i]
		if got.Grant.ID != want.token.ID() || got.Key != want.key || got.Use == "" || !strings.HasPrefix(got.Request, "req_") || got.Client != "127.0.0.1" {
			t.Errorf("%+v, want %s of %s", got, want.key, want.token.ID())
		}
	}
	if l.redeemed[0].Request != a.Header.Get("X-Request-Id") {
		t.Errorf("request %s, want %s", l.redeemed[0].Request, a.Header.Get("X-Request-Id"))
	}
	if len(l.refused) != 0 {
		t.Errorf("refused %+v", l.refused)
	}
}

// What the gate refuses is told with whose token it is, as far as there is one; what
// S3 refuses, what the client's conditions forbid and what goes wrong is not.
func TestRefusalsAreTold(t *testing.T) {
	unknown := tokens.Generate()
	for _, tt := range []struct {
		name   string
		act    func(g *gate) tokens.Token
		reason string
		status int
		known  bool
	}{
		{"no such token", func(g *gate) tokens.Token { g.do(g.request("GET", unknown, nil)); return unknown }, "NotFound", 404, false},
		{"used", func(g *gate) tokens.Token { token := g.mint(get()); g.get(token); g.get(token); return token }, "LinkUsed", 410, true},
		{"another method", func(g *gate) tokens.Token {
			token := g.mint(get())
			g.do(g.request("PUT", token, strings.NewReader("x")))
			return token
		}, "MethodNotAllowed", 405, true},
		{"a passcode", func(g *gate) tokens.Token {
			grant := get()
			var err error
			if grant.Passcode, err = tokens.HashPasscode("secret"); err != nil {
				g.t.Fatal(err)
			}
			token := g.mint(grant)
			g.get(token)
			return token
		}, "PasscodeRequired", 401, true},
		{"a network", func(g *gate) tokens.Token {
			grant := get()
			grant.Clients = []string{netip.MustParsePrefix("192.0.2.0/24").String()}
			token := g.mint(grant)
			g.get(token)
			return token
		}, "AccessDenied", 403, true},
		{"a condition", func(g *gate) tokens.Token { token := g.mint(get()); g.get(token, "If-Match", `"old"`); return token }, "", 0, false},
		{"S3's no", func(g *gate) tokens.Token {
			g.s3.answer(refuse(404, "NoSuchKey"))
			token := g.mint(get())
			g.get(token)
			return token
		}, "", 0, false},
	} {
		g := newGate(t, http1)
		l := listen(g)
		token := tt.act(g)
		l.mu.Lock()
		switch {
		case tt.reason == "" && len(l.refused) > 0:
			t.Errorf("%s: told %+v", tt.name, l.refused)
		case tt.reason == "":
		case len(l.refused) != 1:
			t.Errorf("%s: told %+v", tt.name, l.refused)
		default:
			got := l.refused[0]
			if got.Reason != tt.reason || got.Status != tt.status || got.Request == "" || got.Method == "" || got.Client != "127.0.0.1" ||
				tt.known != (got.Grant.ID == token.ID()) || !tt.known && got.Grant.ID != "" {
				t.Errorf("%s: told %+v", tt.name, got)
			}
		}
		l.mu.Unlock()
	}
}
