package revocation_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"s3gate/revocation"
	"s3gate/tokens"
)

// begin registers a transfer without a connection.
func begin(ts *revocation.Transfers, id string, token tokens.ID) *revocation.Transfer {
	return ts.Begin(id, token, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

func TestCutStopsOnlyWhatMatches(t *testing.T) {
	var ts revocation.Transfers
	a, b := begin(&ts, "req_a", "tok_a"), begin(&ts, "req_b", "tok_b")
	defer a.End()
	defer b.End()
	if stopped, late := ts.Cut(only("tok_a")); stopped != 1 || late != nil {
		t.Errorf("Cut = %d, %v; want 1, none", stopped, late)
	}
	if !errors.Is(a.Err(), revocation.ErrCut) || !errors.Is(context.Cause(a.Context()), revocation.ErrCut) {
		t.Errorf("the transfer that matches: Err %v, cause %v", a.Err(), context.Cause(a.Context()))
	}
	if b.Err() != nil || b.Context().Err() != nil {
		t.Errorf("the other transfer: Err %v, context %v", b.Err(), b.Context().Err())
	}
	if stopped, _ := ts.Cut(only("tok_a")); stopped != 0 {
		t.Errorf("the second Cut stopped %d more", stopped)
	}
}

func TestCutTransferGivesOutNothing(t *testing.T) {
	var ts revocation.Transfers
	w := httptest.NewRecorder()
	transfer := ts.Begin("req_1", "tok_a", w, httptest.NewRequest("GET", "/", nil))
	defer transfer.End()
	ts.Cut(only("tok_a"))
	if n, err := transfer.Write(w, []byte("secret")); n != 0 || !errors.Is(err, revocation.ErrCut) {
		t.Errorf("Write = %d, %v; want 0, ErrCut", n, err)
	}
	if err := transfer.Flush(); !errors.Is(err, revocation.ErrCut) {
		t.Errorf("Flush = %v, want ErrCut", err)
	}
	if w.Body.Len() != 0 || w.Flushed || transfer.Bytes() != 0 {
		t.Errorf("the client got %q, flushed %v, counted %d", w.Body, w.Flushed, transfer.Bytes())
	}
}

// An upload that has asked to be completed cannot be stopped any more, and is
// named; one that asks after the cut may send nothing (R7).
func TestCommit(t *testing.T) {
	var ts revocation.Transfers
	early, late := begin(&ts, "req_early", "tok_a"), begin(&ts, "req_late", "tok_a")
	defer early.End()
	defer late.End()
	if err := early.Commit(); err != nil {
		t.Fatalf("Commit before the cut = %v", err)
	}
	stopped, committing := ts.Cut(only("tok_a"))
	if stopped != 1 || !slices.Equal(committing, []string{"req_early"}) {
		t.Errorf("Cut = %d, %v; want 1, [req_early]", stopped, committing)
	}
	if early.Err() != nil || early.Context().Err() != nil || early.Commit() != nil {
		t.Errorf("the committing upload was stopped: %v, %v", early.Err(), early.Context().Err())
	}
	if err := late.Commit(); !errors.Is(err, revocation.ErrCut) {
		t.Errorf("Commit after the cut = %v, want ErrCut", err)
	}
}

// What a gate completes by itself is named by a revocation that comes too late to
// stop it, and does not begin after one.
func TestCommitAlone(t *testing.T) {
	var ts revocation.Transfers
	grant := &tokens.Grant{ID: "tok_a", Operation: tokens.Put}
	done, err := ts.Commit(t.Context(), "own", grant)
	if err != nil {
		t.Fatal(err)
	}
	if stopped, late := ts.Cut(only("tok_a")); stopped != 0 || !slices.Equal(late, []string{"own"}) {
		t.Errorf("Cut = %d, %v; want 0, [own]", stopped, late)
	}
	done()
	if ts.Len() != 0 {
		t.Errorf("%d transfers left", ts.Len())
	}
	for _, test := range []struct {
		name string
		gate revocation.Gate
		want error
	}{
		{"revoked", &still{rules: revocation.NewRules([]*revocation.Rule{{ID: "rev_1", Token: "tok_a", Standing: true}})}, tokens.ErrRevoked},
		{"without a lease", &still{rules: &revocation.Rules{}, expired: true}, revocation.ErrNoLease},
	} {
		ts := revocation.Transfers{Gate: test.gate}
		if _, err := ts.Commit(t.Context(), "own", grant); !errors.Is(err, test.want) || ts.Len() != 0 {
			t.Errorf("%s: Commit = %v, %d transfers left; want %v", test.name, err, ts.Len(), test.want)
		}
	}
}

// still is a gate of which nothing changes.
type still struct {
	rules   *revocation.Rules
	expired bool
}

func (s *still) Rules() *revocation.Rules    { return s.rules }
func (s *still) Await(context.Context) error { return revocation.ErrNoLease }
func (s *still) Remaining() time.Duration {
	if s.expired {
		return 0
	}
	return time.Second
}

func TestCutAllIsAShutdown(t *testing.T) {
	var ts revocation.Transfers
	transfer := begin(&ts, "req_1", "tok_a")
	defer transfer.End()
	if n := ts.CutAll(); n != 1 {
		t.Errorf("CutAll = %d, want 1", n)
	}
	if !errors.Is(transfer.Err(), revocation.ErrShutdown) || !errors.Is(transfer.Commit(), revocation.ErrShutdown) {
		t.Errorf("Err = %v, Commit = %v; want ErrShutdown", transfer.Err(), transfer.Commit())
	}
}

func TestEndForgets(t *testing.T) {
	var ts revocation.Transfers
	transfer := begin(&ts, "req_1", "tok_a")
	if ts.Len() != 1 {
		t.Errorf("Len = %d while it runs", ts.Len())
	}
	transfer.End()
	if ts.Len() != 0 || transfer.Context().Err() == nil {
		t.Errorf("Len = %d, context %v after the end", ts.Len(), transfer.Context().Err())
	}
	if stopped, late := ts.Cut(only("tok_a")); stopped != 0 || late != nil {
		t.Errorf("Cut = %d, %v after the end", stopped, late)
	}
}

// oracle is a client that knows when no more may come.
type oracle struct {
	http.ResponseWriter
	acknowledged *atomic.Bool
	violations   *atomic.Int64
}

func (o *oracle) Write(p []byte) (int, error) {
	if o.acknowledged.Load() {
		o.violations.Add(1)
	}
	time.Sleep(time.Duration(len(p)) * time.Microsecond)
	if o.acknowledged.Load() {
		o.violations.Add(1)
	}
	return len(p), nil
}

// However a cut races with transfers that begin, write, commit and end: once
// it has returned, no write is in progress and none starts (R2).
func TestCutRaces(t *testing.T) {
	var (
		ts           revocation.Transfers
		acknowledged atomic.Bool
		violations   atomic.Int64
		wg           sync.WaitGroup
	)
	stop := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for range 200 {
				// As in a gate: registered, then asked, and only then written.
				w := &oracle{httptest.NewRecorder(), &acknowledged, &violations}
				transfer := ts.Begin("req", "tok_a", w, httptest.NewRequest("GET", "/", nil))
				if revoked := isClosed(stop); !revoked {
					for range 5 {
						if _, err := transfer.Write(w, make([]byte, 50)); err != nil {
							break
						}
					}
					transfer.Commit()
				}
				transfer.End()
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	close(stop) // the store says no
	var cutters sync.WaitGroup
	for range 3 {
		cutters.Go(func() { ts.Cut(only("tok_a")) })
	}
	cutters.Wait()
	acknowledged.Store(true)
	wg.Wait()
	if n := violations.Load(); n > 0 {
		t.Errorf("%d writes after the acknowledgement", n)
	}
	if ts.Len() != 0 {
		t.Errorf("%d transfers left", ts.Len())
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// stubborn is a client whose writes end when it wants, and not when they are
// interrupted.
type stubborn struct {
	http.ResponseWriter
	writing, leave chan struct{}
}

func (s *stubborn) Write(p []byte) (int, error) {
	close(s.writing)
	<-s.leave
	return len(p), nil
}

// A cut does not return before a write that it has interrupted (R2).
func TestCutWaitsForAWrite(t *testing.T) {
	var ts revocation.Transfers
	w := &stubborn{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	transfer := ts.Begin("req", "tok_a", w, httptest.NewRequest("GET", "/", nil))
	defer transfer.End()
	written := make(chan struct{})
	go func() {
		transfer.Write(w, make([]byte, 50))
		close(written)
	}()
	<-w.writing
	cut := make(chan struct{})
	go func() {
		ts.Cut(only("tok_a"))
		close(cut)
	}()
	select {
	case <-cut:
		t.Error("the cut returned while a write was in progress")
	case <-time.After(100 * time.Millisecond):
	}
	close(w.leave)
	<-written
	within(t, soon, "Cut", func() { <-cut })
}
