package gate_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// hello is what a client of an old kind begins with (RFC 5246, section 7.4.1.2).
type hello struct {
	version      uint16
	suites       []uint16
	compressions []byte
}

const (
	alert       = 21
	handshake   = 22
	serverHello = 2
	noSuite     = 40 // handshake_failure
)

// bytes is the record with it.
func (h hello) bytes(t *testing.T) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddUint8(handshake)
	b.AddUint16(min(h.version, tls.VersionTLS10))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(1) // client_hello
		b.AddUint24LengthPrefixed(h.body)
	})
	raw, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (h hello) body(b *cryptobyte.Builder) {
	b.AddUint16(h.version)
	random := make([]byte, 32)
	rand.Read(random)
	b.AddBytes(random)
	b.AddUint8(0) // no session
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, s := range h.suites {
			b.AddUint16(s)
		}
	})
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.compressions) })
	if h.version < tls.VersionTLS10 {
		return // extensions came later
	}
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		list := func(extension uint16, values ...uint16) {
			b.AddUint16(extension)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
					for _, v := range values {
						b.AddUint16(v)
					}
				})
			})
		}
		list(10, uint16(tls.X25519), uint16(tls.CurveP256))
		list(13, uint16(tls.ECDSAWithP256AndSHA256), uint16(tls.PSSWithSHA256), uint16(tls.PKCS1WithSHA256))
		b.AddUint16(11) // ec_point_formats: uncompressed
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 0}) })
	})
}

// agreed is what a server has made of a hello: an alert, or a suite and a compression.
type agreed struct {
	alert       byte
	version     uint16
	suite       uint16
	compression byte
}

func (h hello) send(t *testing.T, addr string) agreed {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Write(h.bytes(t)); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatalf("no answer to version %#04x: %v", h.version, err)
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	if head[0] == alert {
		return agreed{alert: body[1]}
	}
	if head[0] != handshake || body[0] != serverHello {
		t.Fatalf("the server answers with a record of type %d", head[0])
	}
	s := cryptobyte.String(body[4:])
	var a agreed
	var session cryptobyte.String
	if !s.ReadUint16(&a.version) || !s.Skip(32) || !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16(&a.suite) || !s.ReadUint8(&a.compression) {
		t.Fatalf("the server hello is cut off: %x", body)
	}
	return a
}

// handshakes is a gate whose listeners have certificates of both kinds of key: ECDSA
// for links, RSA for the API.
func handshakes(t *testing.T, change func(*config.Config)) (g *testGate, trusts *tls.Config, addrs map[string]string) {
	t.Helper()
	authority := s3gatetest.NewAuthority(t, "root")
	below := authority.Under("intermediate")
	w := newEmbedded(t)
	g = w.gate(func(c *config.Config) {
		c.Links.Cert, c.Links.Key = below.Files(nil)
		c.API.Cert, c.API.Key = below.RSAFiles(nil)
		c.Ops.Addr = "localhost:0"
		if change != nil {
			change(c)
		}
	})
	return g, &tls.Config{RootCAs: authority.Pool()}, map[string]string{
		"links": strings.TrimPrefix(g.LinksURL(), "https://"), "api": strings.TrimPrefix(g.APIURL(), "https://"),
	}
}

