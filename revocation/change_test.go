package revocation_test

import (
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"s3gate/revocation"
	"s3gate/tokens"
)

var end = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

// changed is a later version of a grant for tok_a, that ends so long before.
func changed(version int64, earlier time.Duration, label string) *revocation.Rule {
	return &revocation.Rule{Token: "tok_a", Version: version, LiftedAt: end, Change: &revocation.Change{
		ExpiresAt: end.Add(-earlier), Labels: map[string]string{"team": label},
	}}
}

func grantOf(version int64) *tokens.Grant {
	return &tokens.Grant{ID: "tok_a", Version: version, ExpiresAt: end, Labels: map[string]string{"team": "old"}}
}

// A transfer has the latest change, in whatever order they arrive and whenever it
// learns what its grant is.
func TestTransfersLearnOfChanges(t *testing.T) {
	second, third := changed(2, time.Minute, "second"), changed(3, time.Hour, "third")
	for name, tt := range map[string]struct {
		before, after []*revocation.Rule // Permit
		version       int64              // that it was read with
		want          string
	}{
		"none":              {version: 1, want: "old"},
		"after":             {after: []*revocation.Rule{second}, version: 1, want: "second"},
		"before":            {before: []*revocation.Rule{second}, version: 1, want: "second"},
		"known already":     {before: []*revocation.Rule{second}, version: 2, want: "old"},
		"known already, as": {after: []*revocation.Rule{second}, version: 2, want: "old"},
		"two":               {after: []*revocation.Rule{second, third}, version: 1, want: "third"},
		"the other way":     {before: []*revocation.Rule{third}, after: []*revocation.Rule{second}, version: 1, want: "third"},
	} {
		var ts revocation.Transfers
		transfer, other := begin(&ts, "req_1", "tok_a"), begin(&ts, "req_2", "tok_b")
		for _, c := range tt.before {
			ts.Change(c)
		}
		g := grantOf(tt.version)
		if err := transfer.Permit(g); err != nil {
			t.Fatal(err)
		}
		_ = other.Permit(&tokens.Grant{ID: "tok_b"})
		for _, c := range tt.after {
			ts.Change(c)
		}
		if got := transfer.Grant().Labels["team"]; got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		if !maps.Equal(g.Labels, map[string]string{"team": "old"}) || other.Grant().Labels != nil {
			t.Errorf("%s: the grant that others share has changed", name)
		}
		transfer.End()
		other.End()
	}
}

// A transfer that ends with its token ends as much earlier as the token does.
func TestChangeMovesTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(ts *revocation.Transfers)
		early  bool // before EndAfter was called
		after  time.Duration
	}{
		"none":    {func(*revocation.Transfers) {}, false, time.Hour},
		"earlier": {func(ts *revocation.Transfers) { ts.Change(changed(2, 50*time.Minute, "")) }, false, 10 * time.Minute},
		"early":   {func(ts *revocation.Transfers) { ts.Change(changed(2, 50*time.Minute, "")) }, true, 10 * time.Minute},
		"over":    {func(ts *revocation.Transfers) { ts.Change(changed(2, 2*time.Hour, "")) }, false, 0},
		"again": {func(ts *revocation.Transfers) {
			ts.Change(changed(3, 50*time.Minute, ""))
			ts.Change(changed(2, 10*time.Minute, ""))
		}, false, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ts revocation.Transfers
				transfer := begin(&ts, "req_1", "tok_a")
				defer transfer.End()
				_ = transfer.Permit(grantOf(1))
				if tt.early {
					tt.change(&ts)
				}
				transfer.EndAfter(time.Hour)
				if !tt.early {
					tt.change(&ts)
				}
				if tt.after > 0 {
					time.Sleep(tt.after - time.Second)
					synctest.Wait()
					if transfer.Err() != nil {
						t.Errorf("it ended early: %v", transfer.Err())
					}
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if !errors.Is(transfer.Err(), revocation.ErrExpired) {
					t.Errorf("after %s: %v, want ErrExpired", tt.after, transfer.Err())
				}
			})
		})
	}
	// Of one that has ended nothing is left to end.
	var ts revocation.Transfers
	transfer := begin(&ts, "req_1", "tok_a")
	_ = transfer.Permit(grantOf(1))
	transfer.EndAfter(time.Hour)
	transfer.End()
	ts.Change(changed(2, 2*time.Hour, ""))
	time.Sleep(10 * time.Millisecond)
	if transfer.Err() != nil {
		t.Errorf("a transfer that has ended: %v", transfer.Err())
	}
}

