package events

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrAddress is an address that a webhook may not lead to.
var ErrAddress = errors.New("address is not public")

// special are networks that are no public ones but those that netip knows (IANA
// IPv4 and IPv6 Special-Purpose Address Registries). Those that embed an IPv4
// address could lead to a private one.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by carriers, and by clouds for metadata
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),        // IPv4-compatible
	netip.MustParsePrefix("64:ff9b::/96"), // NAT64
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), // Teredo and others
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4
	netip.MustParsePrefix("3fff::/20"),
	netip.MustParsePrefix("5f00::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// CheckAddress returns [ErrAddress] for an address that a webhook may not lead to:
// one that is not public, unless private ones are allowed.
func CheckAddress(a netip.Addr, allowPrivate bool) error {
	a = a.Unmap().WithZone("")
	refused := !a.IsValid() || a.IsMulticast() || a.IsUnspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if !allowPrivate {
		refused = refused || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || isSpecial(a)
	}
	if refused {
		return fmt.Errorf("%w: %s", ErrAddress, a)
	}
	return nil
}

func isSpecial(a netip.Addr) bool {
	for _, p := range special {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// guard checks the address of each connection before it is opened. Names are
// resolved by then, so it does not matter what they resolve to a moment later.
func guard(allowPrivate bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %s", ErrAddress, address)
		}
		return CheckAddress(at.Addr(), allowPrivate)
	}
}

// newHookClient returns the client of one endpoint. It uses no proxy, which would
// dial in its place, and follows no redirect.
func newHookClient(e *Endpoint) *http.Client {
	dialer := &net.Dialer{Timeout: e.Timeout, Control: guard(e.AllowPrivate)}
	return &http.Client{
		Timeout: e.Timeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: e.Timeout, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: claimMost, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10,
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
