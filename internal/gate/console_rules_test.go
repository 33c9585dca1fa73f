package gate_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"s3gate/auth"
	"s3gate/client"
)

// A rule is tried first, which does nothing, and then made, and lifted: what it
// covered ends, and works again.
func TestConsoleRevokesByRule(t *testing.T) {
	w, o := operating(t)
	token, over := w.long(o.g, "film.mp4", "o'neill & co")
	w.store("plan.txt", "text/plain", []byte("the plan"))
	other := o.g.mint("get", "plan.txt", nil)
	o.signIn("revoke", o.bearer)
	o.fill(map[string]string{"subject": "o'neill & co", "reason": "laptop stolen", "standing": ""})
	o.click("#view", "Dry run")
	o.shows("1 token would end.")
	o.shows("1 transfer would be cut on this gate.")
	o.until("it is named", `document.querySelector(".hits").innerText.includes("docs/film.mp4")`)
	o.wantLine(`s3gate revoke --subject 'o'\''neill & co' --standing --reason 'laptop stolen'`)
	select {
	case <-over:
		t.Fatal("the dry run has cut the download")
	default:
	}
	o.sure("#view", "Revoke", "Revoke now?")
	o.shows("Revoked. The rule holds on every gate.")
	select {
	case <-over:
	case <-time.After(2 * time.Second):
		t.Fatal("the download goes on")
	}
	if a := do(t, "GET", token.URL, nil); a.status != http.StatusGone {
		t.Errorf("the link answers %d", a.status)
	}
	if a := do(t, "GET", other.URL, nil); a.status != http.StatusOK {
		t.Errorf("somebody else's link answers %d", a.status)
	}
	o.follow("All revocations")
	o.shows("laptop stolen")
	o.sure("#view", "Lift", "Lift now?")
	o.shows("Lifted. What the rule covered works again.")
	if a := do(t, "HEAD", token.URL, nil); a.status != http.StatusOK {
		t.Errorf("then the link answers %d", a.status)
	}
	o.until("the list says so", `document.querySelector("tbody").innerText.includes("lifted")`)
}

// A rule that selects nothing is refused in the words of the API.
func TestConsoleShowsProblems(t *testing.T) {
	_, o := operating(t)
	o.signIn("revoke", o.bearer)
	o.fill(map[string]string{"reason": "nothing selected"})
	o.click("#view", "Dry run")
	o.until("there is an alert", `document.querySelector("[role=alert]") !== null`)
	o.shows("Bad Request")
	o.fill(map[string]string{"labels": "team=a, team=b", "subject": "ada"})
	o.until("it has no line", `!document.querySelector("#same").checkVisibility()`)
	before := len(o.asked())
	o.click("#view", "Dry run")
	o.shows("The label team is there twice.")
	for _, text := range o.asked()[before:] {
		if strings.Contains(text, "revocations") {
			t.Errorf("asked for %s", text)
		}
	}
	o.fill(map[string]string{"labels": "team=a", "subject": "", "bucket": "nowhere"})
	o.wantLine("s3gate revoke --label team=a --bucket nowhere --reason 'nothing selected'")
	o.click("#view", "Dry run")
	o.shows("is not an alias of this gate")
}

// Several tokens are found by subject, chosen and revoked; the list tells of it by
// itself.
func TestConsoleRevokesChosen(t *testing.T) {
	w, o := operating(t)
	w.store("a.txt", "text/plain", []byte("a"))
	var links []*client.Token
	for _, subject := range []string{"ada", "ada", "bob"} {
		links = append(links, o.g.mint("get", "a.txt", func(r *client.MintRequest) { r.Subject = subject }))
	}
	o.signIn("tokens", o.bearer)
	o.until("three", `document.querySelectorAll("td.tick").length === 3`)
	o.fill(map[string]string{"subject": "ada"})
	o.wantLine("s3gate token ls --subject ada")
	o.click("#view", "Search")
	o.until("two", `document.querySelectorAll("td.tick").length === 2`)
	o.script(`for (const tick of document.querySelectorAll("td.tick input")) tick.click()`)
	o.shows("2 selected")
	o.sure(".chosen", "Revoke", "Revoke now?")
	o.shows("2 tokens revoked.")
	for i, want := range []int{http.StatusGone, http.StatusGone, http.StatusOK} {
		if a := do(t, "GET", links[i].URL, nil); a.status != want {
			t.Errorf("link %d answers %d, want %d", i, a.status, want)
		}
	}
	o.until("both are shown so", `[...document.querySelectorAll(".tokens .badge")].filter((b) => b.textContent === "revoked").length === 2`)
}

