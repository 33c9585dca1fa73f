package proxy_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/proxy"
	"s3gate/tokens"
)

// canaryCode is a passcode that must not be seen anywhere.
const canaryCode = "canary-client Grüße"

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// canaryHash is its hash, computed once because that is slow.
var canaryHash = sync.OnceValues(func() (tokens.Passcode, error) { return tokens.HashPasscode(canaryCode) })

func coded(t testing.TB, g tokens.Grant) tokens.Grant {
	t.Helper()
	var err error
	if g.Passcode, err = canaryHash(); err != nil {
		t.Fatal(err)
	}
	return g
}

// A passcode is given in a header, as the password of HTTP Basic, or on the
// page; without it nothing is given out, told or charged.
func TestPasscode(t *testing.T) {
	const realm, quiet = `Basic realm="s3gate", charset="UTF-8"`, `S3gate-Passcode realm="s3gate"`
	g := newGate(t, http1)
	for _, test := range []struct {
		name, method string
		header       []string
		status       int
		authenticate string
	}{
		{"header", "GET", []string{"X-S3gate-Passcode", canaryCode}, 200, ""},
		{"Basic", "GET", []string{"Authorization", basic("anybody", canaryCode)}, 200, ""},
		{"Basic without a user", "GET", []string{"Authorization", basic("", canaryCode)}, 200, ""},
		{"header, HEAD", "HEAD", []string{"X-S3gate-Passcode", canaryCode}, 200, ""},
		{"Basic of a browser", "GET", with(chromeOpens, "Authorization", basic("", canaryCode)), 200, ""},
		{"header before Basic", "GET", []string{"X-S3gate-Passcode", canaryCode, "Authorization", basic("", "wrong")}, 200, ""},
		{"none", "GET", nil, 401, realm},
		{"none, HEAD", "HEAD", nil, 401, realm},
		{"none, HEAD of a browser", "HEAD", chromeOpens, 401, realm},
		{"none of a browser", "GET", chromeOpens, 401, quiet},
		{"none of Slackbot", "GET", []string{"User-Agent", "Slackbot 1.0"}, 401, quiet},
		{"wrong", "GET", []string{"X-S3gate-Passcode", "wrong"}, 401, realm},
		{"wrong Basic", "GET", []string{"Authorization", basic("", "wrong")}, 401, realm},
		{"wrong Basic of a browser", "GET", with(chromeOpens, "Authorization", basic("", "wrong")), 401, quiet},
		{"another scheme", "GET", []string{"Authorization", "Bearer " + canaryCode}, 401, realm},
		{"in the query", "GET", nil, 401, realm},
		{"prefetch", "GET", []string{"Sec-Purpose", "prefetch", "X-S3gate-Passcode", canaryCode}, 403, ""},
	} {
		for _, grant := range []tokens.Grant{get(), unlimited(get())} {
			limited := grant.Limited()
			if !limited && !slices.Contains([]string{"header", "none", "none of a browser", "wrong"}, test.name) {
				continue // it makes no difference
			}
			token := g.mint(coded(t, grant))
			before := len(g.s3.log())
			r := g.request(test.method, token, nil, test.header...)
			r.URL.RawQuery = "passcode=" + url.QueryEscape(canaryCode)
			a := g.do(r)
			if a.StatusCode != test.status || a.Header.Get("WWW-Authenticate") != test.authenticate ||
				test.status == 200 && test.method == "GET" && a.body != content {
				t.Errorf("%s (limited %v): %s, WWW-Authenticate %q, want %d and %q:\n%s",
					test.name, limited, a.Status, a.Header.Get("WWW-Authenticate"), test.status, test.authenticate, a.body)
			}
			if test.status == 401 && (len(g.s3.log()) > before || strings.Contains(a.body, "report.txt")) {
				t.Errorf("%s: tells of the file:\n%s", test.name, a.body)
			}
			if want := test.authenticate == quiet; isPage(a) != want {
				t.Errorf("%s: the page %v, want %v", test.name, isPage(a), want)
			}
			if limited && (test.method == "HEAD" || test.status != 200) {
				g.wantCharge(token, "free")
			}
			checkCanaries(t, test.name, dump(a), token)
		}
	}
	for _, r := range g.s3.log() {
		if strings.Contains(r.target+strings.Join(slices.Concat(r.header["X-S3gate-Passcode"], r.header["Authorization"]), ""), "canary-client") ||
			r.header.Get("X-S3gate-Passcode") != "" || strings.HasPrefix(r.header.Get("Authorization"), "Basic") {
			t.Errorf("to S3: %s %v", r.target, r.header)
		}
	}
	eventually(t, "the last line", func() bool { return g.transfers.Len() == 0 })
	checkCanaries(t, "log", g.log.String(), tokens.Generate())
}

