package proxy_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/proxy"
	"s3gate/tokens"
)

func hashed(t testing.TB, text string) tokens.Passcode {
	t.Helper()
	p, err := tokens.HashPasscode(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A ticket is good for its token, its passcode and its time, and for nothing
// else.
func TestTickets(t *testing.T) {
	g := newGate(t, http1)
	token, other := g.mint(get()), g.mint(get())
	now := time.Now()
	code := hashed(t, "1234")
	ticket := proxy.Ticket(token, tokens.Passcode{}, now.Add(time.Minute))
	raw, err := base64.RawURLEncoding.DecodeString(ticket)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		if _, ok := proxy.OpenSeal(token, tokens.Passcode{}, base64.RawURLEncoding.EncodeToString(changed), now); ok {
			t.Errorf("genuine with byte %d changed", i)
		}
	}
	sealed := proxy.Ticket(token, code, now.Add(time.Minute))
	for _, test := range []struct {
		name   string
		token  tokens.Token
		code   tokens.Passcode
		ticket string
		now    time.Time
		want   bool
	}{
		{"itself", token, tokens.Passcode{}, ticket, now, true},
		{"its last second", token, tokens.Passcode{}, ticket, now.Add(59 * time.Second), true},
		{"over", token, tokens.Passcode{}, ticket, now.Add(time.Minute), false},
		{"another token", other, tokens.Passcode{}, ticket, now, false},
		{"made without the passcode", token, code, ticket, now, false},
		{"with the passcode", token, code, sealed, now, true},
		{"with another passcode", token, hashed(t, "1234"), sealed, now, false},
		{"longer", token, tokens.Passcode{}, ticket + "A", now, false},
		{"padded", token, tokens.Passcode{}, ticket + "=", now, false},
		{"shorter", token, tokens.Passcode{}, ticket[:len(ticket)-1], now, false},
		{"empty", token, tokens.Passcode{}, "", now, false},
	} {
		if _, ok := proxy.OpenSeal(test.token, test.code, test.ticket, test.now); ok != test.want {
			t.Errorf("%s: %v, want %v", test.name, ok, test.want)
		}
	}
}

// A ticket that is not good counts as none, and a good one skips nothing but
// the page (T10).
func TestTicketSkipsNothing(t *testing.T) {
	g := newGate(t, http1)
	soonOver := time.Now().Add(time.Minute)
	ask := func(token tokens.Token, ticket string, header ...string) answer {
		r := g.request("GET", token, nil, header...)
		r.URL.RawQuery = "ticket=" + ticket
		return g.do(r)
	}
	token, other := g.mint(get()), g.mint(get())
	for name, ticket := range map[string]string{
		"another's": proxy.Ticket(other, tokens.Passcode{}, soonOver),
		"over":      proxy.Ticket(token, tokens.Passcode{}, time.Now().Add(-time.Second)),
		"challenge": proxy.Challenge(token, soonOver),
		"garbage":   "%zz&ticket=%00",
		"empty":     "",
	} {
		if a := ask(token, ticket, chromeOpens...); !isPage(a) || a.StatusCode != 200 {
			t.Errorf("%s: %s, want the page", name, a.Status)
		}
	}
	if a := ask(token, proxy.Ticket(token, tokens.Passcode{}, soonOver), with(chromeOpens, "Sec-Purpose", "prefetch")...); !isPage(a) {
		t.Errorf("prefetch: %s, want the page", a.Status)
	}
	g.wantCharge(token, "free")

	revoked, early := g.mint(get()), g.mint(later(get()))
	if err := g.store.Revoke(t.Context(), revoked.ID(), "", ""); err != nil {
		t.Fatal(err)
	}
	elsewhere := get()
	elsewhere.Clients = []string{"192.0.2.0/24"}
	for _, test := range []struct {
		name   string
		token  tokens.Token
		status int
	}{
		{"good", token, 200}, {"good, used", token, 410}, {"revoked", revoked, 410}, {"early", early, 403},
		{"another network", g.mint(elsewhere), 403}, {"unknown", tokens.Generate(), 404},
	} {
		a := ask(test.token, proxy.Ticket(test.token, tokens.Passcode{}, soonOver), chromeOpens...)
		if a.StatusCode != test.status || isPage(a) {
			t.Errorf("%s: %s, want %d", test.name, a.Status, test.status)
		}
	}
	// It lives as long as a broken download may be taken up again.
	grant := get()
	grant.ResumeWindow = tokens.Duration(time.Hour)
	long := g.mint(grant)
	a := g.post(long, person(g.get(long, chromeOpens...).body))
	ticket := a.Header.Get("Location")[len("?ticket="):]
	for after, want := range map[time.Duration]bool{61 * time.Minute: true, 63 * time.Minute: false} {
		if _, ok := proxy.OpenSeal(long, tokens.Passcode{}, ticket, time.Now().Add(after)); ok != want {
			t.Errorf("after %s: %v, want %v", after, ok, want)
		}
	}
	if a.StatusCode != http.StatusSeeOther {
		t.Errorf("%s", a.Status)
	}
}

// Who has a ticket or the passcode waits for a use that is about to come back,
// as all others do.
func TestClearedRequestsWait(t *testing.T) {
	g := newGate(t, http1)
	rdb := redis.NewClient(&redis.Options{Addr: g.redis.Addr(), MaxRetries: -1})
	patient := tokens.New(rdb, tokens.Options{BusyWait: soon})
	t.Cleanup(func() { patient.Close(t.Context()); rdb.Close() })
	g.Tokens = patient
	plain, secret := g.mint(get()), g.mint(coded(t, get()))
	ticket := proxy.Ticket(plain, tokens.Passcode{}, time.Now().Add(time.Minute))
	for _, test := range []struct {
		name   string
		token  tokens.Token
		query  string
		header []string
	}{{"ticket", plain, "ticket=" + ticket, chromeOpens}, {"passcode", secret, "", []string{"X-S3gate-Passcode", canaryCode}}} {
		held, err := g.store.Redeem(t.Context(), test.token, tokens.Ask{Operation: tokens.Get})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(200*time.Millisecond, func() { held.Refund(context.Background()) })
		r := g.request("GET", test.token, nil, test.header...)
		r.URL.RawQuery = test.query
		if a := g.do(r); a.StatusCode != 200 || a.body != content {
			t.Errorf("%s: %s", test.name, a.Status)
		}
	}
}

func FuzzSeal(f *testing.F) {
	token := tokens.Generate()
	now := time.Now()
	f.Add(proxy.Ticket(token, tokens.Passcode{}, now.Add(time.Hour)))
	f.Add(proxy.Ticket(tokens.Generate(), tokens.Passcode{}, now.Add(time.Hour)))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if kind, ok := proxy.OpenSeal(token, tokens.Passcode{}, text, now); ok && (kind != 'g' || len(text) != 44) {
			t.Errorf("%q opens as %q", text, kind)
		}
	})
}
