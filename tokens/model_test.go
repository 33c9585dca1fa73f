package tokens_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"pgregory.net/rapid"

	"s3gate/tokens"
)

// However commands are lost, delayed, repeated and reordered, at most MaxUses
// copies are given out, and when all has arrived the counts are exact (T2,
// T7).
func TestUsesUnderAnyInterleaving(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	m.SetTime(noon)
	rdb := newClient(t, m.Addr(), -1)
	s := newStore(t, rdb, tokens.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		m.FlushAll()
		w := &world{t: rt, s: s, strays: map[string]bool{}, max: rapid.Int64Range(1, 4).Draw(rt, "max_uses")}
		token, _, err := s.Mint(t.Context(), tokens.Grant{
			Operation: tokens.Get, Bucket: "b", Key: "k", MaxUses: w.max,
		}, time.Hour)
		if err != nil {
			rt.Fatal(err)
		}
		w.id = token.ID()
		rt.Repeat(map[string]func(*rapid.T){
			"":        func(*rapid.T) { w.check() },
			"begin":   func(*rapid.T) { w.begin() },
			"advance": func(*rapid.T) { w.advance() },
			"deliver": func(*rapid.T) { w.deliver() },
			"repeat":  func(*rapid.T) { w.repeat() },
		})
		w.settleAll()
	})
}

// world is some gates, their attempts on one token, and the network.
type world struct {
	t        *rapid.T
	s        *tokens.Store
	id       tokens.ID
	max      int64
	attempts []*attempt
	flying   []command // sent, not yet carried out; nobody waits for them
	sent     []command // carried out, and may be so again
	// strays are the nonces of attempts that were refused, but whose
	// redemption was carried out once more when a use was free again. They
	// cost a use, and never give one.
	strays map[string]bool
}

// attempt is one request: redeem, then charge and commit (a download), or
// commit alone (an upload), or refund.
type attempt struct {
	nonce string
	stage stage
	given bool // a copy was given out
}

type stage int

const (
	fresh stage = iota
	held        // redeemed
	charged
	settling // its end is told until it is heard
	ended
	refused
)

type command struct {
	name  string
	nonce string
}

// run carries a command out. Whoever asks under a nonce now will tell Redis
// how it ends.
func (w *world) run(c command) error {
	w.sent = append(w.sent, c)
	delete(w.strays, c.nonce)
	ctx := w.t.Context()
	switch c.name {
	case "redeem":
		return w.s.SendRedeem(ctx, w.id, c.nonce)
	case "charge":
		return w.s.SendCharge(ctx, w.id, c.nonce)
	case "commit":
		return w.s.SendCommit(ctx, w.id, c.nonce)
	case "refund":
		return w.s.SendRefund(ctx, w.id, c.nonce)
	}
	panic(c.name)
}

var errLost = errors.New("no reply")

// send sends a command through a network that may lose the reply, or hold the
// command back until the sender has given up.
func (w *world) send(name, nonce string) error {
	c := command{name, nonce}
	switch fate := rapid.SampledFrom([]string{"fine", "fine", "reply lost", "late"}).Draw(w.t, name); fate {
	case "fine":
		return w.run(c)
	case "reply lost":
		w.run(c)
	case "late":
		w.flying = append(w.flying, c)
	}
	return errLost
}

func (w *world) begin() {
	w.attempts = append(w.attempts, &attempt{nonce: fmt.Sprintf("nonce %d", len(w.attempts))})
}

// advance takes one attempt one step further.
func (w *world) advance() {
	var open []*attempt
	for _, a := range w.attempts {
		if a.stage < ended {
			open = append(open, a)
		}
	}
	if len(open) == 0 {
		w.t.Skip("all have ended")
	}
	a := rapid.SampledFrom(open).Draw(w.t, "attempt")
	switch a.stage {
	case fresh:
		w.redeem(a)
	case held:
		w.use(a)
	case charged: // Commit after Charge tells Redis nothing
		a.stage = ended
	case settling:
		w.settle(a)
	}
}

func (w *world) redeem(a *attempt) {
	switch err := w.send("redeem", a.nonce); {
	case err == nil:
		a.stage = held
	case errors.Is(err, errLost):
		a.stage = settling
	case errors.Is(err, tokens.ErrInUse): // it asks again, or gives up
		if rapid.Bool().Draw(w.t, "give up") {
			a.stage = refused
		}
	case errors.Is(err, tokens.ErrUsed):
		a.stage = refused
	default:
		w.t.Fatalf("redeeming %s: %v", a.nonce, err)
	}
}

func (w *world) use(a *attempt) {
	switch rapid.SampledFrom([]string{"download", "upload", "fail"}).Draw(w.t, "use") {
	case "download":
		if err := w.send("charge", a.nonce); err != nil {
			a.stage = settling
			return
		}
		a.given, a.stage = true, charged
	case "upload":
		a.given, a.stage = true, settling
	case "fail":
		a.stage = settling
	}
}

func (w *world) settle(a *attempt) {
	name := "refund"
	if a.given {
		name = "commit"
	}
	if err := w.send(name, a.nonce); err == nil {
		a.stage = ended
	} else if !errors.Is(err, errLost) {
		w.t.Fatalf("%s of %s: %v", name, a.nonce, err)
	}
}

// deliver carries out a command that was held back.
func (w *world) deliver() {
	if len(w.flying) == 0 {
		w.t.Skip("nothing is late")
	}
	i := rapid.IntRange(0, len(w.flying)-1).Draw(w.t, "late")
	c := w.flying[i]
	w.flying = slices.Delete(w.flying, i, i+1)
	w.run(c)
}

// repeat carries out once more what was carried out before.
func (w *world) repeat() {
	if len(w.sent) == 0 {
		w.t.Skip("nothing was sent")
	}
	c := rapid.SampledFrom(w.sent).Draw(w.t, "again")
	err := w.run(c)
	i := slices.IndexFunc(w.attempts, func(a *attempt) bool { return a.nonce == c.nonce })
	if a := w.attempts[i]; c.name == "redeem" && err == nil && (a.stage == fresh || a.stage == refused) {
		w.strays[c.nonce] = true
	}
}

func (w *world) given() int64 {
	var n int64
	for _, a := range w.attempts {
		if a.given {
			n++
		}
	}
	return n
}

// check is the invariant.
func (w *world) check() {
	if n := w.given(); n > w.max {
		w.t.Fatalf("%d copies of %d given", n, w.max)
	}
}

// settleAll lets everything arrive, and then counts.
func (w *world) settleAll() {
	for len(w.flying) > 0 {
		w.run(w.flying[0])
		w.flying = w.flying[1:]
	}
	holding := int64(0)
	for _, a := range w.attempts {
		if a.stage == settling {
			name := "refund"
			if a.given {
				name = "commit"
			}
			if err := w.run(command{name, a.nonce}); err != nil {
				w.t.Fatal(err)
			}
		}
		if a.stage == held {
			holding++
		}
	}
	w.check()
	st, err := w.s.Show(w.t.Context(), w.id)
	if err != nil {
		w.t.Fatal(err)
	}
	if want := holding + int64(len(w.strays)); st.Uses != w.given() || st.InUse != want {
		w.t.Fatalf("%d charged and %d held, want %d and %d", st.Uses, st.InUse, w.given(), want)
	}
}
