package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"s3gate/proxy"
	"s3gate/tokens"
)

const canaryPrefix = "canary-key/"

// below makes a grant one for all that is below the canary prefix.
func below(grant tokens.Grant, list bool) tokens.Grant {
	grant.Key, grant.Prefix, grant.List = "", canaryPrefix, list
	return grant
}

// A path names the key that it says, its escapes decoded once; what could be
// resolved to something above the prefix names none (S1).
func TestKeyBelow(t *testing.T) {
	for _, tt := range []struct{ prefix, tail, want string }{
		{"p/", "/a.txt", "p/a.txt"},
		{"p/", "/a/b", "p/a/b"},
		{"p/", "/a%2Fb", "p/a/b"},
		{"p/", "/a%252Fb", "p/a%2Fb"},
		{"p/", "//a", "p//a"},
		{"p/", "/a//b", "p/a//b"},
		{"p/", "/a/", "p/a/"},
		{"p/", "/a+b", "p/a+b"},
		{"p/", "/a%20b%2B", "p/a b+"},
		{"p/", "/%3Fq%23f", "p/?q#f"},
		{"p/", "/n%CC%83", "p/n\u0303"},
		{"p/", "/%C3%B1", "p/\u00f1"},
		{"p/", "/..a/b..", "p/..a/b.."},
		{"p/", "/...", "p/..."},
		{"p/", `/a\b`, `p/a\b`},
		{"p/", "/100%25", "p/100%"},
		{"p/", "/%25zz", "p/%zz"},
		{"rep", "/ort", "report"},
		{"rep.", "/.txt", "rep..txt"},
		{"p/../q/", "/a", "p/../q/a"}, // the prefix is the minter's
		{strings.Repeat("k", 1000), "/" + strings.Repeat("k", 24), strings.Repeat("k", 1024)},

		{"p/", "", ""},
		{"p/", "/", ""},
		{"p/", "/..", ""},
		{"p/", "/../q/a", ""},
		{"p/", "/a/../b", ""},
		{"p/", "/a/..", ""},
		{"p/", "/./a", ""},
		{"p/", "/a/.", ""},
		{"p/", "//../a", ""},
		{"p/", "/%2e%2e/a", ""},
		{"p/", "/.%2E/a", ""},
		{"p/", "/..%2Fa", ""},
		{"p/", "/%252e%252e/a", ""},
		{"p/", "/..%252Fa", ""},
		{"p/", "/%25252e%25252e/a", ""},
		{"p/", `/..\a`, ""},
		{"p/", "/..%5Ca", ""},
		{"p/", "/a%5C..%5C..%5Cb", ""},
		{"p/.", "/./q", ""}, // the dots of one segment, in two parts
		{"p/.", "/", ""},
		{"p/.", "/%2e/q", ""},
		{`p\.`, "/./q", ""},
		{"p/", "/%00", ""},
		{"p/", "/a%00.txt", ""},
		{"p/", "/%ff", ""},
		{"p/", "/%C3", ""},
		{"p\xc3", "/%B1", ""}, // not what a grant can have, and not a key either way
		{"p/", "/%zz", ""},
		{"p/", "/%", ""},
		{"p/", "/a%2", ""},
		{strings.Repeat("k", 1000), "/" + strings.Repeat("k", 25), ""},
	} {
		if tt.prefix == "p\xc3" {
			tt.want = "p\u00f1"
		}
		got, err := proxy.KeyBelow(tt.prefix, tt.tail)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q below %q: %q, %v; want %q", tt.tail, tt.prefix, got, err, tt.want)
		}
	}
}

