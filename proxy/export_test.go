package proxy

import (
	"net/netip"
	"time"

	"s3gate/tokens"
)

// What the fuzz tests parse.
var (
	SingleRange      = singleRange
	Satisfiable      = satisfiable
	ContentRangeSize = contentRangeSize
	KeyBelow         = keyBelow
	MatchesTag       = matchesTag
	FilePolicy       = filePolicy
)

// ContentDisposition is the header for a grant's key.
func ContentDisposition(g *tokens.Grant) string { return contentDisposition(&g.Response, g.Key) }

// Allow counts a request.
func Allow(r *Rates, g *tokens.Grant) bool { return r.allow(g) }

// Ticket is one for a pressed button, or for the passcode if there is one.
func Ticket(t tokens.Token, p tokens.Passcode, until time.Time) string {
	k := byGesture
	if !p.IsZero() {
		k = byCode
	}
	return newSeal(t, p).close(k, until)
}

// ButtonTicket is one for a pressed button, also where there is a passcode.
func ButtonTicket(t tokens.Token, p tokens.Passcode, until time.Time) string {
	return newSeal(t, p).close(byGesture, until)
}

// Challenge is what the page carries.
func Challenge(t tokens.Token, until time.Time) string {
	return newSeal(t, tokens.Passcode{}).close(challenge, until)
}

// OpenSeal reads either.
func OpenSeal(t tokens.Token, p tokens.Passcode, text string, now time.Time) (byte, bool) {
	k, ok := newSeal(t, p).open(text, now)
	return byte(k), ok
}

// KeptAddress is what a receipt keeps of an address.
func KeptAddress(d AddressDetail, a netip.Addr) string { return d.of(a) }

// MemoryPeak is how many bytes parts have taken at most, and MemoryHeld how
// many they take.
func MemoryPeak(m *Multipart) int64 { return m.memory().peak.Load() }
func MemoryHeld(m *Multipart) int64 { return m.memory().held.Load() }

// PartSizes are the sizes of the parts of an upload in their order, but the
// last of them may be smaller, and the largest upload that these are good for.
func PartSizes(m *Multipart, size int64) (part func(number int) int64, reach int64) {
	p := m.plan(size)
	return p.part, p.reach()
}

// DropName and TailName name an upload into a drop box.
var (
	DropName = dropName
	TailName = tailName
)
