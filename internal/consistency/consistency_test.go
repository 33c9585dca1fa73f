// Package consistency checks that gates which share a Redis act as one, however
// the network between them, the gates and Redis fail. It holds no code, only
// the tests.
//
// Clients mint, redeem and revoke tokens through gates in processes of their
// own, and record when they asked and what they were told. Each token's history
// must fit the specification in model_test.go, which the porcupine checker
// decides. The tests with the tag faults show that it would notice: they run
// the same, and tests of other packages, with gates that misbehave on purpose.
//
// Settings of the environment: S3GATE_SEED repeats a run's choices,
// S3GATE_SOAK_OPS is how many operations the long run makes, and S3GATE_ARTIFACTS
// names a directory that gets a picture of a history that does not fit.
package consistency_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"s3gate/internal/fault"
)

// run is what happens in one world.
type run struct {
	seed  uint64
	calm  bool // without trouble
	gates [][]fault.Fault
	plan  func(seed uint64, number, gates int) plan
}

// parallel is how many tokens are used at the same time.
const parallel = 24

// sound are gates without faults.
var sound = make([][]fault.Fault, 3)

// Gates act as one (T1, T2, T6, T7, R1, R3, R4, R5, D6).
func TestHistory(t *testing.T) {
	ops := 20_000
	if testing.Short() {
		ops = 2_000
	}
	r := run{seed: number(t, seedText, rand.Uint64()), gates: sound, plan: newPlan}
	r.check(t, ops)
}

// The long run is many worlds, one after the other: rules are kept for longer
// than it takes.
func TestSoak(t *testing.T) {
	if soakOps == "" {
		t.Skip("make soak runs it, for S3GATE_SOAK_OPS operations")
	}
	const each = 50_000
	seed := number(t, seedText, rand.Uint64())
	for left := int(number(t, soakOps, 0)); left > 0 && !t.Failed(); left -= each {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			run{seed: seed, gates: sound, plan: newPlan}.check(t, min(left, each))
		})
		seed++
	}
}

// check makes about so many operations, and fails the test if what clients
// heard does not fit.
func (r run) check(t *testing.T, ops int) {
	t.Helper()
	t.Logf("S3GATE_SEED=%d", r.seed)
	misfits, incidents := r.misfits(t, ops)
	for i, s := range misfits {
		if i == 3 {
			t.Errorf("and %d more", len(misfits)-i)
			break
		}
		s.report(t, r.seed, incidents)
	}
}

// misfits returns the tokens whose history does not fit.
func (r run) misfits(t *testing.T, ops int) ([]*subject, []incident) {
	t.Helper()
	w := newWorld(t, r.gates...)
	w.await()
	begin := time.Now()
	var subjects []*subject
	var incidents []incident
	done := make(chan struct{})
	go func() {
		defer close(done)
		subjects = r.work(t, w, ops/opsOf+1)
	}()
	if !r.calm {
		incidents = w.plague(rand.New(rand.NewPCG(r.seed, 1<<63)), done)
	}
	<-done
	took := time.Since(begin)
	w.await()
	var stuck atomic.Int64
	each(subjects, func(s *subject) {
		if !s.settle(t.Context(), s.plan.number%len(w.gates)) {
			stuck.Add(1)
			t.Logf("S3GATE_SEED=%d: nobody can say any more what token %d is good for:\n%s", r.seed, s.plan.number, s.history())
		}
	})
	if n := stuck.Load(); n > 0 {
		t.Errorf("%d tokens do not come to rest", n)
	}
	var misfits []*subject
	told := map[kind]int{}
	for _, s := range subjects {
		for _, e := range s.history() {
			told[e.step.kind]++
		}
		if !s.history().fits() {
			misfits = append(misfits, s)
		}
	}
	t.Logf("what was told: %v", told)
	t.Logf("%d operations on %d tokens in %s, %.0f a second, with %d troubles; %s in all",
		w.operations.Load(), len(subjects), took.Round(time.Millisecond), float64(w.operations.Load())/took.Seconds(), len(incidents),
		time.Since(begin).Round(time.Millisecond))
	return misfits, incidents
}

// work uses so many tokens.
func (r run) work(t *testing.T, w *world, tokens int) []*subject {
	all := make([]*subject, tokens)
	for i := range all {
		all[i] = &subject{w: w, plan: r.plan(r.seed, i, len(w.gates))}
	}
	each(all, func(s *subject) {
		for range 100 {
			if s.mint(t.Context()) {
				s.run(t.Context())
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	minted := all[:0]
	for _, s := range all {
		if s.token != nil {
			minted = append(minted, s)
		}
	}
	return minted
}

// each calls f for every one, some at a time.
func each(all []*subject, f func(*subject)) {
	next := make(chan *subject)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for s := range next {
				f(s)
			}
		})
	}
	for _, s := range all {
		next <- s
	}
	close(next)
	wg.Wait()
}

// report tells of a history that does not fit.
func (s *subject) report(t *testing.T, seed uint64, incidents []incident) {
	h := s.history()
	text := h.String()
	for _, i := range incidents {
		if i.end >= h[0].begin && i.begin <= h[len(h)-1].begin {
			text += fmt.Sprintf("%10.3f ms .. %10.3f ms  %s\n", float64(i.begin.Microseconds())/1000, float64(i.end.Microseconds())/1000, i.name)
		}
	}
	t.Errorf("S3GATE_SEED=%d: the history of token %d does not fit; see %s\n%s", seed, s.plan.number, s.picture(t, seed), text)
}

// picture draws the history, and how far it fits, as a page for a browser.
func (s *subject) picture(t *testing.T, seed uint64) (path string) {
	dir := artifacts
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "s3gate-history-"); err != nil {
			return err.Error()
		}
	}
	path = filepath.Join(dir, fmt.Sprintf("history-%d-%d.html", seed, s.plan.number))
	_, info := porcupine.CheckOperationsVerbose(model, s.history().operations(), 10*time.Second)
	if err := porcupine.VisualizePath(model, info, path); err != nil {
		return err.Error()
	}
	return path
}
