package gate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"s3gate/client"
	"s3gate/internal/s3gatetest"
)

// newBox mints a drop box for so many files, each under the name it came with.
func (g *testGate) newBox(n int64, change func(*client.MintRequest)) *client.Token {
	return g.mint("put", "", func(r *client.MintRequest) {
		uses(n)(r)
		r.Upload = &client.Upload{KeyTemplate: "incoming/{filename}"}
		if change != nil {
			change(r)
		}
	})
}

// dragIn drags files and folders from outside onto the page.
func (c *chrome) dragIn(paths ...string) {
	c.t.Helper()
	for _, kind := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		call(c, input.DispatchDragEvent, input.DispatchDragEventParams{
			Type: kind, X: 200, Y: 60, Data: &input.DragData{Items: []*input.DragDataItem{}, Files: paths, DragOperationsMask: 1}})
	}
}

// visible reports whether an element can be seen.
func (c *chrome) visible(selector string) bool {
	c.t.Helper()
	return ask(c, chromedp.Evaluate[bool](fmt.Sprintf(`Boolean(document.querySelector(%q)?.checkVisibility())`, selector)))
}

// A folder is chosen or dropped, with the folders in it: its files are stored
// under their paths, without what systems leave there for themselves.
func TestUploadPageTakesFolders(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	folder := filepath.Join(t.TempDir(), "photos")
	for _, name := range []string{"a.jpg", "2026/a.jpg", "2026/may/b c.jpg", ".DS_Store", "2026/Thumbs.db"} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	loose, _ := fileOf(t, "loose.txt", 10)
	inside := []string{"incoming/photos - 2026 - a.jpg", "incoming/photos - 2026 - may - b c.jpg", "incoming/photos - a.jpg"}
	for _, test := range []struct {
		name string
		do   func()
		want []string
	}{
		{"chosen", func() { c.chooseIn("#folder", folder) }, inside},
		{"dropped", func() { c.dragIn(folder, loose) }, append([]string{"incoming/loose.txt"}, inside...)},
	} {
		box := g.newBox(10, func(r *client.MintRequest) { r.Upload.Overwrite = true })
		c.open(box.URL)
		test.do()
		c.reaches("stored", len(test.want))
		keys := w.keys("incoming/")
		if slices.Sort(keys); !slices.Equal(keys, test.want) {
			t.Errorf("%s: stored %q, want %q", test.name, keys, test.want)
		}
		g.wantUses(box.ID, int64(len(test.want)))
	}
	if got := string(w.stored("incoming/photos - 2026 - a.jpg")); got != "2026/a.jpg" {
		t.Errorf("stored %q", got)
	}
	one := g.mint("put", "in/one", nil)
	c.open(one.URL)
	c.dragIn(folder)
	if text := c.alerted(); !strings.Contains(text, "This link takes one file, and no folder.") {
		t.Errorf("a folder for one file:\n%s", text)
	}
	g.wantUses(one.ID, 0)
	c.wantLoopback()
}

// A picture is pasted and gets a name of its own; what is pasted into a field is
// for the field.
func TestUploadPageTakesWhatIsPasted(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	box := w.gate(nil).newBox(2, nil)
	c.open(box.URL)
	const paste = `(at) => {
	const data = new DataTransfer();
	data.items.add(new File(["a picture"], "image.png", {type: "image/png"}));
	at.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
}`
	c.script(`document.body.append(document.createElement("textarea")); (` + paste + `)(document.querySelector("textarea"))`)
	if n := ask(c, chromedp.Evaluate[int](`document.querySelectorAll("li").length`)); n != 0 {
		t.Error("takes what was pasted into a field")
	}
	c.script(`(` + paste + `)(document.body)`)
	c.reaches("stored", 1)
	if keys := w.keys("incoming/"); len(keys) != 1 || !regexp.MustCompile(`^incoming/picture-\d{8}-\d{6}\.png$`).MatchString(keys[0]) {
		t.Errorf("stored %q", keys)
	}
}

// A phone offers its camera where the link takes pictures, and a desktop its
// folders where it takes several files.
func TestUploadPageCamera(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	any, text := g.newBox(3, nil), g.newBox(3, func(r *client.MintRequest) { r.Upload.ContentTypes = []string{"text/*"} })
	for _, test := range []struct {
		name           string
		look           chromedp.Action[chromedp.Void]
		link           string
		camera, folder bool
	}{
		{"desktop", chromedp.EmulateViewport(1280, 800), any.URL, false, true},
		{"phone", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch), any.URL, true, false},
		{"phone, text only", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch), text.URL, false, false},
	} {
		c.run(test.look)
		c.open(test.link)
		if camera, folder := c.visible("#camera"), c.visible("#folder"); camera != test.camera || folder != test.folder {
			t.Errorf("%s: camera %v, folder %v", test.name, camera, folder)
		}
	}
	c.run(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch))
	c.open(any.URL)
	photo, _ := fileOf(t, "image.jpg", 1000)
	c.chooseIn("#camera", photo)
	c.reaches("stored", 1)
	if keys := w.keys("incoming/picture-"); len(keys) != 1 {
		t.Errorf("stored %q", w.keys("incoming/"))
	}
}

