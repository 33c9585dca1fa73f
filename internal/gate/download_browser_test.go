package gate_test

import (
	"bytes"
	"fmt"
	"image/color"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/chromedp/chromedp"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
	"s3gate/web"
)

// What would run if a page took it for more than text.
const canaryMarkup = `"><img src=x onerror="window.canary=1"><script>window.canary=1</script>{{.}}`

// Nothing that a caller, a key or the settings put into a page is more than text
// there, and nothing of it runs (C1).
func TestBrowserRunsNothingOfAnybodys(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	key := "x/" + strings.ReplaceAll(canaryMarkup, "/", "%2F")
	w.store(key, "text/plain", []byte("hello"))
	w.store("y/"+canaryMarkup+".png", "image/png", picturePNG(t, color.Black, color.White)) // its folder ends in "<"
	g := w.gate(func(cfg *config.Config) {
		cfg.Contact, cfg.Brand = canaryMarkup, config.Brand{Name: canaryMarkup, Logo: logo(t), Colour: "#7a2ea0"}
	})
	hostile := func(r *client.MintRequest) {
		r.SharedBy, r.Message, r.Subject = canaryMarkup, canaryMarkup+"\n"+canaryMarkup, canaryMarkup
		r.Labels = map[string]string{canaryMarkup: canaryMarkup}
	}
	file := func(r *client.MintRequest) { hostile(r); uses(3)(r) }
	folder := func(r *client.MintRequest) { hostile(r); listed(r); r.Previews = true }
	named := func(r *client.MintRequest) { file(r); r.Response = &client.Response{Filename: canaryMarkup} }
	for name, link := range map[string]string{
		"file": g.mint("get", key, file).URL, "file name": g.mint("get", key, named).URL,
		"folder": g.below("y/", folder).URL, "all": g.below("x/", folder).URL, "error": g.LinksURL() + "/s3g_" + strings.Repeat("0", 28),
	} {
		text := c.open(link)
		if !strings.Contains(text, "window.canary=1") {
			t.Errorf("%s: the markup is not shown as text:\n%s", name, text)
		}
		time.Sleep(50 * time.Millisecond) // for an image that is none to be found out
		if ask(c, chromedp.Evaluate[bool](`"canary" in window || !!document.querySelector("[onerror]")`)) {
			t.Errorf("%s: something of it runs", name)
		}
	}
	c.wantLoopback()
}

// The page tells who shares the file and the note; while the file comes it says
// what to do.
func TestBrowserIsToldOfTheDownload(t *testing.T) {
	g, c, body := browsing(t)
	for name, test := range map[string]struct {
		change func(*client.MintRequest)
		advice string
	}{
		"strict":    {uses(2), "it counts as used all the same"},
		"resumable": {func(r *client.MintRequest) { uses(2)(r); r.ResumeWindow = "10m" }, "counts as another download"},
		"unlimited": {func(r *client.MintRequest) {}, "or begin anew here"},
	} {
		link := g.mint("get", browsed, func(r *client.MintRequest) {
			test.change(r)
			r.SharedBy, r.Message, r.ExpiresIn = "The press office", note, "73h"
		})
		text := c.open(link.URL)
		for _, want := range append(strings.Split(note, "\n"), "Shared by The press office", "PDF document · 1.0 MB", "in 3 days") {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q on the page:\n%s", name, want, text)
			}
		}
		if strings.Contains(text, test.advice) {
			t.Errorf("%s: the advice is there before the download", name)
		}
		c.press()
		if _, data := c.download(); !bytes.Equal(data, body) {
			t.Errorf("%s: saved %d bytes", name, len(data))
		}
		if text := c.text(); !strings.Contains(text, "among your browser's downloads") || !strings.Contains(text, test.advice) {
			t.Errorf("%s: while it comes:\n%s", name, text)
		}
	}
	c.wantLoopback()
}

