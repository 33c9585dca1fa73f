package gate_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"s3gate/revocation"
)

// silent is a fleet whose one gate is not heard at times.
type silent struct {
	crowd
	away atomic.Bool
}

func (s *silent) Running(ctx context.Context) revocation.Overview {
	if s.away.Load() {
		return revocation.Overview{Silent: []string{"gate-1"}}
	}
	return s.crowd.Running(ctx)
}

// A gate that is not heard for a moment seems to have ended what runs there. When it
// is heard again the transfer stays in view, and goes on.
func TestConsoleKeepsWhatBeginsAgain(t *testing.T) {
	fleet := &silent{crowd: crowd{size: 1}}
	o := overseeing(t, fleet)
	o.signIn("transfers", o.bearer)
	o.shows("film-0000.mp4")
	fleet.away.Store(true)
	o.until("it seems to have ended", `document.querySelector("tr.over")?.innerText.includes("film-0000.mp4") === true`)
	fleet.away.Store(false)
	o.until("it runs", `document.querySelector("tr.over") === null && document.querySelector(".sum").textContent.startsWith("1 transfer,")`)
	const amount = `document.querySelector(".transfers progress + span")?.textContent`
	o.script("window.before = " + amount)
	time.Sleep(5 * time.Second) // in which what has ended goes
	o.until("it goes on", amount+" !== undefined && "+amount+" !== window.before")
}
