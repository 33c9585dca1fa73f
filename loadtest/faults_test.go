//go:build faults

package loadtest_test

import (
	"slices"
	"testing"
	"time"

	"s3gate/internal/fault"
	"s3gate/loadtest"
)

// A gate that breaks its promises is found out.
func TestFaultsBreakInvariants(t *testing.T) {
	for _, test := range []struct {
		scenario string
		faults   []fault.Fault
		want     string
	}{
		{"single-use-race", []fault.Fault{fault.NoNonce}, "exactly one client gets a single use"},
		{"revoke-storm", []fault.Fault{fault.EntrySkipped}, "no byte comes after the acknowledgement"},
		{"revoke-storm", []fault.Fault{fault.StaleCache, fault.EntrySkipped}, "a revoked link is refused"},
	} {
		t.Run(test.want, func(t *testing.T) {
			to := target(t)
			defer fault.Set(test.faults...)()
			c := small(to, test.scenario)
			c.Timeout = 10 * time.Second
			r := run(t, c)
			if got := broken(r); r.OK || !slices.Contains(got, test.want) {
				t.Errorf("broken: %q, want %q", got, test.want)
			}
		})
	}
}

// broken returns the invariants that did not hold.
func broken(r *loadtest.Report) (names []string) {
	for _, i := range r.Invariants {
		if !i.OK {
			names = append(names, i.Name)
		}
	}
	slices.Sort(names)
	return names
}
