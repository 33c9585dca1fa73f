package gate_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/web"
)

// picturePNG is an image of one colour with a stripe of another one.
func picturePNG(t *testing.T, of, stripe color.Color) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 64, 48))
	for y := range 48 {
		for x := range 64 {
			if m.Set(x, y, of); (x+y)%24 < 8 {
				m.Set(x, y, stripe)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// logo is a file with an SVG.
func logo(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "logo.svg")
	const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><rect width="40" height="40" rx="9" fill="#7a2ea0"/><path d="M12 28V12l16 16V12" stroke="#fff" stroke-width="4" fill="none"/></svg>`
	if err := os.WriteFile(name, []byte(svg), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const note = "Hello,\nhere are the figures for the third quarter.\n\nPlease have a look at page 4 before Friday."

// No state of the pages for downloads is wider than a small window, in either
// language.
func TestDownloadScreenshots(t *testing.T) {
	dir := pictures(t)
	shots := downloadShots(newEmbedded(t))
	c := newChrome(t)
	for _, language := range web.Languages() {
		c.speak(language)
		c.run(chromedp.EmulateViewport(360, 740))
		for _, s := range shots {
			c.see(s, filepath.Join(dir, "download-"+s.name+"-"+language.Tag()+".png"))
		}
	}
}

// Nor is any that matters wider than its window, light or dark.
func TestDownloadLooks(t *testing.T) {
	dir := pictures(t)
	shots := downloadShots(newEmbedded(t))
	c := newChrome(t)
	c.looks(390, 844, func(look string) {
		for _, s := range shots {
			if slices.Contains([]string{"full", "passcode", "previews", "network"}, s.name) {
				c.see(s, filepath.Join(dir, "download-"+s.name+"-"+look+".png"))
			}
		}
	})
}

// see takes a picture of a page, whatever its script makes of it.
func (c *chrome) see(s shot, file string) {
	c.t.Helper()
	c.run(chromedp.Navigate(s.link))
	if s.script != "" {
		c.script(s.script)
	}
	if strings.Contains(s.script, "submit()") {
		c.alerted()
	}
	c.picture(file)
}

func downloadShots(w *world) []shot {
	w.store(browsed, "application/pdf", make([]byte, 1<<20))
	w.store("trip/Notes.txt", "text/plain", []byte("hello"))
	w.store("trip/film.mp4", "video/mp4", make([]byte, 3_456_789))
	w.store("trip/2030/more.zip", "application/zip", make([]byte, 100))
	for name, of := range map[string]color.Color{
		"IMG_20300131_130455.png": color.RGBA{30, 120, 200, 255}, "IMG_20300131_130512.png": color.RGBA{200, 120, 30, 255}, "sunset.png": color.RGBA{180, 40, 90, 255},
	} {
		w.store("trip/"+name, "image/png", picturePNG(w.t, of, color.White))
	}
	w.store("trip/broken.jpg", "image/jpeg", []byte("no image"))
	g := w.gate(func(cfg *config.Config) {
		cfg.Contact = "files@example.com"
		cfg.Brand = config.Brand{Name: "Northwind Press", Logo: logo(w.t), Colour: "#7a2ea0"}
	})
	shared := func(r *client.MintRequest) {
		uses(3)(r)
		r.SharedBy, r.Message, r.ExpiresIn = "The press office", note, "73h"
	}
	full := g.mint("get", browsed, shared).URL
	strict := g.mint("get", browsed, uses(1)).URL
	code := g.mint("get", browsed, func(r *client.MintRequest) { shared(r); r.Passcode = "1234" }).URL
	folder := g.below("trip/", func(r *client.MintRequest) {
		listed(r)
		r.Previews, r.SharedBy, r.Message = true, "Ada", "All from Saturday."
	}).URL
	gone := g.mint("get", browsed, nil)
	if _, err := g.api.Revoke(w.t.Context(), gone.ID, "a picture of it"); err != nil {
		w.t.Fatal(err)
	}
	later := g.mint("get", browsed, func(r *client.MintRequest) { r.Clients = []string{"192.0.2.0/24"} }).URL
	missing := g.mint("get", "reports/not there.pdf", nil).URL
	const begun = `document.getElementById("begun").hidden = false`
	return []shot{
		{"full", full, ""}, {"begun", full, begun}, {"strict", strict, begun},
		{"digits", strict, "document.forms[0].submit()"},
		{"passcode", code, ""}, {"shown", code, `passcode.value = "secret"; document.getElementById("reveal").click()`},
		{"previews", folder, ""}, {"below", folder + "2030/", ""}, {"empty", folder + "2031/", ""},
		{"revoked", gone.URL, ""}, {"network", later, ""}, {"missing", missing, ""},
		{"unknown", g.LinksURL() + "/s3g_0000000000000000000000000000", ""},
	}
}
