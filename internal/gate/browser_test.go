package gate_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"s3gate/client"
)

// browsing starts a gate with an object, and a browser.
func browsing(t *testing.T) (*testGate, *chrome, []byte) {
	c := newChrome(t)
	w := newEmbedded(t)
	body := make([]byte, 1<<20)
	rand.Read(body)
	w.store("reports/Quarterly report 2026.pdf", "application/pdf", body)
	return w.gate(nil), c, body
}

const browsed = "reports/Quarterly report 2026.pdf"

func (g *testGate) wantUses(id string, want int64) {
	g.t.Helper()
	st, err := g.api.Show(g.t.Context(), id)
	if err != nil {
		g.t.Fatal(err)
	}
	if st.Uses != want || st.InUse != 0 {
		g.t.Errorf("%d uses charged and %d taken, want %d", st.Uses, st.InUse, want)
	}
}

// A real browser gets the page, which costs nothing, and a real click
// downloads the file (T10).
func TestBrowserDownloads(t *testing.T) {
	g, c, body := browsing(t)
	link := g.mint("get", browsed, uses(1))
	text := c.open(link.URL)
	for _, want := range []string{"Quarterly report 2026.pdf", "1.0 MB", "1,048,576 bytes", "application/pdf", "Downloads left", "Available until"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q on the page:\n%s", want, text)
		}
	}
	g.wantUses(link.ID, 0)
	c.press()
	name, data := c.download()
	if name != "Quarterly report 2026.pdf" || sha256.Sum256(data) != sha256.Sum256(body) {
		t.Errorf("saved %q with %d bytes", name, len(data))
	}
	g.wantUses(link.ID, 1)
	if text := c.open(link.URL); !strings.Contains(text, "This link has been used") {
		t.Errorf("and then:\n%s", text)
	}
	c.wantLoopback()
}

// The keyboard does too.
func TestBrowserDownloadsByKeyboard(t *testing.T) {
	g, c, body := browsing(t)
	link := g.mint("get", browsed, uses(1))
	c.open(link.URL)
	c.run(chromedp.KeyEvent("\t"), chromedp.KeyEvent("\r"))
	if _, data := c.download(); !bytes.Equal(data, body) {
		t.Errorf("saved %d bytes", len(data))
	}
	g.wantUses(link.ID, 1)
}

// A headless browser that opens the page, and whose script submits the form
// or calls the button, downloads nothing (T10).
func TestBrowserScriptDoesNotDownload(t *testing.T) {
	g, c, _ := browsing(t)
	link := g.mint("get", browsed, uses(1))
	for _, script := range []string{
		"document.forms[0].submit()", "document.forms[0].requestSubmit()", "document.querySelector('button').click()",
		"document.querySelector('button').dispatchEvent(new PointerEvent('pointerdown', {bubbles: true})); document.forms[0].requestSubmit()",
	} {
		c.open(link.URL)
		c.script(script)
		text := c.alerted()
		if !strings.Contains(text, "not started by hand") {
			t.Errorf("%s:\n%s", script, text)
		}
		g.wantUses(link.ID, 0)
	}
	// From there a person gets on.
	c.press()
	c.download()
	g.wantUses(link.ID, 1)
}

// One link of one use is opened by a browser in which nobody presses anything,
// by HEAD, and by a program that submits the form as it found it: that costs
// nothing. A range of it is the whole file, since its uses are whole copies,
// and costs the use (T10, T4).
func TestWhatOpensCost(t *testing.T) {
	g, c, body := browsing(t)
	link := g.mint("get", browsed, uses(1))

	if text := c.open(link.URL); !strings.Contains(text, "Quarterly report 2026.pdf") {
		t.Errorf("a browser gets:\n%s", text)
	}
	g.wantUses(link.ID, 0)

	if a := do(t, "HEAD", link.URL, nil); a.status != 200 || a.header.Get("Content-Length") != strconv.Itoa(len(body)) {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	g.wantUses(link.ID, 0)

	form := url.Values{}
	for _, field := range regexp.MustCompile(`name="(\w+)" value="([^"]*)"`).FindAllStringSubmatch(string(do(t, "GET", link.URL, nil, opens...).body), -1) {
		form.Set(field[1], field[2])
	}
	bot := do(t, "POST", link.URL, []byte(form.Encode()), append([]string{"Content-Type: application/x-www-form-urlencoded"}, opens...)...)
	if !form.Has("challenge") || bot.status != 403 || bot.header.Get("Location") != "" {
		t.Errorf("%v: %d %v", form, bot.status, bot.header)
	}
	g.wantUses(link.ID, 0)

	a := do(t, "GET", link.URL, nil, "Range: bytes=0-1")
	if a.status != 200 || !bytes.Equal(a.body, body) || a.header.Get("Accept-Ranges") != "none" {
		t.Errorf("a range: %d, %d bytes", a.status, len(a.body))
	}
	g.wantUses(link.ID, 1)
	if a := do(t, "GET", link.URL, nil, "Range: bytes=0-1"); a.status != 410 {
		t.Errorf("once more: %d", a.status)
	}
}

var digitWords = []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}

