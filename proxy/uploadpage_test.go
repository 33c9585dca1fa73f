package proxy_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"s3gate/tokens"
)

// isUploadPage reports whether an answer is the page that takes files.
func isUploadPage(a answer) bool {
	return a.StatusCode == 200 && strings.Contains(a.body, `id="upload"`)
}

// A person who opens the link of an upload gets the page, which costs nothing
// and tells of neither bucket, key nor token; whoever else asks is told that
// the link is for PUT, and what does not work any more says so to everybody.
func TestWhoGetsTheUploadPage(t *testing.T) {
	g := newGate(t, http1)
	elsewhere := put()
	elsewhere.Clients = []string{"192.0.2.0/24"}
	fetched := with(chromeOpens, "Sec-Fetch-Dest", "empty")
	fetched[3] = "cors"
	for _, test := range []struct {
		name   string
		grant  tokens.Grant
		method string
		header []string
		status int
		page   bool
	}{
		{"Chrome", put(), "GET", chromeOpens, 200, true},
		{"an older browser", put(), "GET", oldBrowser, 200, true},
		{"Chrome, without limit", unlimited(put()), "GET", chromeOpens, 200, true},
		{"Chrome, drop box", drop(3, ""), "GET", chromeOpens, 200, true},
		{"Chrome, confirmed never", confirming(put(), tokens.ConfirmNever), "GET", chromeOpens, 200, true},
		{"curl", put(), "GET", []string{"Accept", "*/*"}, 405, false},
		{"JSON", put(), "GET", []string{"Accept", "application/json"}, 405, false},
		{"HEAD of a browser", put(), "HEAD", chromeOpens, 405, false},
		{"a script", put(), "GET", fetched, 405, false},
		{"prefetch", put(), "GET", with(chromeOpens, "Sec-Purpose", "prefetch"), 405, false},
		{"WhatsApp", put(), "GET", []string{"Accept", pageAccept, "User-Agent", "WhatsApp/2.23.20.0"}, 405, false},
		{"Slackbot", put(), "GET", []string{"Accept", "*/*", "User-Agent", "Slackbot 1.0"}, 405, false},
		{"another network", elsewhere, "GET", chromeOpens, 403, false},
		{"early", later(put()), "GET", chromeOpens, 403, false},
	} {
		token := g.mint(test.grant)
		before := len(g.s3.log())
		a := g.do(g.request(test.method, token, nil, test.header...))
		if a.StatusCode != test.status || isUploadPage(a) != test.page {
			t.Errorf("%s: %s, the page %v:\n%s", test.name, a.Status, isUploadPage(a), a.body)
		}
		if test.status == 405 && !strings.HasPrefix(a.Header.Get("Allow"), "PUT, ") {
			t.Errorf("%s: Allow: %q", test.name, a.Header.Get("Allow"))
		}
		policy := a.Header.Get("Content-Security-Policy")
		if test.page && (!strings.Contains(policy, "connect-src 'self';") || !strings.Contains(policy, "form-action 'none'") ||
			!strings.Contains(a.Header.Get("Cache-Control"), "no-store") || a.Header.Get("Referrer-Policy") != "no-referrer") {
			t.Errorf("%s: %v", test.name, a.Header)
		}
		checkCanaries(t, test.name, dump(a), token)
		if len(g.s3.log()) > before {
			t.Errorf("%s: S3 was asked", test.name)
		}
		g.wantCharge(token, "free")
	}
	if a := g.do(g.request("GET", tokens.Generate(), nil, chromeOpens...)); a.StatusCode != 404 {
		t.Errorf("unknown: %s", a.Status)
	}
}

