package conns_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"s3gate/internal/conns"
)

func v1(family, from, to string) string {
	return fmt.Sprintf("PROXY %s %s %s 1000 443\r\n", family, from, to)
}

// The commands and families of version 2.
const (
	local, proxied     = 0x20, 0x21
	tcp4, tcp6, stream = 0x11, 0x21, 0x31
)

// v2 is a header with a block of addresses and what follows it.
func v2(command, family byte, block ...byte) string {
	b := []byte("\r\n\r\n\x00\r\nQUIT\n")
	b = append(b, command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(block)))
	return string(append(b, block...))
}

func addresses(from, to string) []byte {
	b := append(netip.MustParseAddr(from).AsSlice(), netip.MustParseAddr(to).AsSlice()...)
	return append(b, 1000>>8, 1000&0xff, 443>>8, 443&0xff)
}

var tlv = []byte{0x04, 0, 5, 0, 0, 0, 0, 0, 0x20, 0, 3, 'a', 'b', 'c'}

// A header of a trusted proxy names the client; whatever else may stand in one is
// passed over, and what may not closes the connection.
func TestHeader(t *testing.T) {
	const peer, unknown, closed = "peer", "unknown", "closed"
	long := append(addresses("192.0.2.7", "10.0.0.1"), make([]byte, 4096)...)
	for name, tt := range map[string]struct{ header, want string }{
		"version 1":                        {v1("TCP4", "192.0.2.7", "10.0.0.1"), "192.0.2.7:1000"},
		"version 1, IPv6":                  {v1("TCP6", "2001:db8::7", "2001:db8::1"), "[2001:db8::7]:1000"},
		"version 1, unknown":               {"PROXY UNKNOWN\r\n", unknown},
		"version 1, unknown with more":     {"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", unknown},
		"version 1, no address":            {v1("TCP4", "example.com", "10.0.0.1"), closed},
		"version 1, of another family":     {v1("TCP4", "2001:db8::7", "10.0.0.1"), closed},
		"version 1 without an end":         {"PROXY TCP4 " + strings.Repeat("1", 200), closed},
		"version 1 with a bare LF":         {"PROXY TCP4 192.0.2.7 10.0.0.1 1000 443\n", closed},
		"version 2":                        {v2(proxied, tcp4, addresses("192.0.2.7", "10.0.0.1")...), "192.0.2.7:1000"},
		"version 2, IPv6":                  {v2(proxied, tcp6, addresses("2001:db8::7", "2001:db8::1")...), "[2001:db8::7]:1000"},
		"version 2, IPv4 in IPv6":          {v2(proxied, tcp6, addresses("::ffff:192.0.2.7", "::ffff:10.0.0.1")...), "192.0.2.7:1000"},
		"version 2 with more in it":        {v2(proxied, tcp4, append(addresses("192.0.2.7", "10.0.0.1"), tlv...)...), "192.0.2.7:1000"},
		"version 2, of a Unix socket":      {v2(proxied, stream, make([]byte, 216)...), unknown},
		"version 2, the proxy itself":      {v2(local, 0), peer},
		"version 2, itself with addresses": {v2(local, tcp4, addresses("192.0.2.7", "10.0.0.1")...), peer},
		"version 2, itself with a rest":    {v2(local, 0, tlv...), peer},
		"version 2, too short":             {v2(proxied, tcp4, 1, 2, 3), closed},
		"version 2, too long":              {v2(proxied, tcp4, long...), closed},
		"version 2, no family":             {v2(proxied, 0), closed},
		"version 2, no such command":       {v2(0x2f, tcp4, addresses("192.0.2.7", "10.0.0.1")...), closed},
		"version 3":                        {v2(0x31, tcp4, addresses("192.0.2.7", "10.0.0.1")...), closed},
	} {
		t.Run(name, func(t *testing.T) {
			b := listen(t, conns.Limits{Trusted: loopback, Proxy: conns.ProxyRequired})
			client := b.dial(tt.header + "GET / HTTP/1.1\r\n")
			c := b.next()
			want := tt.want
			if want == closed {
				if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("read %d, %v", n, err)
				}
				isClosed(t, client)
				b.metric(`s3gate_connections_refused_total{listener="links",reason="header"} 1`)
				return
			}
			if want == peer {
				want = client.LocalAddr().String()
			}
			if got := c.RemoteAddr().String(); got != want {
				t.Errorf("from %s, want %s", got, want)
			}
			line := make([]byte, 16)
			if _, err := io.ReadFull(c, line); err != nil || string(line) != "GET / HTTP/1.1\r\n" {
				t.Errorf("then %q, %v", line, err)
			}
		})
	}
}

