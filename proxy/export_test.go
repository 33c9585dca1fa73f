package proxy

import "net/netip"

// What the fuzz tests parse.
var (
	ContentDisposition = contentDisposition
	SingleRange        = singleRange
	Satisfiable        = satisfiable
	ContentRangeSize   = contentRangeSize
)

// Miss counts a guess.
func Miss(g *Guesses, a netip.Addr) { g.missed(a) }

// Exhausted reports whether a network may guess no more.
func Exhausted(g *Guesses, a netip.Addr) bool { return g.exhausted(a) }

// Networks is the number of networks that are remembered.
func Networks(g *Guesses) int { return len(g.recent) + len(g.older) }

// KeptAddress is what a receipt keeps of an address.
func KeptAddress(d AddressDetail, a netip.Addr) string { return d.of(a) }
