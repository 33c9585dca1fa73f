package api_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"s3gate/api"
	"s3gate/revocation"
	"s3gate/tokens"
)

// begin starts a transfer that is permitted.
func (g *gate) begin(id string, m minted) *revocation.Transfer {
	g.Helper()
	status, err := g.store.Show(g.Context(), tokens.ID(m.ID))
	if err != nil {
		g.Fatal(err)
	}
	transfer := g.transfers.Begin(id, status.ID, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if err := transfer.Permit(&status.Grant); err != nil {
		g.Fatal(err)
	}
	return transfer
}

func TestTransfersAreListedAndCut(t *testing.T) {
	g := newGate(t)
	if a := g.do("GET", "/v1/transfers", ""); strings.TrimSpace(a.body) != `{"transfers":[],"complete":true}` {
		t.Errorf("without any: %s", a.body)
	}
	one, two := g.begin("req_1", g.mint(get(`"subject": "ada"`))), g.begin("req_2", g.mint(put()))
	defer one.End()
	defer two.End()
	one.Expect(1234)
	golden(t, "transfers", g.do("GET", "/v1/transfers", ""))

	a := g.do("DELETE", "/v1/transfers/req_1", "")
	if a.status != http.StatusOK || !strings.HasPrefix(a.body, `{"id":"req_1","cut":true,"committing":false,"bytes":0,"gate":"gate-1/4711","took_ms":`) {
		t.Errorf("cutting: %d %s", a.status, a.body)
	}
	if !errors.Is(one.Err(), revocation.ErrCut) || two.Err() != nil {
		t.Errorf("the transfer ended with %v, its neighbour with %v", one.Err(), two.Err())
	}
	if log := g.log.String(); !strings.Contains(log, "transfer=req_1 by=ops cut=true") {
		t.Errorf("the log does not say who has cut it: %s", log)
	}
	if err := two.Commit(); err != nil {
		t.Fatal(err)
	}
	a = g.do("DELETE", "/v1/transfers/req_2", "")
	if a.status != http.StatusOK || !strings.HasPrefix(a.body, `{"id":"req_2","cut":false,"committing":true,"bytes":0,"gate":"gate-1/4711","took_ms":`) {
		t.Errorf("cutting an upload past stopping: %d %s", a.status, a.body)
	}
	for _, id := range []string{"req_1", "nonsense"} {
		if a := g.do("DELETE", "/v1/transfers/"+id, ""); a.status != http.StatusNotFound || !strings.Contains(a.problem().Detail, "on any gate") {
			t.Errorf("%s: %d %s", id, a.status, a.body)
		}
	}
}

func TestGatesAreListed(t *testing.T) {
	g := newGate(t)
	golden(t, "gates", g.do("GET", "/v1/gates", ""))
}

// controlRoutes are those besides the tokens'.
var controlRoutes = []route{
	{"POST", "/v1/revocations"}, {"GET", "/v1/revocations"}, {"GET", "/v1/revocations/{id}"}, {"DELETE", "/v1/revocations/{id}"},
	{"GET", "/v1/gates"}, {"GET", "/v1/transfers"}, {"DELETE", "/v1/transfers/{id}"},
}

// I9: no claim, no capability.
func TestControlIsForAdmins(t *testing.T) {
	g := newGate(t)
	who := callers(t)
	m := g.mint(get())
	transfer := g.begin("req_1", m)
	defer transfer.End()
	id := g.revoke(`{"subject": "nobody"}`)["id"].(string)
	for caller, status := range map[string]int{
		"no role": 403, "another role": 403, "nobody": 401, "garbage": 401, "expired": 401, "another key": 401, "alg none": 401,
	} {
		authorization, known := who[caller]
		if !known {
			t.Fatalf("no such caller: %s", caller)
		}
		for _, r := range controlRoutes {
			target := strings.Replace(r.target, "transfers/{id}", "transfers/req_1", 1)
			target = strings.Replace(target, "{id}", id, 1)
			if a := g.as(authorization, r.method, target, strings.NewReader(`{"all": true}`)); a.status != status {
				t.Errorf("%s: %s %s: %d, want %d", caller, r.method, target, a.status, status)
			}
		}
	}
	if g.covered(m) || transfer.Err() != nil || g.member.Rules().Rule(id).Lifted() {
		t.Errorf("covered %v, transfer %v, rule %+v", g.covered(m), transfer.Err(), g.member.Rules().Rule(id))
	}
}

// A gate that may not know everything does not say what there is.
func TestWithoutALeaseNothingIsSaid(t *testing.T) {
	g := newGate(t)
	id := g.revoke(`{"subject": "ada"}`)["id"].(string)
	g.redis.SetError("LOADING Redis is loading the dataset in memory")
	for deadline := time.Now().Add(5 * time.Second); g.member.Lease() == nil && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	for _, r := range controlRoutes {
		want := http.StatusServiceUnavailable
		switch r.target {
		case "/v1/transfers":
			want = http.StatusOK // this gate knows what it does
		case "/v1/transfers/{id}":
			want = http.StatusServiceUnavailable // it may run on another
		}
		for _, body := range []string{`{"all": true}`, `{"all": true, "dry_run": true}`} {
			if a := g.do(r.method, strings.Replace(r.target, "{id}", id, 1), body); a.status != want {
				t.Errorf("%s %s: %d %s, want %d", r.method, r.target, a.status, a.body, want)
			}
		}
	}
	g.redis.SetError("")
}

var _ api.Transfers = (*revocation.Transfers)(nil)
