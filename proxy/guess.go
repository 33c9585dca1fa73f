package proxy

import (
	"errors"
	"net/netip"

	"golang.org/x/time/rate"

	"s3gate/internal/conns"
	"s3gate/internal/ratelimit"
)

// Guesses limits how often one network may ask for well-formed tokens that do
// not exist; over the limit it is answered 429 without asking Redis. A token
// that is dead but known is no guess, and neither is what cannot be a token.
// Networks are a /24 of IPv4 and a /64 of IPv6. It is safe for concurrent use.
//
// A token has 130 random bits: the limit does not keep it from being guessed,
// but keeps those who try from loading Redis.
type Guesses struct {
	rate     rate.Limit
	burst    int
	networks ratelimit.Keyed[netip.Prefix]
}

// errGuessing is a request from a network that has asked for too many tokens
// that do not exist.
var errGuessing = errors.New("too many unknown tokens from this network")

// NewGuesses allows each network burst guesses at once and then perSecond.
func NewGuesses(perSecond float64, burst int) *Guesses {
	return &Guesses{rate: rate.Limit(perSecond), burst: burst}
}

// exhausted reports whether the network has guessed too often. A nil Guesses
// never is.
func (g *Guesses) exhausted(a netip.Addr) bool {
	if g == nil {
		return false
	}
	l := g.networks.Find(conns.Network(a))
	return l != nil && l.Tokens() < 1
}

// missed counts a guess.
func (g *Guesses) missed(a netip.Addr) {
	if g == nil {
		return
	}
	g.networks.Get(conns.Network(a), func() *rate.Limiter { return rate.NewLimiter(g.rate, g.burst) }).Allow()
}
