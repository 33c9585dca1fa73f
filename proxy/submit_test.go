package proxy_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"s3gate/proxy"
	"s3gate/tokens"
	"s3gate/web"
)

// The button, and the digits where there is no script, lead to the file; what
// a form submitter sends does not, and costs nothing (T10).
func TestForm(t *testing.T) {
	g := newGate(t, http1)
	foreign := person(g.get(g.mint(get()), chromeOpens...).body)
	var ticket string
	tests := []struct {
		name string
		fill func(t *testing.T, page string) url.Values
		ok   bool
		say  string
	}{
		{"the button", func(_ *testing.T, page string) url.Values { return person(page) }, true, ""},
		{"digits", func(t *testing.T, page string) url.Values {
			fields := fieldsOf(page)
			fields.Set("digits", digitsOf(t, page))
			return fields
		}, true, ""},
		{"digits with spaces", func(t *testing.T, page string) url.Values {
			fields := fieldsOf(page)
			fields.Set("digits", strings.Join(strings.Split(digitsOf(t, page), ""), " "))
			return fields
		}, true, ""},
		{"fields as they stand", func(_ *testing.T, page string) url.Values { return fieldsOf(page) }, false, "not started by hand"},
		{"fields filled with text", func(_ *testing.T, page string) url.Values {
			fields := fieldsOf(page)
			fields.Set("digits", "test")
			fields.Set("gesture", "test")
			return fields
		}, false, "not the digits"},
		{"the challenge for an answer", func(_ *testing.T, page string) url.Values {
			fields := fieldsOf(page)
			fields.Set("gesture", fields.Get("challenge"))
			return fields
		}, false, "not started by hand"},
		{"words for digits", func(_ *testing.T, page string) url.Values {
			fields := fieldsOf(page)
			fields.Set("digits", "one two three four")
			return fields
		}, false, "not the digits"},
		{"no fields", func(*testing.T, string) url.Values { return nil }, false, "open for too long"},
		{"another link's fields", func(*testing.T, string) url.Values { return foreign }, false, "open for too long"},
		{"a ticket for a challenge", func(*testing.T, string) url.Values {
			return url.Values{"challenge": {ticket}, "gesture": {web.Gesture(ticket)}}
		}, false, "open for too long"},
		{"a changed challenge", func(_ *testing.T, page string) url.Values {
			fields := fieldsOf(page)
			fields.Set("challenge", "A"+fields.Get("challenge")[1:])
			fields.Set("gesture", web.Gesture(fields.Get("challenge")))
			return fields
		}, false, "open for too long"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			token := g.mint(get())
			ticket = proxy.Ticket(token, tokens.Passcode{}, time.Now().Add(time.Minute))
			a := g.post(token, test.fill(t, g.get(token, chromeOpens...).body), chromeOpens...)
			g.wantCharge(token, "free")
			if !test.ok {
				if a.StatusCode != 403 || !isPage(a) || !strings.Contains(a.body, test.say) || !strings.Contains(a.body, `role="alert"`) {
					t.Fatalf("%s, want the page with %q:\n%s", a.Status, test.say, a.body)
				}
				// From the page that comes then a person gets on.
				a = g.post(token, person(a.body), chromeOpens...)
			}
			if got := g.follow(token, a, chromeOpens...); got.body != content {
				t.Errorf("with the ticket: %s:\n%s", got.Status, got.body)
			}
			g.wantCharge(token, "charged")
			if got := g.follow(token, a, chromeOpens...); got.StatusCode != 410 {
				t.Errorf("with the ticket again: %s, want 410", got.Status)
			}
		})
	}
}

// Programs that submit get what they understand.
func TestFormOfAProgram(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(get())
	a := g.post(token, url.Values{"digits": {"1234"}})
	if a.StatusCode != 403 || !strings.Contains(a.body, "<Code>ConfirmationRequired</Code>") {
		t.Errorf("%s:\n%s", a.Status, a.body)
	}
	for name, test := range map[string]struct {
		body, contentType string
		status            int
	}{
		"JSON":      {"{}", "application/json", 415},
		"multipart": {"--x--", "multipart/form-data; boundary=x", 415},
		"no type":   {"a=b", "", 415},
		"too large": {strings.Repeat("a", 4097), "application/x-www-form-urlencoded", 413},
		"malformed": {"a=%", "application/x-www-form-urlencoded; charset=utf-8", 400},
	} {
		r := g.request("POST", token, strings.NewReader(test.body))
		if test.contentType != "" {
			r.Header.Set("Content-Type", test.contentType)
		}
		if a := g.do(r); a.StatusCode != test.status {
			t.Errorf("%s: %s, want %d", name, a.Status, test.status)
		}
	}
	g.wantCharge(token, "free")
}

