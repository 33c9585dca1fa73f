package gate_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"s3gate/internal/s3gatetest"
)

// chrome is a window of a real browser that reaches nothing but loopback.
type chrome struct {
	t    *testing.T
	ctx  context.Context
	dir  string // where downloads go
	done chan string

	mu         sync.Mutex
	requests   []string // what the page asked for
	offsets    []string // where the pieces of uploads began
	complaints []string // what the browser did not like of the page

	axe string // the script, once it was read
}

// newChrome starts a browser with a profile of its own. A page that makes it
// complain fails the test: about its script, or about what the page's
// Content-Security-Policy forbids. It finds hosts of these names on this machine.
func newChrome(t *testing.T, hosts ...string) *chrome {
	t.Helper()
	path, err := exec.LookPath("chromium")
	s3gatetest.Need(t, "chromium (apt-get install chromium)", err)
	profile, err := os.MkdirTemp("", "s3gate-chromium-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	rules := "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
	for _, host := range hosts {
		rules = "MAP " + host + " 127.0.0.1, " + rules
	}
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true), chromedp.Flag("host-resolver-rules", rules),
		chromedp.WSURLReadTimeout(time.Minute))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(stop)
	c := &chrome{t: t, ctx: ctx, dir: t.TempDir(), done: make(chan string, 10)}
	for _, listen := range []func(context.Context, func(any)) error{chromedp.Listen, chromedp.ListenBrowser} {
		if err := listen(ctx, c.hear); err != nil {
			t.Fatal(err)
		}
	}
	call(c, network.Enable, network.EnableParams{})
	t.Cleanup(c.wantQuiet)
	events := true
	if _, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: c.dir, EventsEnabled: &events,
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *chrome) hear(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		c.requests = append(c.requests, e.Request.URL)
		if e.Request.Method == "PATCH" {
			c.offsets = append(c.offsets, fmt.Sprint(e.Request.Headers["Upload-Offset"]))
		}
	case *log.EventEntryAdded:
		// That requests fail is what many tests are about; and a page may well try to
		// keep somebody who has not touched it.
		serious := e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning
		serious = serious && !strings.HasPrefix(e.Entry.Text, "The Cross-Origin-Opener-Policy header has been ignored") // without TLS
		if serious && e.Entry.Source != log.EntrySourceNetwork && e.Entry.Source != log.EntrySourceIntervention {
			c.complaints = append(c.complaints, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			text += " " + thrown.Description
		}
		c.complaints = append(c.complaints, text)
	case *runtime.EventConsoleAPICalled:
		for _, arg := range e.Args {
			c.complaints = append(c.complaints, fmt.Sprintf("%s: %s", e.Type, arg.Value))
		}
	case *browser.EventDownloadWillBegin:
		c.done <- e.SuggestedFilename
	case *browser.EventDownloadProgress:
		switch e.State {
		case browser.DownloadProgressStateCompleted:
			c.done <- "completed"
		case browser.DownloadProgressStateCanceled: // also one that may be resumed
			c.done <- "broken"
		}
	}
}

// run takes steps, one after the other.
func (c *chrome) run(steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	if err := chromedp.Do(c.ctx, steps...); err != nil {
		c.t.Fatal(err)
	}
}

// ask takes a step that has a result.
func ask[T any](c *chrome, step chromedp.Action[T]) T {
	c.t.Helper()
	result, err := chromedp.Run(c.ctx, step)
	if err != nil {
		c.t.Fatal(err)
	}
	return result
}

// call sends a command of the browser's protocol.
func call[P, R any](c *chrome, cmd cdp.Command[P, R], params P) {
	c.t.Helper()
	if _, err := chromedp.Call(c.ctx, cmd, params); err != nil {
		c.t.Fatal(err)
	}
}

// open shows a link and returns the text of the page.
func (c *chrome) open(link string) (text string) {
	c.t.Helper()
	c.run(chromedp.Navigate(link))
	return c.text()
}

// text is what the page shows. It is asked for at once, since a node that is waited
// for may be gone when it is read.
func (c *chrome) text() string {
	c.t.Helper()
	return ask(c, chromedp.Evaluate[string]("document.body.innerText"))
}

// alerted waits until the page shows an alert, and returns the text.
func (c *chrome) alerted() string {
	c.run(chromedp.WaitVisible(chromedp.CSS("[role=alert]")))
	return c.text()
}

// press clicks the button as a mouse does.
func (c *chrome) press() { c.run(chromedp.Click(chromedp.CSS("button"), chromedp.NodeVisible)) }

// follow waits for a link with this name and clicks it as a mouse does.
func (c *chrome) follow(name string) {
	c.t.Helper()
	c.run(chromedp.Click(chromedp.Search(fmt.Sprintf("//a[normalize-space()=%q]", name)), chromedp.NodeVisible))
}

// enter types into a field as a keyboard does.
func (c *chrome) enter(field, keys string) { c.run(chromedp.SendKeys(chromedp.CSS(field), keys)) }

// script runs in the page.
func (c *chrome) script(code string) { ask(c, chromedp.Evaluate[any](code)) }

// download waits for a download and returns its name and what was saved.
func (c *chrome) download() (name string, data []byte) {
	c.t.Helper()
	for end := time.After(30 * time.Second); ; {
		select {
		case event := <-c.done:
			if event == "broken" {
				c.t.Fatal("the download has broken off")
			}
			if event != "completed" {
				name = event
				continue
			}
			data, err := os.ReadFile(filepath.Join(c.dir, name))
			if err != nil {
				c.t.Fatal(err)
			}
			return name, data
		case <-end:
			c.t.Fatal("no download")
		}
	}
}

// wantQuiet checks that the browser has not complained, nor the page.
func (c *chrome) wantQuiet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.complaints {
		c.t.Errorf("the browser says: %s", text)
	}
}

// complains reports whether the browser has, and forgets it.
func (c *chrome) complains() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	said := len(c.complaints) > 0
	c.complaints = nil
	return said
}

// wantLoopback checks that the page has asked for nothing but links, and what it has
// made itself.
func (c *chrome) wantLoopback() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.requests {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "data" && u.Scheme != "blob" && (u.Hostname() != "127.0.0.1" || !strings.HasPrefix(u.Path, "/s3g_")) {
			c.t.Errorf("the page asked for %s", text)
		}
	}
}
