package tokens_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"s3gate/internal/s3gatetest"
	"s3gate/tokens"
)

// lossy is a store behind a relay that loses replies when told to.
type lossy struct {
	*tokens.Store
	t     *testing.T
	relay *relay
	told  *reports
}

func newLossy(t *testing.T, retries int) *lossy {
	r := newRelay(t, s3gatetest.Redis(t))
	told := &reports{}
	opts := told.idle()
	opts.BusyWait = 5 * time.Second
	l := &lossy{newStore(t, newClient(t, r.Addr, retries), opts), t, r, told}
	// Redis knows the scripts from here on, so that a call is one command.
	token := mintOpen(t, l.Store, 1, time.Minute, 20)
	use := start(t, l.Store, token, object, whole)
	if _, err := use.Allow(bg, 20); err != nil {
		t.Fatal(err)
	}
	give(t, use, 20)
	l.close(token)
	return l
}

// lose carries out the next command and loses its reply.
func (l *lossy) lose() { l.relay.set(func() { l.relay.lose = 1 }) }

// wantLost fails unless a reply was lost since.
func (l *lossy) wantLost() {
	l.t.Helper()
	l.relay.mu.Lock()
	defer l.relay.mu.Unlock()
	if l.relay.lose != 0 {
		l.t.Error("no reply was lost")
	}
}

// close lets the windows of all open uses of a token close, and reports.
func (l *lossy) close(token tokens.Token) {
	l.t.Helper()
	l.due(token)
	l.Sweep(bg)
}

func (l *lossy) due(token tokens.Token) {
	rdb := newClient(l.t, l.relay.Upstream, -1)
	open, _, _ := tokens.OpenKeys(token.ID(), "")
	for _, key := range []string{open, "s3g:open"} {
		for _, member := range rdb.ZRange(bg, key, 0, -1).Val() {
			rdb.ZAdd(bg, key, redisZ(1, member))
		}
	}
}

func (l *lossy) wantSettled(what string, token tokens.Token, uses, bytes int64) {
	l.t.Helper()
	eventually(l.t, what, func() bool {
		st, err := l.Show(bg, token.ID())
		got := int64(0)
		for _, o := range st.Open {
			got += o.Bytes
		}
		return err == nil && st.Uses == uses && st.InUse == 0 && got == bytes && l.Unsettled() == 0
	})
}

// Each reply about an open use is lost once, to a client that repeats the
// command: all goes on as if it had come (T2).
func TestLostRepliesOfAnOpenUseRepeated(t *testing.T) {
	t.Parallel()
	l := newLossy(t, 2)
	token := mintOpen(t, l.Store, 1, time.Minute, 20)
	l.lose()
	use, err := ask(l.Store, token, whole)
	if err != nil {
		t.Fatal(err)
	}
	l.wantLost()
	wantUses(t, l.Store, token, 0, 1)
	for _, lost := range []int{1, 2} { // of the announcement, and of the pin
		l.relay.set(func() { l.relay.lose = lost })
		if err := use.Pin(bg, object, 0, 100); err != nil {
			t.Fatal(err)
		}
		l.wantLost()
		wantOpen(t, l.Store, token, 8)
	}
	l.lose()
	if n, err := use.Allow(bg, 30); n != 30 || err != nil {
		t.Errorf("allowed %d, %v; want 30", n, err)
	}
	l.wantLost()
	l.lose()
	next, err := ask(l.Store, token, tokens.Span{From: 50})
	if err != nil || next.Open == nil || next.Mark() != use.Mark() {
		t.Fatalf("%+v, %v", next, err)
	}
	l.wantLost()
	l.lose()
	if err := next.Pin(bg, object, 50, 50); err != nil {
		t.Fatal(err)
	}
	l.wantLost()
	wantOpen(t, l.Store, token, 38)
	for i, u := range []*tokens.Use{use, next} {
		u.Commit(bg)
		l.lose()
		u.End(bg, int64(4-i))
		l.wantLost()
	}
	wantOpen(t, l.Store, token, 7)
	wantUses(t, l.Store, token, 1, 0)
	// Of a sweep the repeated taking finds nothing due, and that again later.
	l.due(token)
	l.lose()
	l.Sweep(bg)
	l.wantLost()
	l.close(token)
	if all := l.told.list(); len(all) != 2 || all[1].Use != use.Mark() || all[1].Bytes != 7 || all[1].Requests != 2 {
		t.Errorf("reported %+v", all)
	}
}

