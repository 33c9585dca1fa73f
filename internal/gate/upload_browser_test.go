package gate_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"s3gate/client"
	"s3gate/internal/s3gatetest"
)

// fileOf writes a file to be uploaded, and returns its path and hash.
func fileOf(t *testing.T, name string, size int64) (path string, sum [32]byte) {
	t.Helper()
	path, hash := filepath.Join(t.TempDir(), name), sha256.New()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.MultiWriter(f, hash), stream(size)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path, [32]byte(hash.Sum(nil))
}

// choose chooses files, as the dialog of a browser does.
func (c *chrome) choose(paths ...string) { c.t.Helper(); c.chooseIn("#files", paths...) }

func (c *chrome) chooseIn(selector string, paths ...string) {
	c.t.Helper()
	field, err := chromedp.Call(c.ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: fmt.Sprintf(`document.querySelector(%q)`, selector)})
	if err != nil {
		c.t.Fatal(err)
	}
	call(c, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: paths, ObjectID: field.Result.ObjectID})
}

// until waits for something that the script of the page can see.
func (c *chrome) until(what, code string) {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); !ask(c, chromedp.Evaluate[bool](code)); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("never: %s\n%s", what, c.text())
		}
	}
}

// reaches waits until so many files are in a state.
func (c *chrome) reaches(state string, files int) {
	c.t.Helper()
	c.until(fmt.Sprint(files, " ", state), fmt.Sprintf(`document.querySelectorAll("li[data-state=%s]").length === %d`, state, files))
}

// partly waits until a third of a file is on its way, and not all of it.
func (c *chrome) partly() { c.t.Helper(); c.over(0.3) }

func (c *chrome) over(share float64) {
	c.t.Helper()
	c.until("under way", fmt.Sprintf(`[...document.querySelectorAll("progress")].some(p => p.value > %g && p.value < 0.9)`, share))
}

// does presses the first button of a file that has this label. Its surroundings
// change all the time, so that the mouse would miss it.
func (c *chrome) does(label string) {
	c.t.Helper()
	c.script(fmt.Sprintf(`(() => {
	const button = [...document.querySelectorAll("li button")].find(b => b.textContent === %q);
	button.focus();
	button.click();
})()`, label))
}

// wentOn checks that an upload did not begin again at its first byte.
func (c *chrome) wentOn() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.offsets) < 2 || c.offsets[0] != "0" || slices.Contains(c.offsets[1:], "0") {
		c.t.Errorf("pieces began at %q", c.offsets)
	}
}

// slow lets an upload take seconds.
func slow(r *client.MintRequest) { r.Bandwidth = 8 << 20 }

const pictured = 30 << 20 // bytes

// A file is uploaded from the page, whole, and its use is charged; the page asks
// for nothing but the link, and keeps nothing of it.
func TestBrowserUploads(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	link := g.mint("put", "in/file", nil)
	if text := c.open(link.URL); !strings.Contains(text, "Choose a file") || strings.Contains(text, "curl") || strings.Contains(text, "in/file") {
		t.Errorf("the page:\n%s", text)
	}
	g.wantUses(link.ID, 0)
	path, sum := fileOf(t, "a.bin", pictured)
	c.choose(path)
	c.reaches("stored", 1)
	w.wantOnly("in/file", pictured, sum)
	g.wantUses(link.ID, 1)
	if left := ask(c, chromedp.Evaluate[string]("JSON.stringify(localStorage) + document.title")); left != "{}Upload a file" {
		t.Errorf("kept: %s", left)
	}
	c.until("it is said", `document.querySelector("[role=status]").textContent === "1 file stored"`)
	if text := c.text(); strings.Contains(text, "Choose a file") {
		t.Errorf("offers another:\n%s", text)
	}
	if text := c.open(link.URL); !strings.Contains(text, "This link has been used") {
		t.Errorf("and then:\n%s", text)
	}
	c.wantLoopback()
}

