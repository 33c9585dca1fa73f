package loadtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Invariant is something that has to hold however large the load is.
type Invariant struct {
	// Name says what, in a few words.
	Name string `json:"name"`
	// OK is whether it held each time, and was looked at.
	OK bool `json:"ok"`
	// Checked is how often it was looked at.
	Checked uint64 `json:"checked"`
	// Broken is how often it did not hold, and Examples are some of those.
	Broken   uint64   `json:"broken"`
	Examples []string `json:"examples,omitempty"`
}

// maxExamples of what broke an invariant are kept.
const maxExamples = 10

// checks are the invariants of a run. They are safe for concurrent use.
type checks struct {
	mu  sync.Mutex
	all map[string]*Invariant
}

// expect names an invariant that this scenario has: one that nothing was held
// against has not been shown.
func (c *checks) expect(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if c.all == nil {
			c.all = map[string]*Invariant{}
		}
		if c.all[name] == nil {
			c.all[name] = &Invariant{Name: name}
		}
	}
}

// hold looks at an invariant once; problem says what is wrong if it does not hold.
func (c *checks) hold(name string, ok bool, problem string, args ...any) {
	c.expect(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.all[name]
	i.Checked++
	if ok {
		return
	}
	i.Broken++
	if len(i.Examples) < maxExamples {
		i.Examples = append(i.Examples, fmt.Sprintf(problem, args...))
	}
}

// list returns them by name.
func (c *checks) list() []Invariant {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []Invariant
	for _, i := range c.all {
		i.OK = i.Checked > 0 && i.Broken == 0
		list = append(list, *i)
	}
	slices.SortFunc(list, func(a, b Invariant) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// The invariants.
const (
	rightBytes   = "every byte is the object's"
	noServerErr  = "no answer is 5xx"
	oneWinner    = "exactly one client gets a single use"
	losersGone   = "all others are told that the link is used"
	deadLink     = "a revoked link is refused"
	silence      = "no byte comes after the acknowledgement"
	cutVisibly   = "a cut download does not end as if it were complete"
	storedWhole  = "what was uploaded is what is stored"
	notCut       = "a slow download is not cut"
	flatMemory   = "memory does not grow"
	uniqueTokens = "no token is minted twice"
)
