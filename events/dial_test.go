package events_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"s3gate/events"
)

func miniRedis(t *testing.T) string { return miniredis.RunT(t).Addr() }

// Whatever a name resolves to, a webhook leads to public addresses only, unless it
// is said that it may lead elsewhere.
func TestCheckAddress(t *testing.T) {
	const public, private, never = "public", "private", "never"
	for text, kind := range map[string]string{
		"8.8.8.8": public, "52.95.110.1": public, "172.15.255.255": public, "172.32.0.1": public, "192.167.255.255": public,
		"192.169.0.1": public, "100.63.255.255": public, "100.128.0.1": public, "169.253.0.1": public, "11.0.0.1": public,
		"2606:4700:4700::1111": public, "2a00:1450:4001::1": public, "::ffff:8.8.8.8": public,

		"127.0.0.1": private, "127.255.255.254": private, "::1": private, "::ffff:127.0.0.1": private,
		"10.0.0.1": private, "172.16.0.1": private, "172.31.255.255": private, "192.168.1.1": private, "::ffff:10.0.0.1": private,
		"169.254.169.254": private, "::ffff:169.254.169.254": private, "fe80::1": private, "fe80::1%eth0": private,
		"fd00:ec2::254": private, "fc00::1": private, "100.64.0.1": private, "100.100.100.200": private, "0.1.2.3": private,
		"192.0.0.1": private, "198.18.0.1": private, "192.0.2.1": private, "203.0.113.7": private, "240.0.0.1": private,
		"64:ff9b::a9fe:a9fe": private, "64:ff9b:1::1": private, "2002:7f00:1::": private, "2001::1": private, "::7f00:1": private,
		"2001:db8::1": private, "fec0::1": private,

		"0.0.0.0": never, "::": never, "224.0.0.1": never, "ff02::1": never, "255.255.255.255": never, "::ffff:0.0.0.0": never,
	} {
		a := netip.MustParseAddr(text)
		for _, allow := range []bool{false, true} {
			want := kind == public || kind == private && allow
			if err := events.CheckAddress(a, allow); (err == nil) != want || err != nil && !errors.Is(err, events.ErrAddress) {
				t.Errorf("%s, private allowed %v: %v", text, allow, err)
			}
		}
	}
	if events.CheckAddress(netip.Addr{}, true) == nil {
		t.Error("no address at all is allowed")
	}
}

// The address is checked when the connection is opened, whatever the URL says: a
// name, a literal, another way to write it. Nothing arrives.
func TestHookDoesNotReachInside(t *testing.T) {
	in := newReceiver(t, nil)
	_, port, _ := net.SplitHostPort(in.Listener.Addr().String())
	rdb := connect(t, miniRedis(t))
	for name, host := range map[string]string{
		"literal": "127.0.0.1", "name": "localhost", "mapped": "[::ffff:127.0.0.1]", "loopback": "[::1]", "unspecified": "0.0.0.0",
	} {
		h := newHooks(t, rdb, events.Endpoint{Name: name, URL: "http://" + host + ":" + port + "/", Tries: 1})
		write(t, h.hook, records(1)...)
	}
	h := newHooks(t, rdb, events.Endpoint{URL: "https://a"})
	var dead []events.Dead
	await(t, func() bool { dead, _ = h.Dead(t.Context(), 10); return len(dead) == 5 })
	for _, d := range dead {
		if d.Status != 0 || !strings.Contains(d.Error, "address is not public") || strings.Contains(d.Error, "http://") {
			t.Errorf("%s: %+v", d.Endpoint, d)
		}
	}
	if in.came.Load() != 0 {
		t.Error("a request arrived")
	}
}
