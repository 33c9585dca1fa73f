package revocation_test

import (
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"s3gate/revocation"
)

// An HTTP/2 connection whose client reads nothing cannot take the reset of a
// stream either. The cut waits a second for it and then closes the connection;
// less if the gate could lose its lease meanwhile.
func TestCutOfAStuckSharedConnection(t *testing.T) {
	for name, c := range map[string]struct {
		gate  revocation.Gate
		limit time.Duration
	}{
		"no lease to lose":  {nil, soon},
		"a lease of 100 ms": {&faucet{}, 800 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) { cutStuck(t, c.gate, c.limit) })
	}
}

func cutStuck(t *testing.T, gate revocation.Gate, limit time.Duration) {
	transfers := &revocation.Transfers{Gate: gate}
	ended := make(chan error, 1)
	s := httptest.NewUnstartedServer(endless(transfers, "tok_a", ended))
	watched := &watchedListener{Listener: s.Listener}
	s.Listener = revocation.Listen(watched, gate, 0)
	s.Config.ConnContext = revocation.ConnContext
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()

	c, err := dialSmall(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(greedyRequest(s.Listener.Addr())); err != nil {
		t.Fatal(err)
	}
	awaitBlocked(t, watched)
	eventually(t, "the kernel takes nothing more", func() bool { return watched.blocked.Load() > 0 })
	within(t, limit, "Cut", func() {
		if stopped, _ := transfers.Cut(only("tok_a")); stopped != 1 {
			t.Errorf("Cut stopped %d, want 1", stopped)
		}
	})
	after := watched.written.Load()
	within(t, soon, "the handler", func() { <-ended })
	if n := watched.written.Load() - after; n != 0 {
		t.Errorf("%d bytes were handed to the kernel after the acknowledgement", n)
	}
}

// greedyRequest opens an HTTP/2 connection, permits a gigabyte at once and
// asks for / (RFC 9113, sections 3.4 and 4; RFC 7541, appendix A).
func greedyRequest(host net.Addr) []byte {
	const gigabyte = 1 << 30
	window := binary.BigEndian.AppendUint32(nil, gigabyte)
	fields := []byte{0x82, 0x86, 0x84} // :method GET, :scheme http, :path /
	fields = append(fields, 0x01, byte(len(host.String())))
	fields = append(fields, host.String()...) // :authority

	b := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	b = appendFrame(b, 4, 0, 0, append([]byte{0, 4}, window...)) // SETTINGS_INITIAL_WINDOW_SIZE
	b = appendFrame(b, 8, 0, 0, window)                          // WINDOW_UPDATE of the connection
	return appendFrame(b, 1, 0x1|0x4, 1, fields)                 // HEADERS, END_STREAM, END_HEADERS
}

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}