// An upload needs it too, before anything is stored.
func TestPasscodeOfAnUpload(t *testing.T) {
	g := newGate(t, http1)
	g.s3.clear()
	token := g.mint(coded(t, put()))
	for _, header := range [][]string{nil, {"X-S3gate-Passcode", "wrong"}} {
		if a := g.put(token, content, header...); a.StatusCode != 401 {
			t.Errorf("%v: %s, want 401", header, a.Status)
		}
		g.wantCharge(token, "free")
	}
	if _, ok := g.s3.object(); ok {
		t.Error("stored without the passcode")
	}
	if a := g.put(token, content, "Authorization", basic("", canaryCode)); a.StatusCode != 200 {
		t.Errorf("with it: %s:\n%s", a.Status, a.body)
	}
}

// On the page the passcode is the proof; neither button nor digits are needed,
// and neither does without it.
func TestPasscodeOnThePage(t *testing.T) {
	g := newGate(t, http1)
	for _, confirm := range []tokens.Confirm{"", tokens.ConfirmNever, tokens.ConfirmAlways} {
		grant := coded(t, confirming(get(), confirm))
		token := g.mint(grant)
		a := g.get(token, chromeOpens...)
		if !isPage(a) || !strings.Contains(a.body, `name="passcode"`) || strings.Contains(a.body, "challenge\"") {
			t.Fatalf("%s:\n%s", a.Status, a.body)
		}
		challenge := proxy.Challenge(token, time.Now().Add(time.Hour))
		for name, test := range map[string]struct {
			fields url.Values
			say    string
		}{
			"nothing":  {nil, "needs a passcode"},
			"gesture":  {url.Values{"challenge": {challenge}, "gesture": {"00000000"}}, "needs a passcode"},
			"wrong":    {url.Values{"passcode": {"wrong"}}, "That is not the passcode"},
			"as empty": {fieldsOf(a.body), "needs a passcode"},
		} {
			a := g.post(token, test.fields, chromeOpens...)
			if a.StatusCode != 401 || !isPage(a) || !strings.Contains(a.body, test.say) {
				t.Errorf("%s: %s:\n%s", name, a.Status, a.body)
			}
		}
		g.wantCharge(token, "free")
		a = g.post(token, url.Values{"passcode": {canaryCode}}, chromeOpens...)
		checkCanaries(t, "redirect", dump(a), token)
		ticket := a.Header.Get("Location")
		if got := g.follow(token, a, chromeOpens...); got.body != content {
			t.Errorf("%s: %s:\n%s", confirm, got.Status, got.body)
		}
		g.wantCharge(token, "charged")
		checkCanaries(t, "log", g.log.String(), token)
		for _, secret := range []string{ticket, strings.TrimPrefix(ticket, "?ticket="), "ticket="} {
			if strings.Contains(g.log.String(), secret) {
				t.Errorf("the log has the ticket:\n%s", g.log)
			}
		}
	}
}

// A ticket for the button is none for the passcode.
func TestPasscodeTicket(t *testing.T) {
	g := newGate(t, http1)
	grant := coded(t, unlimited(get()))
	token, code := g.mint(grant), grant.Passcode
	over := time.Now().Add(time.Minute)
	for ticket, want := range map[string]int{
		proxy.Ticket(token, code, over):               200,
		proxy.ButtonTicket(token, code, over):         401,
		proxy.Ticket(token, tokens.Passcode{}, over):  401,
		proxy.Ticket(token, hashed(t, "other"), over): 401,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r := g.request(method, token, nil)
			r.URL.RawQuery = "ticket=" + ticket
			if a := g.do(r); a.StatusCode != want {
				t.Errorf("%s: %s, want %d", method, a.Status, want)
			}
		}
	}
}

// always means a ticket, also for those who know the passcode.
func TestPasscodeAndAlways(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(coded(t, confirming(get(), tokens.ConfirmAlways)))
	if a := g.get(token, "X-S3gate-Passcode", canaryCode); a.StatusCode != 403 {
		t.Errorf("%s, want 403", a.Status)
	}
	g.wantCharge(token, "free")
}

// secondGate is another gate on the same Redis.
func (g *gate) secondGate(opts tokens.Options) *proxy.Passcodes {
	rdb := redis.NewClient(&redis.Options{Addr: g.redis.Addr(), MaxRetries: -1})
	store := tokens.New(rdb, opts)
	g.t.Cleanup(func() {
		store.Close(g.t.Context())
		rdb.Close()
	})
	return proxy.NewPasscodes(store)
}

