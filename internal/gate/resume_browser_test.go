package gate_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A download that was begun on the page and breaks off is completed through
// the same ticket, and counted once (T4, T10). Chromium asks for the rest by
// itself when the answer ends early, and waits for "Resume" in its list of
// downloads when the connection was reset.
func TestBrowserResumes(t *testing.T) {
	body := make([]byte, 48<<20)
	rand.Read(body)
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	for _, tt := range []struct {
		name string // also of the file, so that each is saved under its own
		ends bool
	}{{"ended.bin", true}, {"reset.bin", false}} {
		w.store("dir/"+tt.name, "application/octet-stream", body)
		token := g.mint("get", "dir/"+tt.name, resumable("10m"))
		relay := newCutter(t, g.LinksURL(), 20<<20) // the page goes over the same connection
		relay.mu.Lock()
		relay.ends = tt.ends
		relay.mu.Unlock()
		c.open(relay.url() + "/" + token.Token)
		c.press()
		if !tt.ends {
			c.broken()
			if s := settled(t, g, token.ID); s.Uses != 1 || s.Open[0].Bytes >= int64(len(body)) {
				t.Errorf("%s: broken off as %+v", tt.name, s)
			}
			c.resume()
		}
		if data := c.saved(tt.name, len(body)); !bytes.Equal(data, body) {
			t.Errorf("%s: saved %d bytes, want the %d of the object", tt.name, len(data), len(body))
		}
		s := settled(t, g, token.ID)
		if s.Uses != 1 || len(s.Open) != 1 || s.Open[0].Bytes < int64(len(body)) || s.Open[0].Bytes > s.Open[0].Budget {
			t.Errorf("%s: shown as %+v", tt.name, s)
		}
		if relay.made() != 1 {
			t.Errorf("%s: %d connections were cut", tt.name, relay.made())
		}
		if files, err := filepath.Glob(filepath.Join(c.dir, tt.name+"?*")); err != nil || len(files) > 0 {
			t.Errorf("%s: beside it there are %q, %v", tt.name, files, err)
		}
	}
}

// broken waits until the browser has given a download up, which the protocol
// calls canceled. It tells nothing of what comes after.
func (c *chrome) broken() {
	c.t.Helper()
	for event := ""; event != "broken"; {
		select {
		case event = <-c.done:
		case <-time.After(30 * time.Second):
			c.t.Fatal("the download does not break off")
		}
	}
}

// saved waits until a file has its name, and so many bytes.
func (c *chrome) saved(name string, size int) []byte {
	c.t.Helper()
	file := filepath.Join(c.dir, name)
	for range 300 {
		if info, err := os.Stat(file); err == nil && info.Size() == int64(size) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		c.t.Error(err)
	}
	return data
}

// resume presses "Resume" beside the last download in the browser's list.
func (c *chrome) resume() {
	c.t.Helper()
	c.run(chromedp.Navigate("chrome://downloads"))
	const press = `(() => {
	const find = (root) => {
		for (const e of root.querySelectorAll("*")) {
			if (e.id === "pause-or-resume") return e;
			const inside = e.shadowRoot && find(e.shadowRoot);
			if (inside) return inside;
		}
	};
	const button = find(document);
	if (!button || button.innerText.trim() !== "Resume") return false;
	button.click();
	return true;
})()`
	for range 100 {
		if ask(c, chromedp.Evaluate[bool](press)) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Fatal("the browser does not offer to resume")
}
