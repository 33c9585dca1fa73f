package gate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/web"
)

// shot is a page to be photographed, after a script has run if there is one.
type shot struct{ name, link, script string }

// No page is wider than its window, and none keeps somebody out. With
// S3GATE_SCREENSHOTS=dir the pictures stay in dir, to be looked at.
func TestScreenshots(t *testing.T) {
	dir := pictures(t)
	c := newChrome(t)
	shots := shots(newEmbedded(t))
	c.looks(390, 844, func(look string) {
		for _, s := range shots {
			c.photograph(s, filepath.Join(dir, s.name+"-"+look+".png"))
		}
	})
}

// pictures is where they go.
func pictures(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("S3GATE_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// looks calls f for a phone of this size and for a desktop, light and dark, in
// each language; if nobody looks at the pictures, for each of those once at least.
func (c *chrome) looks(width, height int64, f func(look string)) {
	for i, language := range web.Languages() {
		for j, size := range []struct {
			name          string
			width, height int64
		}{{"phone", width, height}, {"desktop", 1280, 800}} {
			for k, scheme := range []string{"light", "dark"} {
				if os.Getenv("S3GATE_SCREENSHOTS") == "" && (i+j+k)%2 != 0 {
					continue
				}
				c.run(chromedp.EmulateViewport(size.width, size.height))
				call(c, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
				c.speak(language)
				f(strings.Join([]string{size.name, scheme, language.Tag()}, "-"))
			}
		}
	}
}

// speak makes the browser that of somebody who wants a language.
func (c *chrome) speak(language web.Language) {
	call(c, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": language.Tag()}})
}

func (c *chrome) photograph(s shot, file string) {
	c.t.Helper()
	c.open(s.link)
	if s.script != "" {
		c.script(s.script)
		c.alerted()
	}
	c.picture(file)
}

// picture takes one of what the page shows.
func (c *chrome) picture(file string) {
	c.t.Helper()
	// What does not fit can be scrolled to, but only down.
	if wide := ask(c, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > innerWidth")); wide {
		c.t.Errorf("%s is wider than the window", file)
	}
	c.accessible(filepath.Base(file))
	if err := os.WriteFile(file, ask(c, chromedp.CaptureScreenshot()), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// shots are all the pages there are.
func shots(w *world) []shot {
	w.store(browsed, "application/pdf", make([]byte, 1<<20))
	for i, name := range []string{
		"2030 Budget/plan.xlsx", "archive/old.zip", "Agenda.txt", "Quarterly report 2026.pdf", "IMG_20300131_130455.jpg",
		"an extraordinarily long name that nobody would type but every export tool writes, with a date 2030-01-31T13-04-55Z and more.csv",
		"Supercalifragilisticexpialidocious_without_any_place_to_break_it_at_all_0123456789.tar.gz",
		"\u05d3\u05d5\u05f4\u05d7 \u05e9\u05e0\u05ea\u05d9 2030.pdf", "\u062a\u0642\u0631\u064a\u0631 (1).docx", "\u5e74\u6b21\u5831\u544a\u66f8.pdf", "x\u202egpj.exe",
	} {
		w.store("team/2030/january/"+name, "application/octet-stream", make([]byte, 37<<(2*i%18)))
	}
	for i := range 1001 {
		w.storeIf(fmt.Sprintf("many/scan-%04d.tif", i), nil)
	}
	g := w.gate(func(cfg *config.Config) { cfg.Contact = "files@example.com" })
	confirm := g.mint("get", browsed, uses(3)).URL
	code := g.mint("get", browsed, func(r *client.MintRequest) { r.Passcode = "1234" }).URL
	gone := g.mint("get", browsed, nil)
	if _, err := g.api.Revoke(w.t.Context(), gone.ID, "a picture of it"); err != nil {
		w.t.Fatal(err)
	}
	folder, many := g.below("team/", listed).URL, g.below("many/", listed).URL
	locked := g.below("team/", func(r *client.MintRequest) { listed(r); r.Passcode = "1234" }).URL
	next := resolve(w.t, many, "?after="+readPage(w.t, many).Next)
	return []shot{
		{"confirm", confirm, ""}, {"digits", confirm, "document.forms[0].submit()"}, {"passcode", code, ""},
		{"wrong", code, "document.querySelector('#passcode').value = 'x'; document.forms[0].submit()"}, {"revoked", gone.URL, ""},
		{"shared", folder, ""}, {"folder", folder + "2030/january/", ""}, {"empty", folder + "2031/", ""},
		{"last", next, ""}, {"locked", locked, ""},
	}
}
