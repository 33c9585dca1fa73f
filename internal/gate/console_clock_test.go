package gate_test

import (
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Somebody whose clock is a day ahead or behind stays signed in, as long as the gate
// says.
func TestConsoleByAnotherClock(t *testing.T) {
	for _, hours := range []string{"24", "-24"} {
		_, o := operating(t)
		call(o.chrome, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: `
const real = Date.now;
Date.now = () => real() + ` + hours + ` * 3600000;`})
		o.signIn("gates", o.bearer)
		o.shows("renewed")
		time.Sleep(3 * time.Second) // in which it would go round in circles
		if at := ask(o.chrome, chromedp.Evaluate[string]("location.pathname")); at != "/console/gates" {
			t.Errorf("%s h: it has gone to %s", hours, at)
		}
		asked := 0
		for _, text := range o.asked() {
			if strings.Contains(text, "/console/sign-in") {
				asked++
			}
		}
		if asked > 2 { // to see it, and to send it
			t.Errorf("%s h: the sign-in was asked for %d times", hours, asked)
		}
	}
}