// Who may and who has to send a header.
func TestWhoSendsHeaders(t *testing.T) {
	header := v2(proxied, tcp4, addresses("192.0.2.7", "10.0.0.1")...)
	const isClient, isPeer, isText, refused = "client", "peer", "text", "refused"
	for _, tt := range []struct {
		name    string
		mode    conns.Proxy
		trusted bool
		header  bool
		want    string
	}{
		{"off", conns.ProxyOff, true, true, isText},
		{"optional and there", conns.ProxyOptional, true, true, isClient},
		{"optional and not there", conns.ProxyOptional, true, false, isPeer},
		{"optional, from somebody", conns.ProxyOptional, false, true, isText},
		{"required and there", conns.ProxyRequired, true, true, isClient},
		{"required and not there", conns.ProxyRequired, true, false, refused},
		{"required, from somebody", conns.ProxyRequired, false, true, refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limits := conns.Limits{Proxy: tt.mode}
			if tt.trusted {
				limits.Trusted = loopback
			}
			b := listen(t, limits)
			sent := "GET /"
			if tt.header {
				sent = header + sent
			}
			if tt.want == refused && !tt.trusted {
				b.refused(sent)
				b.metric(`s3gate_connections_refused_total{listener="links",reason="untrusted"} 1`)
				return
			}
			client := b.dial(sent)
			c := b.next()
			if tt.want == refused {
				if _, err := c.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("read: %v", err)
				}
				isClosed(t, client)
				return
			}
			text, from := make([]byte, 5), c.RemoteAddr().String()
			io.ReadFull(c, text)
			if want := tt.want == isText; want == (string(text) == "GET /") {
				t.Errorf("the text begins with %q", text)
			}
			if want := tt.want == isClient; want != (from == "192.0.2.7:1000") {
				t.Errorf("from %s", from)
			}
		})
	}
}

// A header may come in pieces, but not for ever, and nobody waits for it meanwhile.
func TestHeaderInPieces(t *testing.T) {
	b := listen(t, conns.Limits{Trusted: loopback, Proxy: conns.ProxyRequired, HeaderTimeout: 2 * time.Second})
	late := b.dial("\r\n\r\n\x00\r\nQU")
	silent := b.next()
	header := v2(proxied, tcp4, append(addresses("192.0.2.7", "10.0.0.1"), tlv...)...)
	client := b.dial(header[:20])
	c := b.next() // although the first has sent no header
	go func() {
		time.Sleep(50 * time.Millisecond)
		io.WriteString(client, header[20:]+"x")
	}()
	if got := c.RemoteAddr().String(); got != "192.0.2.7:1000" {
		t.Errorf("from %s", got)
	}
	if n, err := io.ReadFull(c, make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("then %d, %v", n, err)
	}
	go silent.RemoteAddr()
	isClosed(t, late)
	b.metric(`s3gate_connections_refused_total{listener="links",reason="header"} 1`)
}

// The network that counts is the client's.
func TestClientsNetworkCounts(t *testing.T) {
	b := listen(t, conns.Limits{PerNetwork: 1, Trusted: loopback, Proxy: conns.ProxyRequired})
	open := func(from string) net.Conn {
		b.dial(v1("TCP4", from, "10.0.0.1") + "x")
		return b.next()
	}
	reads := func(c net.Conn) bool { n, _ := c.Read(make([]byte, 1)); return n == 1 }
	first := open("192.0.2.7")
	if !reads(first) || !reads(open("198.51.100.7")) {
		t.Error("one of each network is refused")
	}
	if reads(open("192.0.2.8")) {
		t.Error("a second of a network is let in")
	}
	b.metric(`s3gate_connections_refused_total{listener="links",reason="network"} 1`)
	first.Close()
	if !reads(open("192.0.2.9")) {
		t.Error("the place is not free again")
	}
}

// script is a connection of which all that comes is known.
type script struct {
	net.Conn
	io.Reader
}

func (s script) Read(p []byte) (int, error)    { return s.Reader.Read(p) }
func (script) SetReadDeadline(time.Time) error { return nil }
func (script) Close() error                    { return nil }
func (script) RemoteAddr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// Whatever comes, the header is read or the connection closed, and what follows a
// header is left as it was.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{
		"", "GET / HTTP/1.1\r\n", v1("TCP4", "192.0.2.7", "10.0.0.1"), "PROXY UNKNOWN\r\n", v2(local, 0), v2(proxied, stream, make([]byte, 216)...),
		v2(proxied, tcp4, append(addresses("192.0.2.7", "10.0.0.1"), tlv...)...), v2(proxied, tcp6, addresses("2001:db8::7", "::1")...),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		const rest = "what follows"
		whole := string(sent) + rest
		c := conns.Wrap(script{Reader: strings.NewReader(whole)}, conns.Limits{Trusted: []netip.Prefix{{}}, Proxy: conns.ProxyOptional})
		defer c.Close()
		from := c.RemoteAddr()
		if from == nil || from.String() == "" {
			t.Fatalf("no address after %q", sent)
		}
		got, _ := io.ReadAll(c)
		if len(got) > 0 && !strings.HasSuffix(whole, string(got)) {
			t.Errorf("of %q it read %q", whole, got)
		}
		begins := strings.HasPrefix(whole, "PROXY") || strings.HasPrefix(whole, "\r\n\r\n\x00\r\nQUIT\n")
		if !begins && string(got) != whole {
			t.Errorf("%q has no header, and it read %q", whole, got)
		}
	})
}
