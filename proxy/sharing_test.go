package proxy_test

import (
	"net/url"
	"strings"
	"testing"

	"s3gate/tokens"
	"s3gate/web"
)

const (
	canarySharer = "Ada & <b>the press office</b>"
	canaryNote   = "First line\n<script>canary()</script>"
)

// noted makes a grant one that says who shares the file, and a note.
func noted(g tokens.Grant) tokens.Grant {
	g.SharedBy, g.Message = canarySharer, canaryNote
	return g
}

// tells reports whether an answer has the words of whoever shares the file.
func tells(a answer) bool {
	by, note := strings.Contains(a.body, "Shared by Ada &amp; &lt;b&gt;the press office"), strings.Contains(a.body, "First line\n&lt;script&gt;canary()")
	return by && note
}

// A note is shown before the file comes, as text, also where the link has no
// limit; programs get the file.
func TestNote(t *testing.T) {
	g := newGate(t, http1)
	for name, grant := range map[string]tokens.Grant{"limited": get(), "unlimited": unlimited(get())} {
		token := g.mint(noted(grant))
		a := g.get(token, chromeOpens...)
		if !isPage(a) || a.StatusCode != 200 || !tells(a) || strings.Contains(a.body, "<script>canary") {
			t.Fatalf("%s: %s\n%s", name, a.Status, a.body)
		}
		if a := g.follow(token, g.post(token, person(a.body), chromeOpens...), chromeOpens...); a.body != content {
			t.Errorf("%s, confirmed: %s\n%s", name, a.Status, a.body)
		}
		if a := g.get(g.mint(noted(grant)), "Accept", "*/*"); a.body != content {
			t.Errorf("%s, a program: %s\n%s", name, a.Status, a.body)
		}
		if a := g.get(g.mint(confirming(noted(grant), tokens.ConfirmNever)), chromeOpens...); a.body != content {
			t.Errorf("%s, never: %s\n%s", name, a.Status, a.body)
		}
	}
	shared := unlimited(get())
	shared.SharedBy = canarySharer
	if a := g.get(g.mint(shared), chromeOpens...); a.body != content {
		t.Errorf("only who shares it: %s\n%s", a.Status, a.body)
	}
}

// Before the passcode was given nothing is told of who shares a file; after it
// the page with the note comes, and then the file without asking again.
func TestNoteAfterThePasscode(t *testing.T) {
	g := newGate(t, http1)
	for name, grant := range map[string]tokens.Grant{"limited": get(), "unlimited": unlimited(get())} {
		token := g.mint(coded(t, noted(grant)))
		for what, a := range map[string]answer{
			"the page": g.get(token, chromeOpens...), "the wrong one": g.post(token, url.Values{"passcode": {"wrong"}}, chromeOpens...),
			"a program": g.get(token), "HEAD": g.do(g.request("HEAD", token, nil)), "a made-up ticket": g.post(token, url.Values{"ticket": {"x"}}, chromeOpens...),
		} {
			if strings.Contains(dump(a), "Ada") || strings.Contains(dump(a), "First line") || a.StatusCode != 401 {
				t.Errorf("%s, %s: %s\n%s", name, what, a.Status, a.body)
			}
		}
		answered := g.post(token, url.Values{"passcode": {canaryCode}}, chromeOpens...)
		a := g.follow(token, answered, chromeOpens...)
		if !isPage(a) || a.StatusCode != 200 || !tells(a) || strings.Contains(a.body, `name="passcode"`) || !strings.Contains(a.body, "report.txt") {
			t.Fatalf("%s: %s\n%s", name, a.Status, a.body)
		}
		if grant.Limited() {
			g.wantCharge(token, "free")
		}
		// The first ticket alone does not give the file, nor tell a program anything.
		if a := g.follow(token, answered, "Accept", "*/*"); a.StatusCode != 401 || strings.Contains(a.body, "Ada") {
			t.Errorf("%s, a program with the ticket: %s\n%s", name, a.Status, a.body)
		}
		if a := g.follow(token, answered, with(chromeOpens, "Sec-Purpose", "prefetch")...); a.StatusCode != 401 || tells(a) {
			t.Errorf("%s, in advance: %s\n%s", name, a.Status, a.body)
		}
		if a := g.follow(token, g.post(token, fieldsOf(a.body), chromeOpens...), chromeOpens...); a.body != content {
			t.Errorf("%s, confirmed: %s\n%s", name, a.Status, a.body)
		}
		// A program that sends the form gets on in one step.
		if a := g.follow(g.mint(coded(t, noted(grant))), answered, "Accept", "*/*"); a.StatusCode != 401 {
			t.Errorf("%s, the ticket of another link: %s", name, a.Status)
		}
		other := g.mint(coded(t, noted(grant)))
		if a := g.follow(other, g.post(other, url.Values{"passcode": {canaryCode}}), "Accept", "*/*"); a.body != content {
			t.Errorf("%s, a program's form: %s\n%s", name, a.Status, a.body)
		}
	}
}

