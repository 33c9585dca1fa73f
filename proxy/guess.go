package proxy

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Guesses limits how often one network may ask for well-formed tokens that do
// not exist; over the limit it is answered 429 without asking Redis. A token
// that is dead but known is no guess, and neither is what cannot be a token.
// Networks are a /24 of IPv4 and a /64 of IPv6. It is safe for concurrent use.
//
// A token has 130 random bits: the limit does not keep it from being guessed,
// but keeps those who try from loading Redis.
type Guesses struct {
	rate  rate.Limit
	burst int

	mu      sync.Mutex
	recent  map[netip.Prefix]*rate.Limiter
	older   map[netip.Prefix]*rate.Limiter
	rotated time.Time
}

// errGuessing is a request from a network that has asked for too many tokens
// that do not exist.
var errGuessing = errors.New("too many unknown tokens from this network")

const (
	// maxNetworks bounds how many networks are remembered.
	maxNetworks = 1 << 16
	// guessMemory is how long a network is remembered at least, unless there
	// are too many.
	guessMemory = 10 * time.Minute
)

// NewGuesses allows each network burst guesses at once and then perSecond.
func NewGuesses(perSecond float64, burst int) *Guesses {
	return &Guesses{rate: rate.Limit(perSecond), burst: burst, recent: map[netip.Prefix]*rate.Limiter{}}
}

// network is what shares a limit.
func network(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // the zero Prefix for no address: one network for all of them
	return p
}

// exhausted reports whether the network has guessed too often. A nil Guesses
// never is.
func (g *Guesses) exhausted(a netip.Addr) bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.find(network(a))
	return l != nil && l.Tokens() < 1
}

// missed counts a guess.
func (g *Guesses) missed(a netip.Addr) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	net := network(a)
	l := g.find(net)
	if l == nil {
		l = rate.NewLimiter(g.rate, g.burst)
		g.recent[net] = l
	}
	l.Allow()
	g.rotate()
}

// find returns the network's limiter, nil if it has none, and keeps it from
// being forgotten.
func (g *Guesses) find(net netip.Prefix) *rate.Limiter {
	if l := g.recent[net]; l != nil {
		return l
	}
	l := g.older[net]
	if l != nil {
		g.recent[net] = l
	}
	return l
}

// rotate forgets networks that have not guessed for a while, and the older
// half when there are too many.
func (g *Guesses) rotate() {
	now := time.Now()
	if len(g.recent) < maxNetworks/2 && now.Sub(g.rotated) < guessMemory {
		return
	}
	g.older, g.recent, g.rotated = g.recent, map[netip.Prefix]*rate.Limiter{}, now
}