// The same with a client that does not repeat: what is not known to be
// permitted is not given out, and what was not given out is not counted (T2).
func TestLostRepliesOfAnOpenUse(t *testing.T) {
	t.Parallel()
	l := newLossy(t, -1)
	token := mintOpen(t, l.Store, 1, time.Minute, 20)
	for _, lost := range []string{"redeem", "announce", "pin"} {
		if lost == "redeem" {
			l.lose()
		}
		use, err := ask(l.Store, token, whole)
		if lost == "redeem" {
			wantError(t, lost, err, tokens.ErrUnproven)
		} else {
			if err != nil {
				t.Fatal(err)
			}
			if lost == "pin" {
				l.Store.SendWatch(bg, token.ID(), use.Nonce(), time.Minute)
				l.lose()
				if _, err = l.SendPin(bg, token.ID(), use.Nonce(), use.Nonce(), object, 100); !errors.Is(err, tokens.ErrUnproven) {
					t.Errorf("pin: %v, want ErrUnproven", err)
				}
				l.wantLost()
				wantOpen(t, l.Store, token, 8)
				if err := l.SendEnd(bg, token.ID(), use.Nonce(), use.Nonce(), 0, 0, false); err != nil {
					t.Error(err)
				}
			} else {
				l.lose()
				wantError(t, lost, use.Pin(bg, object, 0, 100), tokens.ErrUnproven)
			}
			use.End(bg, 0)
		}
		l.wantLost()
		l.wantSettled("without the reply to "+lost+" the use is back", token, 0, 0)
	}

	use := start(t, l.Store, token, object, whole)
	l.lose()
	if n, err := use.Allow(bg, 30); n != 30 || err != nil { // it asks again
		t.Errorf("allowed %d, %v; want 30", n, err)
	}
	l.wantLost()
	wantOpen(t, l.Store, token, 30)
	l.lose()
	_, err := ask(l.Store, token, tokens.Span{From: 50})
	wantError(t, "redeeming what goes on", err, tokens.ErrUnproven)
	l.wantSettled("nothing is reserved for it", token, 1, 30)
	next, err := ask(l.Store, token, tokens.Span{From: 50})
	if err != nil {
		t.Fatal(err)
	}
	l.lose()
	wantError(t, "pinning what goes on", next.Pin(bg, object, 50, 50), tokens.ErrUnproven)
	l.wantLost()
	wantOpen(t, l.Store, token, 38)
	l.lose()
	next.End(bg, 0)
	l.wantSettled("what was reserved flows back", token, 1, 30)
	use.Commit(bg)
	l.lose()
	use.End(bg, 21)
	l.wantLost()
	l.wantSettled("the end is told again", token, 1, 21)
}

// Of the steps of a report each may lose its reply: the report is made, and
// is the only one that Redis keeps (T2).
func TestLostRepliesOfAReport(t *testing.T) {
	t.Parallel()
	// The replies of a sweep: what is due, the use, the receipt, the index.
	for n := range 4 {
		l := newLossy(t, -1)
		token := mintOpen(t, l.Store, 1, time.Minute, 20)
		use := start(t, l.Store, token, object, whole)
		give(t, use, 9)
		l.due(token)
		counting := &countdown{Redis: newClient(t, l.relay.Addr, -1), left: n, do: l.lose}
		opts := l.told.idle()
		s := newStore(t, counting, opts)
		s.Sweep(bg)
		l.wantLost()
		l.close(token)
		all := l.told.list()[1:]
		if len(all) != 1 || all[0].Use != use.Mark() || all[0].Bytes != 9 {
			t.Errorf("reply %d lost: reported %+v, want it once", n, all)
		}
		st, err := l.Show(bg, token.ID())
		if err != nil || len(st.Receipts) != 1 || st.Unreported != 0 || len(st.Open) != 0 {
			t.Errorf("reply %d lost: shown %+v, %v", n, st, err)
		}
	}
}

// The receipt of a use that ended at once is kept once, whether its reply is
// lost or not.
func TestLostReplyToAReceipt(t *testing.T) {
	t.Parallel()
	for name, retries := range map[string]int{"repeating": 2, "once": -1} {
		l := newLossy(t, retries)
		token := mint(t, l.Store, 1)
		use := redeem(t, l.Store, token)
		if err := use.Pin(bg, object, 0, 100); err != nil {
			t.Fatal(err)
		}
		use.Commit(bg)
		l.lose()
		use.End(bg, 100)
		l.wantLost()
		time.Sleep(100 * time.Millisecond) // for what is told again
		st, err := l.Show(bg, token.ID())
		if err != nil || len(st.Receipts) != 1 || st.Unreported != 0 || st.Uses != 1 {
			t.Errorf("%s: shown %+v, %v", name, st, err)
		}
	}
}

// While Redis is away a request gives out what was reserved for it, and then
// waits until it can have more, or its client has left.
func TestOpenUseWithoutRedis(t *testing.T) {
	t.Parallel()
	l := newLossy(t, -1)
	token := mintOpen(t, l.Store, 1, time.Second, 20)
	use := start(t, l.Store, token, object, whole)
	time.Sleep(550 * time.Millisecond) // it would like to keep its use open
	l.relay.Cut(true)
	for range 3 {
		begin := time.Now()
		if n, err := use.Allow(bg, 8); n != 8 || err != nil {
			t.Errorf("what is reserved: allowed %d, %v; want 8", n, err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
	}
	left, leave := context.WithTimeout(bg, 50*time.Millisecond)
	defer leave()
	if _, err := use.Allow(left, 9); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("more, client gone: %v, want the error of its context", err)
	}
	time.AfterFunc(200*time.Millisecond, func() { l.relay.Cut(false) })
	if n, err := use.Allow(bg, 20); n != 20 || err != nil {
		t.Errorf("more: allowed %d, %v; want 20", n, err)
	}
	use.Commit(bg)
	l.relay.Cut(true)
	use.End(bg, 13)
	l.relay.Cut(false)
	l.wantSettled("the end is told when Redis is back", token, 1, 13)
}
