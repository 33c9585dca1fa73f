package gate_test

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Every page shows what it has to say before any script runs, and without one.
func TestPagesWithoutScript(t *testing.T) {
	c := newChrome(t)
	shots := shots(newEmbedded(t))
	call(c, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	for _, s := range shots {
		if s.script != "" {
			continue
		}
		c.open(s.link)
		if heading := ask(c, chromedp.Evaluate[string](`document.querySelector("main h1")?.innerText ?? ""`)); heading == "" {
			t.Errorf("%s shows no heading:\n%s", s.name, c.text())
		}
		c.until("something is painted", `performance.getEntriesByName("first-contentful-paint").length > 0`)
	}
}
