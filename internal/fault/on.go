//go:build faults

package fault

import (
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const variable = "S3GATE_FAULTS"

// faults are what is on, and by how much the gate's clock is wrong.
type faults struct {
	on     map[Fault]bool
	offset time.Duration
}

var current atomic.Pointer[faults]

func init() {
	var names []Fault
	for name := range strings.SplitSeq(os.Getenv(variable), ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, Fault(name))
		}
	}
	os.Unsetenv(variable) // it names no setting
	Set(names...)
}

// Set turns these faults on and all others off, and returns what puts back
// what was before. It panics at a name that is none.
func Set(names ...Fault) (restore func()) {
	next := &faults{on: map[Fault]bool{}, offset: time.Hour}
	for _, name := range names {
		text, offset, given := strings.Cut(string(name), "=")
		if given {
			d, err := time.ParseDuration(offset)
			if err != nil {
				panic(variable + ": " + err.Error())
			}
			next.offset = d
		}
		if !slices.Contains(All, Fault(text)) || given && Fault(text) != LocalClock {
			panic(variable + ": there is no fault " + string(name))
		}
		next.on[Fault(text)] = true
	}
	before := current.Swap(next)
	return func() { current.Store(before) }
}

// On reports whether a fault is on.
func On(f Fault) bool { return current.Load().on[f] }

// Now is the time by the gate's own clock, which is wrong.
func Now() time.Time { return time.Now().Add(current.Load().offset) }
