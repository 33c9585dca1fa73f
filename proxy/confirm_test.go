package proxy_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/tokens"
	"s3gate/web"
)

// What browsers send when somebody opens a link.
const pageAccept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

var (
	chromeOpens = []string{"Accept", pageAccept, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-User", "?1",
		"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"}
	oldBrowser = []string{"Accept", pageAccept, "User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 14_0 like Mac OS X) Safari/604.1"}
)

func with(header []string, more ...string) []string { return append(slices.Clone(header), more...) }

func confirming(g tokens.Grant, c tokens.Confirm) tokens.Grant {
	g.Confirm = c
	return g
}

// post submits a form for a token, in turn names and values.
func (g *gate) post(token tokens.Token, fields url.Values, header ...string) answer {
	g.t.Helper()
	header = with(header, "Content-Type", "application/x-www-form-urlencoded")
	return g.do(g.request("POST", token, strings.NewReader(fields.Encode()), header...))
}

// fieldsOf are the fields of a page's form as they stand there.
func fieldsOf(page string) url.Values {
	fields := url.Values{}
	for _, input := range regexp.MustCompile(`<input [^>]*>`).FindAllString(page, -1) {
		name, _, _ := strings.Cut(strings.SplitN(input+`name="`, `name="`, 2)[1], `"`)
		_, value, _ := strings.Cut(input, `value="`)
		value, _, _ = strings.Cut(value, `"`)
		fields.Set(name, value)
	}
	return fields
}

var digitWords = []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}

// digitsOf reads the digits of a page as a person does.
func digitsOf(t *testing.T, page string) string {
	t.Helper()
	_, words, ok := strings.Cut(page, "<strong>")
	words, _, _ = strings.Cut(words, "</strong>")
	var digits strings.Builder
	for word := range strings.FieldsSeq(words) {
		digits.WriteByte('0' + byte(slices.Index(digitWords, word)))
	}
	if !ok || digits.Len() != 4 {
		t.Fatalf("no digits on the page:\n%s", page)
	}
	return digits.String()
}

// person fills the form in as somebody does who presses the button.
func person(page string) url.Values {
	fields := fieldsOf(page)
	fields.Set("gesture", web.Gesture(fields.Get("challenge")))
	return fields
}

// follow goes where a redirect leads.
func (g *gate) follow(token tokens.Token, a answer, header ...string) answer {
	g.t.Helper()
	location := a.Header.Get("Location")
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, "?ticket=") {
		g.t.Fatalf("%s to %q:\n%s", a.Status, location, a.body)
	}
	r := g.request("GET", token, nil, header...)
	r.URL.RawQuery = location[1:]
	return g.do(r)
}

// isPage reports whether an answer is the page with the button.
func isPage(a answer) bool {
	return strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") && strings.Contains(a.body, "<button")
}

