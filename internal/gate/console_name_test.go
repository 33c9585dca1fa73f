package gate_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
)

// consoleHost is a name that no browser takes for this machine's.
const consoleHost = "console.example"

// named is an address with that name in it.
func named(t *testing.T, base string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = consoleHost + ":" + u.Port()
	return u.String()
}

// keptCookie is the one that the browser has.
func (o *operator) keptCookie() *network.Cookie {
	o.t.Helper()
	kept, err := chromedp.Call(o.ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil || len(kept.Cookies) != 1 {
		o.t.Fatalf("kept %v %v", kept, err)
	}
	return kept.Cookies[0]
}

// worksThrough signs in, revokes a token, and signs out.
func (o *operator) worksThrough(w *world, g *testGate) {
	o.t.Helper()
	w.store("a.txt", "text/plain", []byte("a"))
	token := g.mint("get", "a.txt", nil)
	o.signIn("tokens/"+token.ID, o.bearer)
	o.shows("docs/a.txt")
	o.sure("#view", "Revoke", "Revoke now?")
	o.shows("The token is revoked.")
	if a := do(o.t, "GET", token.URL, nil); a.status != http.StatusGone {
		o.t.Errorf("the link answers %d", a.status)
	}
}

// In a network without TLS the console works by a name, where browsers say nothing of
// where a request comes from but its origin.
func TestConsoleByNameWithoutTLS(t *testing.T) {
	c, w := newChrome(t, consoleHost), newEmbedded(t)
	g := w.gate(nil)
	o := newOperator(c, named(t, g.APIURL()), g.bearer)
	o.worksThrough(w, g)
	if kept := o.keptCookie(); kept.Name != "s3gate-console" || kept.Secure || !kept.HTTPOnly || kept.Path != "/console" {
		t.Errorf("the cookie is %+v", kept)
	}
	o.click("header", "Sign out")
	o.shows("Sign in to the console")
}

// Behind a proxy that ends TLS the cookie is one that no other host can set.
func TestConsoleBehindTLS(t *testing.T) {
	c, w := newChrome(t, consoleHost), newEmbedded(t)
	g := w.gate(nil)
	inside, err := url.Parse(g.APIURL())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(inside)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}})
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // until its certificate is taken
	front.StartTLS()
	t.Cleanup(front.Close)
	call(c, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	o := newOperator(c, named(t, front.URL), g.bearer)
	o.worksThrough(w, g)
	if kept := o.keptCookie(); kept.Name != "__Host-s3gate-console" || !kept.Secure || !kept.HTTPOnly || kept.Domain != consoleHost || kept.Path != "/" {
		t.Errorf("the cookie is %+v", kept)
	}
	o.click("header", "Sign out")
	o.shows("Sign in to the console")
}

// The cookie gets to every port of the host, and so to the links: nothing of it is in
// a log, and what is answered is as it is without.
func TestConsoleCookieElsewhere(t *testing.T) {
	w := newEmbedded(t)
	g := w.gate(nil)
	w.store("a.txt", "text/plain", []byte("a"))
	const canary = "1896120000.canary.canary.canary"
	cookie := "Cookie: __Host-s3gate-console=" + canary
	get, put := g.mint("get", "a.txt", nil), g.mint("put", "b.txt", nil)
	trap := g.mint("get", "a.txt", nil)
	if _, err := g.api.Revoke(t.Context(), trap.ID, ""); err != nil {
		t.Fatal(err)
	}
	for link, want := range map[string]int{get.URL: 200, trap.URL: 410, g.LinksURL() + "/nothing": 404, g.APIURL() + "/v1/tokens": 401, g.APIURL() + "/console/session": 401} {
		if a := do(t, "GET", link, nil, cookie); a.status != want || strings.Contains(string(a.body), "canary") {
			t.Errorf("%s: %d %.200s", link, a.status, a.body)
		}
	}
	if a := do(t, "PUT", put.URL, []byte("b"), cookie); a.status != http.StatusOK {
		t.Errorf("PUT: %d", a.status)
	}
	if strings.Contains(w.log.String(), "canary.canary") {
		t.Error("the cookie is in the log")
	}
}
