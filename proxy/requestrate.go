package proxy

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"s3gate/tokens"
)

// Rates limits how many requests a second one gate answers for a token whose
// grant says so; a second's worth may come at once. The zero Rates is ready
// to use, and safe for concurrent use.
type Rates struct {
	mu      sync.Mutex
	recent  map[tokens.ID]*rate.Limiter
	older   map[tokens.ID]*rate.Limiter
	rotated time.Time
}

// errRate is a request over the rate of its token.
var errRate = errors.New("too many requests for this token")

const (
	// maxRates bounds how many tokens are remembered.
	maxRates = 1 << 16
	// rateMemory is how long a token is remembered at least, unless there are
	// too many. After a second without requests there is nothing to remember.
	rateMemory = 10 * time.Second
)

// allow counts a request and reports whether it may be answered.
func (r *Rates) allow(g *tokens.Grant) bool {
	if g.RequestsPerSecond <= 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if len(r.recent) >= maxRates/2 || now.Sub(r.rotated) >= rateMemory {
		r.older, r.recent, r.rotated = r.recent, map[tokens.ID]*rate.Limiter{}, now
	}
	l := r.recent[g.ID]
	if l == nil {
		if l = r.older[g.ID]; l == nil {
			l = rate.NewLimiter(rate.Limit(g.RequestsPerSecond), int(g.RequestsPerSecond))
		}
		r.recent[g.ID] = l
	}
	return l.AllowN(now, 1)
}
