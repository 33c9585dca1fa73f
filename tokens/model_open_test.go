package tokens_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"s3gate/internal/s3gatetest"
	"s3gate/tokens"
)

// However requests on three gates split a download, lose replies, come late or
// twice, and die: at most MaxUses uses are begun, no use yields more than its
// budget or parts of two objects, and when all has arrived the counts are
// exact, but for a slice of each request that died (T2, T4, T6, T7, T8, S12).
func TestOpenUsesUnderAnyInterleaving(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	m.SetTime(noon)
	now := noon
	checkOpenUses(t, m.Addr(), func(rt *rapid.T, d time.Duration) {
		now = now.Add(d)
		m.SetTime(now)
		m.FastForward(d)
	})
}

// The same on a Redis whose time does not pass for the test.
func TestOpenUsesUnderAnyInterleavingOnRedis(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the same as on miniredis")
	}
	checkOpenUses(t, s3gatetest.Redis(t), nil)
}

func checkOpenUses(t *testing.T, addr string, elapse func(*rapid.T, time.Duration)) {
	rdb := newClient(t, addr, -1)
	var told reports
	gates := make([]*tokens.Store, 3)
	for i := range gates {
		gates[i] = newStore(t, rdb, tokens.Options{Ended: told.add}.Hasty(time.Hour, time.Second).Sliced(modelSlice))
	}
	rapid.Check(t, func(rt *rapid.T) {
		rdb.FlushAll(bg)
		told.mu.Lock()
		told.all = nil
		told.mu.Unlock()
		w := newOpenWorld(rt, rdb, gates, &told)
		actions := openActions
		if elapse == nil {
			actions = slices.DeleteFunc(slices.Clone(actions), func(a string) bool { return a == "elapse" })
		}
		for range rapid.SampledFrom([]int{5, 20, 60, 150}).Draw(rt, "steps") {
			w.step(rapid.SampledFrom(actions).Draw(rt, "action"), elapse)
			w.check()
		}
		w.settleAll()
	})
}

// What is reserved at a time, and the most that is written at once.
const (
	modelSlice = 4
	modelWrite = 6
)

// openActions are what may happen, the frequent more than once.
var openActions = append(slices.Repeat([]string{"begin", "advance", "advance", "advance", "advance"}, 6),
	"deliver", "deliver", "repeat", "repeat", "repeat", "swap", "die", "sweep", "elapse", "elapse", "revoke")

func (w *openWorld) step(action string, elapse func(*rapid.T, time.Duration)) {
	switch action {
	case "begin":
		w.begin()
	case "advance":
		w.advance()
	case "deliver":
		w.deliver()
	case "repeat":
		w.repeat()
	case "swap":
		w.swap()
	case "die":
		if r := w.pick(); r != nil {
			r.dead = true // nobody tells Redis how it ended
		}
	case "sweep":
		w.gate().Sweep(bg)
	case "elapse":
		w.elapse(elapse)
	case "revoke":
		w.revoke()
	}
}

// openWorld is some gates, their requests on one token whose uses may be
// resumed, the object, and the network.
type openWorld struct {
	t        *rapid.T
	rdb      *redis.Client
	gates    []*tokens.Store
	told     *reports
	id       tokens.ID
	max      int64
	slack    int64
	window   time.Duration
	object   tokens.Object
	version  int
	requests []*request
	flying   []*message // sent, not yet carried out; nobody waits for them
	sent     []*message // carried out, and may be so again
	revoked  bool
}

// request is one request of a client, as its gate sees it.
type request struct {
	nonce   string
	span    tokens.Span
	stage   stage
	use     string // the use: the request's own nonce if it begins one
	of      tokens.Object
	first   int64
	length  int64
	granted int64
	wrote   int64
	pinning bool // pin was sent: Redis may know it
	dead    bool
}

// begun reports whether a copy was begun: a byte of it, or the headers of an
// empty one.
func (r *request) begun() bool {
	return r.wrote > 0 || r.stage >= settling && r.granted < 0
}

// message is one command.
type message struct {
	name string
	of   *request
	run  func() (int64, error)
}

