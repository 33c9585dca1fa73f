package gate_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/web"
)

// opens is what a browser sends when it opens a link.
var opens = []string{"Accept: text/html,*/*;q=0.8", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}

// Any gate takes the form of a page that another has shown, and the ticket
// that a third has given; neither is in a log (T10, T14).
func TestPageOverSeveralGates(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.store("a.txt", "text/plain", []byte("hello"))
		first, second, third := w.gate(nil), w.gate(nil), w.gate(nil)
		token := first.mint("get", "a.txt", uses(1))
		path := strings.TrimPrefix(token.URL, first.PublicURL())

		page := do(t, "GET", first.LinksURL()+path, nil, opens...)
		challenge := regexp.MustCompile(`name="challenge" value="([\w-]+)"`).FindSubmatch(page.body)
		if challenge == nil {
			t.Fatalf("%d:\n%s", page.status, page.body)
		}
		form := url.Values{"challenge": {string(challenge[1])}, "gesture": {web.Gesture(string(challenge[1]))}}
		posted := do(t, "POST", second.LinksURL()+path, []byte(form.Encode()),
			append([]string{"Content-Type: application/x-www-form-urlencoded"}, opens...)...)
		ticket := posted.header.Get("Location")
		if posted.status != 303 {
			t.Fatalf("%d:\n%s", posted.status, posted.body)
		}
		first.wantUses(token.ID, 0)
		if a := do(t, "GET", third.LinksURL()+path+ticket, nil, opens...); string(a.body) != "hello" {
			t.Errorf("%d:\n%s", a.status, a.body)
		}
		first.wantUses(token.ID, 1)
		for _, secret := range []string{strings.TrimPrefix(ticket, "?ticket="), string(challenge[1]), path[1:]} {
			if strings.Contains(w.log.String(), secret) {
				t.Errorf("the log has %q:\n%s", secret, w.log)
			}
		}
	})
}

// Wrong passcodes are counted over all gates, as often and as long as is
// configured (T14).
func TestPasscodeTriesAreConfigured(t *testing.T) {
	t.Parallel()
	const passcode = "canary-passcode"
	eachWorld(t, func(w *world) {
		w.store("a.txt", "text/plain", []byte("hello"))
		limit := func(cfg *config.Config) { cfg.Passcode = config.Passcode{Tries: 2, Window: 30 * time.Minute} }
		first, second := w.gate(limit), w.gate(limit)
		token := first.mint("get", "a.txt", func(r *client.MintRequest) { r.Passcode = passcode })
		path := strings.TrimPrefix(token.URL, first.PublicURL())
		for _, step := range []struct {
			gate     *testGate
			passcode string
			want     int
		}{{first, passcode, 200}, {first, "wrong canary-passcode", 401}, {second, "canary-passcode wrong", 401},
			{second, passcode, 429}, {first, "canary-passcode", 200}, {first, "another", 429}} {
			a := do(t, "GET", step.gate.LinksURL()+path, nil, "X-S3gate-Passcode: "+step.passcode)
			if a.status != step.want {
				t.Errorf("%q: %d, want %d", step.passcode, a.status, step.want)
			}
		}
		if strings.Contains(w.log.String(), passcode) {
			t.Errorf("the log has the passcode:\n%s", w.log)
		}
	})
}