// A change is acknowledged by every gate, and is none of the rules that people
// see. The last of several counts, also for a gate that comes later.
func TestChangeIsAcknowledged(t *testing.T) {
	addr := miniredis.RunT(t).Addr()
	a, b := join(t, addr, "a"), join(t, addr, "b")
	r := a.revoker(nil)
	from := &tokens.Grant{ID: tokens.Generate().ID(), ExpiresAt: time.Now().Add(time.Hour), Version: 1}
	to := *from
	for to.Version = 2; to.Version < 5; to.Version++ {
		receipt, err := r.Change(t.Context(), from, &to, "ops")
		if err != nil || len(receipt.AcknowledgedBy) != 2 || receipt.ID != "" {
			t.Fatalf("%+v, %v", receipt, err)
		}
	}
	to.Version = 2
	if receipt, err := r.Change(t.Context(), from, &to, "ops"); err != nil || len(receipt.AcknowledgedBy) != 2 {
		t.Errorf("an old version: %+v, %v", receipt, err)
	}
	for _, m := range []*member{a, b, join(t, addr, "c")} {
		eventually(t, "it has applied the changes", func() bool { return m.Position().Seq == 3 && m.Rules().Len() == 1 })
		if rules := m.Rules(); len(rules.All()) != 0 || rules.Covers(from) != nil || rules.Refuses(from) != nil {
			t.Errorf("rules %v", rules.All())
		}
	}
	if n := len(b.told()); n != 3 {
		t.Errorf("the other gate was told of %d changes, want 3", n)
	}
	if _, err := r.Lift(t.Context(), "chg_"+string(from.ID)[4:], "", ""); !errors.Is(err, revocation.ErrNoRule) {
		t.Errorf("lifting a change: %v, want ErrNoRule", err)
	}
}

func TestEscaped(t *testing.T) {
	rule := func(id string, r revocation.Rule) *revocation.Rule {
		r.ID, r.Version, r.Position = id, 1, revocation.Position{Gen: 1, Seq: 1}
		return &r
	}
	rules := revocation.NewRules([]*revocation.Rule{
		rule("rev_subject", revocation.Rule{Subject: "ada"}),
		rule("rev_label", revocation.Rule{Labels: map[string]string{"team": "press"}}),
		rule("rev_both", revocation.Rule{Subject: "eve", Labels: map[string]string{"team": "ops"}}),
	})
	grant := func(subject, team string) *tokens.Grant {
		return &tokens.Grant{Subject: subject, Labels: map[string]string{"team": team}}
	}
	for _, tt := range []struct {
		name        string
		is, wouldBe *tokens.Grant
		want        string
	}{
		{"no rule", grant("bob", "x"), grant("bob", "y"), ""},
		{"still covered", grant("ada", "x"), grant("ada", "y"), ""},
		{"one of two", grant("ada", "press"), grant("ada", "y"), "rev_label"},
		{"the only one", grant("bob", "press"), grant("bob", "y"), "rev_label"},
		{"stays", grant("bob", "press"), grant("bob", "press"), ""},
		{"with a subject", grant("eve", "ops"), grant("eve", "y"), "rev_both"},
		{"into one", grant("bob", "y"), grant("bob", "press"), ""},
	} {
		got := ""
		if r := rules.Escaped(tt.is, tt.wouldBe); r != nil {
			got = r.ID
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