func newOpenWorld(rt *rapid.T, rdb *redis.Client, gates []*tokens.Store, told *reports) *openWorld {
	w := &openWorld{
		t: rt, rdb: rdb, gates: gates, told: told,
		max:    rapid.Int64Range(1, 3).Draw(rt, "max_uses"),
		slack:  rapid.SampledFrom([]int64{0, 3, 10, 40}).Draw(rt, "slack"),
		window: time.Duration(rapid.SampledFrom([]int{1, 60, 3600}).Draw(rt, "window")) * time.Second,
	}
	w.swap()
	token, _, err := gates[0].Mint(bg, tokens.Grant{
		Operation: tokens.Get, Bucket: "b", Key: "k", MaxUses: w.max,
		ResumeWindow: tokens.Duration(w.window), ResumeSlack: w.slack,
	}, time.Duration(rapid.SampledFrom([]int{1, 1000}).Draw(rt, "hours to live"))*time.Hour)
	if err != nil {
		rt.Fatal(err)
	}
	w.id = token.ID()
	return w
}

// rarely is true one time in twenty. Rapid's own numbers are mostly small.
func (w *openWorld) rarely(what string) bool {
	return rapid.SampledFrom(append(make([]bool, 19), true)).Draw(w.t, what)
}

func (w *openWorld) gate() *tokens.Store {
	return w.gates[rapid.IntRange(0, len(w.gates)-1).Draw(w.t, "gate")]
}

// swap replaces the object.
func (w *openWorld) swap() {
	w.version++
	w.object = tokens.Object{Size: rapid.SampledFrom([]int64{0, 1, 5, 8, 17, 30}).Draw(w.t, "size"), ETag: fmt.Sprintf(`"%d"`, w.version)}
}

func (w *openWorld) revoke() {
	if !w.rarely("revoke") {
		return
	}
	w.revoked = true
	if err := w.gate().Revoke(bg, w.id, "", ""); err != nil {
		w.t.Fatal(err)
	}
}

// elapse lets time pass. What is under way in the network until then does not
// arrive any more.
func (w *openWorld) elapse(elapse func(*rapid.T, time.Duration)) {
	d := rapid.SampledFrom([]time.Duration{
		time.Millisecond, time.Second, w.window - time.Millisecond, w.window, time.Minute, 3 * time.Minute, time.Hour, 26 * time.Hour,
	}).Draw(w.t, "time")
	if d > 10*time.Millisecond {
		w.flying, w.sent = nil, nil
	}
	elapse(w.t, d)
	if rapid.Bool().Draw(w.t, "sweep") {
		w.gate().Sweep(bg)
	}
}

func (w *openWorld) begin() {
	size := w.object.Size
	from := rapid.SampledFrom([]int64{0, size / 3, size / 2, max(0, size-1)}).Draw(w.t, "from")
	span := rapid.SampledFrom([]tokens.Span{
		whole, {From: from}, {From: from, To: from + rapid.SampledFrom([]int64{1, 7, 20}).Draw(w.t, "length")}, {From: -rapid.SampledFrom([]int64{1, 9, 50}).Draw(w.t, "suffix")},
	}).Draw(w.t, "span")
	w.requests = append(w.requests, &request{nonce: fmt.Sprintf("nonce %d", len(w.requests)), span: span})
}

// pick chooses a request that has not ended, if there is one.
func (w *openWorld) pick() *request {
	var running []*request
	for _, r := range w.requests {
		if r.stage < ended && !r.dead {
			running = append(running, r)
		}
	}
	if len(running) == 0 {
		return nil
	}
	return rapid.SampledFrom(running).Draw(w.t, "request")
}

// advance takes one request one step further.
func (w *openWorld) advance() {
	r := w.pick()
	if r == nil {
		return
	}
	switch r.stage {
	case fresh:
		w.redeem(r)
	case held:
		w.pin(r)
	case charged:
		w.write(r)
	case settling:
		w.settle(r)
	}
}

// send sends a message through a network that may lose the reply, or hold the
// command back until the sender has given up.
func (w *openWorld) send(name string, r *request, run func() (int64, error)) (int64, error) {
	m := &message{name, r, run}
	switch fate := rapid.SampledFrom([]string{"fine", "fine", "fine", "fine", "fine", "reply lost", "late"}).Draw(w.t, name); fate {
	case "reply lost":
		w.carryOut(m)
	case "late":
		w.flying = append(w.flying, m)
	default:
		return w.carryOut(m)
	}
	return 0, errLost
}