// What was chosen and is not in the list any more, after another search or since newer
// ones have come, is not revoked.
func TestConsoleRevokesWhatIsShown(t *testing.T) {
	w, o := operating(t)
	w.store("a.txt", "text/plain", []byte("a"))
	mint := func(subject string) *client.Token {
		return o.g.mint("get", "a.txt", func(r *client.MintRequest) { r.Subject = subject })
	}
	first, last := mint("ada"), mint("bob")
	o.signIn("tokens", o.bearer)
	o.until("two", `document.querySelectorAll("td.tick").length === 2`)
	o.script(`for (const tick of document.querySelectorAll("td.tick input")) tick.click()`)
	o.shows("2 selected")
	o.fill(map[string]string{"subject": "bob"})
	o.click("#view", "Search")
	o.until("nothing is selected", `!document.querySelector(".chosen").checkVisibility() && document.querySelectorAll("td.tick").length === 1`)
	o.script(`document.querySelector("td.tick input").click()`)
	o.shows("1 selected")
	o.sure(".chosen", "Revoke", "Revoke now?")
	o.shows("1 token revoked.")
	for link, want := range map[*client.Token]int{first: http.StatusOK, last: http.StatusGone} {
		if a := do(t, "GET", link.URL, nil); a.status != want {
			t.Errorf("the link of %s answers %d, want %d", link.ID, a.status, want)
		}
	}

	o.view("tokens")
	o.until("it hears", `document.querySelector("#live.on") !== null`)
	o.until("two again", `document.querySelectorAll("td.tick").length === 2`)
	o.script(`for (const tick of document.querySelectorAll("td.tick input")) tick.click()`)
	o.shows("2 selected")
	for range 99 { // a page has a hundred
		mint("crowd")
	}
	o.until("one is not shown any more", `document.querySelector(".chosen span").textContent === "1 selected"`)
}

// A token is opened from the list, made to permit less, and revoked.
func TestConsoleToken(t *testing.T) {
	w, o := operating(t)
	w.store("a.txt", "text/plain", []byte("a"))
	token := o.g.mint("get", "a.txt", func(r *client.MintRequest) { r.Labels = map[string]string{"team": "press"} })
	do(t, "GET", token.URL, nil)
	o.signIn("tokens", o.bearer)
	o.follow("a.txt")
	o.shows("team=press")
	if at := ask(o.chrome, chromedp.Evaluate[string]("location.pathname")); at != "/console/tokens/"+token.ID {
		t.Errorf("the address is %s", at)
	}
	o.fill(map[string]string{"max_uses": "7"})
	o.wantLine("s3gate token patch " + token.ID + " --max-uses 7")
	o.click("#view", "Narrow")
	o.shows("The token permits less now.")
	o.shows("0 of 7")
	o.sure("#view", "Revoke", "Revoke now?")
	o.shows("The token is revoked.")
	if a := do(t, "GET", token.URL, nil); a.status != http.StatusGone {
		t.Errorf("the link answers %d", a.status)
	}
	o.script("history.back()")
	o.until("the list is there again", `document.querySelectorAll("td.tick").length === 1`)
}