// What the link does not take is refused before anything of it is sent, with the
// limit and what the file has; the others go on. A type is also known by a name's
// ending.
func TestUploadPageLimits(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	box := g.newBox(4, func(r *client.MintRequest) {
		r.Upload.MaxBytes, r.Upload.ContentTypes = 1000, []string{"image/*", "application/vnd.apache.parquet"}
	})
	c.open(box.URL)
	var paths []string
	for name, size := range map[string]int64{"a.png": 1000, "b.parquet": 10, "c.png": 1001, "d.html": 10, "e.unheardof": 10} {
		path, _ := fileOf(t, name, size)
		paths = append(paths, path)
	}
	c.choose(paths...)
	c.reaches("stored", 2)
	c.reaches("refused", 3)
	text := c.text()
	for _, want := range []string{
		"This file is too large: it has 1,001 bytes, and the link takes at most 1,000.",
		"This link takes only images, application/vnd.apache.parquet. This file is text/html.",
		"application/vnd.apache.parquet. What this file is, its name does not tell.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	g.wantUses(box.ID, 2)
	c.mu.Lock()
	if len(c.offsets) != 2 {
		t.Errorf("pieces at %q", c.offsets)
	}
	c.mu.Unlock()
	for range 3 {
		c.does("Remove")
	}
	c.reaches("refused", 0)

	one := g.mint("put", "in/one", nil)
	if text := c.open(one.URL); !strings.Contains(text, "This link takes one file.") {
		t.Errorf("the page:\n%s", text)
	}
	c.dragIn(paths...)
	if text := c.alerted(); !strings.Contains(text, "Choose one only.") || strings.Contains(text, "a.png") {
		t.Errorf("several:\n%s", text)
	}

	soon := g.mint("put", "in/soon", func(r *client.MintRequest) { r.ExpiresIn = "20s" })
	if text := c.open(soon.URL); !regexp.MustCompile(`This link closes in \d+ s: `).MatchString(text) {
		t.Errorf("soon over:\n%s", text)
	}
}

// While files are sent the page tells how far they are together, in its title
// too, and keeps the screen on.
func TestUploadPageTotals(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	box := w.gate(nil).newBox(3, func(r *client.MintRequest) { r.Bandwidth = 4 << 20 })
	call(c, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: `
window.held = 0;
Object.defineProperty(navigator, "wakeLock", {value: {request: async () => { held++; return {release: async () => { held--; }}; }}});`})
	c.open(box.URL)
	var paths []string
	for i := range 3 {
		path, _ := fileOf(t, fmt.Sprint(i, ".bin"), 6<<20)
		paths = append(paths, path)
	}
	if c.visible(".totals") || ask(c, chromedp.Evaluate[int]("held")) != 0 {
		t.Error("totals of nothing, or the screen is on for nothing")
	}
	c.choose(paths...)
	c.until("the totals", `/^Stored [012] of 3 files · \d+%, [0-9.]+ MB of 18.9 MB · [0-9.]+ [kM]B\/s · \d+ s left, /.test([...document.querySelectorAll(".totals p")].map((p) => p.innerText).join(", "))`)
	c.until("the title", `/^[1-9]\d?% · Upload files$/.test(document.title)`)
	c.until("it is said", `/^Stored \d of 3 files · /.test(document.querySelector("[role=status]").textContent)`)
	if n := ask(c, chromedp.Evaluate[int]("held")); n != 1 {
		t.Errorf("%d times asked for the screen", n)
	}
	c.reaches("stored", 3)
	c.until("the screen may sleep", "held === 0")
	if title := ask(c, chromedp.Evaluate[string]("document.title")); title != "Upload files" || c.visible(".totals") {
		t.Errorf("in the end: %q, totals %v", title, c.visible(".totals"))
	}
}

// When the browser is online again, or somebody comes back to the page, the page
// does not wait until its time is over.
func TestUploadPageGoesOnAtOnce(t *testing.T) {
	for _, wakes := range []string{`dispatchEvent(new Event("online"))`, `document.dispatchEvent(new Event("visibilitychange"))`} {
		c, w := newChrome(t), newEmbedded(t)
		g := w.gate(nil)
		relay := s3gatetest.NewRelay(t, strings.TrimPrefix(g.LinksURL(), "http://"), s3gatetest.Pass{})
		// Each pause is as long as it can be.
		call(c, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: `
const real = setTimeout;
window.setTimeout = (f, ms, ...more) => real(f, ms > 490 && ms <= 1000 ? 3600000 : ms, ...more);`})
		link := g.mint("put", "in/woken", slow)
		path, sum := fileOf(t, "a.bin", pictured)
		c.open("http://" + relay.Addr + "/" + link.Token)
		c.choose(path)
		c.partly()
		relay.Cut(false)
		c.reaches("later", 1)
		c.script(wakes)
		c.reaches("stored", 1)
		w.wantOnly("in/woken", pictured, sum)
		c.wentOn()
	}
}