// A passcode can be looked at while it is typed; the note comes after it, and the
// file after that.
func TestBrowserIsToldAfterThePasscode(t *testing.T) {
	g, c, body := browsing(t)
	link := g.mint("get", browsed, func(r *client.MintRequest) {
		uses(1)(r)
		r.Passcode, r.SharedBy, r.Message = "Grüße 42", "The press office", note
	})
	if text := c.open(link.URL); strings.Contains(text, "press office") || strings.Contains(text, "third quarter") {
		t.Errorf("told before the passcode:\n%s", text)
	}
	kind := func() string { return ask(c, chromedp.Evaluate[string]("passcode.type + reveal.innerText")) }
	c.enter("#passcode", "Grüße 42")
	if got := kind(); got != "passwordShow" {
		t.Errorf("at first: %s", got)
	}
	c.run(chromedp.KeyEvent("\t"), chromedp.KeyEvent(" "))
	if got := kind(); got != "textHide" {
		t.Errorf("shown: %s", got)
	}
	c.enter("#passcode", "\r")
	c.until("the note", `(document.body?.innerText ?? "").includes("third quarter")`)
	if text := c.text(); !strings.Contains(text, "Shared by The press office") || !strings.Contains(text, "Quarterly report 2026.pdf") {
		t.Errorf("after the passcode:\n%s", text)
	}
	g.wantUses(link.ID, 0)
	c.press()
	if _, data := c.download(); !bytes.Equal(data, body) {
		t.Errorf("saved %d bytes", len(data))
	}
	g.wantUses(link.ID, 1)
	c.wantLoopback()
}

// A listing is walked through with the arrow keys, and up again with Backspace.
func TestBrowserListingByKeyboard(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	for _, key := range []string{"a.txt", "b.txt", "c.txt", "sub/deeper/d.txt"} {
		w.store("team/"+key, "text/plain", []byte(key))
	}
	g := w.gate(nil)
	link := g.below("team/", listed)
	c.open(link.URL)
	const down, up, end, home, back = "\u0301", "\u0304", "\u0305", "\u0306", "\b"
	at := func() string { return ask(c, chromedp.Evaluate[string]("document.activeElement?.innerText")) }
	for i, step := range []struct{ key, want string }{
		{down, "sub/"}, {down, "a.txt"}, {end, "c.txt"}, {down, "c.txt"}, {up, "b.txt"}, {home, "sub/"}, {up, "sub/"},
	} {
		c.run(chromedp.KeyEvent(step.key))
		if got := at(); got != step.want {
			t.Errorf("step %d: at %q, want %q", i, got, step.want)
		}
	}
	c.run(chromedp.KeyEvent("\r"))
	c.until("the folder", `document.querySelector("h1")?.innerText === "sub"`)
	c.run(chromedp.KeyEvent(down), chromedp.KeyEvent("\r"))
	c.until("the folder below", `document.querySelector("h1")?.innerText === "deeper"`)
	for _, want := range []string{"sub", "Shared files"} {
		c.run(chromedp.KeyEvent(back))
		c.until("the folder above", fmt.Sprintf(`document.querySelector("h1")?.innerText === %q`, want))
	}
	c.run(chromedp.KeyEvent(end), chromedp.KeyEvent("\r"))
	if name, data := c.download(); name != "c.txt" || string(data) != "c.txt" {
		t.Errorf("saved %q: %q", name, data)
	}
	c.wantLoopback()
}

