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
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"s3gate/internal/fault"
)

// run is what happens in one world.
type run struct {
	seed    uint64
	ops     int             // about how many operations there are
	gates   [][]fault.Fault // with what is wrong with each
	often   weights
	rest    time.Duration                                        // that tokens get to come to rest afterwards
	trouble func(*world, *rand.Rand, <-chan struct{}) []incident // until that is closed
}

// result is what came of it.
type result struct {
	misfits   []*subject // whose history does not fit
	stuck     []*subject // of which nobody can say any more what they are good for
	incidents []incident
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
	run{seed: number(t, seedText, rand.Uint64()), ops: ops}.check(t)
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
			run{seed: seed, ops: min(left, each)}.check(t)
		})
		seed++
	}
}

// check fails the test if what clients of sound gates hear does not fit.
func (r run) check(t *testing.T) {
	t.Helper()
	r.gates, r.often, r.rest, r.trouble = sound, usual, 30*time.Second, (*world).plague
	got := r.do(t)
	for i, s := range got.stuck {
		t.Errorf("S3GATE_SEED=%d: token %d does not come to rest", r.seed, s.plan.number)
		if i == 0 {
			t.Log(s.history())
		}
	}
	for i, s := range got.misfits {
		if i == 3 {
			t.Errorf("and %d more", len(got.misfits)-i)
			break
		}
		s.report(t, r.seed, got.incidents)
	}
}

// do lets clients work, and looks at what they heard.
func (r run) do(t *testing.T) (got result) {
	t.Helper()
	t.Logf("S3GATE_SEED=%d", r.seed)
	w := newWorld(t, r.gates...)
	w.await()
	begin := time.Now()
	var subjects []*subject
	done := make(chan struct{})
	go func() {
		defer close(done)
		subjects = r.work(t.Context(), w)
	}()
	if r.trouble != nil {
		got.incidents = r.trouble(w, rand.New(rand.NewPCG(r.seed, 1<<63)), done)
	}
	<-done
	w.await()
	var mu sync.Mutex
	each(subjects, func(s *subject) {
		settled := s.settle(t.Context(), s.plan.number%len(w.gates), r.rest)
		fits := s.history().fits()
		mu.Lock()
		defer mu.Unlock()
		if !settled {
			got.stuck = append(got.stuck, s)
		}
		if !fits {
			got.misfits = append(got.misfits, s)
		}
	})
	told := map[kind]int{}
	for _, s := range subjects {
		for _, e := range s.history() {
			told[e.step.kind]++
		}
	}
	n, took := w.operations.Load(), time.Since(begin)
	t.Logf("%d operations on %d tokens in %s, %.0f a second, with %d troubles: %v",
		n, len(subjects), took.Round(time.Millisecond), float64(n)/took.Seconds(), len(got.incidents), told)
	return got
}

// work uses tokens, and returns those that were minted.
func (r run) work(ctx context.Context, w *world) []*subject {
	all := make([]*subject, r.ops/opsOf+1)
	for i := range all {
		all[i] = &subject{w: w, plan: newPlan(r.seed, i, len(w.gates), r.often)}
	}
	each(all, func(s *subject) {
		for range 100 {
			if s.mint(ctx) {
				s.run(ctx)
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	return slices.DeleteFunc(all, func(s *subject) bool { return s.token == nil })
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
	last := h[len(h)-1].begin
	for _, i := range incidents {
		if i.end >= h[0].begin && i.begin <= last {
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