// When all is stored there is a receipt, with the real checksums, that can be
// kept; it names neither the link nor the key.
func TestUploadPageReceipt(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	box := w.gate(nil).newBox(5, func(r *client.MintRequest) { r.SharedBy = "The press office" })
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		if _, err := chromedp.CallBrowser(c.ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted,
		}); err != nil {
			t.Fatal(err)
		}
	}
	c.open(box.URL)
	c.script("{ const now = Date.now; Date.now = () => now() - 366 * 864e5; }") // a clock that is wrong
	const hostile = `<img src=x onerror=alert(1)>.bin`
	want := map[string]string{}
	var paths []string
	for name, size := range map[string]int64{"empty.txt": 0, "small.txt": 55, hostile: 1 << 20, "parts.bin": 9<<20 + 17} {
		path, sum := fileOf(t, name, size)
		want[name], paths = fmt.Sprintf("%x", sum), append(paths, path)
	}
	c.choose(paths...)
	c.reaches("stored", 4)
	c.until("the checksums", `document.querySelector(".receipt .act").disabled === false && document.querySelector(".receipt").checkVisibility()`)
	text := c.text()
	if !strings.Contains(text, "4 files stored") {
		t.Errorf("the page:\n%s", text)
	}
	c.script(`document.querySelector(".receipt .act").click()`)
	name, data := c.download()
	if !regexp.MustCompile(`^receipt-\d{8}-\d{6}\.txt$`).MatchString(name) {
		t.Errorf("saved as %q", name)
	}
	for file, sum := range want {
		if !strings.Contains(text, sum) {
			t.Errorf("%s: the checksum %s is not on the page\n%s", file, sum, text)
		}
		_, rest, _ := strings.Cut(string(data), "\r\n"+file+"\r\n")
		if entry, _, _ := strings.Cut(rest, "\r\n\r\n"); !strings.Contains(entry, "\r\n  SHA-256: "+sum+"\r\n  ETag: ") || !strings.Contains(entry, "  Stored: "+time.Now().UTC().Format("2006-")) {
			t.Errorf("%s: the receipt says\n%s", file, entry)
		}
	}
	if strings.Contains(string(data), "s3g_") || strings.Contains(string(data), "incoming/") || !strings.Contains(string(data), "\r\nRequested by The press office\r\n") {
		t.Errorf("the receipt:\n%s", data)
	}
	call(c, cdppage.BringToFront, cdp.Empty{})
	c.script(`[...document.querySelectorAll("li")].find((li) => li.innerText.includes("parts.bin")).querySelector(".copy").click()`)
	c.until("it is copied", `document.body.innerText.includes("Copied")`)
	if got, err := chromedp.Call(c.ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: "navigator.clipboard.readText()", AwaitPromise: new(true)}); err != nil || fmt.Sprint(string(got.Result.Value)) != `"`+want["parts.bin"]+`"` {
		t.Errorf("copied %v %v", got, err)
	}
	another, _ := fileOf(t, "another.txt", 10)
	c.choose(another)
	c.reaches("stored", 5)
	c.until("the receipt has it", `document.querySelector(".receipt h2").innerText.includes("5 files stored")`)
	if ask(c, chromedp.Evaluate[int](`document.querySelectorAll("img").length`)) != 0 {
		t.Error("the name of a file became an element")
	}
}

// A link that takes nothing without a checksum gets the file's SHA-256.
func TestUploadPageSendsChecksum(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	for _, kind := range []string{"sha256", "any"} {
		link := g.mint("put", "in/"+kind, func(r *client.MintRequest) { r.Upload = &client.Upload{Checksum: kind} })
		path, sum := fileOf(t, "a.bin", 9<<20)
		c.open(link.URL)
		c.choose(path)
		c.reaches("stored", 1)
		w.wantOnly("in/"+kind, 9<<20, sum)
		g.wantUses(link.ID, 1)
	}
}