// Only links that have a page take its form.
func TestPostElsewhere(t *testing.T) {
	g := newGate(t, http1)
	for name, test := range map[string]struct {
		grant tokens.Grant
		allow string
	}{
		"unlimited": {unlimited(get()), "GET, HEAD, OPTIONS"},
		"never":     {confirming(get(), tokens.ConfirmNever), "GET, HEAD, OPTIONS"},
		"put":       {put(), "PUT, POST, PATCH, HEAD, OPTIONS"},
	} {
		if a := g.post(g.mint(test.grant), nil); a.StatusCode != 405 || a.Header.Get("Allow") != test.allow {
			t.Errorf("%s: %s, Allow %q, want 405 with %q", name, a.Status, a.Header.Get("Allow"), test.allow)
		}
	}
	if a := g.put(g.mint(get()), "x"); a.StatusCode != 405 || a.Header.Get("Allow") != "GET, HEAD, POST, OPTIONS" {
		t.Errorf("PUT: %s, Allow %q", a.Status, a.Header.Get("Allow"))
	}
}

// The redirect keeps the path as the client spelled it, under any host.
func TestRedirectKeepsThePath(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(get())
	page := g.get(token, chromeOpens...).body
	r := g.request("POST", token, strings.NewReader(person(page).Encode()), "Content-Type", "application/x-www-form-urlencoded")
	link, err := url.Parse(r.URL.String() + "/a%2Fb%20c//d.txt?ticket=old")
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.Host = link, "files.example.com"
	a := g.do(r)
	next, err := link.Parse(a.Header.Get("Location"))
	if err != nil || next.EscapedPath() != link.EscapedPath() || next.Host != link.Host || next.RawQuery == link.RawQuery {
		t.Errorf("to %q (%v)", a.Header.Get("Location"), err)
	}
}

// Wrong digits are limited by network, right ones and other networks are not.
func TestWrongDigitsAreLimited(t *testing.T) {
	g := newGate(t, http1)
	g.Answers = proxy.NewGuesses(0.001, 5)
	token := g.mint(get())
	page := g.get(token, chromeOpens...).body
	fields := fieldsOf(page)
	fields.Set("digits", "none")
	for range 5 {
		if a := g.post(token, fields, chromeOpens...); a.StatusCode != 403 {
			t.Fatalf("%s, want 403", a.Status)
		}
	}
	fields.Set("digits", digitsOf(t, page))
	a := g.post(token, fields, chromeOpens...)
	if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("then the right ones: %s, want 429", a.Status)
	}
	if a := g.post(token, person(page), chromeOpens...); a.StatusCode != 303 {
		t.Errorf("the button: %s, want 303", a.Status)
	}
}

// A ticket lives for two minutes and as long as its download may be resumed;
// one for a folder long enough to look around (T10).
func TestTicketLives(t *testing.T) {
	g := newGate(t, http1)
	resumable := get()
	resumable.ResumeWindow = tokens.Duration(10 * time.Minute)
	folder := coded(t, below(get(), true))
	for _, tt := range []struct {
		name  string
		grant tokens.Grant
		path  string
		want  time.Duration
	}{
		{"strict", get(), "", 2 * time.Minute},
		{"resumable", resumable, "", 12 * time.Minute},
		{"passcode", coded(t, get()), "", 2 * time.Minute},
		{"folder", folder, "/", 15 * time.Minute},
		{"a folder in it", folder, "/sub/", 15 * time.Minute},
		{"a file in it", folder, "/report.txt", 2 * time.Minute},
	} {
		token := g.mint(tt.grant)
		form := person(g.at("GET", token, tt.path, nil).body)
		form.Set("passcode", canaryCode)
		before := time.Now()
		ticket := strings.TrimPrefix(g.at("POST", token, tt.path, form).Header.Get("Location"), "?ticket=")
		// It is counted in whole seconds.
		for after, want := range map[time.Duration]bool{tt.want - time.Second: true, tt.want + 5*time.Second: false} {
			if _, ok := proxy.OpenSeal(token, tt.grant.Passcode, ticket, before.Add(after)); ok != want {
				t.Errorf("%s: good after %v: %v, want %v", tt.name, after, ok, want)
			}
		}
	}
}