func (w *openWorld) carryOut(m *message) (int64, error) {
	w.sent = append(w.sent, m)
	return m.run()
}

func (w *openWorld) deliver() {
	if len(w.flying) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.flying)-1).Draw(w.t, "late")
	m := w.flying[i]
	w.flying = slices.Delete(w.flying, i, i+1)
	w.carryOut(m)
}

func (w *openWorld) repeat() {
	if len(w.sent) == 0 {
		return
	}
	w.carryOut(rapid.SampledFrom(w.sent).Draw(w.t, "again"))
}

func (w *openWorld) redeem(r *request) {
	s, nonce, span := w.gate(), r.nonce, r.span
	var use string
	var of tokens.Object
	_, err := w.send("redeem", r, func() (int64, error) {
		var err error
		use, of, err = s.SendAsk(bg, w.id, nonce, span)
		return 0, err
	})
	switch {
	case errors.Is(err, errLost):
		r.stage = settling
	case errors.Is(err, tokens.ErrInUse): // it asks again
	case err != nil:
		r.stage = refused
	case use == "":
		r.use, r.stage = r.nonce, held
	case of != w.object && rapid.Bool().Draw(w.t, "S3 keeps to If-Match"):
		r.stage = refused
	default:
		r.use, r.stage = use, held
	}
}

// pin is the answer of S3, and the charge.
func (w *openWorld) pin(r *request) {
	r.of = w.object
	r.first, r.length = place(r.span, r.of.Size)
	if r.length < 0 || r.length == 0 && r.of.Size > 0 || w.rarely("S3 fails") { // 416, or any failure
		r.stage = settling
		return
	}
	s := w.gate()
	r.pinning = true
	if r.use == r.nonce {
		if err := s.SendWatch(bg, w.id, r.nonce, w.window); err != nil {
			w.t.Fatal(err)
		}
	}
	granted, err := w.send("pin", r, func() (int64, error) { return s.SendPin(bg, w.id, r.nonce, r.use, r.of, r.length) })
	switch {
	case err != nil:
		r.stage = settling
	case r.length == 0:
		r.granted, r.stage = -1, settling // its headers are the copy
	default:
		r.granted, r.stage = granted, charged
	}
}

// write gives out some more, or gives up.
func (w *openWorld) write(r *request) {
	if r.wrote == r.length || w.rarely("client leaves") {
		r.stage = settling
		return
	}
	total := min(r.wrote+rapid.SampledFrom([]int64{1, 2, 4, modelWrite}).Draw(w.t, "bytes"), r.length)
	if total > r.granted {
		s, wanted := w.gate(), max(total, min(r.granted+modelSlice, r.length))
		granted, err := w.send("extend", r, func() (int64, error) { return s.SendExtend(bg, w.id, r.nonce, r.use, wanted) })
		switch {
		case errors.Is(err, errLost):
			return // asks again
		case err != nil:
			r.stage = settling
			return
		}
		r.granted = granted
	}
	r.wrote = min(total, r.granted)
	if r.wrote < total {
		r.stage = settling
	}
}

func (w *openWorld) settle(r *request) {
	if err := w.tellEnd(r, w.send); err == nil {
		r.stage = ended
	} else if !errors.Is(err, errLost) {
		w.t.Fatalf("ending %s: %v", r.nonce, err)
	}
}

type sender func(name string, r *request, run func() (int64, error)) (int64, error)

// tellEnd tells Redis how a request has ended, as a Use does.
func (w *openWorld) tellEnd(r *request, send sender) error {
	s := w.gate()
	if !r.pinning {
		if r.use != "" && r.use != r.nonce {
			return nil // nothing was reserved for it
		}
		_, err := send("refund", r, func() (int64, error) { return 0, s.SendRefund(bg, w.id, r.nonce) })
		return err
	}
	bytes, given := r.wrote, r.begun()
	_, err := send("end", r, func() (int64, error) {
		return 0, s.SendEnd(bg, w.id, r.nonce, r.use, r.first, bytes, given)
	})
	return err
}
