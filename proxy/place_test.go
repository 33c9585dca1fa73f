package proxy_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/tokens"
)

// drop is a grant for uploads below the canary's prefix.
func drop(uses int64, template string) tokens.Grant {
	g := tokens.Grant{Operation: tokens.Put, Bucket: "media", Prefix: "canary-key/", MaxUses: uses}
	g.Upload.KeyTemplate = template
	g.FillDropBox()
	return g
}

// putAs uploads under a name, which is put into the link as it is.
func (g *gate) putAs(token tokens.Token, tail, body string, header ...string) answer {
	g.t.Helper()
	r := g.request("PUT", token, strings.NewReader(body), header...)
	u, err := url.Parse(g.url(token) + tail)
	if err != nil {
		g.t.Fatal(err)
	}
	r.URL = u
	return g.do(r)
}

// keys are those of all objects.
func (s *stubS3) keys() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.objects {
		all = append(all, key)
	}
	return all
}

// Each upload into a drop box gets a key of its own, up to the limit of uses;
// who uploads learns nothing of it, who holds the receipt does.
func TestDropBox(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			g.s3.clear()
			var mu sync.Mutex
			told := map[string]bool{}
			g.Ended = func(r tokens.Receipt) {
				mu.Lock()
				defer mu.Unlock()
				told[r.Key] = true
			}
			token := g.mint(drop(3, "canary-key/{date}/{uuid}/{filename}"))
			for range 2 {
				if a := g.putAs(token, "/r%C3%A9sum%C3%A9.pdf", content); a.StatusCode != 200 || a.Header.Get("ETag") != etag || a.Header.Get("X-S3gate-Key") != "" {
					t.Errorf("%s %q %v", a.Status, a.body, a.Header)
				}
			}
			// The second is of unknown length, and goes another way.
			r := g.request("PUT", token, io.NopCloser(strings.NewReader(content)))
			r.URL.Path += "/"
			if a := g.do(r); a.StatusCode != 200 {
				t.Errorf("%s %q", a.Status, a.body)
			}
			if a := g.putAs(token, "/more.pdf", content); a.StatusCode != 410 {
				t.Errorf("one more: %s", a.Status)
			}
			now, err := g.store.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			form := regexp.MustCompile(`^canary-key/(\d{4}-\d\d-\d\d)/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/(résumé\.pdf|file)$`)
			keys, named := g.s3.keys(), 0
			for _, key := range keys {
				parts := form.FindStringSubmatch(key)
				if parts == nil || parts[1] != now.Format("2006-01-02") && parts[1] != now.Add(-time.Minute).Format("2006-01-02") {
					t.Errorf("stored as %q", key)
				} else if parts[2] != "file" {
					named++
				}
			}
			if len(keys) != 3 || named != 2 {
				t.Errorf("stored %q", keys)
			}
			eventually(t, "no transfer is left", func() bool { return g.transfers.Len() == 0 })
			st, err := g.store.Show(t.Context(), token.ID())
			if err != nil || len(st.Receipts) != 3 {
				t.Fatalf("%+v, %v", st.Receipts, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for i, key := range keys {
				if !told[key] {
					t.Errorf("no event says %q: %v", key, told)
				}
				if kept := st.Receipts[i].Key; !told[kept] {
					t.Errorf("a receipt says %q, want one of %q", kept, keys)
				}
			}
		})
	}
}

// A key is told only where the grant says so, and only of what was stored.
func TestDropBoxRevealsTheKey(t *testing.T) {
	g := newGate(t, http1)
	g.s3.clear()
	grant := drop(2, "canary-key/{filename}")
	grant.Upload.RevealKey = true
	token := g.mint(grant)
	const want = "canary-key/a%20%25%20%C3%A4+%22.txt"
	if a := g.putAs(token, "/a%20%25%20%C3%A4%2B%22.txt", content); a.StatusCode != 200 || strings.ReplaceAll(a.Header.Get("X-S3gate-Key"), "%2B", "+") != want {
		t.Errorf("%s %v", a.Status, a.Header)
	}
	// The same name is the same key, and nothing is replaced.
	if a := g.putAs(token, "/a%20%25%20%C3%A4%2B%22.txt", "other"); a.StatusCode != 412 || a.Header.Get("X-S3gate-Key") != "" {
		t.Errorf("once more: %s %v", a.Status, a.Header)
	}
	if a := g.putAs(token, "/other.txt", content); a.StatusCode != 200 {
		t.Errorf("another, with the use that came back: %s %q", a.Status, a.body)
	}
	if keys := g.s3.keys(); len(keys) != 2 {
		t.Errorf("stored %q", keys)
	}
}

