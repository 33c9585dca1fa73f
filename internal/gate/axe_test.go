package gate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"s3gate/internal/s3gatetest"
)

// violation is a rule of axe-core that a page breaks, and where.
type violation struct {
	ID, Help string
	Nodes    []struct {
		HTML           string
		FailureSummary string
	}
}

// accessible checks what a page shows by the rules of WCAG 2.2 AA that a program
// can check, contrast among them, and by what axe-core takes for good practice.
func (c *chrome) accessible(page string) {
	c.t.Helper()
	for _, v := range c.violations() {
		for _, node := range v.Nodes {
			c.t.Errorf("%s: %s (%s):\n%s\n%s", page, v.Help, v.ID, node.HTML, node.FailureSummary)
		}
	}
}

func (c *chrome) violations() []violation {
	c.t.Helper()
	// What the browser's protocol runs is not subject to the page's policy.
	if c.axe == "" {
		c.axe = s3gatetest.Axe(c.t)
	}
	if !ask(c, chromedp.Evaluate[bool]("typeof axe === 'object'")) {
		c.script(c.axe + "; 0")
	}
	return ask(c, chromedp.Evaluate[[]violation](`axe.run({resultTypes: ["violations"]}).then((r) => r.violations)`, chromedp.EvalAwaitPromise))
}

// The check finds what it is for, and the browser is heard when a page breaks its
// own policy, its script fails, or asks elsewhere.
func TestPageChecksFind(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	g := w.gate(nil)
	w.store("in/file", "text/plain", []byte("hello"))
	c.open(g.mint("get", "in/file", uses(1)).URL)
	c.accessible("as it is")

	c.script(`document.querySelector("button").style.color = "#2a78c4"; document.querySelector("h1").remove()`)
	var found []string
	for _, v := range c.violations() {
		found = append(found, v.ID)
	}
	if text := fmt.Sprint(found); !strings.Contains(text, "color-contrast") || !strings.Contains(text, "page-has-heading-one") {
		t.Errorf("found %s", text)
	}
	for _, script := range []string{
		`document.body.insertAdjacentHTML("beforeend", "<p onclick='alert(1)' style='color: red'>")`,
		`document.body.append(Object.assign(document.createElement("img"), {src: "http://127.0.0.1:1/"}))`,
		`setTimeout(() => { throw new Error("thrown") })`,
		`console.error("said")`,
	} {
		c.script(script)
		eventually(t, "the browser complains about "+script, c.complains)
	}
}