// What is minted works, its QR code leads to it as it is on the screen, and the link
// is nowhere when one has left.
func TestConsoleMints(t *testing.T) {
	w, o := operating(t)
	w.store("reports/2030.pdf", "application/pdf", []byte("the report"))
	o.signIn("mint", o.bearer)
	o.fill(map[string]string{"bucket": "docs", "key": "reports/2030.pdf", "expires_in": "2d", "max_uses": "5", "subject": "ada@example.com", "labels": "team=press, ticket=42",
		"shared_by": "The press office", "message": "Here are the figures."})
	o.wantLine("s3gate token mint get docs/reports/2030.pdf --expires-in 2d --max-uses 5 --subject ada@example.com --label team=press --label ticket=42 --shared-by 'The press office' --message 'Here are the figures.'")
	o.click("#view", "Mint")
	o.until("the code is there", `document.querySelector(".qr") !== null`)
	link := ask(o.chrome, chromedp.Evaluate[string](`document.querySelector("#url").value`))
	o.script(`document.querySelector(".qr").scrollIntoView()`)
	if got := readCode(t, ask(o.chrome, chromedp.CaptureScreenshot())); got != link {
		t.Errorf("the code reads %q, want %q", got, link)
	}
	if a := do(t, "GET", link, nil); a.status != http.StatusOK || string(a.body) != "the report" {
		t.Errorf("the link answers %d %.100s", a.status, a.body)
	}
	page, err := o.g.api.List(t.Context(), client.ListQuery{Subject: "ada@example.com"})
	if err != nil || len(page.Tokens) != 1 || page.Tokens[0].MaxUses != 5 || page.Tokens[0].Labels["ticket"] != "42" ||
		page.Tokens[0].SharedBy != "The press office" || page.Tokens[0].Message != "Here are the figures." {
		t.Errorf("minted: %+v, %v", page, err)
	}
	o.follow("Gates")
	o.shows("renewed")
	if ask(o.chrome, chromedp.Evaluate[bool](fmt.Sprintf("document.documentElement.outerHTML.includes(%q)", link))) {
		t.Error("the link is still there")
	}
}

// readCode reads the QR code in a picture.
func readCode(t *testing.T, picture []byte) string {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil {
		t.Fatal(err)
	}
	return result.GetText()
}

// Events come as they happen, are held while paused, and are filtered by type.
func TestConsoleEvents(t *testing.T) {
	w, o := operating(t)
	w.store("a.txt", "text/plain", []byte("a"))
	o.signIn("events", o.bearer)
	o.until("it hears", `document.querySelector("#live.on") !== null`)
	token := o.g.mint("get", "a.txt", func(r *client.MintRequest) { r.Subject = "first" })
	o.shows("subject first")
	o.click("#view", "Pause")
	o.g.mint("get", "a.txt", func(r *client.MintRequest) { r.Subject = "second" })
	o.shows("Go on (1 new)")
	if strings.Contains(o.text(), "subject second") {
		t.Error("it goes on while paused")
	}
	o.click("#view", "Go on (1 new)")
	o.shows("subject second")
	o.script(`document.querySelector("#type").value = "rule.revoked"; document.querySelector("#type").dispatchEvent(new Event("change"))`)
	o.until("it hears", `document.querySelector("#live.on") !== null`)
	o.g.mint("get", "a.txt", func(r *client.MintRequest) { r.Subject = "third" })
	if _, err := o.g.api.Revoke(t.Context(), token.ID, "a reason"); err != nil {
		t.Fatal(err)
	}
	o.shows("reason a reason")
	if strings.Contains(o.text(), "subject third") {
		t.Error("it shows another type")
	}
}

// The console speaks Japanese to who reads it.
func TestConsoleInJapanese(t *testing.T) {
	w, o := operating(t)
	w.long(o.g, "film.mp4", "山田")
	call(o.chrome, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": "ja"}})
	o.signIn("transfers", o.bearer)
	o.shows("転送 1 件")
	o.sure("td.acts", "切断", "切断しますか?")
	o.shows("で切断しました。")
	o.follow("失効の一覧")
	o.shows("失効はありません。")
}

// Somebody without the right for a view hears that from the API, and sees nothing.
func TestConsoleWithoutRights(t *testing.T) {
	w, o := operating(t)
	w.long(o.g, "film.mp4", "ada")
	bearer, err := auth.Sign(jwtKey, auth.Caller{Subject: "nobody"}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	o.signIn("transfers", bearer)
	o.view("tokens")
	o.shows("Forbidden")
	o.view("gates")
	o.shows("Forbidden")
	o.view("transfers")
	o.shows("Forbidden")
	if strings.Contains(o.text(), "film.mp4") {
		t.Error("a transfer is shown")
	}
}