// What holds for an upload to a key holds for a drop box.
func TestDropBoxIsALinkLikeOthers(t *testing.T) {
	code, err := tokens.HashPasscode("open sesame")
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*tokens.Grant)) tokens.Grant { grant := drop(1, ""); change(&grant); return grant }
	for _, test := range []struct {
		name   string
		grant  tokens.Grant
		method string
		header []string
		want   int
		allow  string
	}{
		{"GET", drop(1, ""), "GET", nil, 405, "PUT, POST, PATCH, HEAD, OPTIONS"},
		{"HEAD", drop(1, ""), "HEAD", nil, 405, "PUT, POST, PATCH, HEAD, OPTIONS"},
		{"POST", drop(1, ""), "POST", nil, 405, "PUT, POST, PATCH, HEAD, OPTIONS"},
		{"type", with(func(g *tokens.Grant) { g.Upload.ContentTypes = []string{"image/*"} }), "PUT", []string{"Content-Type", "text/html"}, 415, ""},
		{"size", with(func(g *tokens.Grant) { g.Upload.MaxBytes = 3 }), "PUT", nil, 413, ""},
		{"network", with(func(g *tokens.Grant) { g.Clients = []string{"192.0.2.0/24"} }), "PUT", nil, 403, ""},
		{"no passcode", with(func(g *tokens.Grant) { g.Passcode = code }), "PUT", nil, 401, ""},
		{"wrong passcode", with(func(g *tokens.Grant) { g.Passcode = code }), "PUT", []string{"X-S3gate-Passcode", "guess"}, 401, ""},
		{"passcode", with(func(g *tokens.Grant) { g.Passcode = code }), "PUT", []string{"X-S3gate-Passcode", "open sesame"}, 200, ""},
		{"not yet", with(func(g *tokens.Grant) { g.NotBefore = time.Now().Add(30 * time.Minute) }), "PUT", nil, 403, ""},
		{"without limit", with(func(g *tokens.Grant) { g.MaxUses = 0 }), "PUT", nil, 200, ""},
	} {
		g := newGate(t, http1)
		g.s3.clear()
		token := g.mint(test.grant)
		var body io.Reader
		if test.method == "PUT" {
			body = strings.NewReader(content)
		}
		r := g.request(test.method, token, body, test.header...)
		r.URL.Path += "/name.txt"
		a := g.do(r)
		if a.StatusCode != test.want || a.Header.Get("Allow") != test.allow {
			t.Errorf("%s: %s, Allow %q; want %d, %q", test.name, a.Status, a.Header.Get("Allow"), test.want, test.allow)
		}
		if keys := g.s3.keys(); len(keys) > 0 != (test.want == 200) {
			t.Errorf("%s: stored %q", test.name, keys)
		}
		if text := a.body + g.log.String(); strings.Contains(text, "canary-key") || strings.Contains(text, token.Reveal()) {
			t.Errorf("%s: tells too much: %s", test.name, text)
		}
	}
}

// A revocation of the bucket's prefix ends an upload that runs, and the box.
func TestDropBoxIsRevokedByPrefix(t *testing.T) {
	for _, prefix := range []string{"canary", "canary-key/", "canary-key/2026"} {
		g := newGate(t, http1)
		g.s3.clear()
		token := g.mint(drop(5, ""))
		body, w := io.Pipe()
		done := make(chan error, 1)
		go func() {
			r := g.request("PUT", token, body)
			r.URL.Path += "/name.txt"
			r.ContentLength = 1 << 20
			resp, err := g.client.Do(r)
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					t.Errorf("%s: stored", prefix)
				}
			}
			done <- err
		}()
		w.Write([]byte("the beginning"))
		eventually(t, "the upload runs", func() bool { return g.transfers.Len() == 1 })
		receipt, err := g.revoker.Revoke(t.Context(), revocation.Rule{Bucket: "media", Prefix: prefix})
		if err != nil || receipt.Cut != 1 {
			t.Errorf("%s: %+v, %v", prefix, receipt, err)
		}
		w.Close()
		receive(t, "an end of the upload", done)
		if a := g.putAs(token, "/name.txt", content); a.StatusCode != 410 || len(g.s3.keys()) > 0 {
			t.Errorf("%s: %s, stored %q", prefix, a.Status, g.s3.keys())
		}
	}
}

