package proxy

import (
	"errors"

	"golang.org/x/time/rate"

	"s3gate/internal/ratelimit"
	"s3gate/tokens"
)

// Rates limits how many requests a second one gate answers for a token whose
// grant says so; a second's worth may come at once. The zero Rates is ready
// to use, and safe for concurrent use.
type Rates struct {
	tokens ratelimit.Keyed[tokens.ID]
}

// errRate is a request over the rate of its token.
var errRate = errors.New("too many requests for this token")

// allow counts a request and reports whether it may be answered.
func (r *Rates) allow(g *tokens.Grant) bool {
	if g.RequestsPerSecond <= 0 {
		return true
	}
	return r.tokens.Get(g.ID, func() *rate.Limiter {
		return rate.NewLimiter(rate.Limit(g.RequestsPerSecond), int(g.RequestsPerSecond))
	}).Allow()
}