// A drop box takes several files, under any name, two at a time; a name stays
// text. What is too large, or of a type that the link does not take, is refused
// with the reason.
func TestBrowserDropBox(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	box := g.mint("put", "", func(r *client.MintRequest) {
		uses(6)(r)
		r.Upload = &client.Upload{KeyTemplate: "incoming/{uuid}/{filename}", MaxBytes: 1 << 20, ContentTypes: []string{"text/plain", "image/png"}}
	})
	if text := c.open(box.URL); !strings.Contains(text, "Files left\n6") && !strings.Contains(text, "Files left") || !strings.Contains(text, "text/plain, image/png") {
		t.Errorf("the page:\n%s", text)
	}
	names := []string{"a b.txt", "<img src=x onerror=alert(1)>.txt", "x\u202egpj.txt", "d\u00e9j\u00e0 vu?&#%.txt"}
	var paths []string
	for _, name := range names {
		path, _ := fileOf(t, name, 1000)
		paths = append(paths, path)
	}
	large, _ := fileOf(t, "large.txt", 1<<20+1)
	page, _ := fileOf(t, "page.html", 10)
	c.choose(append(paths, large, page)...)
	c.reaches("stored", len(names))
	c.reaches("refused", 2)
	text := c.text()
	for _, want := range []string{"too large: it has 1,048,577 bytes, and the link takes at most 1,048,576.", "This link takes only text/plain, image/png", "<img src=x", "x\ufffdgpj.txt"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	var stored []string
	for _, key := range w.keys("incoming/") {
		stored = append(stored, key[strings.LastIndex(key, "/")+1:])
	}
	want := []string{"<img src=x onerror=alert(1)>.txt", "a b.txt", "d\u00e9j\u00e0 vu?&#%.txt", "xgpj.txt"}
	if slices.Sort(stored); !slices.Equal(stored, want) {
		t.Errorf("stored %q, want %q", stored, want)
	}
	g.wantUses(box.ID, 4)
	var many []string
	for i := range 3 {
		path, _ := fileOf(t, fmt.Sprint(i, ".txt"), 1)
		many = append(many, path)
	}
	c.choose(many...)
	if text := c.alerted(); !strings.Contains(text, "takes only 2 more files. Left out: 2.txt.") {
		t.Errorf("three, where two are left:\n%s", text)
	}
	c.wantLoopback()
}

// An upload is paused, by keyboard too, goes on where it was, and is whole. While
// it runs the page asks before it is left.
func TestBrowserPauses(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	link := g.mint("put", "in/paused", slow)
	path, sum := fileOf(t, "a.bin", pictured)
	const asks = `!dispatchEvent(new Event("beforeunload", {cancelable: true}))`
	c.open(link.URL)
	c.choose(path)
	c.partly()
	if !ask(c, chromedp.Evaluate[bool](asks)) {
		t.Error("does not ask before it is left")
	}
	c.does("Pause")
	c.reaches("paused", 1)
	if ask(c, chromedp.Evaluate[bool](asks)) {
		t.Error("asks although nothing runs")
	}
	if ask(c, chromedp.Evaluate[string]("document.activeElement.ariaLabel")) != "Resume a.bin" {
		t.Error("the focus is not on the button any more")
	}
	c.run(chromedp.KeyEvent("\r"))
	c.reaches("stored", 1)
	w.wantOnly("in/paused", pictured, sum)
	g.wantUses(link.ID, 1)
	c.wentOn()
}

// What is cancelled leaves nothing behind, the use comes back, and another file
// may be chosen.
func TestBrowserCancels(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	link := g.mint("put", "in/cancelled", slow)
	path, _ := fileOf(t, "a.bin", pictured)
	c.open(link.URL)
	c.choose(path)
	c.partly()
	c.does("Cancel")
	c.reaches("cancelled", 1)
	eventually(t, "the use comes back", func() bool {
		status, err := g.api.Show(t.Context(), link.ID)
		return err == nil && status.Uses == 0 && status.InUse == 0
	})
	w.wantNothingLeft()
	other, sum := fileOf(t, "b.bin", 1000)
	c.choose(other)
	c.reaches("stored", 1)
	w.wantOnly("in/cancelled", 1000, sum)
	if status, err := g.api.Show(t.Context(), link.ID); err != nil || status.State == "revoked" {
		t.Errorf("the link is %v %v", status, err)
	}
}

// The network goes and comes back: the upload goes on by itself.
func TestBrowserUploadThroughACut(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	relay := s3gatetest.NewRelay(t, strings.TrimPrefix(g.LinksURL(), "http://"), s3gatetest.Pass{})
	link := g.mint("put", "in/cut", slow)
	path, sum := fileOf(t, "a.bin", pictured)
	c.open("http://" + relay.Addr + "/" + link.Token)
	c.choose(path)
	c.partly()
	relay.Cut(true)
	c.reaches("later", 1)
	if text := c.text(); !strings.Contains(text, "The connection was lost. It goes on by itself.") {
		t.Errorf("the page:\n%s", text)
	}
	relay.Cut(false)
	c.reaches("stored", 1)
	w.wantOnly("in/cut", pictured, sum)
	g.wantUses(link.ID, 1)
	c.wentOn()
}

// The gate is killed in the middle and another one takes its place: the upload
// goes on by itself.
func TestBrowserUploadThroughAKilledGate(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	first := w.process(t, "", "")
	var link *client.Token
	eventually(t, "the gate has its lease", func() (ok bool) {
		var err error
		link, err = first.api.Mint(t.Context(), client.MintRequest{Operation: "put", Bucket: "docs", Key: "in/killed", Bandwidth: 8 << 20})
		return err == nil
	})
	path, sum := fileOf(t, "a.bin", pictured)
	c.open(first.Links + link.URL[strings.LastIndex(link.URL, "/"):])
	c.choose(path)
	c.over(0.7) // so that S3 has a part
	first.Kill()
	c.reaches("later", 1)
	second := w.restart(t, first)
	c.reaches("stored", 1)
	w.wantOnly("in/killed", pictured, sum)
	c.wentOn()
	second.Stop()
}

// What ends an upload in the middle for good is said, and it does not begin again.
func TestBrowserUploadEnds(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	path, _ := fileOf(t, "a.png", pictured)
	for _, test := range []struct {
		name string
		key  string
		end  func(link *client.Token)
		want string
	}{
		{"revoked", "in/revoked", func(link *client.Token) {
			if _, err := g.api.Revoke(t.Context(), link.ID, "a test"); err != nil {
				t.Fatal(err)
			}
		}, "This link was withdrawn"},
		{"taken", "in/taken", func(*client.Token) { w.store("in/taken", "text/plain", []byte("first")) }, "The file exists already"},
		{"changed", "in/changed", func(*client.Token) {
			c.does("Pause")
			c.reaches("paused", 1)
			if err := os.WriteFile(path, []byte("another"), 0o600); err != nil {
				t.Fatal(err)
			}
			c.does("Resume")
		}, "The file cannot be read any more"},
	} {
		link := g.mint("put", test.key, slow)
		c.open(link.URL)
		c.choose(path)
		c.partly()
		test.end(link)
		c.reaches("refused", 1)
		if text := c.text(); !strings.Contains(text, test.want) {
			t.Errorf("%s: no %q in\n%s", test.name, test.want, text)
		}
		c.run(chromedp.Navigate("about:blank"))
	}

	// Random bytes do not look like a picture, which the gate sees only when
	// they come.
	path, _ = fileOf(t, "b.png", pictured)
	link := g.mint("put", "in/sniffed", func(r *client.MintRequest) {
		r.Upload = &client.Upload{ContentTypes: []string{"image/png"}, Sniff: true}
	})
	c.open(link.URL)
	c.choose(path)
	c.reaches("refused", 1)
	if text := c.text(); !strings.Contains(text, "does not look like that") {
		t.Errorf("sniffed:\n%s", text)
	}
	if w.stored("in/sniffed") != nil {
		t.Error("stored all the same")
	}
}

// The page is loaded anew in the middle. It remembers the upload, without the
// token; when the same file is chosen it goes on.
func TestBrowserUploadAfterReload(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	link := g.mint("put", "in/reloaded", slow)
	path, sum := fileOf(t, "a: b.bin", pictured)
	c.open(link.URL)
	c.choose(path)
	c.partly()
	c.script(`localStorage.setItem("s3gate:other:1:2:old", "upload " + (Date.now() - 31 * 864e5)); localStorage.setItem("s3gate:other:1:2:new", "upload " + (Date.now() - 29 * 864e5)); localStorage.setItem("foreign", "")`)
	c.run(chromedp.Reload())
	c.until("it is remembered", `document.body.innerText.includes("Choose the same file again")`)
	if kept := ask(c, chromedp.Evaluate[string](`Object.keys(localStorage).map((key) => key.split(":").at(-1)).sort().join()`)); kept != " b.bin,foreign,new" {
		t.Errorf("kept: %q; what is old goes, and nothing else", kept)
	}
	c.script(`localStorage.removeItem("foreign"); localStorage.removeItem("s3gate:other:1:2:new")`)
	if kept := ask(c, chromedp.Evaluate[string]("JSON.stringify(Object.entries(localStorage))")); !strings.Contains(kept, "a: b.bin") || strings.Contains(kept, "s3g_") {
		t.Errorf("kept: %s", kept)
	}
	c.until("how far it was", `/Interrupted at [0-9.]+ MB/.test(document.body.innerText)`)
	c.choose(path)
	c.reaches("stored", 1)
	w.wantOnly("in/reloaded", pictured, sum)
	g.wantUses(link.ID, 1)
	c.wentOn()
	if kept := ask(c, chromedp.Evaluate[int]("localStorage.length")); kept != 0 {
		t.Errorf("%d things are kept", kept)
	}
}

// interrupts begins an upload and loads the page anew in the middle, which then remembers it.
func (c *chrome) interrupts(link, path string) {
	c.t.Helper()
	c.open(link)
	c.choose(path)
	c.partly()
	c.run(chromedp.Reload())
	c.until("how far it was", `/Interrupted at [0-9.]+ MB/.test(document.body.innerText)`)
}

// What was interrupted may be given up after a reload: the link is free again.
func TestBrowserDiscards(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	link := g.mint("put", "in/discarded", slow)
	path, _ := fileOf(t, "a.bin", pictured)
	c.interrupts(link.URL, path)
	c.does("Discard")
	eventually(t, "the use comes back", func() bool {
		status, err := g.api.Show(t.Context(), link.ID)
		return err == nil && status.Uses == 0 && status.InUse == 0 && status.State != "revoked"
	})
	w.wantNothingLeft()
}

// Without script the page says how a program uploads, and nothing else.
func TestBrowserUploadWithoutScript(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	link := w.gate(nil).mint("put", "in/file", nil)
	call(c, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	text := c.open(link.URL)
	if !strings.Contains(text, "curl -T FILE 'LINK'") || strings.Contains(text, "Choose") {
		t.Errorf("the page:\n%s", text)
	}
}

// Files are dropped onto the page, anywhere.
func TestBrowserDrops(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	box := g.mint("put", "", func(r *client.MintRequest) {
		uses(2)(r)
		r.Upload = &client.Upload{KeyTemplate: "incoming/{uuid}/{filename}"}
	})
	c.open(box.URL)
	c.script(`(() => {
	const data = new DataTransfer();
	for (const name of ["one.txt", "two.txt"]) data.items.add(new File(["hello"], name, {type: "text/plain"}));
	for (const kind of ["dragenter", "dragover", "drop"]) {
		const event = new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true});
		if (document.querySelector("h1").dispatchEvent(event)) throw new Error(kind + " is left to the browser");
	}
})()`)
	c.reaches("stored", 2)
	if keys := w.keys("incoming/"); len(keys) != 2 || !strings.HasSuffix(keys[0], "/one.txt") && !strings.HasSuffix(keys[0], "/two.txt") {
		t.Errorf("stored %q", keys)
	}
	g.wantUses(box.ID, 2)
}

// A passcode is asked for once. The address that it leads to is not one that
// others could be given.
func TestBrowserUploadPasscode(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	link := g.mint("put", "in/coded", func(r *client.MintRequest) { r.Passcode = "Grüße 42" })
	if text := c.open(link.URL); !strings.Contains(text, "This link needs a passcode") {
		t.Errorf("the page:\n%s", text)
	}
	c.enter("#passcode", "Grüße 42\r")
	c.run(chromedp.WaitReady(chromedp.CSS("#files")))
	if at := ask(c, chromedp.Evaluate[string]("location.href")); at != link.URL {
		t.Errorf("the address is %s", strings.ReplaceAll(at, link.Token, "…"))
	}
	path, sum := fileOf(t, "a.bin", 1<<20)
	c.choose(path)
	c.reaches("stored", 1)
	w.wantOnly("in/coded", 1<<20, sum)
	c.wantLoopback()
}

// Through a gate that does not speak tus the page uploads by PUT, and begins anew
// after a cut.
func TestBrowserUploadsByPUT(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	origin, err := url.Parse(g.LinksURL())
	if err != nil {
		t.Fatal(err)
	}
	plain := httputil.NewSingleHostReverseProxy(origin)
	plain.ErrorLog = nil
	plain.ModifyResponse = func(resp *http.Response) error {
		resp.Header.Del("Tus-Version")
		return nil
	}
	front := httptest.NewServer(plain)
	t.Cleanup(front.Close)
	relay := s3gatetest.NewRelay(t, strings.TrimPrefix(front.URL, "http://"), s3gatetest.Pass{})
	box := g.mint("put", "", func(r *client.MintRequest) {
		uses(1)(r)
		slow(r)
		r.Upload = &client.Upload{KeyTemplate: "incoming/{filename}"}
	})
	path, sum := fileOf(t, "a ?#%.bin", pictured)
	c.open("http://" + relay.Addr + "/" + box.Token + "/")
	c.choose(path)
	c.partly()
	relay.Cut(false)
	c.reaches("stored", 1)
	w.wantOnly("incoming/a ?#%.bin", pictured, sum)
	if len(c.offsets) > 0 {
		t.Errorf("pieces at %q", c.offsets)
	}
	c.wantLoopback()
}