// What the link takes stands on the page, with what is left of its uses; a link
// that is used up, revoked or expired has none, one that is in use does.
func TestUploadPageSays(t *testing.T) {
	g := newGate(t, http1)
	g.s3.clear()
	box := drop(3, "")
	box.Upload.MaxBytes, box.Upload.ContentTypes = 5_000_000, []string{"image/*", "application/pdf"}
	token := g.mint(box)
	g.putAs(token, "/a.png", "x", "Content-Type", "image/png")
	r := g.request("GET", token, nil, chromeOpens...)
	r.URL.Path += "/"
	a := g.do(r)
	for _, want := range []string{"5.0 MB", "images, PDF", "<dt>Files left</dt><dd id=\"left\">2</dd>", `data-left="2"`, `data-many`, `data-max="5000000"`, ` data-open="3`, string(token.ID())} {
		if !isUploadPage(a) || !strings.Contains(a.body, want) {
			t.Errorf("%s: no %q in\n%s", a.Status, want, a.body)
		}
	}
	for checksum, want := range map[string]string{"crc32c": "x-amz-checksum-crc32c", "md5": "Content-MD5", "sha256": " data-sum", "any": " data-sum"} {
		summed := put()
		summed.Upload.Checksum = checksum
		a := g.get(g.mint(summed), chromeOpens...)
		if computes := want == " data-sum"; isUploadPage(a) != computes || a.StatusCode != 200 || !strings.Contains(a.body, want) {
			t.Errorf("with %s: %s %s", checksum, a.Status, a.body)
		}
	}

	busy := g.mint(put())
	if _, err := g.store.Redeem(t.Context(), busy, tokens.Ask{Operation: tokens.Put}); err != nil {
		t.Fatal(err)
	}
	if a := g.get(busy, chromeOpens...); !isUploadPage(a) {
		t.Errorf("in use: %s", a.Status)
	}
	g.wantCharge(busy, "taken")
	used, revoked, expired := g.mint(put()), g.mint(put()), g.mint(put())
	g.put(used, content)
	g.revoke(revoked)
	if a := g.get(used, chromeOpens...); a.StatusCode != 410 || !strings.Contains(a.body, "has been used") {
		t.Errorf("used: %s %s", a.Status, a.body)
	}
	if a := g.get(revoked, chromeOpens...); a.StatusCode != 410 || !strings.Contains(a.body, "was withdrawn") {
		t.Errorf("revoked: %s %s", a.Status, a.body)
	}
	g.redis.SetTime(time.Now().Add(2 * time.Hour))
	if a := g.get(expired, chromeOpens...); a.StatusCode != 410 || !strings.Contains(a.body, "has expired") {
		t.Errorf("expired: %s %s", a.Status, a.body)
	}
}

// The link of an upload with a passcode asks for it first. The ticket that it is
// exchanged for opens the page and lets the page upload; no other does.
func TestUploadPagePasscode(t *testing.T) {
	g := newPartsGate(t, http1)
	token := g.mint(coded(t, put()))
	ask := g.get(token, chromeOpens...)
	if ask.StatusCode != 401 || isUploadPage(ask) || !strings.Contains(ask.body, "This link needs a passcode") || strings.Contains(ask.body, "left</dt>") {
		t.Fatalf("%s:\n%s", ask.Status, ask.body)
	}
	if a := g.post(token, url.Values{"passcode": {"wrong"}}, chromeOpens...); a.StatusCode != 401 || !strings.Contains(a.body, "That is not the passcode") {
		t.Errorf("wrong: %s", a.Status)
	}
	pass := g.post(token, url.Values{"passcode": {canaryCode}}, chromeOpens...)
	page := g.follow(token, pass, chromeOpens...)
	if !isUploadPage(page) || !strings.Contains(page.body, "-u :PASSCODE") {
		t.Fatalf("%s:\n%s", page.Status, page.body)
	}
	g.wantCharge(token, "free")
	ticket := pass.Header.Get("Location")
	at := "/" + token.Reveal()
	if a := g.tus("POST", at, nil, "Upload-Length", "5"); a.StatusCode != 401 {
		t.Errorf("without the ticket: %s", a.Status)
	}
	if a := g.tus("POST", at+ticket+"x", nil, "Upload-Length", "5"); a.StatusCode != 401 {
		t.Errorf("with another: %s", a.Status)
	}
	begun := g.tus("POST", at+ticket, nil, "Upload-Length", "5")
	if begun.StatusCode != 201 {
		t.Fatalf("%s %s", begun.Status, begun.body)
	}
	again := g.post(token, url.Values{"passcode": {canaryCode}}, chromeOpens...)
	if again.StatusCode != http.StatusSeeOther {
		t.Errorf("the passcode while the link is in use: %s", again.Status)
	}
	a := g.piece(begun.Header.Get("Location")+"&"+ticket[1:], 0, "hello")
	if a.StatusCode != 204 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	g.wantStored(token, "hello")
	plain := g.mint(put())
	if a := g.post(plain, url.Values{"passcode": {canaryCode}}, chromeOpens...); a.StatusCode != 405 {
		t.Errorf("a form for a link without: %s", a.Status)
	}
}
