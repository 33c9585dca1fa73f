package console_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"s3gate/auth"
	"s3gate/console"
	"s3gate/web"
)

const jwt = "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"

// desk is a console before an API that tells what it was asked.
type desk struct {
	*testing.T
	handler *console.Handler
	now     time.Time
	until   time.Time     // what the JWT says
	err     error         // instead of accepting it
	hold    chan struct{} // streams wait for it

	mu    sync.Mutex
	asked []*http.Request
}

func newDesk(t *testing.T) *desk {
	d := &desk{T: t, now: time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)}
	d.until = d.now.Add(24 * time.Hour)
	d.handler = console.New(console.Config{
		API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.mu.Lock()
			d.asked = append(d.asked, r)
			d.mu.Unlock()
			if d.hold != nil {
				select {
				case <-d.hold:
				case <-r.Context().Done():
				}
			}
			io.WriteString(w, `{"ok":true}`)
		}),
		Prove: func(bearer string) (auth.Caller, time.Time, error) {
			if bearer != jwt {
				return auth.Caller{}, time.Time{}, auth.ErrUnauthenticated
			}
			return auth.Caller{Issuer: "https://id.example", Subject: "ops"}, d.until, d.err
		},
		Streams: 2, Clock: func() time.Time { return d.now },
	})
	return d
}

// do sends a request with header lines "Name: value".
func (d *desk) do(method, target, body string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "http://console.example"+target, strings.NewReader(body))
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return d.send(r)
}

func (d *desk) send(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result()
}

const asForm = "Content-Type: application/x-www-form-urlencoded"

// signIn returns the Cookie line of a session.
func (d *desk) signIn(header ...string) string {
	d.Helper()
	resp := d.do("POST", "/console/sign-in", url.Values{"jwt": {jwt}}.Encode(), append(header, asForm)...)
	if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
		d.Fatalf("signing in: %d %v", resp.StatusCode, resp.Header)
	}
	c := resp.Cookies()[0]
	return "Cookie: " + c.Name + "=" + c.Value
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestSignIn(t *testing.T) {
	for _, pasted := range []string{jwt, "  " + jwt + "\n", "Bearer " + jwt, `"` + jwt + `"`, jwt[:10] + "\r\n" + jwt[10:]} {
		d := newDesk(t)
		resp := d.do("POST", "/console/sign-in", url.Values{"jwt": {pasted}, "next": {"/console/tokens/tok_a?x=1"}}.Encode(), asForm)
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/console/tokens/tok_a?x=1" || len(resp.Cookies()) != 1 {
			t.Fatalf("%q: %d %v", pasted, resp.StatusCode, resp.Header)
		}
		c := resp.Cookies()[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/console" || c.MaxAge != 8*3600 || c.Secure {
			t.Errorf("the cookie is %+v", c)
		}
		page := d.do("GET", "/console/transfers", "", "Cookie: "+c.Name+"="+c.Value)
		if body := text(t, page); page.StatusCode != http.StatusOK || strings.Contains(body, jwt) || !strings.Contains(body, "<bdi>ops</bdi>") {
			t.Errorf("the page: %d", page.StatusCode)
		}
		if page.Header.Get("Cache-Control") != "no-store" {
			t.Error("the page may be stored")
		}
	}
}

// Over TLS, or behind proxies of which the first speaks it, the cookie never travels
// without, and is none that another host could have set.
func TestCookieOverTLS(t *testing.T) {
	d := newDesk(t)
	cookie := d.signIn("X-Forwarded-Proto: https")
	_, value, _ := strings.Cut(cookie, "=")
	for proto, want := range map[string]bool{"https": true, "https, http": true, "HTTPS,http": true, "http": false, "http, https": false} {
		resp := d.do("POST", "/console/sign-in", url.Values{"jwt": {jwt}}.Encode(), asForm, "X-Forwarded-Proto: "+proto)
		if c := resp.Cookies()[0]; c.Secure != want || c.Domain != "" || strings.HasPrefix(c.Name, "__Host-") != want || (c.Path == "/") != want {
			t.Errorf("%s: the cookie is %+v", proto, c)
		}
	}
	if resp := d.do("GET", "/console/session", "", "X-Forwarded-Proto: https", "Cookie: __Secure-s3gate-console="+value+"; s3gate-console="+value); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a cookie that another host may have set counts: %d", resp.StatusCode)
	}
	if resp := d.do("GET", "/console/session", "", cookie); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without TLS it counts: %d", resp.StatusCode)
	}
}

