package proxy_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/proxy"
	"s3gate/tokens"
)

// at asks for a path below a token's folder as a browser does.
func (g *gate) at(method string, token tokens.Token, path string, form url.Values, header ...string) answer {
	g.t.Helper()
	r := g.request(method, token, strings.NewReader(form.Encode()), chromeOpens...)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	u, err := url.Parse(g.url(token) + path)
	if err != nil {
		g.t.Fatal(err)
	}
	r.URL = u
	return g.do(r)
}

// The passcode of a folder is asked for once: every link of the listing takes
// the ticket along, and it holds for all that is below (T10, T14).
func TestPasscodeOfAFolder(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(coded(t, below(get(), true))) // one use
	g.s3.answer(listingOf(true, []string{canaryPrefix + "report.txt"}, []string{canaryPrefix + "sub/"}))

	a := g.at("GET", token, "/", nil)
	if a.StatusCode != 401 || !strings.Contains(a.body, "This folder needs a passcode") || strings.Contains(a.body, "report") {
		t.Fatalf("%s:\n%s", a.Status, a.body)
	}
	for code, say := range map[string]string{"wrong": "That is not the passcode", "": "This folder needs a passcode"} {
		if a := g.at("POST", token, "/", url.Values{"passcode": {code}}); a.StatusCode != 401 || !strings.Contains(a.body, say) {
			t.Errorf("%q: %s:\n%s", code, a.Status, a.body)
		}
	}
	ticket := g.at("POST", token, "/", url.Values{"passcode": {canaryCode}}).Header.Get("Location")
	a = g.at("GET", token, "/"+ticket, nil)
	want := []string{"./sub/" + ticket, "./report.txt" + ticket, "./?after=c3ViLw&" + strings.TrimPrefix(ticket, "?")}
	if got := linksOf(a.body); a.StatusCode != 200 || !slices.Equal(got, want) {
		t.Errorf("%s with links %q, want %q", a.Status, got, want)
	}
	checkCanaries(t, "listing", dump(a), token)
	g.s3.answer(listingOf(false, nil, nil))
	if got := linksOf(g.at("GET", token, "/sub/?after=IQ&"+strings.TrimPrefix(ticket, "?"), nil).body); !slices.Equal(got, []string{"../" + ticket, "./" + ticket}) {
		t.Errorf("from a folder below: %q", got)
	}
	if a := g.at("GET", token, ticket, nil); a.StatusCode != 308 || a.Header.Get("Location") != "./"+token.Reveal()+"/"+ticket {
		t.Errorf("without the slash: %s to %q", a.Status, a.Header.Get("Location"))
	}
	g.wantCharge(token, "free")
	g.s3.answer(nil)
	if a := g.at("GET", token, "/report.txt", nil); a.StatusCode != 401 {
		t.Errorf("a file without the ticket: %s", a.Status)
	}
	if a := g.at("GET", token, "/report.txt"+ticket, nil); a.body != content {
		t.Errorf("a file with it: %s:\n%s", a.Status, a.body)
	}
	g.wantCharge(token, "charged")
	if strings.Contains(g.log.String(), "ticket=") || strings.Contains(g.log.String(), strings.TrimPrefix(ticket, "?ticket=")) {
		t.Errorf("the log has the ticket:\n%s", g.log)
	}
}

// No links but those of a listing that was opened by a ticket have one, and
// only who brings a ticket that holds gets a listing: neither a program that
// previews what somebody has sent with the ticket in it, nor another token's.
func TestTicketOfAFolder(t *testing.T) {
	g := newGate(t, http1)
	g.s3.answer(listingOf(false, []string{canaryPrefix + "a"}, nil))
	grant := coded(t, unlimited(below(get(), true)))
	token, other := g.mint(grant), g.mint(grant)
	soon := time.Now().Add(time.Minute)
	good := "?ticket=" + proxy.Ticket(token, grant.Passcode, soon)
	for _, tt := range []struct {
		name, query string
		header      []string
		want        int
	}{
		{"good", good, nil, http.StatusOK},
		{"over", "?ticket=" + proxy.Ticket(token, grant.Passcode, time.Now().Add(-time.Second)), nil, 401},
		{"another token's", "?ticket=" + proxy.Ticket(other, grant.Passcode, soon), nil, 401},
		{"the button's", "?ticket=" + proxy.ButtonTicket(token, grant.Passcode, soon), nil, 401},
		{"Slackbot", good, []string{"User-Agent", "Slackbot-LinkExpanding 1.0"}, 401},
		{"in advance", good, []string{"Sec-Purpose", "prefetch"}, 401},
	} {
		if a := g.at("GET", token, "/"+tt.query, nil, tt.header...); a.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d", tt.name, a.Status, tt.want)
		}
	}
	a := g.at("GET", token, "/", nil, "X-S3gate-Passcode", canaryCode)
	if got := linksOf(a.body); !slices.Equal(got, []string{"./a"}) {
		t.Errorf("opened by a header: %q", got)
	}
	open := g.mint(unlimited(below(get(), true)))
	a = g.at("GET", open, "/?ticket="+proxy.Ticket(open, tokens.Passcode{}, soon)+"%22x", nil)
	if got := linksOf(a.body); !slices.Equal(got, []string{"./a"}) {
		t.Errorf("without a passcode: %q", got)
	}
}