// resolve is what a store or a proxy makes of a key that it takes for a path.
func resolve(key string) string {
	var out []string
	for segment := range strings.SplitSeq(strings.ReplaceAll(key, `\`, "/"), "/") {
		switch segment {
		case "", ".":
		case "..":
			out = out[:max(len(out)-1, 0)]
		default:
			out = append(out, segment)
		}
	}
	return strings.Join(out, "/")
}

// checkBelow: no path leads out of its prefix, for S3, to which a key is only
// bytes, or for somebody who resolves dots after decoding again.
func checkBelow(t interface{ Fatalf(string, ...any) }, prefix, tail string) {
	key, err := proxy.KeyBelow(prefix, tail)
	if err != nil {
		if key != "" {
			t.Fatalf("%q below %q: %q with %v", tail, prefix, key, err)
		}
		return
	}
	raw, rawErr := url.PathUnescape(strings.TrimPrefix(tail, "/"))
	if rawErr != nil || key != prefix+raw {
		t.Fatalf("%q below %q: %q, which is not the raw prefix and the path", tail, prefix, key)
	}
	if len(key) > 1024 || !utf8.ValidString(key) || strings.Contains(key, "\x00") {
		t.Fatalf("%q below %q: %q is no key", tail, prefix, key)
	}
	folder := prefix[:strings.LastIndex(prefix, "/")+1]
	for form, times := key, 0; times < 3; times++ {
		if resolved := resolve(form) + "/"; !strings.HasPrefix(resolved, strings.TrimLeft(folder, "/")) {
			t.Fatalf("%q below %q is resolved to %q", tail, prefix, resolved)
		}
		form, err = url.PathUnescape(form)
		if err != nil {
			return
		}
	}
}

// No path that anybody can think of leads out of the prefix (S1).
func TestNoPathLeavesThePrefix(t *testing.T) {
	part := rapid.SampledFrom([]string{"..", ".", "/", "//", "%2e", "%2E", "%2f", "%2F", "%252e", "%25252e", "%252F", "%5c", `\`, "a",
		"+", "%20", "%", "%00", "%c0%ae", "é", "%C3%A9", "n%CC%83", ";", "?", "#", "s3g"})
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"p/", "p/q/", "p/q", "p/.", "p/..", "p/a%2e", "a", "p/q/%", ".", "p/%2"}).Draw(t, "prefix")
		tail := "/" + strings.Join(rapid.SliceOfN(part, 0, 12).Draw(t, "parts"), "")
		if strings.Contains(prefix, "..") || prefix == "." || prefix == "p/." {
			// The prefix is what its minter said; what counts is that the
			// path adds no dots to it.
			if key, err := proxy.KeyBelow(prefix, tail); err == nil {
				for segment := range strings.SplitSeq(key, "/") {
					if segment == "." || segment == ".." {
						t.Fatalf("%q below %q is %q", tail, prefix, key)
					}
				}
			}
			return
		}
		checkBelow(t, prefix, tail)
	})
}

func FuzzKeyBelow(f *testing.F) {
	for _, seed := range []string{"", "/", "/a", "/../a", "/%2e%2e/a", "/%252e./a", "/a%2F..%2Fb", "/\xff", "/%00", "/%zz", "//", `/..\`} {
		f.Add("p/", seed)
		f.Add("p/q", seed)
	}
	f.Fuzz(func(t *testing.T, prefix, tail string) {
		if prefix == "" || !utf8.ValidString(prefix) || strings.ContainsAny(prefix, "\\.%\x00") || strings.Contains(prefix, "//") {
			return // what these mean is up to whoever minted them
		}
		checkBelow(t, prefix, tail)
	})
}

// A link below a prefix gives out the object that its path names, to GET and
// HEAD, under its own name, and nothing else; S3 is asked for the key byte for
// byte (S1).
func TestPrefixLink(t *testing.T) {
	g := newGate(t, http1)
	g.s3.store(canaryPrefix+"a b/c+d.txt", "below")
	g.s3.store("outside", "outside")
	token := g.mint(unlimited(below(get(), false))).Reveal()
	for _, tt := range []struct {
		tail   string
		status int
		body   string
	}{
		{"/report.txt", 200, content},
		{"/a%20b/c+d.txt", 200, "below"},
		{"/a%20b%2Fc%2Bd.txt", 200, "below"},
		{"/a%20b/c%20d.txt", 404, ""},
		{"/a+b/c+d.txt", 404, ""},
		{"//report.txt", 404, ""},
		{"/../outside", 404, ""},
		{"/%2e%2e/outside", 404, ""},
		{"/..%2foutside", 404, ""},
		{"/%00", 404, ""},
		{"/", 404, ""},
		{"", 404, ""},
		{"/a%20b/", 404, ""},
		{"?list-type=2", 404, ""},
		{"/?list-type=2", 404, ""},
		{"/%zz", 400, ""}, // net/http refuses it
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := g.raw(method + " /" + token + tt.tail + " HTTP/1.1\r\nHost: gate\r\n\r\n")
			if a.StatusCode != tt.status || method == "GET" && tt.status == 200 && a.body != tt.body {
				t.Errorf("%s %s: %d %q, want %d %q", method, tt.tail, a.StatusCode, a.body, tt.status, tt.body)
			}
		}
	}
	a := g.raw("GET /" + token + "/a%20b%2Fc+d.txt HTTP/1.1\r\nHost: gate\r\n\r\n")
	if got := a.Header.Get("Content-Disposition"); got != `attachment; filename="c+d.txt"; filename*=UTF-8''c+d.txt` {
		t.Errorf("Content-Disposition: %s", got)
	}
	for _, r := range g.s3.log() {
		if !strings.HasPrefix(r.target, "/"+canaryBucket+"/"+canaryPrefix) || strings.Contains(r.target, "?") {
			t.Errorf("s3 was asked for %s", r.target)
		}
	}

	// In a handler of its own also what net/http would not let through.
	r := httptest.NewRequest("GET", "/", nil)
	r.URL = &url.URL{Path: "/" + token + "/%", RawPath: "/" + token + "/%zz"}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	if w.Code != http.StatusNotFound {
		t.Errorf("a malformed escape: %d", w.Code)
	}
}

// Each file that is fetched through a limited prefix link is a use, and a path
// that names nothing is none.
func TestLimitedPrefixLink(t *testing.T) {
	g := newGate(t, http1)
	grant := below(get(), false)
	grant.MaxUses = 2
	token := g.mint(grant)
	for _, tt := range []struct {
		tail   string
		status int
	}{{"/../x", 404}, {"/absent", 404}, {"/report.txt", 200}, {"/", 404}, {"", 404}, {"/report.txt", 200}, {"/report.txt", 410}} {
		a := g.raw("GET /" + token.Reveal() + tt.tail + " HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n")
		if a.StatusCode != tt.status {
			t.Errorf("%s: %d, want %d", tt.tail, a.StatusCode, tt.status)
		}
	}
}