// What opens a link of one use, and is not a person who presses the button,
// burns nothing; what asks for the file as programs do has it at once (T10).
func TestWhoGetsThePage(t *testing.T) {
	const page, file, refused, nothing = "page", "file", "refused", "nothing"
	tests := []struct {
		name   string
		method string
		header []string
		want   map[tokens.Confirm]string // without an entry as for auto
	}{
		{"Chrome", "GET", chromeOpens, map[tokens.Confirm]string{"auto": page, "never": file}},
		{"an older browser", "GET", oldBrowser, map[tokens.Confirm]string{"auto": page, "never": file}},
		{"a browser that asks for a range", "GET", with(oldBrowser, "Range", "bytes=0-99"), map[tokens.Confirm]string{"auto": page, "never": file}},
		{"Outlook SafeLinks", "GET", with(oldBrowser, "User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) SafeLinks"),
			map[tokens.Confirm]string{"auto": page, "never": file}},
		{"Slackbot", "GET", []string{"Accept", "*/*", "Range", "bytes=0-32768", "User-Agent", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
			map[tokens.Confirm]string{"auto": page, "never": file}},
		{"WhatsApp", "GET", []string{"Accept", pageAccept, "User-Agent", "WhatsApp/2.23.20.0"}, map[tokens.Confirm]string{"auto": page, "never": file}},
		{"WhatsApp that takes anything", "GET", []string{"User-Agent", "WhatsApp/2.23.20.0 A"}, map[tokens.Confirm]string{"auto": page, "never": file}},
		{"Facebook", "GET", []string{"Accept", "*/*", "User-Agent", "facebookexternalhit/1.1"}, map[tokens.Confirm]string{"auto": page, "never": file}},
		{"Telegram", "GET", []string{"User-Agent", "TelegramBot (like TwitterBot)"}, map[tokens.Confirm]string{"auto": page, "never": file}},
		{"prefetch of a page", "GET", with(chromeOpens, "Sec-Purpose", "prefetch;anonymous-client-ip"), map[tokens.Confirm]string{"auto": page}},
		{"prerender", "GET", with(chromeOpens, "Sec-Purpose", "prefetch;prerender"), map[tokens.Confirm]string{"auto": page}},
		{"prefetch of a resource", "GET", []string{"Accept", "*/*", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty", "Sec-Purpose", "prefetch"},
			map[tokens.Confirm]string{"auto": refused}},
		{"prefetch of an older browser", "GET", []string{"Accept", "*/*", "X-Moz", "prefetch"}, map[tokens.Confirm]string{"auto": refused}},
		{"HEAD", "HEAD", nil, map[tokens.Confirm]string{"auto": nothing}},
		{"HEAD of a browser", "HEAD", chromeOpens, map[tokens.Confirm]string{"auto": nothing}},
		{"curl", "GET", []string{"Accept", "*/*", "User-Agent", "curl/8.9.1"}, map[tokens.Confirm]string{"auto": file, "always": refused}},
		{"wget", "GET", []string{"Accept", "*/*", "User-Agent", "Wget/1.24.5"}, map[tokens.Confirm]string{"auto": file, "always": refused}},
		{"no Accept", "GET", nil, map[tokens.Confirm]string{"auto": file, "always": refused}},
		{"fetch", "GET", []string{"Accept", "*/*", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", "https://app.example"},
			map[tokens.Confirm]string{"auto": file, "always": refused}},
		{"fetch of a page", "GET", []string{"Accept", "text/html", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
			map[tokens.Confirm]string{"auto": file, "always": refused}},
		{"a video", "GET", []string{"Accept", "*/*", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "video", "Range", "bytes=0-"},
			map[tokens.Confirm]string{"auto": file, "always": refused}},
	}
	g := newGate(t, http1)
	for _, test := range tests {
		for _, confirm := range []tokens.Confirm{"", "auto", "always", "never"} {
			want, ok := test.want[confirm]
			if !ok {
				want = test.want["auto"]
			}
			if confirm == "never" && want == page { // a prefetch
				want = refused
			}
			t.Run(test.name+"/"+string(confirm), func(t *testing.T) {
				token := g.mint(confirming(get(), confirm))
				a := g.do(g.request(test.method, token, nil, test.header...))
				got := "?"
				switch {
				case isPage(a) && a.StatusCode == 200:
					got = page
				case a.body == content:
					got = file
				case a.StatusCode == 403 && (strings.Contains(a.body, "ConfirmationRequired") || strings.Contains(a.body, "in a browser") || strings.Contains(a.body, "in advance")):
					got = refused
				case a.StatusCode == 200 && a.body == "" && test.method == "HEAD":
					got = nothing
				}
				if got != want {
					t.Errorf("got %s (%s), want %s:\n%s", got, a.Status, want, a.body)
				}
				charge := "free"
				if want == file {
					charge = "charged"
				}
				g.wantCharge(token, charge)
			})
		}
	}
}

// A link without a limit is not worth a page, unless its grant says so.
func TestUnlimitedLinksOpenAtOnce(t *testing.T) {
	g := newGate(t, http1)
	if a := g.get(g.mint(unlimited(get())), chromeOpens...); a.body != content {
		t.Errorf("%s:\n%s", a.Status, a.body)
	}
	if a := g.get(g.mint(unlimited(get())), with(chromeOpens, "Sec-Purpose", "prefetch")...); a.body != content {
		t.Errorf("in advance: %s:\n%s", a.Status, a.body)
	}
	token := g.mint(confirming(unlimited(get()), tokens.ConfirmAlways))
	a := g.get(token, chromeOpens...)
	if !isPage(a) {
		t.Fatalf("always: %s:\n%s", a.Status, a.body)
	}
	if a := g.follow(token, g.post(token, person(a.body), chromeOpens...), chromeOpens...); a.body != content {
		t.Errorf("confirmed: %s:\n%s", a.Status, a.body)
	}
}

// The page says what the file is and what the link still gives, and lets
// nothing run but its own.
func TestPage(t *testing.T) {
	g := newGate(t, http1)
	g.Look.Contact = "help@example.com"
	grant := get()
	grant.MaxUses = 3
	grant.Response.Filename = `<b>Report "1".txt`
	token := g.mint(grant)
	g.get(token)
	a := g.get(token, chromeOpens...)
	expires, err := g.store.Show(t.Context(), token.ID())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<title>Download &lt;b&gt;Report &#34;1&#34;.txt</title>", "25 bytes", "text/plain", "<dd>2</dd>", "help@example.com",
		`<time datetime="` + expires.ExpiresAt.UTC().Format(time.RFC3339) + `" data-local>`, `<html lang="en">`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %q in\n%s", want, a.body)
		}
	}
	checkSafeHeaders(t, a, "")
	checkCanaries(t, "page", dump(a), token)
	csp := a.Header.Get("Content-Security-Policy")
	nonce := regexp.MustCompile(`nonce-([0-9A-Z]{26})'`).FindStringSubmatch(csp)
	if nonce == nil {
		t.Fatalf("policy %q", csp)
	}
	want := "default-src 'none'; img-src data:; style-src 'nonce-N'; script-src 'nonce-N'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	if got := strings.ReplaceAll(csp, nonce[1], "N"); got != want {
		t.Errorf("policy %q\nwant   %q", got, want)
	}
	if n := strings.Count(a.body, `nonce="`+nonce[1]+`"`); n != 2 {
		t.Errorf("%d elements have the nonce, want style and script", n)
	}
	if again := g.get(token, chromeOpens...); again.Header.Get("Content-Security-Policy") == csp {
		t.Error("the same nonce twice")
	}
}

// The page comes only when the link would give the file.
func TestPageOfADeadLink(t *testing.T) {
	g := newGate(t, http1)
	used, busy := g.mint(get()), g.mint(get())
	g.get(used)
	if _, err := g.store.Redeem(t.Context(), busy, tokens.Ask{Operation: tokens.Get}); err != nil {
		t.Fatal(err)
	}
	grant := get()
	grant.Clients = []string{"192.0.2.0/24"}
	for name, test := range map[string]struct {
		token  tokens.Token
		status int
	}{"used": {used, 410}, "in use": {busy, 409}, "unknown": {tokens.Generate(), 404}, "another network": {g.mint(grant), 403}} {
		if a := g.get(test.token, chromeOpens...); a.StatusCode != test.status || isPage(a) {
			t.Errorf("%s: %s, want %d", name, a.Status, test.status)
		}
		if a := g.post(test.token, url.Values{}, chromeOpens...); a.StatusCode != test.status || isPage(a) {
			t.Errorf("%s: POST: %s, want %d", name, a.Status, test.status)
		}
	}
	g.empty()
	if a := g.get(g.mint(get()), chromeOpens...); a.StatusCode != 404 || isPage(a) {
		t.Errorf("absent object: %s", a.Status)
	}
}