// Without script, digits are typed (T10).
func TestBrowserWithoutScript(t *testing.T) {
	g, c, body := browsing(t)
	link := g.mint("get", browsed, uses(1))
	call(c, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	text := c.open(link.URL)
	found := regexp.MustCompile(`Type these digits: (\w+) (\w+) (\w+) (\w+)`).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no digits on the page:\n%s", text)
	}
	c.press()
	c.alerted()
	g.wantUses(link.ID, 0)

	text = c.open(link.URL)
	var digits strings.Builder
	for _, word := range regexp.MustCompile(`Type these digits: (\w+) (\w+) (\w+) (\w+)`).FindStringSubmatch(text)[1:] {
		digits.WriteByte('0' + byte(slices.Index(digitWords, word)))
	}
	c.enter("#digits", digits.String())
	c.press()
	if _, data := c.download(); !bytes.Equal(data, body) {
		t.Errorf("saved %d bytes", len(data))
	}
	g.wantUses(link.ID, 1)
}

// A passcode is asked for on the page, without a dialog of the browser's.
func TestBrowserPasscode(t *testing.T) {
	g, c, body := browsing(t)
	link := g.mint("get", browsed, func(r *client.MintRequest) { r.Passcode = "Grüße 42" })
	if text := c.open(link.URL); !strings.Contains(text, "needs a passcode") || strings.Contains(text, "Quarterly") {
		t.Errorf("the page:\n%s", text)
	}
	c.enter("#passcode", "wrong\r")
	text := c.alerted()
	if !strings.Contains(text, "That is not the passcode") {
		t.Errorf("the wrong one:\n%s", text)
	}
	c.enter("#passcode", "Grüße 42\r")
	if _, data := c.download(); !bytes.Equal(data, body) {
		t.Errorf("saved %d bytes", len(data))
	}
	c.wantLoopback()
}

// A folder asks for its passcode once; then its folders and files open by a
// click (T10, T14).
func TestBrowserFolderPasscode(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	w.store("team/notes/a & b.txt", "text/plain", []byte("hello"))
	w.store("team/top.txt", "text/plain", []byte("top"))
	g := w.gate(nil)
	link := g.below("team/", func(r *client.MintRequest) { listed(r); uses(1)(r); r.Passcode = "Grüße 42" })
	if text := c.open(strings.TrimSuffix(link.URL, "/")); !strings.Contains(text, "This folder needs a passcode") || strings.Contains(text, "notes") {
		t.Errorf("the page:\n%s", text)
	}
	c.enter("#passcode", "Grüße 42\r")
	c.follow("notes/")
	c.follow("Shared files")
	c.follow("notes/")
	g.wantUses(link.ID, 0)
	c.follow("a & b.txt")
	if name, data := c.download(); name != "a & b.txt" || string(data) != "hello" {
		t.Errorf("saved %q: %q", name, data)
	}
	g.wantUses(link.ID, 1)
	c.wantLoopback()
	if strings.Contains(w.log.String(), "ticket=") {
		t.Error("the log has the ticket")
	}
}

// A listing is walked through by mouse and by keyboard, folders first, and
// over its pages; it loads nothing and costs nothing.
func TestBrowserListing(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	for _, key := range []string{"a.txt", "b.txt", "zoo/\u05d3\u05d5\u05f4\u05d7.txt", "zoo/<b>&amp;.txt"} {
		w.store("team/"+key, "text/plain", []byte(key))
	}
	for i := range 1000 {
		w.storeIf(fmt.Sprintf("team/many/%04d", i), nil)
	}
	w.storeIf("team/many/the last", []byte("found"))
	g := w.gate(nil)
	link := g.below("team/", func(r *client.MintRequest) { listed(r); uses(1)(r) })
	if names := strings.Join(c.names(link.URL), "|"); names != "many/|zoo/|a.txt|b.txt" {
		t.Errorf("the shared folder has %s", names)
	}
	// The first link is "many/", the second "zoo/".
	c.run(chromedp.KeyEvent("\t"), chromedp.KeyEvent("\t"), chromedp.KeyEvent("\r"), chromedp.WaitVisible(chromedp.CSS("nav")))
	if names := strings.Join(c.names(""), "|"); names != "<b>&amp;.txt|\u05d3\u05d5\u05f4\u05d7.txt" {
		t.Errorf("the folder has %s", names)
	}
	c.follow("Shared files")
	c.follow("many/")
	c.follow("Next page")
	c.run(chromedp.WaitVisible(chromedp.Search("//a[normalize-space()='the last']")))
	g.wantUses(link.ID, 0)
	c.wantLoopback()
}

// names are those of the folders and files of a listing; of the one that is
// shown if the link is "".
func (c *chrome) names(link string) []string {
	c.t.Helper()
	if link != "" {
		c.open(link)
	}
	return ask(c, chromedp.Evaluate[[]string](`[...document.querySelectorAll("td a")].map(a => a.innerText)`))
}