// A listing has the note on the page of the folder that is shared, and its files
// come without another page. Without the grant's leave it loads no image.
func TestNoteInAListing(t *testing.T) {
	g := newGate(t, http1)
	grant := noted(unlimited(below(get(), true)))
	token := g.mint(grant)
	grant.Previews = true
	shown := g.mint(grant)
	page := func(token tokens.Token, path string) answer {
		t.Helper()
		g.s3.answer(listingOf(false, []string{canaryPrefix + path + "a.png", canaryPrefix + path + "b.txt"}, nil))
		defer g.s3.answer(nil)
		return g.raw("GET /" + token.Reveal() + "/" + path + " HTTP/1.1\r\nHost: gate\r\nAccept: text/html,*/*\r\n\r\n")
	}
	a := page(token, "")
	if !tells(a) || strings.Contains(a.body, "<img") || strings.Contains(a.Header.Get("Content-Security-Policy"), "img-src data: 'self'") {
		t.Errorf("%d %v\n%s", a.StatusCode, a.Header, a.body)
	}
	if a := page(token, "sub/"); a.StatusCode != 200 || strings.Contains(a.body, "Ada") {
		t.Errorf("a folder below: %d\n%s", a.StatusCode, a.body)
	}
	a = page(shown, "")
	if strings.Count(a.body, "<img") != 1 || !strings.Contains(a.body, `<img src="./a.png"`) || !strings.Contains(a.Header.Get("Content-Security-Policy"), "img-src data: 'self';") {
		t.Errorf("previews: %d %v\n%s", a.StatusCode, a.Header, a.body)
	}
	file := g.raw("GET /" + token.Reveal() + "/report.txt HTTP/1.1\r\nHost: gate\r\nAccept: text/html,*/*\r\nSec-Fetch-Mode: navigate\r\n\r\n")
	if file.body != content {
		t.Errorf("a file: %d %s", file.StatusCode, file.body)
	}
}

// A link into a bucket that has a brand of its own has it on every page, and
// what is no link has that of the gate.
func TestBrandOfABucket(t *testing.T) {
	g := newGate(t, http1)
	g.Look = web.Look{Brand: web.Brand{Name: "The gate"}}
	g.Looks = map[string]web.Look{"media": {Brand: web.Brand{Name: "The bucket"}, Contact: "bucket@example.com"}}
	used := g.mint(get())
	g.get(used)
	for name, tt := range map[string]struct {
		token tokens.Token
		want  string
	}{"a page": {g.mint(get()), "bucket"}, "a passcode": {g.mint(coded(t, get())), "bucket"}, "a used link": {used, "bucket"}, "no link": {tokens.Generate(), "gate"}} {
		a := g.get(tt.token, chromeOpens...)
		if got := strings.Contains(a.body, "<bdi>The "+tt.want+"</bdi></header>"); !got || strings.Contains(a.body, "bucket@example.com") != (tt.want == "bucket") {
			t.Errorf("%s: %s\n%s", name, a.Status, a.body)
		}
	}
	g.Looks = nil
	if a := g.get(g.mint(get()), chromeOpens...); !strings.Contains(a.body, "<bdi>The gate</bdi></header>") {
		t.Errorf("a bucket without a brand: %s\n%s", a.Status, a.body)
	}
}
