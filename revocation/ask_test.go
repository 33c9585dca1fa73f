package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"s3gate/internal/s3gatetest"
	"s3gate/revocation"
	"s3gate/tokens"
)

// fleet is one gate with its transfers.
func fleet(t *testing.T, addr, name string) *revocation.Fleet {
	t.Helper()
	ts := &revocation.Transfers{}
	m := joinWith(t, addr, revocation.MemberOptions{Name: name, Answer: ts.Answer})
	return &revocation.Fleet{Member: m.Member, Transfers: ts}
}

func run(t *testing.T, f *revocation.Fleet, id string) *revocation.Transfer {
	t.Helper()
	transfer := f.Transfers.Begin(id, "tok", httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if err := transfer.Permit(&tokens.Grant{Operation: tokens.Get, Bucket: "b", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transfer.End)
	return transfer
}

// Any gate lists what runs on all of them, and cuts it.
func TestFleet(t *testing.T) {
	for name, addr := range map[string]func() string{
		"miniredis": func() string { return miniredis.RunT(t).Addr() },
		"Redis":     func() string { return s3gatetest.Redis(t) },
	} {
		t.Run(name, func(t *testing.T) {
			server := addr()
			a, b := fleet(t, server, "a"), fleet(t, server, "b")
			if all := a.Running(t.Context()); len(all.Running) != 0 || !all.Complete || len(all.Silent) != 0 {
				t.Errorf("without transfers: %+v", all)
			}
			near, far := run(t, a, "req_near"), run(t, b, "req_far")
			spared := run(t, b, "req_spared")
			all := a.Running(t.Context())
			var got []string
			for _, r := range all.Running {
				got = append(got, r.Gate+" "+r.ID)
			}
			slices.Sort(got)
			if want := []string{"a req_near", "b req_far", "b req_spared"}; !slices.Equal(got, want) || !all.Complete {
				t.Errorf("%v, complete %v; want %v", got, all.Complete, want)
			}
			for id, transfer := range map[string]*revocation.Transfer{"req_near": near, "req_far": far} {
				if end, err := a.Cut(t.Context(), id); err != nil || !end.Stopped || end.Late {
					t.Errorf("cutting %s: %+v, %v", id, end, err)
				}
				if !errors.Is(transfer.Err(), revocation.ErrCut) {
					t.Errorf("%s ended with %v", id, transfer.Err())
				}
			}
			if err := spared.Commit(); err != nil {
				t.Error(err)
			}
			if end, err := a.Cut(t.Context(), "req_spared"); err != nil || end.Stopped || !end.Late {
				t.Errorf("cutting an upload past stopping: %+v, %v", end, err)
			}
			if _, err := a.Cut(t.Context(), "req_none"); !errors.Is(err, revocation.ErrNoTransfer) {
				t.Errorf("cutting what does not run: %v", err)
			}
		})
	}
}

// A gate that does not answer is named, and nothing is said of what runs there.
// One that has more than it tells of says so, and without Redis a gate knows of
// itself.
func TestFleetIncomplete(t *testing.T) {
	server := miniredis.RunT(t)
	a := fleet(t, server.Addr(), "a")
	server.HSet("s3g:{rev}:members", "frozen", "7 1 0 memory c")
	run(t, a, "req_1")
	if all := a.Running(t.Context()); all.Complete || !slices.Equal(all.Silent, []string{"c"}) || len(all.Running) != 1 {
		t.Errorf("with a silent gate: %+v", all)
	}
	if _, err := a.Cut(t.Context(), "req_there"); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("cutting what may run on a silent gate: %v", err)
	}
	if left := server.Keys(); slices.Contains(left, "s3g:{rev}:questions") {
		t.Errorf("the question is left: %v", left)
	}
	server.HDel("s3g:{rev}:members", "frozen")
	for i := range 1000 {
		run(t, a, fmt.Sprintf("req_more_%d", i))
	}
	if all := a.Running(t.Context()); all.Complete || len(all.Running) != 1000 || all.Running[0].ID != "req_1" {
		t.Errorf("with 1,001 transfers: %d are told of, complete %v", len(all.Running), all.Complete)
	}
	server.SetError("LOADING")
	if all := a.Running(t.Context()); all.Complete || len(all.Running) != 1001 || all.Running[0].Gate != "a" {
		t.Errorf("without Redis: %d, complete %v", len(all.Running), all.Complete)
	}
	server.SetError("")
}

// Who asks and does not wait for the answers leaves no question in Redis.
func TestQuestionsAreTakenBack(t *testing.T) {
	server := miniredis.RunT(t)
	a := fleet(t, server.Addr(), "a")
	server.HSet("s3g:{rev}:members", "frozen", "7 1 0 memory c")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if all := a.Running(ctx); all.Complete {
		t.Errorf("asked for too short a time: %+v", all)
	}
	if left := server.Keys(); slices.Contains(left, "s3g:{rev}:questions") {
		t.Errorf("the question is left: %v", left)
	}
}