func TestSignInRefused(t *testing.T) {
	tests := []struct {
		name, jwt string
		err       error
		status    int
		says      string
	}{
		{"another key", "eyJ.x.y", nil, http.StatusUnauthorized, "is not accepted"},
		{"nothing", "", nil, http.StatusUnauthorized, "is not accepted"},
		{"keys away", jwt, auth.ErrUnavailable, http.StatusServiceUnavailable, "cannot be had"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			d.err = tt.err
			resp := d.do("POST", "/console/sign-in", url.Values{"jwt": {tt.jwt}}.Encode(), asForm)
			body := text(t, resp)
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.says) || len(resp.Cookies()) > 0 {
				t.Errorf("%d %v", resp.StatusCode, resp.Header)
			}
			if tt.jwt != "" && strings.Contains(body, tt.jwt) {
				t.Error("the page repeats the JWT")
			}
		})
	}
}

// A browser would throw a longer cookie away, and nobody would know why.
func TestLongJWT(t *testing.T) {
	d := newDesk(t)
	long := strings.Repeat("a", 4000)
	d.handler = console.New(console.Config{Prove: func(string) (auth.Caller, time.Time, error) {
		return auth.Caller{Subject: "ops"}, time.Now().Add(time.Hour), nil
	}})
	resp := d.do("POST", "/console/sign-in", url.Values{"jwt": {long}}.Encode(), asForm)
	if body := text(t, resp); resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(body, "longer than a cookie") || len(resp.Cookies()) > 0 {
		t.Errorf("%d", resp.StatusCode)
	}
}

// After the sign-in one gets to a view, and nowhere else.
func TestNextIsAView(t *testing.T) {
	for next, want := range map[string]string{
		"": "/console/transfers", "/console/events": "/console/events", "/console/tokens/tok_a": "/console/tokens/tok_a",
		"https://evil.example/console/events": "/console/transfers", "//evil.example/console/events": "/console/transfers",
		"/console/sign-out": "/console/transfers", "/console/api/v1/tokens": "/console/transfers", "/console/../v1/tokens": "/console/transfers",
		"/console/tokens/../../v1/tokens": "/console/transfers", "/console/tokens/%2e%2e/%2E%2E/v1/tokens": "/console/transfers",
		`/console/tokens/a\..\..\..\v1\tokens`: "/console/transfers", "/console/tokens/./tok_a": "/console/transfers", "/console/tokens//evil.example": "/console/transfers",
		"/console/eventsx": "/console/transfers", "javascript:alert(1)": "/console/transfers", "/v1/tokens": "/console/transfers", "/console/events\r\nX: y": "/console/transfers",
	} {
		d := newDesk(t)
		resp := d.do("POST", "/console/sign-in", url.Values{"jwt": {jwt}, "next": {next}}.Encode(), asForm)
		if got := resp.Header.Get("Location"); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

// A session ends at its time or the JWT's, whichever comes first, also for a cookie
// whose time was moved away.
func TestSessionEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		life  time.Duration // of the JWT
		after time.Duration
		want  int
	}{
		{"8 h − 1 s", 24 * time.Hour, 8*time.Hour - time.Second, http.StatusNoContent},
		{"8 h", 24 * time.Hour, 8 * time.Hour, http.StatusUnauthorized},
		{"the JWT", time.Hour, time.Hour - time.Second, http.StatusNoContent},
		{"after the JWT", time.Hour, time.Hour, http.StatusUnauthorized},
	} {
		d := newDesk(t)
		d.until = d.now.Add(tt.life)
		cookie := d.signIn()
		d.now = d.now.Add(tt.after)
		if resp := d.do("GET", "/console/session", "", cookie); resp.StatusCode != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, resp.StatusCode, tt.want)
		}
	}
	d := newDesk(t)
	far := fmt.Sprintf("Cookie: s3gate-console=%d.%s", d.now.Add(9*time.Hour).Unix(), jwt)
	if resp := d.do("GET", "/console/session", "", far); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a longer session: %d", resp.StatusCode)
	}
	if resp := d.do("POST", "/console/sign-out", "", d.signIn()); resp.StatusCode != http.StatusSeeOther || resp.Cookies()[0].MaxAge >= 0 {
		t.Errorf("signing out: %d %v", resp.StatusCode, resp.Header)
	}
}

