package gate_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"s3gate/auth"
	"s3gate/client"
)

// operator is somebody in front of the console.
type operator struct {
	*chrome
	g            *testGate // nil where there is only an API
	base, bearer string
}

// operating starts a gate, and a browser that is not signed in.
func operating(t *testing.T) (*world, *operator) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	o := newOperator(c, g.APIURL(), g.bearer)
	o.g = g
	return w, o
}

// newOperator watches where the page asks.
func newOperator(c *chrome, base, bearer string) *operator {
	c.t.Helper()
	o := &operator{chrome: c, base: base, bearer: bearer}
	c.run(chromedp.EmulateViewport(1280, 800))
	c.t.Cleanup(o.wantConsole)
	return o
}

// wantConsole checks that the page has asked for nothing but the console.
func (o *operator) wantConsole() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, text := range o.requests {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "data" && (u.Scheme+"://"+u.Host != o.base || !strings.HasPrefix(u.Path, "/console")) {
			o.t.Errorf("the page asked for %s", text)
		}
	}
}

// signIn opens a view as somebody with this JWT.
func (o *operator) signIn(view, bearer string) {
	o.t.Helper()
	o.open(o.base + "/console/" + view)
	o.run(chromedp.WaitVisible(chromedp.CSS("#jwt")))
	o.script(fmt.Sprintf("document.querySelector('#jwt').value = %q", bearer))
	o.run(chromedp.Click(chromedp.CSS("button[type=submit]"), chromedp.NodeVisible))
	o.until("the console is there", "document.querySelector('#view')?.childElementCount > 0")
}

// view opens one of somebody who is signed in.
func (o *operator) view(name string) {
	o.t.Helper()
	o.open(o.base + "/console/" + name)
}

// fill sets fields of a form as somebody would who types, by their names.
func (o *operator) fill(fields map[string]string) {
	o.t.Helper()
	for name, value := range fields {
		o.script(fmt.Sprintf(`(() => {
			const f = document.querySelector("#view [name=" + %q + "]");
			if (f.type === "checkbox") f.click(); else f.value = %q;
			f.dispatchEvent(new Event("input", { bubbles: true }));
		})()`, name, value))
	}
}

// wantLine checks what the command line would be.
func (o *operator) wantLine(want string) {
	o.t.Helper()
	o.until("the line "+want, fmt.Sprintf(`document.querySelector("#line").textContent === %q`, want))
}

// shows waits until the page has a text.
func (o *operator) shows(text string) {
	o.t.Helper()
	o.until("the page says "+text, fmt.Sprintf("document.body?.innerText.includes(%q) === true", text))
}

// click presses a button with this text, below what a selector finds.
func (o *operator) click(within, text string) {
	o.t.Helper()
	mark := fmt.Sprintf(`(() => {
		const b = [...document.querySelectorAll(%q + " button")].find((b) => b.textContent === %q && !b.disabled && b.offsetParent);
		if (!b) return false;
		for (const x of document.querySelectorAll("[data-press]")) delete x.dataset.press;
		b.dataset.press = "1";
		return true;
	})()`, within, text)
	o.until("there is a button "+text, mark)
	o.run(chromedp.Click(chromedp.CSS("[data-press]"), chromedp.NodeVisible))
}

// sure presses a button twice, as it asks for.
func (o *operator) sure(within, text, again string) {
	o.t.Helper()
	o.click(within, text)
	time.Sleep(400 * time.Millisecond) // not a double click
	o.click(within, again)
}

// fetching downloads a link slowly, until it breaks off; over is closed then.
func (w *world) fetching(link string) (over chan struct{}) {
	w.t.Helper()
	resp, err := http.Get(link)
	if err != nil {
		w.t.Fatal(err)
	}
	over = make(chan struct{})
	go func() {
		defer close(over)
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
	}()
	return over
}

// long is a download that takes a while.
func (w *world) long(g *testGate, key, subject string) (*client.Token, chan struct{}) {
	w.t.Helper()
	w.store(key, "application/octet-stream", make([]byte, 40<<20))
	token := g.mint("get", key, func(r *client.MintRequest) { r.Subject, r.Bandwidth = subject, 128<<10 })
	return token, w.fetching(token.URL)
}

// What the console is for: somebody sees who downloads what, presses twice, and the
// download breaks off.
func TestConsoleCuts(t *testing.T) {
	w, o := operating(t)
	_, over := w.long(o.g, "reports/Quarterly report 2026.pdf", "ada@example.com")
	_, other := w.long(o.g, "film.mp4", "bob@example.com")
	o.signIn("transfers", o.bearer)
	o.shows("Quarterly report 2026.pdf")
	o.shows("ada@example.com")
	o.shows("2 transfers")
	o.until("it moves", `/[1-9][0-9.]* [kM]B of 41.9 MB/.test(document.body.innerText)`)
	o.script(`document.querySelector("#filter").value = "quarterly"; document.querySelector("#filter").dispatchEvent(new Event("input"))`)
	o.until("the other is not shown", `!document.body.innerText.includes("film.mp4")`)
	o.click("td.acts", "Cut")
	o.until("the line of the command is there", `/^s3gate transfers cut req_\w{26}$/.test(document.querySelector("#line").textContent)`)
	time.Sleep(400 * time.Millisecond)
	o.click("td.acts", "Cut now?")
	pressed := time.Now()
	select {
	case <-over:
		t.Logf("the client broke off after %s", time.Since(pressed))
	case <-time.After(2 * time.Second):
		t.Fatal("the download goes on")
	}
	o.until("the receipt", `/Cut after [1-9][0-9.]* [kM]B\. Took [0-9.]+ ms, acknowledged by /.test(document.querySelector("tr.receipt")?.innerText)`)
	select {
	case <-other:
		t.Error("the other download was cut too")
	default:
	}
	o.script(`document.querySelector("#filter").value = ""; document.querySelector("#filter").dispatchEvent(new Event("input"))`)
	o.shows("film.mp4")
	o.shows("Cut after") // it stays
}