// Wrong passcodes are limited for each token over all gates, also when they
// race; then also the right one is refused, unless the gate knows it (T10).
func TestWrongPasscodesAreLimited(t *testing.T) {
	g := newGate(t, http1)
	token, other := g.mint(coded(t, unlimited(get()))), g.mint(coded(t, unlimited(get())))
	knows := g.Passcodes
	if a := g.get(token, "X-S3gate-Passcode", canaryCode); a.StatusCode != 200 {
		t.Fatal(a.Status)
	}
	opts := tokens.Options{PasscodeTries: 2}
	gates := []*proxy.Passcodes{g.secondGate(opts), g.secondGate(opts)}
	var wrong, limited atomic.Int64
	for _, gate := range gates {
		g.Passcodes = gate
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				switch a := g.get(token, "X-S3gate-Passcode", "wrong "+string(rune('a'+i))); a.StatusCode {
				case 401:
					wrong.Add(1)
				case 429:
					limited.Add(1)
					if a.Header.Get("Retry-After") == "" {
						t.Error("429 without Retry-After")
					}
				default:
					t.Error(a.Status)
				}
			})
		}
		wg.Wait()
	}
	if wrong.Load() != 2 || limited.Load() != 8 {
		t.Errorf("%d wrong and %d refused, want 2 and 8", wrong.Load(), limited.Load())
	}
	if a := g.get(token, "X-S3gate-Passcode", canaryCode); a.StatusCode != 429 {
		t.Errorf("the right one: %s, want 429", a.Status)
	}
	if a := g.post(token, url.Values{"passcode": {canaryCode}}, chromeOpens...); a.StatusCode != 429 || isPage(a) {
		t.Errorf("the right one on the page: %s, want 429", a.Status)
	}
	if a := g.get(other, "X-S3gate-Passcode", canaryCode); a.StatusCode != 200 {
		t.Errorf("another token: %s", a.Status)
	}
	g.Passcodes = knows
	if a := g.get(token, "X-S3gate-Passcode", canaryCode); a.StatusCode != 200 {
		t.Errorf("where it is known: %s", a.Status)
	}
	g.Passcodes = gates[0]
	g.redis.SetTime(time.Now().Add(16 * time.Minute))
	if a := g.get(token, "X-S3gate-Passcode", canaryCode); a.StatusCode != 200 {
		t.Errorf("after the window: %s", a.Status)
	}
}

// The right passcode is not limited, however often and at once it is given,
// and a hash is computed once for it.
func TestRightPasscodeIsNotLimited(t *testing.T) {
	g := newGate(t, http1)
	tries := &countedTries{Tries: g.store}
	g.Passcodes = proxy.NewPasscodes(tries)
	token := g.mint(coded(t, unlimited(get())))
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if a := g.get(token, "X-S3gate-Passcode", canaryCode, "Range", "bytes=0-1"); a.StatusCode != 206 {
				t.Errorf("%s, want 206", a.Status)
			}
		})
	}
	wg.Wait()
	if n := tries.n.Load(); n != 1 {
		t.Errorf("%d passcodes were compared, want 1", n)
	}
}

// countedTries counts how often one is asked for.
type countedTries struct {
	proxy.Tries
	n atomic.Int64
}

func (c *countedTries) Try(ctx context.Context, id tokens.ID) (*tokens.Try, error) {
	c.n.Add(1)
	return c.Tries.Try(ctx, id)
}

// Without Redis, or without the means to count, nobody is let in.
func TestPasscodeUnproven(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(coded(t, unlimited(get())))
	// The token can be asked for, and the tries not.
	away := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialTimeout: 50 * time.Millisecond})
	store := tokens.New(away, tokens.Options{})
	t.Cleanup(func() { store.Close(t.Context()); away.Close() })
	for name, p := range map[string]*proxy.Passcodes{"no redis": proxy.NewPasscodes(store), "none": nil} {
		g.Passcodes = p
		if a := g.get(token, "X-S3gate-Passcode", canaryCode); a.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %s, want 503", name, a.Status)
		}
	}
}

// A script of any origin may give a passcode.
func TestPasscodePreflight(t *testing.T) {
	g := newGate(t, http1)
	a := g.do(g.request("OPTIONS", g.mint(get()), nil, "Origin", "https://app.example", "Access-Control-Request-Method", "GET",
		"Access-Control-Request-Headers", "authorization,x-s3gate-passcode"))
	for _, name := range []string{"Authorization", "X-S3gate-Passcode"} {
		if !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("%s: %q", name, a.Header.Get("Access-Control-Allow-Headers"))
		}
	}
}