// modern are the suites of TLS 1.2 that are spoken, by the kind of key.
var modern = map[string][]uint16{
	"links": {tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
	"api":   {tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
}

// Of all numbers that a suite of TLS 1.2 can have, only those are taken that have
// forward secrecy and authenticated encryption: not one with the key exchange of RSA,
// with CBC, RC4, 3DES, an export key, without a certificate or without encryption.
func TestOnlyModernSuites(t *testing.T) {
	_, _, addrs := handshakes(t, nil)
	for name, addr := range addrs {
		for _, suite := range modern[name] {
			if a := (hello{tls.VersionTLS12, []uint16{suite}, []byte{0}}).send(t, addr); a.suite != suite || a.version != tls.VersionTLS12 {
				t.Errorf("%s: %s: %+v", name, tls.CipherSuiteName(suite), a)
			}
		}
		for from := 0; from < 1<<16; from += 1 << 12 {
			var others []uint16
			for suite := from; suite < from+1<<12; suite++ {
				// 0x5600 is no suite; it says that this is a second, lower try (RFC 7507).
				if !slices.Contains(modern[name], uint16(suite)) && suite != 0x5600 {
					others = append(others, uint16(suite))
				}
			}
			if a := (hello{tls.VersionTLS12, others, []byte{0}}).send(t, addr); a.alert != noSuite {
				t.Errorf("%s: of the suites from %#04x it takes %+v", name, from, a)
			}
		}
	}
	for _, s := range slices.Concat(tls.InsecureCipherSuites(), tls.CipherSuites()) {
		for name, addr := range addrs {
			conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{s.ID}})
			if err == nil {
				conn.Close()
			}
			if (err == nil) != slices.Contains(modern[name], s.ID) {
				t.Errorf("%s: %s: %v", name, s.Name, err)
			}
		}
	}
}

// Versions that are no longer safe are refused, with or without a suite that would be.
func TestOnlyModernVersions(t *testing.T) {
	_, trusts, addrs := handshakes(t, nil)
	for name, addr := range addrs {
		for _, version := range []uint16{0x0200, 0x0300, tls.VersionTLS10, tls.VersionTLS11} { // SSL 2 and 3 first
			all := append([]uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}, modern[name]...)
			if a := (hello{version, all, []byte{0}}).send(t, addr); a.alert == 0 {
				t.Errorf("%s: version %#04x: %+v", name, version, a)
			}
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c := trusts.Clone()
			c.MinVersion, c.MaxVersion = version, version
			state, err := dialTLS(t, addr, c)
			if err != nil || state.Version != version {
				t.Errorf("%s: %s: %v", name, tls.VersionName(version), err)
			}
			if state.CurveID == 0 {
				t.Errorf("%s: %s: no key was agreed on for this connection alone", name, tls.VersionName(version))
			}
			if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) != 2 {
				t.Errorf("%s: %s: the chain has %d certificates, want its own and the one between it and the root", name, tls.VersionName(version), len(state.PeerCertificates))
			}
		}
	}
	_, trusts, addrs = handshakes(t, func(c *config.Config) { c.TLS.MinVersion = 1.3 })
	trusts.MaxVersion = tls.VersionTLS12
	for name, addr := range addrs {
		if _, err := dialTLS(t, addr, trusts); err == nil {
			t.Errorf("%s: with tls.min_version 1.3 it speaks TLS 1.2", name)
		}
		if a := (hello{tls.VersionTLS12, modern[name], []byte{0}}).send(t, addr); a.alert != 70 { // protocol_version
			t.Errorf("%s: with tls.min_version 1.3: %+v", name, a)
		}
	}
}

// Nothing is compressed before it is encrypted, which would tell of what it is (CRIME).
func TestNoCompression(t *testing.T) {
	_, _, addrs := handshakes(t, nil)
	for name, addr := range addrs {
		if a := (hello{tls.VersionTLS12, modern[name], []byte{1, 64, 0}}).send(t, addr); a.alert != 0 || a.compression != 0 {
			t.Errorf("%s: offered DEFLATE and LZS besides none: %+v", name, a)
		}
		if a := (hello{tls.VersionTLS12, modern[name], []byte{1}}).send(t, addr); a.alert == 0 {
			t.Errorf("%s: offered DEFLATE alone: %+v", name, a)
		}
	}
}

// A client cannot begin another handshake on a connection.
func TestNoRenegotiation(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	s3gatetest.Need(t, "openssl (apt-get install openssl)", err)
	_, _, addrs := handshakes(t, nil)
	for name, addr := range addrs {
		cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", addr, "-tls1_2")
		cmd.Stdin = io.MultiReader(strings.NewReader("R\n"), after(2*time.Second))
		out, err := cmd.CombinedOutput()
		_, answer, tried := bytes.Cut(out, []byte("RENEGOTIATING"))
		if !tried {
			t.Fatalf("%s: openssl has not tried: %v\n%s", name, err, out)
		}
		if !bytes.Contains(answer, []byte("alert unexpected message")) {
			t.Errorf("%s: %v, and the server says %s", name, err, answer)
		}
	}
}

