package proxy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"s3gate/tokens"
)

// takeAndReset speaks just enough HTTP/2 (RFC 9113) to ask for the object with
// room for so many bytes, take them, and reset the stream while the gate is in
// the write of the next. It returns how many it got.
func (g *gate) takeAndReset(token tokens.Token, room uint32, rangeHeader string) int {
	g.t.Helper()
	c, err := tls.Dial("tcp", g.server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(soon))
	frame := func(kind, flags byte, stream uint32, payload []byte) {
		head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
		head = binary.BigEndian.AppendUint32(append(head, flags), stream)
		if _, err := c.Write(append(head, payload...)); err != nil {
			g.t.Fatal(err)
		}
	}
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	// SETTINGS_INITIAL_WINDOW_SIZE.
	frame(4, 0, 0, binary.BigEndian.AppendUint32([]byte{0, 4}, room))
	// GET and https are in the static table of HPACK (RFC 7541), and the names
	// of the path, the authority and the range.
	text := func(name []byte, value string) []byte {
		return append(append(name, byte(len(value))), value...)
	}
	fields := append([]byte{0x82, 0x87}, text([]byte{0x04}, "/"+token.Reveal())...)
	fields = append(fields, text([]byte{0x01}, "gate.example")...)
	if rangeHeader != "" {
		fields = append(fields, text([]byte{0x0f, 50 - 15}, rangeHeader)...)
	}
	frame(1, 0x5, 1, fields) // END_STREAM, END_HEADERS

	got := 0
	for r := bufio.NewReader(c); got < int(room); {
		var head [9]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			g.t.Fatalf("after %d bytes: %v", got, err)
		}
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if _, err := io.CopyN(io.Discard, r, int64(size)); err != nil {
			g.t.Fatal(err)
		}
		switch {
		case head[3] == 0: // DATA
			got += size
		case head[3] == 4 && head[4] == 0: // SETTINGS
			frame(4, 1, 0, nil)
		case head[3] == 3: // RST_STREAM
			return got
		}
	}
	frame(3, 0, 1, []byte{0, 0, 0, 8}) // CANCEL
	eventually(g.t, "the gate has noticed", func() bool { return g.transfers.Len() == 0 })
	return got
}

// What HTTP/2 has sent of a write that it could not finish is given out, and
// counts: a client cannot have most of a small object for nothing, again and
// again (T4, T8).
func TestResetInTheMiddleOfAWrite(t *testing.T) {
	g := newGate(t, http2)
	const size, room = 40_000, 39_999 // less than is copied at once
	g.s3.store(canaryKey, string(randomBytes(size)))
	token := g.mint(resumable(1 << 20))
	if got := g.takeAndReset(token, room, ""); got != room {
		t.Fatalf("got %d bytes, want %d", got, room)
	}
	if o := g.openUse(token); o.Bytes < room || o.Bytes > size {
		t.Errorf("the use: %+v, want at least the %d bytes that the client has", o, room)
	}
	if got := g.takeAndReset(token, 20_000, "bytes=10000-"); got != 20_000 {
		t.Fatalf("got %d bytes more, want 20000", got)
	}
	if o := g.openUse(token); o.Bytes < room+20_000 || o.Bytes > o.Budget {
		t.Errorf("the use: %+v, want at least the %d bytes that the client has", o, room+20_000)
	}
}