func TestDropNames(t *testing.T) {
	long := strings.Repeat("ä", 200)
	for _, test := range []struct{ tail, want string }{
		{"", "file"},
		{"/", "file"},
		{"/report.pdf", "report.pdf"},
		{"/a/b/report.pdf", "report.pdf"},
		{"/report.pdf/", "file"},
		{"/C%3A%5Cfakepath%5Cphoto.jpg", "photo.jpg"},
		{"/..%2F..%2Fetc%2Fpasswd", "passwd"},
		{"/..%252F..%252Fetc", "file"},
		{"/..", "file"},
		{"/%2e%2e", "file"},
		{"/%252e%252e", "file"},
		{"/.htaccess", "htaccess"},
		{"/...%20.a", "a"},
		{"/a+b%20c%2541.txt", "a+b c%41.txt"},
		{"/100%", "100%"},
		{"/a%00b%0Ac%7F.txt", "a_b_c_.txt"},
		{"/%20%20name%20", "name"},
		{"/cod%E2%80%AEgpj.exe", "codgpj.exe"},
		{"/%E2%80%AE.%E2%80%AE.", "file"},
		{"/%FF%FE.txt", "__.txt"},
		{"/" + url.PathEscape(long) + ".tar.gz", strings.Repeat("ä", 126) + ".gz"},
	} {
		if got := proxy.DropName(proxy.TailName(test.tail), 900); got != test.want {
			t.Errorf("%s: %q, want %q", test.tail, got, test.want)
		}
	}
	if got := proxy.DropName(long+".jpeg", 64); got != strings.Repeat("ä", 29)+".jpeg" {
		t.Errorf("in 64 bytes: %q", got)
	}
}

// checkDrop checks that an upload of any name stays where its template puts it.
func checkDrop(t interface{ Errorf(string, ...any) }, g *tokens.Grant, tail string) {
	name := proxy.DropName(proxy.TailName(tail), g.NameRoom())
	key := g.DropKey(time.Now(), "00112233-4455-4677-8899-aabbccddeeff", name)
	template := g.Upload.KeyTemplate
	if !strings.HasPrefix(key, g.Prefix) || strings.Count(key, "/") != strings.Count(template, "/") || !utf8.ValidString(key) || len(key) > tokens.MaxKeyBytes {
		t.Errorf("%q: %q of %d bytes from %q", tail, key, len(key), template)
	}
	if name == "" || len(name) > 255 || name[0] == '.' || strings.ContainsAny(name, `/\`) {
		t.Errorf("%q: name %q", tail, name)
	}
	for _, r := range name {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			t.Errorf("%q: name %q has %U", tail, name, r)
		}
	}
	for form, times := key, 0; times < 3; times++ {
		if resolved := resolve(form) + "/"; !strings.HasPrefix(resolved, g.Prefix) {
			t.Errorf("%q: %q is resolved to %q", tail, key, resolved)
		}
		var err error
		if form, err = url.PathUnescape(form); err != nil {
			return
		}
	}
}

func TestNoNameLeavesTheDropBox(t *testing.T) {
	part := rapid.SampledFrom([]string{"..", ".", "/", "%2e", "%2F", "%252e", "%252F", "%5c", `\`, "a", "%", "%00", "%E2%80%AE", "%FF", "{uuid}", "{filename}",
		"%20", ".jpeg", strings.Repeat("%F0%9F%98%80", 90), strings.Repeat("b", 300)})
	templates := rapid.SampledFrom([]string{"in/{uuid}/{filename}", "in/{date}/{uuid}/{filename}", "in/{filename}", "in/{uuid}", "in/{filename}/{uuid}",
		"in/" + strings.Repeat("ö", 420) + "/{uuid}{filename}", "in/.{filename}.{date}"})
	rapid.Check(t, func(t *rapid.T) {
		g := tokens.Grant{Operation: tokens.Put, Prefix: "in/"}
		g.Upload.KeyTemplate = templates.Draw(t, "template")
		checkDrop(t, &g, "/"+strings.Join(rapid.SliceOfN(part, 0, 12).Draw(t, "parts"), ""))
	})
}

func FuzzDropName(f *testing.F) {
	for _, seed := range []string{"", "/", "/report.pdf", "/..%2f..", "/%252e%252e", "/.a", "/\xff", "/%00", "/%E2%80%AE", "/" + strings.Repeat("%C3%A4", 300), `/\`, "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, tail string) {
		g := drop(1, "")
		checkDrop(t, &g, tail)
	})
}
