package proxy_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"s3gate/s3client"
	"s3gate/tokens"
)

// listingOf answers a listing with these keys and folders.
func listingOf(more bool, keys, folders []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<ListBucketResult><Name>%s</Name><EncodingType>url</EncodingType><IsTruncated>%v</IsTruncated>`, canaryBucket, more)
		for _, key := range keys {
			fmt.Fprintf(w, `<Contents><Key>%s</Key><LastModified>2026-03-02T10:00:00.000Z</LastModified><ETag>"e"</ETag><Size>1234567</Size>`+
				`<Owner><DisplayName>%s</DisplayName></Owner></Contents>`, url.QueryEscape(key), canaryMessage)
		}
		for _, folder := range folders {
			fmt.Fprintf(w, `<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>`, url.QueryEscape(folder))
		}
		io.WriteString(w, `</ListBucketResult>`)
	}
}

type listing struct {
	Prefix  string
	Folders []struct{ Name, Href string }
	Files   []struct {
		Name, Href string
		Size       int64
	}
	Next string
}

func (g *gate) listing(token tokens.Token, path string) listing {
	g.t.Helper()
	a := g.raw("GET /" + token.Reveal() + path + " HTTP/1.1\r\nHost: gate\r\n\r\n")
	var l listing
	if err := json.Unmarshal([]byte(a.body), &l); err != nil || a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" {
		g.t.Fatalf("%s: %d %s", path, a.StatusCode, a.body)
	}
	checkCanaries(g.t, path, dump(a), token)
	return l
}

// A listing asks S3 for one level below the prefix, says nothing of what is
// above it, costs no use, and leaves out what is no file below it.
func TestListing(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(below(get(), true)) // one use
	g.s3.answer(listingOf(true, []string{canaryPrefix, canaryPrefix + "a", canaryPrefix + "..", canaryPrefix + "%2e"},
		[]string{canaryPrefix + "sub/", canaryPrefix + "../", canaryPrefix + "/"}))
	l := g.listing(token, "/")
	if got := fmt.Sprint(l.Prefix, l.Folders, l.Files); got != "[{sub/ ./sub/} {/ .//}] [{a ./a 1234567}]" {
		t.Errorf("listing: %s", got)
	}
	if l.Next != base64.RawURLEncoding.EncodeToString([]byte("sub/")) {
		t.Errorf("next: %q", l.Next)
	}
	g.s3.answer(listingOf(false, []string{canaryPrefix + "sub/b"}, []string{canaryPrefix + "sub/"}))
	if l := g.listing(token, "/?after="+l.Next+"&prefix=&list-type=1"); len(l.Folders) != 0 || len(l.Files) != 1 || l.Next != "" {
		t.Errorf("the second page: %+v", l) // S3 gave the folder again
	}
	g.s3.answer(listingOf(false, nil, nil))
	g.listing(token, "/a%2Fb%20c/")
	var asked []string
	for _, r := range g.s3.log() {
		u, _ := url.Parse(r.target)
		asked = append(asked, u.Path+" "+u.Query().Get("prefix")+" "+u.Query().Get("start-after")+" "+u.Query().Get("delimiter"))
	}
	want := []string{"/canary-bucket/ canary-key/  /", "/canary-bucket/ canary-key/ canary-key/sub/ /", "/canary-bucket/ canary-key/a/b c/  /"}
	if fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("s3 was asked for\n%q, want\n%q", asked, want)
	}
	g.wantCharge(token, "free")
	g.s3.answer(nil)
	if a := g.raw("GET /" + token.Reveal() + "/report.txt HTTP/1.1\r\nHost: gate\r\n\r\n"); a.body != content {
		t.Errorf("a file after the listings: %d %q", a.StatusCode, a.body)
	}
}

// No cursor and no path lists what is not below the prefix, and what S3 says
// of it is not passed on (S1).
func TestListingStaysBelowThePrefix(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(below(get(), true)))
	g.s3.answer(listingOf(false, nil, nil))
	for _, path := range []string{"/../", "/%2e%2e/", "/..%2F/", "/%252e%252e/", "/a/../../", "/%00/", "/%ff/",
		"/?after=!", "/?after=" + base64.RawURLEncoding.EncodeToString([]byte("\xff")),
		"/?after=" + base64.RawURLEncoding.EncodeToString([]byte("a\x00")),
		"/?after=" + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("k", 1024)))} {
		a := g.raw("GET /" + token.Reveal() + path + " HTTP/1.1\r\nHost: gate\r\n\r\n")
		if a.StatusCode != 404 && a.StatusCode != 400 {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	if n := len(g.s3.log()); n != 0 {
		t.Errorf("s3 was asked %d times", n)
	}
	g.listing(token, "/?after="+base64.RawURLEncoding.EncodeToString([]byte("../../etc")))
	if r := g.s3.log(); !strings.Contains(r[0].target, "prefix=canary-key%2F") || !strings.Contains(r[0].target, "start-after=canary-key%2F..%2F..%2Fetc") {
		t.Errorf("s3 was asked for %s", r[0].target)
	}
	g.s3.answer(listingOf(false, []string{"elsewhere/" + canaryMessage}, nil))
	a := g.raw("GET /" + token.Reveal() + "/ HTTP/1.1\r\nHost: gate\r\n\r\n")
	if a.StatusCode != 502 {
		t.Errorf("a listing of something else: %d %s", a.StatusCode, a.body)
	}
}

// To a browser a listing is a page on which no name can be more than text,
// and every link leads below the folder (C1).
func TestListingPage(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(below(get(), true)))
	names := []string{`<script>alert(1)</script>`, `"onmouseover="x`, "javascript:alert(1)", "//evil.example", "a?b#c%41", "{{.Nonce}}", "x\u202egpj", "</style>"}
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = canaryPrefix + "in/" + name
	}
	g.s3.answer(listingOf(true, keys, []string{canaryPrefix + "in/https:/"}))
	a := g.raw("GET /" + token.Reveal() + "/in/?after=IQ HTTP/1.1\r\nHost: gate\r\nAccept: text/html,*/*\r\n\r\n")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/html; charset=utf-8" || a.Header.Get("Vary") != "Accept" {
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	_, nonce, _ := strings.Cut(a.body, `nonce="`)
	nonce, _, _ = strings.Cut(nonce, `"`)
	checkSafeHeaders(t, a, "default-src 'none'; img-src data:; style-src 'nonce-"+nonce+"'; script-src 'nonce-"+nonce+"'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
	checkCanaries(t, "page", dump(a), token)
	for _, bad := range []string{"<script>", `"onmouseover`, `href="javascript:`, `href="//`, `href="https:`} {
		if strings.Contains(a.body, bad) {
			t.Errorf("the page has %s:\n%s", bad, a.body)
		}
	}
	if strings.Count(a.body, "</style>") != 1 || !strings.Contains(a.body, "1.2 MB") || !strings.Contains(a.body, `rel="next"`) {
		t.Errorf("page:\n%s", a.body)
	}
	base := &url.URL{Scheme: "https", Host: "gate.example", Path: "/t/in/"}
	links := linksOf(a.body)
	if len(links) != len(names)+4 { // up, a folder, first page, next page
		t.Errorf("%d links", len(links))
	}
	for _, link := range links {
		u, err := base.Parse(link)
		if err != nil || u.Host != "gate.example" || !strings.HasPrefix(u.Path, "/t/") {
			t.Errorf("%q leads to %v, %v", link, u, err)
		}
	}
	if head := g.raw("HEAD /" + token.Reveal() + "/in/ HTTP/1.1\r\nHost: gate\r\n\r\n"); head.StatusCode != 200 || head.body != "" {
		t.Errorf("HEAD: %d %q", head.StatusCode, head.body)
	}
}

// linksOf are the links of a page.
func linksOf(page string) (links []string) {
	for _, match := range regexp.MustCompile(`<a [^>]*href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		links = append(links, html.UnescapeString(match[1]))
	}
	return links
}

// The way back goes by the path as a browser counts its steps, whatever the
// folders are called, and never above what is shared (S1).
func TestListingLeadsBack(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(below(get(), true)))
	g.s3.answer(listingOf(false, nil, nil))
	for path, want := range map[string][]string{
		"/":            nil,
		"/a/":          {"/"},
		"/a/b%20c/d/":  {"/", "/a/", "/a/b%20c/"},
		"/a%2Fb/":      {"/"},
		"/a%2Fb/c%5C/": {"/", "/a%2Fb/"},
		"//a/":         {"/", "//"},
		"/a//":         {"/", "/a/"},
	} {
		a := g.raw("GET /" + token.Reveal() + path + " HTTP/1.1\r\nHost: gate\r\nAccept: text/html\r\n\r\n")
		var got []string
		for _, link := range linksOf(a.body) {
			got = append(got, upFrom(path, link))
		}
		if a.StatusCode != 200 || !slices.Equal(got, want) {
			t.Errorf("%s: %d, back to %q, want %q", path, a.StatusCode, got, want)
		}
	}
}

// upFrom follows a link of "../" as the URL standard has it, which counts
// empty steps.
func upFrom(path, link string) string {
	for ; strings.HasPrefix(link, "../"); link = link[len("../"):] {
		path = path[:strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/')+1]
	}
	return path + link
}

// Without the slash after the token the links of a listing would lead astray:
// there is a redirect, which is relative, so that a path in front of the gate
// does not matter.
func TestListingRedirect(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(below(get(), true))
	for _, method := range []string{"GET", "HEAD"} {
		a := g.do(g.request(method, token, nil))
		if a.StatusCode != 308 || a.Header.Get("Location") != "./"+token.Reveal()+"/" || a.body != "" {
			t.Errorf("%s: %d to %q", method, a.StatusCode, a.Header.Get("Location"))
		}
	}
	g.wantCharge(token, "free")
	if n := len(g.s3.log()); n != 0 {
		t.Errorf("s3 was asked %d times", n)
	}
}

// Listing is refused where everything else is, and needs no use that is free.
func TestListingIsPermitted(t *testing.T) {
	g := newGate(t, http1)
	g.s3.answer(listingOf(false, []string{canaryPrefix + "a"}, nil))
	status := func(token tokens.Token) int {
		return g.raw("GET /" + token.Reveal() + "/ HTTP/1.1\r\nHost: gate\r\n\r\n").StatusCode
	}
	revoked := g.mint(unlimited(below(get(), true)))
	if err := g.store.Revoke(t.Context(), revoked.ID(), "", ""); err != nil {
		t.Fatal(err)
	}
	apart := unlimited(below(get(), true))
	apart.Clients = []string{"192.0.2.0/24"}
	busy := g.mint(below(get(), true))
	use, err := g.store.Redeem(t.Context(), busy, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		token tokens.Token
		want  int
	}{
		{"revoked", revoked, 410},
		{"another network", g.mint(apart), 403},
		{"no listing", g.mint(unlimited(below(get(), false))), 404},
		{"unknown", tokens.Generate(), 404},
		{"every use is taken right now", busy, 200},
	} {
		if got := status(tt.token); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	use.Refund(t.Context())
}

// A token that is revoked while S3 answers gives out no name any more, and
// says so.
func TestListingIsCut(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(below(get(), true)))
	g.Buckets["media"] = upstreamFunc(func(context.Context, *s3client.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		listingOf(false, []string{canaryPrefix + "secret-name"}, nil)(w, nil)
		g.transfers.CutAll()
		return w.Result(), nil
	})
	a := g.raw("GET /" + token.Reveal() + "/ HTTP/1.1\r\nHost: gate\r\n\r\n")
	if a.StatusCode != 503 && a.StatusCode != 410 || strings.Contains(a.body, "secret-name") {
		t.Errorf("after the revocation: %d %s", a.StatusCode, a.body)
	}
}
