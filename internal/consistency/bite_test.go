//go:build faults

package consistency_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"s3gate/internal/fault"
	"s3gate/internal/s3gatetest"
)

// check looks at gates with faults. It says what it noticed, "" if that was
// nothing.
type check interface {
	fmt.Stringer
	notice(t *testing.T, faults ...fault.Fault) string
}

// historyCheck is that of TestHistory, on fewer operations.
type historyCheck struct {
	name    string
	ops     int
	one     bool // only the first gate has the faults
	often   weights
	trouble func(*world, *rand.Rand, <-chan struct{}) []incident
}

func (c historyCheck) String() string { return "history, " + c.name }

func (c historyCheck) notice(t *testing.T, faults ...fault.Fault) string {
	gates := [][]fault.Fault{faults, faults, faults}
	if c.one {
		gates = [][]fault.Fault{faults, nil, nil}
	}
	got := run{seed: number(t, seedText, 1), ops: c.ops, gates: gates, often: c.often, rest: lapse, trouble: c.trouble}.do(t)
	if len(got.misfits) == 0 {
		return ""
	}
	return fmt.Sprintf("%d histories do not fit, such as\n%s", len(got.misfits), got.misfits[0].history())
}

// remote puts all gates but the first far from Redis.
func remote(w *world, _ *rand.Rand, done <-chan struct{}) []incident {
	for _, g := range w.gates[1:] {
		defer g.toxic("latency", "downstream", map[string]any{"latency": 50, "jitter": 50})()
	}
	<-done
	return nil
}

// otherTest is a test of another package, in a process of its own.
type otherTest struct{ pkg, name string }

func (c otherTest) String() string { return c.pkg + " " + c.name }

func (c otherTest) notice(t *testing.T, faults ...fault.Fault) string {
	binary, err := testBinary(c.pkg)
	s3gatetest.Need(t, "the go tool, to build tests", err)
	cmd := exec.Command(binary, "-test.run", c.name, "-test.v", "-test.timeout", "3m")
	cmd.Dir = filepath.Join("..", "..", filepath.FromSlash(c.pkg))
	cmd.Env = append(os.Environ(), "S3GATE_FAULTS="+join(faults))
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed) && strings.Contains(string(out), "--- FAIL"):
		return string(out)
	case err != nil:
		t.Fatalf("%s: %v\n%s", c, err, out)
	case !strings.Contains(string(out), "--- PASS") || strings.Contains(string(out), "--- SKIP"):
		t.Fatalf("%s: not everything was tested:\n%s", c, out)
	}
	return ""
}

var testBinaries sync.Map // package -> func() (string, error)

// testBinary builds the tests of a package, with faults.
func testBinary(pkg string) (string, error) {
	once, _ := testBinaries.LoadOrStore(pkg, sync.OnceValues(func() (string, error) {
		path := filepath.Join(built, strings.ReplaceAll(pkg, "/", "-")+".test.exe")
		return path, build("test", "-c", "-tags", "faults", "-o", path, "s3gate/"+pkg)
	}))
	return once.(func() (string, error))()
}

// The checks.
var (
	anybody   = historyCheck{name: "as usual", ops: 500, often: usual}
	leavers   = historyCheck{name: "clients that leave", ops: 2000, often: weights{redeem: 40, glimpse: 60}}
	checkers  = historyCheck{name: "clients that have a copy", ops: 1000, often: weights{redeem: 30, validate: 70}}
	revokers  = historyCheck{name: "revocations", ops: 2000, one: true, often: weights{redeem: 60, withdraw: 5, banish: 10, lift: 25}}
	lifters   = historyCheck{name: "revocations that are lifted", ops: 2000, one: true, often: weights{redeem: 50, withdraw: 6, lift: 44}}
	farAway   = historyCheck{name: "revocations far from Redis", ops: 2000, often: weights{redeem: 60, banish: 10, lift: 30}, trouble: remote}
	oneWrong  = historyCheck{name: "one wrong clock", ops: 1000, one: true, often: usual}
	lapses    = otherTest{"tokens", "TestStoreOnRedis/^a_reservation_lapses$"}
	refunds   = otherTest{"tokens", "TestStoreOnRedis/^use,_refund,_commit,_keep$"}
	leaseEnds = otherTest{"revocation", "TestLeaseEnds"}
	otherLife = otherTest{"revocation", "TestEntriesOfAnotherLife"}
	givenBack = otherTest{"revocation", "TestRulesAreGivenBack"}
	cutWaits  = otherTest{"revocation", "TestCutWaitsForAWrite"}
	stalls    = otherTest{"revocation", "TestBlockedWriteStalls/^HTTP/1.1$"}
	commits   = otherTest{"revocation", "TestCommit"}
	replicas  = otherTest{"tokens", "TestMissingReplica"}
	forgets   = otherTest{"tokens", "TestCacheForgets"}
)

// bites lists which check notices which fault.
var bites = []struct {
	fault fault.Fault
	check check
}{
	{fault.NoNonce, anybody},
	{fault.ChargeUnchecked, lapses},
	{fault.RefundAfterByte, leavers},
	{fault.ReservationKept, refunds},
	{fault.BusyIsUsed, checkers},
	{fault.LocalClock + "=-1h", oneWrong},
	{fault.LeaseIgnored, leaseEnds},
	{fault.EntrySkipped, revokers},
	{fault.LiftSkipped, lifters},
	{fault.SeqTrusted, otherLife},
	{fault.NotSettled, givenBack},
	{fault.NotGivenBack, givenBack},
	{fault.RevokeUnwaited, farAway},
	{fault.AckEarly, cutWaits},
	{fault.StallFeeds, stalls},
	{fault.CommitUnasked, commits},
	{fault.NoWait, replicas},
	{fault.StaleCache, forgets},
}

// Every fault is noticed, by a check that notices nothing in gates without it.
func TestFaultsAreNoticed(t *testing.T) {
	s3gatetest.Redis(t) // or else skip everything
	clean := map[string]bool{}
	for _, bite := range bites {
		t.Run(string(bite.fault), func(t *testing.T) {
			what := bite.check.notice(t, bite.fault)
			if what == "" {
				t.Fatalf("nobody noticed: %s", bite.check)
			}
			t.Logf("noticed by %s: %s", bite.check, excerpt(what))
		})
		if name := bite.check.String(); !clean[name] {
			clean[name] = true
			t.Run("none, "+name, func(t *testing.T) {
				if what := bite.check.notice(t); what != "" {
					t.Errorf("noticed without a fault:\n%s", what)
				}
			})
		}
	}
}

func TestFaultsHaveChecks(t *testing.T) {
	checked := map[fault.Fault]bool{}
	for _, bite := range bites {
		name, _, _ := strings.Cut(string(bite.fault), "=")
		checked[fault.Fault(name)] = true
	}
	for _, f := range fault.All {
		if !checked[f] {
			t.Errorf("%s has no check", f)
		}
	}
}

// excerpt is the beginning of what a check says.
func excerpt(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[:min(len(lines), 12)], "\n")
}
