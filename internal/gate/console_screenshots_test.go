package gate_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"

	"s3gate/client"
)

// No view of the console is wider than its window. With S3GATE_SCREENSHOTS=dir the
// pictures stay in dir, to be looked at.
func TestConsoleScreenshots(t *testing.T) {
	dir := pictures(t)
	w, o := operating(t)
	report := w.busy(o.g)
	o.looks(390, 844, func(look string) {
		o.photographViews(report, func(name string) {
			time.Sleep(300 * time.Millisecond) // until what has come is drawn
			o.picture(filepath.Join(dir, "console-"+name+"-"+look+".png"))
		})
	})
}

// A bucket is green while it is locked, and red with what is wrong when it is not;
// the audit says what else protects it. The pictures are kept as above.
func TestConsoleBucketScreenshots(t *testing.T) {
	dir := pictures(t)
	c, w := newChrome(t), newEmbedded(t)
	w.lock(true)
	g := w.gate(w.asGate)
	o := newOperator(c, g.APIURL(), g.bearer)
	const verify, audit = 0, 1 // whatever they are called in the language
	press := func(button int) {
		o.until("there are buttons", `document.querySelectorAll(".card button:enabled").length > 2`)
		o.script(fmt.Sprintf(`document.querySelectorAll(".card button")[%d].click()`, button))
	}
	o.looks(390, 844, func(look string) {
		w.lock(true)
		call(c, network.ClearBrowserCookies, cdp.Empty{})
		o.signIn("buckets", o.bearer)
		press(verify)
		o.until("it is locked", `document.querySelector(".card .badge.good") !== null && document.querySelector(".checks li") !== null`)
		o.picture(filepath.Join(dir, "console-bucket-locked-"+look+".png"))
		w.lock(false)
		press(verify)
		o.until("it is not", `document.querySelector(".card .badge.bad") !== null && document.querySelector(".checks li.bad") !== null`)
		o.picture(filepath.Join(dir, "console-bucket-open-"+look+".png"))
		press(audit)
		o.until("the audit is there", `document.querySelectorAll(".audit li").length > 5`)
		o.picture(filepath.Join(dir, "console-bucket-audit-"+look+".png"))
	})
}

// busy gives a gate something to show, and returns the ID of a token.
func (w *world) busy(g *testGate) string {
	for _, who := range []string{"ada@example.com", "bob@example.com", "山田@example.co.jp"} {
		w.long(g, "film of "+who+".mp4", who)
	}
	w.long(g, "team/2030/january/an extraordinarily long name that nobody would type but every export tool writes, with a date 2030-01-31T13-04-55Z and more.csv", "")
	report := g.mint("get", "film of ada@example.com.mp4", func(r *client.MintRequest) {
		uses(3)(r)
		r.Subject, r.Labels, r.ExpiresIn = "ada@example.com", map[string]string{"team": "press", "ticket": "42"}, "30d"
	})
	g.mint("put", "", func(r *client.MintRequest) { r.Prefix = "incoming/"; uses(20)(r); r.Subject = "carol@example.com" })
	gone := g.mint("get", "old.pdf", func(r *client.MintRequest) { r.Subject = "bob@example.com" })
	if _, err := g.api.Revoke(w.t.Context(), gone.ID, "sent to the wrong list"); err != nil {
		w.t.Fatal(err)
	}
	if _, err := g.api.RevokeBy(w.t.Context(), client.Rule{Bucket: "docs", Prefix: "secret/", Standing: true, Reason: "laptop stolen"}); err != nil {
		w.t.Fatal(err)
	}
	return report.ID
}

// photographViews takes a picture of each view, with something under way in it.
func (o *operator) photographViews(token string, picture func(name string)) {
	call(o.chrome, network.ClearBrowserCookies, cdp.Empty{})
	o.open(o.base + "/console/sign-in?over=1")
	picture("sign-in")
	o.signIn("transfers", o.bearer)
	o.until("they run", `document.querySelectorAll("td.acts button").length === 4`)
	time.Sleep(1200 * time.Millisecond) // so that the speed is known
	o.script(`document.querySelector("td.acts button").click()`)
	picture("transfers")
	for _, v := range []struct{ name, view, ready, act, acted string }{
		{"tokens", "tokens", `document.querySelectorAll("input[type=checkbox]").length > 5`, `document.querySelector("td input").click()`, "true"},
		{"token", "tokens/" + token, `document.querySelector(".facts") !== null`, "", "true"},
		{"mint", "mint", "true", `document.querySelector("#f-bucket").value = "docs"; document.querySelector("#f-key").value = "old.pdf"; document.forms[1].requestSubmit()`,
			`document.querySelector(".qr") !== null`},
		{"revoke", "revoke", "true", `document.querySelector("#f-subject").value = "ada@example.com"; document.forms[1].requestSubmit()`, `document.querySelector(".reach") !== null`},
		{"revocations", "revocations", `document.querySelectorAll("tbody tr").length > 1`, "", "true"},
		{"gates", "gates", `document.querySelector("tbody") !== null`, "", "true"},
		{"buckets", "buckets", `document.querySelector(".card") !== null`, "", "true"},
		{"leaks", "leaks", `document.querySelector(".empty, .problem") !== null`, "", "true"},
	} {
		o.view(v.view)
		o.until(v.name+" is there", v.ready)
		picture(v.name)
		if v.act != "" {
			o.script(v.act)
			o.until(v.name+" has done it", v.acted)
			o.script("scrollTo(0, document.body.scrollHeight)")
			picture(v.name + "-done")
		}
	}
	o.view("events")
	o.until("it hears", `document.querySelector("#live.on") !== null`)
	o.g.mint("get", "old.pdf", nil)
	o.until("something has happened", `document.querySelectorAll("tbody tr").length > 2`)
	picture("events")
	o.script(`document.querySelector(".open").click()`)
	picture("event")
	o.script(`document.querySelector("dialog").close()`)
}