// Images are shown where that was granted, also behind a passcode, and the page
// loads nothing else; what is no image leaves its place to the icon.
func TestBrowserPreviews(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	for _, name := range []string{"a.png", "b & c.png"} {
		w.store("trip/"+name, "application/octet-stream", picturePNG(t, color.Black, color.White))
	}
	w.store("trip/broken.jpg", "image/jpeg", []byte("no image"))
	w.store("trip/drawing.svg", "image/svg+xml", []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`))
	g := w.gate(nil)
	for name, code := range map[string]string{"open": "", "passcode": "Grüße 42"} {
		link := g.below("trip/", func(r *client.MintRequest) { listed(r); r.Previews, r.Passcode = true, code })
		c.open(link.URL)
		if code != "" {
			c.enter("#passcode", code+"\r")
		}
		c.until(name+": two images", `(() => { const all = [...document.querySelectorAll("td img")];
return document.querySelectorAll("td a").length === 4 && all.length === 2 && all.every((i) => i.complete && i.naturalWidth === 64) })()`)
		if ask(c, chromedp.Evaluate[bool](`document.body.innerHTML.includes("Gr")`)) {
			t.Errorf("%s: the passcode is on the page", name)
		}
	}
	plain := g.below("trip/", listed)
	c.open(plain.URL)
	if ask(c, chromedp.Evaluate[bool](`!!document.querySelector("main img")`)) {
		t.Error("images without leave")
	}
	// Not even a script of the page could load one.
	c.script(`window.loaded = "no"; const i = new Image(); i.onload = () => { window.loaded = "yes" }; i.onerror = () => { window.loaded = "refused" }; i.src = "./a.png"`)
	c.until("the policy refuses it", `window.loaded === "refused"`)
	eventually(t, "the browser says so", c.complains)
	c.wantLoopback()
}

// What goes wrong is said in words that tell what to do, in the language of the
// reader; what passes by itself can be tried again with a press.
func TestBrowserIsToldWhatIsWrong(t *testing.T) {
	redis := miniredis.RunT(t)
	c, w := newChrome(t), newWorld(t, s3gatetest.DevS3(t), redis.Addr())
	w.store(browsed, "application/pdf", []byte("hello"))
	g := w.gate(nil)
	used := g.mint("get", browsed, uses(1))
	do(t, "GET", used.URL, nil)
	gone := g.mint("get", browsed, nil)
	if _, err := g.api.Revoke(t.Context(), gone.ID, "canary reason"); err != nil {
		t.Fatal(err)
	}
	short := g.mint("get", browsed, func(r *client.MintRequest) { r.ExpiresIn = "1ms" })
	soon := time.Now().Add(30 * time.Minute)
	later := g.mint("get", browsed, func(r *client.MintRequest) { uses(1)(r); r.NotBefore = &soon })
	elsewhere := g.mint("get", browsed, func(r *client.MintRequest) { r.Clients = []string{"192.0.2.0/24"} })
	missing := g.mint("get", "canary/not there.pdf", nil)
	coded := g.mint("get", browsed, func(r *client.MintRequest) { r.Passcode = "1234" })
	for n := range 11 {
		do(t, "GET", coded.URL, nil, fmt.Sprint("X-S3gate-Passcode: wrong", n))
	}
	open := func(link string, wants ...string) {
		t.Helper()
		text := c.open(link)
		for _, want := range append(wants, "req_") {
			if !strings.Contains(text, want) {
				t.Errorf("no %q on the page:\n%s", want, text)
			}
		}
		if strings.Contains(text, "canary") || strings.Contains(text, "docs") {
			t.Errorf("the page tells too much:\n%s", text)
		}
	}
	open(later.URL, "This link does not work yet", "Ask whoever gave it to you when that is.", "Try again")
	open(used.URL, "This link has been used", "among your browser's downloads")
	open(gone.URL, "This link was withdrawn", "Ask whoever gave it to you for a new one.")
	open(short.URL, "This link has expired")
	open(elsewhere.URL, "Not from this network", "VPN")
	open(missing.URL, "Nothing here", "not there")
	open(g.LinksURL()+"/s3g_"+strings.Repeat("0", 28), "Nothing here", "copy it once more")
	c.open(coded.URL)
	c.enter("#passcode", "1234\r")
	if text := c.alerted(); !strings.Contains(text, "Too many wrong passcodes") || !strings.Contains(text, "It may work in 1") {
		t.Errorf("too many tries:\n%s", text)
	}
	c.speak(web.Speak("ja"))
	open(used.URL, "このリンクは使用済みです", "ダウンロード一覧")
	c.speak(web.Language{})
	redis.Close()
	open(later.URL, "Not available right now", "cannot be checked", "Nothing was used up", "Try again")
	c.wantLoopback()
}

// A press on "Try again" asks again, and a brand that was changed is on the next
// page.
func TestBrowserTriesAgain(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	w.store(browsed, "application/pdf", []byte("hello"))
	g := w.gate(nil)
	soon := time.Now().Add(6 * time.Second)
	later := g.mint("get", browsed, func(r *client.MintRequest) { uses(1)(r); r.NotBefore = &soon })
	if text := c.open(later.URL); !strings.Contains(text, "does not work yet") || strings.Contains(text, "Northwind") {
		t.Fatalf("the page:\n%s", text)
	}
	path := logo(t)
	g.reload(w, func(cfg *config.Config) {
		cfg.Brand = config.Brand{Name: "Northwind Press", Logo: path, Colour: "#7a2ea0"}
	})
	time.Sleep(time.Until(soon.Add(time.Second)))
	c.follow("Try again")
	c.until("the page", `(document.body?.innerText ?? "").includes("Downloads left")`)
	if text := c.text(); !strings.Contains(text, "Northwind Press") {
		t.Errorf("no brand:\n%s", text)
	}
	c.until("the logo", `document.querySelector(".brand img").naturalWidth > 0`)
	if got := ask(c, chromedp.Evaluate[string](`getComputedStyle(document.querySelector("[type=submit]")).backgroundColor`)); got != "rgb(122, 46, 160)" {
		t.Errorf("the button is %s", got)
	}
}
