package gate_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"s3gate/client"
)

// deaf is a front of a gate that does not speak tus, and loses the answer to the first
// PUT; it counts them.
func deaf(t *testing.T, g *testGate) (front string, puts *atomic.Int32) {
	t.Helper()
	origin, err := url.Parse(g.LinksURL())
	if err != nil {
		t.Fatal(err)
	}
	puts = new(atomic.Int32)
	plain := httputil.NewSingleHostReverseProxy(origin)
	plain.ErrorLog = log.New(io.Discard, "", 0)
	plain.ModifyResponse = func(resp *http.Response) error {
		resp.Header.Del("Tus-Version")
		if resp.Request.Method == http.MethodPut && puts.Add(1) == 1 {
			resp.ContentLength, resp.Body = 10, http.NoBody // it breaks off
			resp.Header.Set("Content-Length", "10")
		}
		return nil
	}
	server := httptest.NewServer(plain)
	t.Cleanup(server.Close)
	return server.URL, puts
}

// Where the last answer of an upload by PUT is lost nobody knows whether the file is
// stored. The page says so, and does not store it twice by itself.
func TestBrowserUploadWithALostAnswer(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	front, puts := deaf(t, g)
	box := g.mint("put", "", func(r *client.MintRequest) {
		uses(5)(r)
		r.Upload = &client.Upload{KeyTemplate: "incoming/{uuid}"}
	})
	path, _ := fileOf(t, "a.bin", 1<<20)
	c.open(front + "/" + box.Token + "/")
	c.choose(path)
	c.reaches("refused", 1)
	if text := c.text(); !strings.Contains(text, "it is not known whether this file was stored") || !strings.Contains(text, "Try again") {
		t.Errorf("it says:\n%s", text)
	}
	if n := puts.Load(); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
	g.wantUses(box.ID, 1)

	// Somebody who wants it stored anyway has to say so.
	c.does("Try again")
	c.reaches("stored", 1)
	g.wantUses(box.ID, 2)
}

// What is taken off the page does not keep its link in use.
func TestBrowserRemovesWhatWasRefused(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	link := g.mint("put", "in/file", slow)
	path, _ := fileOf(t, "gone.bin", pictured)
	c.open(link.URL)
	c.choose(path)
	c.partly()
	if err := os.Truncate(path, 0); err != nil { // what is not the file any more cannot be read
		t.Fatal(err)
	}
	c.reaches("refused", 1)
	c.does("Remove")
	c.until("it is off the page", `document.querySelectorAll("li[data-state]").length === 0`)
	path, sum := fileOf(t, "right.bin", 1<<20)
	c.choose(path)
	c.reaches("stored", 1)
	w.wantOnly("in/file", 1<<20, sum)
}

// A link for one file that an interrupted upload holds takes no other one before that is
// decided.
func TestBrowserUploadBesideAnInterruptedOne(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	link := g.mint("put", "in/file", slow)
	path, _ := fileOf(t, "a.bin", pictured)
	c.interrupts(link.URL, path)
	other, sum := fileOf(t, "b.bin", 1<<20)
	c.choose(other)
	c.until("it says why not", `/Go on with it, or discard it first/.test(document.body.innerText)`)
	c.does("Discard")
	eventually(t, "the use comes back", func() bool {
		status, err := g.api.Show(t.Context(), link.ID)
		return err == nil && status.InUse == 0
	})
	c.choose(other)
	c.reaches("stored", 1)
	w.wantOnly("in/file", 1<<20, sum)
}