// A file of a folder that was interrupted goes on where it was when the folder is
// given again, chosen or dropped.
func TestUploadPageResumesFolders(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	folder := filepath.Join(t.TempDir(), "reels")
	if err := os.MkdirAll(filepath.Join(folder, "one"), 0o700); err != nil {
		t.Fatal(err)
	}
	path, sum := fileOf(t, "a.bin", pictured)
	if err := os.Rename(path, filepath.Join(folder, "one", "a.bin")); err != nil {
		t.Fatal(err)
	}
	box := g.newBox(1, slow)
	c.open(box.URL)
	c.chooseIn("#folder", folder)
	c.partly()
	c.does("Pause") // or the page would ask, which browsers only let it do after a gesture
	c.reaches("paused", 1)
	c.run(chromedp.Reload())
	c.until("how far it was", `/Interrupted at [0-9.]+ MB/.test(document.body.innerText)`)
	if text := c.text(); !strings.Contains(text, "reels - one - a.bin") {
		t.Errorf("the page:\n%s", text)
	}
	c.dragIn(folder)
	c.reaches("stored", 1)
	w.wantOnly("incoming/reels - one - a.bin", pictured, sum)
	g.wantUses(box.ID, 1)
	c.wentOn()
}

// What a file is called never becomes more than text: in the list, in what the
// page says of it and in what it remembers, in the address, or in the receipt.
func TestUploadPageHostileNames(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	names := []string{
		`"><script>canary()<` + `\script>.txt`, `<img src=x onerror=canary()>.txt`, `{{constructor.constructor('canary()')()}}.txt`, `{0}{1}$&$1.txt`,
		`javascript:canary().txt`, `' onfocus=canary() autofocus='.txt`, "line\nbreak.txt", "\u202etxt.exe.txt", `%3Csvg onload=canary()%3E.txt`, `__proto__.txt`,
	}
	call(c, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: `window.canary = () => { window.sung = true; };`})
	var paths []string
	for _, name := range names {
		path, _ := fileOf(t, name, 100)
		paths = append(paths, path)
	}
	box := g.newBox(int64(len(names)-3), nil)
	c.open(box.URL)
	elements := ask(c, chromedp.Evaluate[int](`document.querySelectorAll(":not(li, li *)").length`))
	c.choose(paths...)
	c.reaches("stored", len(names)-3)
	if text := c.alerted(); !strings.Contains(text, "Left out: ") {
		t.Errorf("the page:\n%s", text)
	}
	c.until("the receipt", `!document.querySelector(".receipt .act").disabled`)
	c.script(`document.querySelector(".receipt .act").click()`)
	if _, data := c.download(); !strings.Contains(string(data), "\r\n{0}{1}$&$1.txt\r\n") || strings.Contains(string(data), "\nbreak") {
		t.Errorf("the receipt:\n%s", data)
	}
	if ask(c, chromedp.Evaluate[bool]("Boolean(window.sung)")) {
		t.Error("a name ran as a script")
	}
	if n := ask(c, chromedp.Evaluate[int](`document.querySelectorAll(":not(li, li *)").length`)); n != elements {
		t.Errorf("%d elements, there were %d", n, elements)
	}
	c.wantLoopback()
}

// Where there are no workers files are stored all the same, and the page does not
// say a checksum; a link that wants one says so.
func TestUploadPageWithoutWorkers(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	call(c, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: "delete window.Worker;"})
	path, sum := fileOf(t, "a.bin", 1000)
	c.open(g.mint("put", "in/plain", nil).URL)
	c.choose(path)
	c.reaches("stored", 1)
	c.until("the receipt", `document.querySelector(".receipt .act").checkVisibility() && !document.querySelector(".receipt .act").disabled`)
	if text := c.text(); !strings.Contains(text, "could not be computed") || c.visible(".copy") {
		t.Errorf("the page:\n%s", text)
	}
	w.wantOnly("in/plain", 1000, sum)
	c.open(g.mint("put", "in/summed", func(r *client.MintRequest) { r.Upload = &client.Upload{Checksum: "sha256"} }).URL)
	c.choose(path)
	c.reaches("refused", 1)
	if text := c.text(); !strings.Contains(text, "The checksum, which this link wants, could not be computed.") {
		t.Errorf("the page:\n%s", text)
	}
}

// All is cancelled with one press: nothing is left of it, the uses come back, and
// what had not begun is not on the page any more.
func TestUploadPageCancelsAll(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	box := g.newBox(6, slow)
	c.open(box.URL)
	var paths []string
	for i := range 5 {
		path, _ := fileOf(t, fmt.Sprint(i, ".bin"), pictured)
		paths = append(paths, path)
	}
	c.choose(paths...)
	c.partly()
	c.script(`document.querySelector(".totals button").click()`)
	c.reaches("cancelled", 2)
	c.reaches("waiting", 0)
	c.until("no totals", `!document.querySelector(".totals").checkVisibility()`)
	if !c.visible("#files") || c.visible(".receipt") {
		t.Errorf("the page:\n%s", c.text())
	}
	eventually(t, "the uses come back", func() bool {
		status, err := g.api.Show(t.Context(), box.ID)
		return err == nil && status.Uses == 0 && status.InUse == 0
	})
	w.wantNothingLeft()
}
