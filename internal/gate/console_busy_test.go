package gate_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// keepUsing downloads a link until the function is called that it returns.
func keepUsing(t *testing.T, link string) (end func()) {
	stop, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			if resp, err := http.Get(link); err == nil {
				resp.Body.Close()
			}
		}
	}()
	end = func() { close(stop); <-over }
	return end
}

// A token that is used all the time is revoked all the same, with the reason that
// somebody has typed: what is shown of it changes, and nothing under their hands.
func TestConsoleTokenOnABusyGate(t *testing.T) {
	w, o := operating(t)
	w.store("a.txt", "text/plain", []byte("a"))
	token := o.g.mint("get", "a.txt", uses(10000))
	o.signIn("tokens/"+token.ID, o.bearer)
	o.shows("0 of 10,000")
	o.until("it hears", `document.querySelector("#live.on") !== null`)
	defer keepUsing(t, token.URL)()
	o.until("it is drawn anew", `/[1-9]\d* of 10,000/.test(document.body.innerText)`)
	const count = `/(\d+) of 10,000/.exec(document.body.innerText)[1]`
	o.enter("#reason", "on a mailing list")
	o.script("window.before = " + count)
	o.until("it is drawn while somebody types", count+" !== window.before")
	o.click("#view", "Revoke")
	o.script("window.before = " + count)
	o.until("it is drawn between the presses", count+" !== window.before")
	if !ask(o.chrome, chromedp.Evaluate[bool](`document.activeElement.textContent === "Revoke now?" && document.querySelector("#reason").value === "on a mailing list"`)) {
		t.Fatalf("the page:\n%s", o.text())
	}
	o.click("#view", "Revoke now?")
	o.shows("The token is revoked.")
	o.shows("on a mailing list")
	o.until("there is nothing to press", `!document.querySelector("#reason").checkVisibility()`)
}

// What happens to other tokens is no reason to ask for this one again.
func TestConsoleTokenAmongOthers(t *testing.T) {
	w, o := operating(t)
	w.store("a.txt", "text/plain", []byte("a"))
	token, other := o.g.mint("get", "a.txt", uses(5)), o.g.mint("get", "a.txt", uses(1000))
	o.signIn("tokens/"+token.ID, o.bearer)
	o.until("it hears", `document.querySelector("#live.on") !== null`)
	o.shows("docs/a.txt")
	defer keepUsing(t, other.URL)()
	time.Sleep(4 * time.Second)
	asked := 0
	for _, text := range o.asked() {
		if strings.HasSuffix(text, "/console/api/v1/tokens/"+token.ID) {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	do(t, "GET", token.URL, nil)
	o.shows("complete")
}