// after is a reader that ends after a while.
type after time.Duration

func (a after) Read([]byte) (int, error) {
	time.Sleep(time.Duration(a))
	return 0, io.EOF
}

// What is spoken above TLS is agreed on in the handshake.
func TestALPN(t *testing.T) {
	_, trusts, addrs := handshakes(t, nil)
	tests := []struct {
		offers []string
		want   string
		ok     bool
	}{
		{nil, "", true},
		{[]string{"h2", "http/1.1"}, "h2", true},
		{[]string{"http/1.1", "h2"}, "h2", true},
		{[]string{"http/1.1"}, "http/1.1", true},
		{[]string{"http/1.0", "http/1.1"}, "http/1.1", true},
		{[]string{"smtp"}, "", false},
		{[]string{"h3"}, "", false},
		{[]string{"acme-tls/1"}, "", false},
	}
	for name, addr := range addrs {
		for _, tt := range tests {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				c := trusts.Clone()
				c.NextProtos, c.MaxVersion = tt.offers, version
				state, err := dialTLS(t, addr, c)
				if (err == nil) != tt.ok || state.NegotiatedProtocol != tt.want {
					t.Errorf("%s: %v over %s: %q, %v", name, tt.offers, tls.VersionName(version), state.NegotiatedProtocol, err)
				}
			}
		}
	}
}

// Whatever name a client asks for, it sees the one certificate that there is.
func TestUnknownServerName(t *testing.T) {
	_, trusts, addrs := handshakes(t, nil)
	for name, addr := range addrs {
		for _, server := range []string{"localhost", "other.example.com", "xn--bcher-kva.example", strings.Repeat("a", 63) + ".example"} {
			c := trusts.Clone()
			c.ServerName, c.InsecureSkipVerify = server, true
			if state, err := dialTLS(t, addr, c); err != nil || state.PeerCertificates[0].DNSNames[0] != "localhost" {
				t.Errorf("%s: %s: %v", name, server, err)
			}
		}
	}
}

// Sessions are resumed where each connection has a key of its own all the same: over
// TLS 1.3, and not with client certificates.
func TestSessions(t *testing.T) {
	ours := s3gatetest.NewAuthority(t, "ours")
	_, trusts, addrs := handshakes(t, func(c *config.Config) { c.API.ClientCA = ours.File() })
	pair := keyPair(t, ours, nil)
	for _, tt := range []struct {
		listener string
		version  uint16
		resumed  bool
	}{
		{"links", tls.VersionTLS13, true},
		{"links", tls.VersionTLS12, false},
		{"api", tls.VersionTLS13, false},
		{"api", tls.VersionTLS12, false},
	} {
		c := trusts.Clone()
		c.MinVersion, c.MaxVersion, c.ClientSessionCache = tt.version, tt.version, tls.NewLRUClientSessionCache(0)
		c.Certificates = []tls.Certificate{*pair}
		resumed := false
		for range 3 {
			conn, err := tls.Dial("tcp", addrs[tt.listener], c)
			if err != nil {
				t.Fatal(err)
			}
			resumed = resumed || conn.ConnectionState().DidResume
			// The ticket comes with or before the answer.
			fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", addrs[tt.listener])
			_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
		if resumed != tt.resumed {
			t.Errorf("%s over %s: resumed is %v", tt.listener, tls.VersionName(tt.version), resumed)
		}
	}
}

// Plain HTTP on a port with TLS is told so, and sent nowhere.
func TestPlainOnTLS(t *testing.T) {
	_, _, addrs := handshakes(t, nil)
	for name, addr := range addrs {
		a := do(t, "GET", "http://"+addr+"/", nil)
		if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || a.header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
	}
}