// One press does nothing, nor do the two of a double click.
func TestConsoleCutWantsTwoPresses(t *testing.T) {
	w, o := operating(t)
	_, over := w.long(o.g, "film.mp4", "")
	o.signIn("transfers", o.bearer)
	o.shows("film.mp4")
	o.script(`(() => { const b = document.querySelector("td.acts button"); b.focus(); b.click(); b.click(); })()`)
	o.shows("Cut now?")
	time.Sleep(time.Second)
	select {
	case <-over:
		t.Fatal("it was cut")
	default:
	}
	o.run(chromedp.KeyEvent("\x1b"))
	o.until("it asks no more", `document.querySelector("td.acts button").textContent === "Cut"`)
}

// Somebody who has only a keyboard signs in, finds the transfer and cuts it.
func TestConsoleByKeyboard(t *testing.T) {
	w, o := operating(t)
	_, over := w.long(o.g, "film.mp4", "")
	o.open(o.base + "/console")
	o.until("the field has the focus", `document.activeElement?.id === "jwt"`)
	o.run(chromedp.KeyEvent(o.bearer), chromedp.KeyEvent("\r"))
	o.shows("film.mp4")
	for i := 0; ; i++ {
		o.run(chromedp.KeyEvent("\t"))
		if ask(o.chrome, chromedp.Evaluate[bool](`document.activeElement.matches("td.acts button")`)) {
			break
		}
		if i > 40 {
			t.Fatal("the button is not to be reached")
		}
	}
	o.run(chromedp.KeyEvent("\r"))
	o.shows("Cut now?")
	time.Sleep(400 * time.Millisecond)
	o.run(chromedp.KeyEvent(" "))
	select {
	case <-over:
	case <-time.After(3 * time.Second):
		t.Fatal("the download goes on")
	}
	o.shows("Cut after")
}

// A JWT is in no address, no page and no storage; without a session there is nothing,
// and after it one comes back to where one was.
func TestConsoleSession(t *testing.T) {
	_, o := operating(t)
	o.open(o.base + "/console/gates")
	o.shows("Sign in to the console")
	o.script(`document.querySelector('#jwt').value = "nonsense"`)
	o.press()
	o.shows("This JWT is not accepted")
	o.signIn("gates", o.bearer)
	o.until("it leads back", `location.pathname === "/console/gates"`)
	o.shows("renewed")
	secret := o.bearer[strings.LastIndexByte(o.bearer, '.')+1:]
	if ask(o.chrome, chromedp.Evaluate[bool](fmt.Sprintf(`(document.documentElement.outerHTML + location.href + document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)).includes(%q)`, secret))) {
		t.Error("a script can read the JWT")
	}
	for _, text := range o.asked() {
		if strings.Contains(text, secret) {
			t.Errorf("the JWT is in an address")
		}
	}
	call(o.chrome, network.ClearBrowserCookies, cdp.Empty{})
	o.follow("Tokens")
	o.shows("Your session has ended")
	if at := ask(o.chrome, chromedp.Evaluate[string]("document.forms[0].elements.next.value")); at != "/console/tokens" {
		t.Errorf("it would lead to %s", at)
	}
	o.script(fmt.Sprintf("document.querySelector('#jwt').value = %q", o.bearer))
	o.press()
	o.until("it leads back", `location.pathname === "/console/tokens"`)
	o.shows("There are no such tokens.")
	o.click("header", "Sign out")
	o.shows("Sign in to the console")
}

// Who signs out in one window is signed out in the others, also where nothing is asked
// for.
func TestConsoleSignsOutEverywhere(t *testing.T) {
	_, o := operating(t)
	o.signIn("mint", o.bearer)
	ctx, stop := chromedp.NewContext(o.ctx)
	t.Cleanup(stop)
	second := &operator{chrome: &chrome{t: t, ctx: ctx}, base: o.base}
	second.open(o.base + "/console/revoke")
	second.shows("Dry run")
	o.click("header", "Sign out")
	o.shows("Sign in to the console")
	second.shows("Your session has ended")
	if at := ask(second.chrome, chromedp.Evaluate[string]("document.forms[0].elements.next.value")); at != "/console/revoke" {
		t.Errorf("it would lead to %s", at)
	}
}

func (o *operator) asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.requests...)
}

// A session that ends while somebody looks leads to the sign-in by itself.
func TestConsoleSessionRunsOut(t *testing.T) {
	_, o := operating(t)
	bearer, err := auth.Sign(jwtKey, auth.Caller{Subject: "tester", Admin: true}, "", 6*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	o.signIn("transfers", bearer)
	o.shows("Nothing runs at the moment.")
	o.shows("Your session has ended")
}
