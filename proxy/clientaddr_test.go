package proxy_test

import (
	"net/http"
	"net/netip"
	"testing"

	"s3gate/proxy"
)

// X-Forwarded-For and Forwarded are believed as far as trusted proxies wrote
// them, and no further (H4).
func TestClientAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tests := []struct {
		name, header, peer string
		xff, forwarded     []string
		want               string
	}{
		{"nobody in between", "", "192.0.2.1:999", nil, nil, "192.0.2.1"},
		{"spoofed by the client", "", "192.0.2.1:999", []string{"203.0.113.9"}, []string{"for=203.0.113.9"}, "192.0.2.1"},
		{"one proxy", "", "10.0.0.1:999", []string{"192.0.2.1"}, nil, "192.0.2.1"},
		{"spoofed through a proxy", "", "10.0.0.1:999", []string{"203.0.113.9, 192.0.2.1"}, nil, "192.0.2.1"},
		{"spoofed in a line of its own", "", "10.0.0.1:999", []string{"203.0.113.9", "192.0.2.1"}, nil, "192.0.2.1"},
		{"two proxies", "", "10.0.0.1:999", []string{"203.0.113.9, 192.0.2.1, 10.9.9.9"}, nil, "192.0.2.1"},
		{"a trusted address that the client claims", "", "10.0.0.1:999", []string{"10.1.1.1, 192.0.2.1"}, nil, "192.0.2.1"},
		{"all trusted", "", "10.0.0.1:999", []string{"10.2.2.2, 10.3.3.3"}, nil, "10.2.2.2"},
		{"no header", "", "10.0.0.1:999", nil, nil, "10.0.0.1"},
		{"unreadable", "", "10.0.0.1:999", []string{"192.0.2.1, unknown"}, nil, "10.0.0.1"},
		{"unreadable behind a proxy", "", "10.0.0.1:999", []string{"unknown, 10.3.3.3"}, nil, "10.3.3.3"},
		{"with ports", "", "10.0.0.1:999", []string{"192.0.2.1:4711"}, nil, "192.0.2.1"},
		{"IPv6", "", "[fd00::1]:999", []string{"2001:db8::7"}, nil, "2001:db8::7"},
		{"IPv6 in brackets with port", "", "[fd00::1]:999", []string{"[2001:db8::7]:80"}, nil, "2001:db8::7"},
		{"IPv4 in IPv6", "", "[::ffff:10.0.0.1]:999", []string{"::ffff:192.0.2.1"}, nil, "192.0.2.1"},
		{"the other header is the client's", "", "10.0.0.1:999", []string{"192.0.2.1"}, []string{"for=203.0.113.9"}, "192.0.2.1"},
		{"forwarded", "Forwarded", "10.0.0.1:999", []string{"203.0.113.9"}, []string{`for=192.0.2.1;proto=https`}, "192.0.2.1"},
		{"forwarded, two elements", "forwarded", "10.0.0.1:999", nil, []string{`for=203.0.113.9, proto=http;FOR="[2001:db8::7]:80"`}, "2001:db8::7"},
		{"forwarded, hidden", "Forwarded", "10.0.0.1:999", nil, []string{`for=203.0.113.9, for=_hidden`}, "10.0.0.1"},
		{"no address at all", "", "@", []string{"192.0.2.1"}, nil, "invalid IP"},
	}
	for _, tt := range tests {
		c := proxy.ClientAddress{Trusted: trusted, Header: tt.header}
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.xff, "Forwarded": tt.forwarded}}
		if got := c.Of(r).String(); got != tt.want {
			t.Errorf("%s: client %s, want %s", tt.name, got, tt.want)
		}
	}
	var none proxy.ClientAddress
	r := &http.Request{RemoteAddr: "10.0.0.1:9", Header: http.Header{"X-Forwarded-For": {"192.0.2.1"}}}
	if got := none.Of(r).String(); got != "10.0.0.1" {
		t.Errorf("without trusted proxies: client %s", got)
	}
}

// What CloudFront says of its viewer is believed of a trusted peer, and only if it
// is the one thing that is said (H4).
func TestViewerAddress(t *testing.T) {
	const trusted, stranger = "10.0.0.1:999", "192.0.2.1:999"
	tests := []struct {
		name, peer string
		viewer     []string
		want       string
	}{
		{"IPv4", trusted, []string{"198.51.100.10:46532"}, "198.51.100.10"},
		{"IPv6 has no brackets", trusted, []string{"2001:db8:85a3:8d3:1319:8a2e:370:7348:46532"}, "2001:db8:85a3:8d3:1319:8a2e:370:7348"},
		{"IPv6, shortened", trusted, []string{"2001:db8:f:abcd::9:9985"}, "2001:db8:f:abcd::9"},
		{"IPv6, shortened at its end", trusted, []string{"2001:db8:::443"}, "2001:db8::"},
		{"IPv4 in IPv6", trusted, []string{"::ffff:198.51.100.10:443"}, "198.51.100.10"},
		{"the viewer has an address that is trusted", trusted, []string{"10.2.2.2:443"}, "10.2.2.2"},
		{"spoofed", stranger, []string{"198.51.100.10:46532"}, "192.0.2.1"},
		{"several", trusted, []string{"203.0.113.9:1", "198.51.100.10:46532"}, "10.0.0.1"},
		{"several in one line", trusted, []string{"203.0.113.9:1, 198.51.100.10:46532"}, "10.0.0.1"},
		{"none", trusted, nil, "10.0.0.1"},
		{"empty", trusted, []string{""}, "10.0.0.1"},
		{"no port", trusted, []string{"198.51.100.10"}, "10.0.0.1"},
		{"no port, IPv6", trusted, []string{"2001:db8:85a3:8d3:1319:8a2e:370:7348"}, "10.0.0.1"},
		{"empty port", trusted, []string{"198.51.100.10:"}, "10.0.0.1"},
		{"no such port", trusted, []string{"198.51.100.10:65536"}, "10.0.0.1"},
		{"port in hexadecimal", trusted, []string{"2001:db8::7:beef"}, "10.0.0.1"},
		{"only a port", trusted, []string{":443"}, "10.0.0.1"},
		{"a name", trusted, []string{"example.com:443"}, "10.0.0.1"},
		{"blanks", trusted, []string{"198.51.100.10 :443"}, "10.0.0.1"},
	}
	for _, tt := range tests {
		c := proxy.ClientAddress{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Header: "cloudfront-viewer-address"}
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{
			"Cloudfront-Viewer-Address": tt.viewer, "X-Forwarded-For": {"203.0.113.7"}, "Forwarded": {"for=203.0.113.7"},
		}}
		if got := c.Of(r).String(); got != tt.want {
			t.Errorf("%s: client %s, want %s", tt.name, got, tt.want)
		}
	}
}

func FuzzClientAddress(f *testing.F) {
	f.Add("192.0.2.1, 10.0.0.1", "for=192.0.2.1")
	f.Add("2001:db8::7:443", "2001:db8::7:443")
	f.Fuzz(func(t *testing.T, xff, forwarded string) {
		for _, header := range []string{"X-Forwarded-For", "Forwarded", proxy.ViewerAddress} {
			c := proxy.ClientAddress{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Header: header}
			r := &http.Request{RemoteAddr: "10.0.0.1:9", Header: http.Header{
				"X-Forwarded-For": {xff}, "Forwarded": {forwarded}, "Cloudfront-Viewer-Address": {xff},
			}}
			if got := c.Of(r); !got.IsValid() {
				t.Errorf("no client in %q %q", xff, forwarded)
			}
		}
	})
}
