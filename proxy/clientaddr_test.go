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

func FuzzClientAddress(f *testing.F) {
	f.Add("192.0.2.1, 10.0.0.1", "for=192.0.2.1")
	f.Fuzz(func(t *testing.T, xff, forwarded string) {
		for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
			c := proxy.ClientAddress{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Header: header}
			r := &http.Request{RemoteAddr: "10.0.0.1:9", Header: http.Header{"X-Forwarded-For": {xff}, "Forwarded": {forwarded}}}
			if got := c.Of(r); !got.IsValid() {
				t.Errorf("no client in %q %q", xff, forwarded)
			}
		}
	})
}
