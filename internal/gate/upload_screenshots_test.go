package gate_test

import (
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"s3gate/client"
	"s3gate/internal/config"
)

// No state of the page for uploads is wider than a small window, in any language.
func TestUploadScreenshots(t *testing.T) {
	dir := pictures(t)
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(func(cfg *config.Config) { cfg.Contact = "files@example.com" })
	c.looks(360, 740, func(look string) {
		g.photographUploads(c, func(state string) { c.picture(filepath.Join(dir, "upload-"+state+"-"+look+".png")) })
	})
	c.run(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch))
	c.open(g.newBox(20, nil).URL)
	c.picture(filepath.Join(dir, "upload-camera.png"))
}

// photographUploads takes a picture of each state.
func (g *testGate) photographUploads(c *chrome, picture func(state string)) {
	t := g.t
	long, _ := fileOf(t, "Supercalifragilisticexpialidocious_without_any_place_to_break_it_0123456789.tar.gz", 30<<20)
	short, _ := fileOf(t, "IMG_20300131_130455.jpg", 4_200_000)
	large, _ := fileOf(t, "Quarterly report 2026.pdf", 50<<20+1)
	box := g.mint("put", "", func(r *client.MintRequest) {
		uses(20)(r)
		r.Bandwidth = 8 << 20
		r.Upload = &client.Upload{KeyTemplate: "in/{uuid}/{filename}", MaxBytes: 50 << 20}
	})
	one := g.mint("put", "in/one", func(r *client.MintRequest) {
		r.ExpiresIn = "10m"
		r.Upload = &client.Upload{ContentTypes: []string{"image/*", "application/pdf"}, Overwrite: true}
	})
	c.open(one.URL)
	picture("one")
	c.dragIn(short, large)
	c.alerted()
	picture("several")
	c.choose(short)
	c.reaches("stored", 1)
	c.until("the receipt", `!document.querySelector(".receipt .act").disabled`)
	picture("done")
	c.open(box.URL)
	picture("empty")
	c.choose(short, long, large)
	c.partly()
	c.reaches("refused", 1)
	picture("running")
	c.script(`document.querySelector("li:last-child").scrollIntoView()`)
	picture("refused")
	c.script(`[...document.querySelectorAll("li[data-state=running] .act")].at(-1).click()`)
	c.reaches("stored", 1)
	c.script("scrollTo(0, 0)")
	picture("paused")
	c.run(chromedp.Reload())
	c.until("how far it was", `document.querySelector("li progress")?.value > 0`)
	picture("interrupted")
	c.choose(short, long)
	c.reaches("stored", 2)
	c.until("the receipt", `!document.querySelector(".receipt .act").disabled`)
	picture("receipt")
	call(c, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	picture("printed")
	call(c, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
	call(c, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	c.open(box.URL)
	call(c, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{}) // what looks at the page is one
	picture("program")
}
