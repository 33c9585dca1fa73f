package gate_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"s3gate/api"
	"s3gate/auth"
	"s3gate/client"
	"s3gate/console"
	"s3gate/revocation"
	"s3gate/tokens"
)

// Whatever names, keys, labels, reasons and agents say, no view of the console runs
// it: it is shown as it is.
func TestConsoleCanary(t *testing.T) {
	w, o := operating(t)
	const canary = `"><img src=x onerror=window.canary=1><script>window.canary=1</script>'${window.canary=1}` + "\u202egpj.exe"
	shown := strings.Replace(canary, "\u202e", "\ufffd", 1)
	token, _ := w.long(o.g, canary, canary)
	labelled := o.g.mint("get", canary, func(r *client.MintRequest) {
		r.Subject, r.Labels = canary, map[string]string{"note": canary}
		r.Clients = []string{"127.0.0.0/8"}
	})
	do(t, "GET", labelled.URL, nil)
	for _, rule := range []client.Rule{{Subject: canary + "x", Reason: canary}, {Labels: map[string]string{"note": canary + "x"}, Reason: canary}, {Bucket: "docs", Prefix: canary + "x", Reason: canary}, {Issuer: canary, Reason: canary}} {
		if _, err := o.g.api.RevokeBy(t.Context(), rule); err != nil {
			t.Fatal(err)
		}
	}
	trap := o.g.mint("get", canary, func(r *client.MintRequest) { r.Canary, r.Subject = true, canary })
	req, err := http.NewRequest("GET", trap.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", strings.ReplaceAll(canary, "\u202e", ""))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	bearer, err := auth.Sign(jwtKey, auth.Caller{Subject: canary, Admin: true}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	o.signIn("transfers", bearer)
	for view, ready := range map[string]string{
		"transfers": shown, "tokens": shown, "tokens/" + labelled.ID: "note=" + shown, "tokens/" + token.ID: shown, "revocations": shown, "leaks": shown, "gates": "renewed", "buckets": "docs",
		"mint": "Permits", "revoke": "Subject", "events": "Pause",
	} {
		o.view(view)
		o.shows(ready)
		if view == "events" {
			o.until("it hears", `document.querySelector("#live.on") !== null`)
			o.g.mint("get", canary, func(r *client.MintRequest) { r.Subject, r.Labels = canary, map[string]string{"note": canary} })
			o.shows("subject " + shown)
			o.script(`document.querySelector(".open").click()`)
			o.until("it is shown whole", `document.querySelector("dialog pre").textContent.includes("onerror")`)
		}
		time.Sleep(300 * time.Millisecond)
		if ask(o.chrome, chromedp.Evaluate[bool]("window.canary !== undefined || document.querySelector('img') !== null || document.scripts.length > 1")) {
			t.Errorf("%s runs it", view)
		}
	}
	// The same through a form, and what the API answers to it.
	o.view("revoke")
	o.fill(map[string]string{"bucket": canary, "subject": canary})
	o.click("#view", "Dry run")
	o.until("there is an alert", `document.querySelector("[role=alert]") !== null`)
	if ask(o.chrome, chromedp.Evaluate[bool]("window.canary !== undefined")) {
		t.Error("a form runs it")
	}
	call(o.chrome, network.ClearBrowserCookies, cdp.Empty{}) // else it leads on
	o.view("sign-in?next=" + strings.ReplaceAll(`/console/tokens/"><img src=x onerror=window.canary=1>`, " ", "%20"))
	if ask(o.chrome, chromedp.Evaluate[bool]("window.canary !== undefined || document.querySelector('img') !== null")) {
		t.Error("the sign-in runs it")
	}
}

// crowd is a fleet with very many transfers, all of which move all the time.
type crowd struct {
	size  int
	bytes atomic.Int64
	cut   atomic.Value // the ID
}

func (c *crowd) Running(context.Context) revocation.Overview {
	moved := c.bytes.Add(1 << 20)
	all := make([]revocation.Running, c.size)
	for i := range all {
		all[i] = revocation.Running{
			Gate: "gate-1", ID: fmt.Sprintf("req_%026d", i), Token: tokens.ID("tok_jvq4zxt2b7hn5c3kd6ryo2mweu"), Subject: fmt.Sprintf("user-%d", i),
			Bucket: "docs", Key: fmt.Sprintf("film-%04d.mp4", i), Direction: "download", Bytes: moved + int64(i), Size: 10 << 30, Since: time.Now().Add(-time.Minute),
		}
	}
	return revocation.Overview{Running: all, Complete: true}
}

func (c *crowd) Cut(_ context.Context, id string) (revocation.Outcome, error) {
	c.cut.Store(id)
	return revocation.Outcome{Stopped: true, Bytes: 1 << 20, Gate: "gate-1"}, nil
}

// overseeing starts a console before a fleet, and a browser that is not signed in.
func overseeing(t *testing.T, fleet api.Fleet) *operator {
	t.Helper()
	verifier, err := auth.New(auth.Config{Keys: [][]byte{jwtKey}})
	if err != nil {
		t.Fatal(err)
	}
	control := api.New(api.Config{Fleet: fleet, Verifier: verifier})
	page := console.New(console.Config{API: control, Prove: func(bearer string) (auth.Caller, time.Time, error) {
		ex := verifier.Explain(bearer)
		return ex.Caller, ex.Until, ex.Err()
	}})
	server := httptest.NewServer(page)
	t.Cleanup(func() { control.Stop(); server.Close() })
	bearer, err := auth.Sign(jwtKey, auth.Caller{Subject: "tester", Admin: true}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return newOperator(newChrome(t), server.URL, bearer)
}

// Five thousand transfers that all move do not freeze the page: few rows are in it,
// and what is pressed answers.
func TestConsoleWithVeryManyTransfers(t *testing.T) {
	fleet := &crowd{size: 5000}
	o := overseeing(t, fleet)
	c := o.chrome
	o.signIn("transfers", o.bearer)
	o.script(`window.long = []; new PerformanceObserver((list) => { for (const e of list.getEntries()) window.long.push(Math.round(e.duration)); }).observe({ type: "longtask", buffered: true })`)
	o.shows("5,000 transfers")
	want := func(when string) {
		t.Helper()
		if n := ask(c, chromedp.Evaluate[int](`document.querySelectorAll("tr").length`)); n > 100 {
			t.Errorf("%s there are %d rows", when, n)
		}
		if n := ask(c, chromedp.Evaluate[int](`document.querySelectorAll("*").length`)); n > 2000 {
			t.Errorf("%s there are %d elements", when, n)
		}
	}
	want("at first")
	time.Sleep(5 * time.Second)
	o.script("scrollTo(0, document.body.scrollHeight / 2)")
	o.until("the middle is shown", `[...document.querySelectorAll(".transfers bdi")].some((b) => /^film-2[3-7]/.test(b.textContent))`)
	o.script("scrollTo(0, document.body.scrollHeight)")
	o.until("the end is shown", `[...document.querySelectorAll(".transfers bdi")].some((b) => b.textContent === "film-4999.mp4")`)
	want("at the end")
	o.script(`document.querySelector("#filter").value = "user-4321"; document.querySelector("#filter").dispatchEvent(new Event("input"))`)
	o.until("one is left", `document.querySelectorAll("td.acts button").length === 1`)
	begin := time.Now()
	o.sure("td.acts", "Cut", "Cut now?")
	o.shows("Cut after 1.0 MB")
	t.Logf("pressed twice and answered in %s; long tasks in ms: %v", time.Since(begin), ask(c, chromedp.Evaluate[[]int]("window.long")))
	if id := fleet.cut.Load(); id != fmt.Sprintf("req_%026d", 4321) {
		t.Errorf("cut: %v", id)
	}
}
