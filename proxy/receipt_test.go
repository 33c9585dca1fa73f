package proxy_test

import (
	"net/netip"
	"reflect"
	"sync"
	"testing"

	"s3gate/proxy"
	"s3gate/tokens"
)

// A use that ends with its request is reported by the handler, with as much of
// the client's address as may be kept; what costs nothing is not, and what may
// be resumed later.
func TestReceipts(t *testing.T) {
	for _, test := range []struct {
		detail proxy.AddressDetail
		want   string
	}{
		{"", ""}, {proxy.AddressNone, ""}, {"invented", ""},
		{proxy.AddressFull, "127.0.0.1"}, {proxy.AddressPrefix, "127.0.0.0/24"},
	} {
		t.Run("address "+string(test.detail), func(t *testing.T) {
			g := newGate(t, http1)
			var mu sync.Mutex
			var told []tokens.Receipt
			g.ReceiptAddress = test.detail
			g.Ended = func(r tokens.Receipt) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, r)
			}
			wait := func() { eventually(t, "no transfer is left", func() bool { return g.transfers.Len() == 0 }) }
			token := g.mint(get())
			g.do(g.request("HEAD", token, nil))
			g.get(token, "If-None-Match", etag)
			resumed := g.mint(resumable(10))
			g.get(resumed)
			wait()
			if len(told) != 0 {
				t.Errorf("told %+v, want nothing", told)
			}
			a := g.get(token)
			wait()
			up := g.mint(tokens.Grant{Operation: tokens.Put, Bucket: "media", Key: "new", MaxUses: 1})
			g.put(up, content)
			wait()
			mu.Lock()
			defer mu.Unlock()
			if len(told) != 2 {
				t.Fatalf("told %+v, want two receipts", told)
			}
			size := int64(len(content))
			for i, want := range []tokens.Receipt{
				{Token: token.ID(), Operation: tokens.Get, Key: canaryKey, Request: a.Header.Get("X-Request-Id")},
				{Token: up.ID(), Operation: tokens.Put, Key: "new", Request: told[1].Request},
			} {
				got := told[i]
				want.Bucket, want.Requests, want.Client, want.Size, want.ETag = "media", 1, test.want, size, etag
				want.Bytes, want.Ranges, want.Outcome = size, [][2]int64{{0, size}}, tokens.Complete
				want.Use, want.Began, want.Ended, want.DurationMS = got.Use, got.Began, got.Ended, got.DurationMS
				if got.Use == "" || !reflect.DeepEqual(got, want) {
					t.Errorf("told %+v\nwant %+v", got, want)
				}
			}
			st, err := g.store.Show(t.Context(), resumed.ID())
			if err != nil || len(st.Open) != 1 || len(st.Receipts) != 0 {
				t.Errorf("what may be resumed: %+v, %v", st, err)
			}
		})
	}
}

// Of an address no more is kept than the operator says.
func TestAddressDetail(t *testing.T) {
	for _, test := range []struct {
		detail     proxy.AddressDetail
		addr, want string
	}{
		{proxy.AddressFull, "192.0.2.7", "192.0.2.7"},
		{proxy.AddressFull, "2001:db8::7", "2001:db8::7"},
		{proxy.AddressPrefix, "192.0.2.7", "192.0.2.0/24"},
		{proxy.AddressPrefix, "2001:db8:1:2:3::7", "2001:db8:1:2::/64"},
		{proxy.AddressNone, "192.0.2.7", ""},
		{"", "192.0.2.7", ""},
		{proxy.AddressFull, "", ""},
	} {
		var addr netip.Addr
		if test.addr != "" {
			addr = netip.MustParseAddr(test.addr)
		}
		if got := proxy.KeptAddress(test.detail, addr); got != test.want {
			t.Errorf("%q of %q is %q, want %q", test.detail, test.addr, got, test.want)
		}
	}
}