// Pages lead whoever has no session to the sign-in, and back; the API says 401.
func TestWithoutSession(t *testing.T) {
	d := newDesk(t)
	for cookie, want := range map[string]string{
		"":                                "/console/sign-in?next=%2Fconsole%2Ftokens%2Ftok_a",
		"Cookie: s3gate-console=1." + jwt: "/console/sign-in?next=%2Fconsole%2Ftokens%2Ftok_a&over=1",
	} {
		var headers []string
		if cookie != "" {
			headers = append(headers, cookie)
		}
		resp := d.do("GET", "/console/tokens/tok_a", "", headers...)
		location, _ := url.Parse(resp.Header.Get("Location"))
		wanted, _ := url.Parse(want)
		if resp.StatusCode != http.StatusSeeOther || location.Path != wanted.Path || location.Query().Encode() != wanted.Query().Encode() {
			t.Errorf("%q: %d %s", cookie, resp.StatusCode, location)
		}
	}
	if body := text(t, d.do("GET", "/console/sign-in?over=1&next=/console/tokens/tok_a", "")); !strings.Contains(body, "Your session has ended") || !strings.Contains(body, `value="/console/tokens/tok_a"`) {
		t.Errorf("the sign-in says %s", body)
	}
	for _, path := range []string{"/console/api/v1/tokens", "/console/api/v1/transfers", "/console/session"} {
		if resp := d.do("GET", path, ""); resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	if len(d.asked) > 0 {
		t.Errorf("the API was asked %v", d.asked)
	}
}

// What reaches the API is the request of the page with the bearer, and nothing of the
// cookie or of the browser.
func TestRelay(t *testing.T) {
	d := newDesk(t)
	cookie := d.signIn()
	resp := d.do("PATCH", "/console/api/v1/tokens/tok%2Fa?x=1", "{}", cookie, "X-S3gate-Console: 1", `If-Match: "3"`, "Content-Type: application/json",
		"Origin: http://console.example", "Authorization: Bearer of-somebody-else", "X-Forwarded-For: 192.0.2.1")
	if resp.StatusCode != http.StatusOK || len(d.asked) != 1 {
		t.Fatalf("%d %v", resp.StatusCode, d.asked)
	}
	r := d.asked[0]
	if r.Method != "PATCH" || r.URL.EscapedPath() != "/v1/tokens/tok%2Fa" || r.URL.RawQuery != "x=1" {
		t.Errorf("the API gets %s %s", r.Method, r.URL)
	}
	want := http.Header{"Authorization": {"Bearer " + jwt}, "Content-Type": {"application/json"}, "If-Match": {`"3"`}}
	if fmt.Sprint(r.Header) != fmt.Sprint(want) {
		t.Errorf("with %v, want %v", r.Header, want)
	}
}

// No page of another origin gets anything done, or makes this one tell.
func TestForgedRequests(t *testing.T) {
	const own = "X-S3gate-Console: 1"
	tests := []struct {
		name, method, path string
		header             []string
	}{
		{"without the header", "DELETE", "/console/api/v1/tokens/tok_a", nil},
		{"a form of another site", "POST", "/console/api/v1/revocations", []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example", asForm}},
		{"another port of the host", "POST", "/console/api/v1/revocations", []string{own, "Sec-Fetch-Site: same-site", "Origin: http://console.example:8080"}},
		{"an old browser", "DELETE", "/console/api/v1/tokens/tok_a", []string{own, "Origin: https://evil.example"}},
		{"reading", "GET", "/console/api/v1/tokens", []string{"Sec-Fetch-Site: cross-site"}},
		{"reading from another port", "GET", "/console/api/v1/tokens", []string{"Sec-Fetch-Site: same-site"}},
		{"signing out", "POST", "/console/sign-out", []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}},
		{"signing in", "POST", "/console/sign-in", []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example", asForm}},
		{"a QR code", "POST", "/console/qr", []string{"Sec-Fetch-Site: same-origin"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			resp := d.do(tt.method, tt.path, "", append(tt.header, d.signIn())...)
			if resp.StatusCode != http.StatusForbidden || len(d.asked) > 0 {
				t.Errorf("%d, and the API was asked %d times", resp.StatusCode, len(d.asked))
			}
			for name := range resp.Header {
				if strings.HasPrefix(name, "Access-Control") {
					t.Errorf("%s is there", name)
				}
			}
		})
	}
}

// Streams end with the session, and nobody has more of them than they may.
func TestStreams(t *testing.T) {
	d := newDesk(t)
	d.hold = make(chan struct{})
	d.until = time.Now().Add(time.Hour)
	d.now = time.Now()
	cookie := d.signIn()
	done := make(chan int)
	for path, accept := range map[string]string{"transfers": "text/event-stream", "events?follow=true": "application/json", "events": "text/event-stream"} {
		go func() { done <- d.do("GET", "/console/api/v1/"+path, "", cookie, "Accept: "+accept).StatusCode }()
	}
	if status := <-done; status != http.StatusTooManyRequests {
		t.Errorf("the third: %d", status)
	}
	close(d.hold)
	for range 2 {
		if status := <-done; status != http.StatusOK {
			t.Errorf("one of two: %d", status)
		}
	}
	d.hold = nil
	if resp := d.do("GET", "/console/api/v1/transfers", "", cookie, "Accept: text/event-stream"); resp.StatusCode != http.StatusOK {
		t.Errorf("when they have ended: %d", resp.StatusCode)
	}
}

func TestStreamEndsWithTheSession(t *testing.T) {
	d := newDesk(t)
	d.hold, d.now = make(chan struct{}), time.Now()
	d.until = d.now.Add(2 * time.Second)
	cookie := d.signIn()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := httptest.NewRequest("GET", "/console/api/v1/transfers", nil).WithContext(ctx)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Cookie", strings.TrimPrefix(cookie, "Cookie: "))
	d.send(r)
	if ctx.Err() != nil {
		t.Error("the stream outlives the session")
	}
}

// The page is small, and smaller for browsers that take it so.
func TestWeight(t *testing.T) {
	d := newDesk(t)
	cookie := d.signIn()
	for _, language := range []string{"en", "ja"} {
		plain := text(t, d.do("GET", "/console/transfers", "", cookie, "Accept-Language: "+language))
		resp := d.do("GET", "/console/transfers", "", cookie, "Accept-Language: "+language, "Accept-Encoding: br, gzip;q=0.8")
		packed := text(t, resp)
		if len(plain) > 120<<10 || len(packed) > 40<<10 || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %d bytes, %d compressed as %q", language, len(plain), len(packed), resp.Header.Get("Content-Encoding"))
		}
		t.Logf("%s: %d bytes, %d compressed", language, len(plain), len(packed))
		z, err := gzip.NewReader(strings.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		if whole, err := io.ReadAll(z); err != nil || len(whole) != len(plain) {
			t.Errorf("%s: unpacked %d bytes: %v", language, len(whole), err)
		}
	}
	for _, accept := range []string{"", "br", "gzip;q=0", "gzip; q=0.0"} {
		if resp := d.do("GET", "/console/transfers", "", cookie, "Accept-Encoding: "+accept); resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%q gets it compressed", accept)
		}
	}
}

// Whatever somebody is called stays text, and only what has the nonce runs.
func TestPolicy(t *testing.T) {
	const hostile = `"><script>alert(1)</script>`
	for name, doc := range map[string]web.Document{
		"console": web.Console(web.Look{}, web.ConsolePage{View: "transfers", Subject: hostile, Left: time.Hour}),
		"sign-in": web.SignIn(web.Look{}, web.SignInPage{Next: hostile, Problem: web.SessionOver}),
	} {
		if strings.Contains(string(doc.HTML), "<script>alert") {
			t.Errorf("%s runs what somebody is called", name)
		}
		for _, want := range []string{"default-src 'none'; ", "script-src 'nonce-", "style-src 'nonce-", "; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"} {
			if !strings.Contains(doc.Policy, want) {
				t.Errorf("%s: no %q in %q", name, want, doc.Policy)
			}
		}
	}
}

// The code is read as a telephone would read it.
func TestQRCode(t *testing.T) {
	d := newDesk(t)
	cookie := d.signIn()
	const link = "https://files.example.com/s3g_0123456789abcdefghijkl012345/a%20report.pdf"
	resp := d.do("POST", "/console/qr", link, cookie, "X-S3gate-Console: 1")
	var drawn struct {
		Size int
		Path string
	}
	if err := json.NewDecoder(resp.Body).Decode(&drawn); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	if got := readQR(t, drawn.Size, drawn.Path); got != link {
		t.Errorf("reads %q", got)
	}
	if resp := d.do("POST", "/console/qr", strings.Repeat("a", 1025), cookie, "X-S3gate-Console: 1"); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("more than a link: %d", resp.StatusCode)
	}
}

// readQR draws the path and reads what it shows.
func readQR(t *testing.T, size int, path string) string {
	t.Helper()
	const scale = 4
	picture := image.NewGray(image.Rect(0, 0, size*scale, size*scale))
	for i := range picture.Pix {
		picture.Pix[i] = 255
	}
	for stroke := range strings.SplitSeq(strings.TrimPrefix(path, "M"), "M") {
		var x, y, n int
		if _, err := fmt.Sscanf(stroke, "%d %dh%dv1", &x, &y, &n); err != nil {
			t.Fatalf("%q: %v", stroke, err)
		}
		for dx := range n * scale {
			for dy := range scale {
				picture.SetGray(x*scale+dx, y*scale+dy, color.Gray{})
			}
		}
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result.GetText()
}
