package gate_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// memory is what this process keeps in its heap.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// wantFlat asserts that the heap is at most 32 MiB more than it was.
func wantFlat(t *testing.T, before int64) {
	t.Helper()
	if grown := memory() - before; grown > 32<<20 {
		t.Errorf("%d MiB of memory more", grown>>20)
	}
}

// H7: a client of HTTP/2 that floods the gate with what costs it little and the gate
// much ends with its connection closed, or goes on without that the gate grows; others
// are served meanwhile.
func TestFloods(t *testing.T) {
	b := besiege(t, true, hasty)
	for _, flood := range []struct {
		name string
		// write sends one piece of the flood.
		write func(f *framed, i uint32) error
		most  uint32
		// goaway says that the gate has to end the connection for it.
		goaway bool
	}{
		{"rapid reset", func(f *framed, i uint32) error {
			f.ask(2*i+1, b.link)
			return f.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		}, 20_000, false}, // whoever keeps up with it may serve it
		{"continuation", func(f *framed, i uint32) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.fields("GET", b.link), EndStream: true})
			}
			return f.WriteContinuation(1, false, f.fields("GET", b.link, fmt.Sprint("x-", i), strings.Repeat("y", 8<<10))[20:])
		}, 20_000, true},
		{"empty continuation", func(f *framed, i uint32) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.fields("GET", b.link), EndStream: true})
			}
			return f.WriteContinuation(1, false, nil)
		}, 200_000, false},
		{"settings", func(f *framed, i uint32) error { return f.WriteSettings() }, 200_000, false},
		{"pings", func(f *framed, i uint32) error { return f.WritePing(false, [8]byte{}) }, 200_000, false},
		{"priorities", func(f *framed, i uint32) error {
			return f.WritePriority(2*i+1, http2.PriorityParam{StreamDep: 0, Weight: 1})
		}, 100_000, false},
		{"windows", func(f *framed, i uint32) error { return f.WriteWindowUpdate(0, 1) }, 200_000, false},
		{"empty data", func(f *framed, i uint32) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.fields("PUT", "/"+b.mint("put", "p", nil).Token), EndHeaders: true})
			}
			return f.WriteData(1, false, nil)
		}, 100_000, false},
		{"streams", func(f *framed, i uint32) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: f.fields("PUT", b.link), EndHeaders: true})
		}, 5_000, false},
	} {
		t.Run(flood.name, func(t *testing.T) {
			before := memory()
			f := b.frames()
			gone := make(chan struct{})
			reads := flood.name != "pings" && flood.name != "settings" // which are answered
			go func() {
				defer close(gone)
				if reads {
					f.until(func(frame http2.Frame) bool { return false })
				}
			}()
			var err error
			for i := uint32(0); i < flood.most && err == nil; i++ {
				err = flood.write(f, i)
			}
			if flood.goaway {
				<-gone
			}
			if flood.goaway && errors.Is(f.err, os.ErrDeadlineExceeded) {
				t.Error("the connection goes on")
			}
			b.serves()
			wantFlat(t, before)
			f.conn.Close()
			<-gone
		})
	}
	b.serves()
}

// H6: a list of headers above links.max_header is answered 431 over HTTP/2, or the
// connection is closed, also when it is small as long as it is packed (HPACK).
func TestPackedHeaderBomb(t *testing.T) {
	b := besiege(t, true, nil)
	before := memory()
	f := b.frames()
	pairs := []string{}
	for range 4000 { // each a byte or two in the frame, since the table has it
		pairs = append(pairs, "x-a", strings.Repeat("y", 3<<10))
	}
	fields := f.fields("GET", b.link, pairs...)
	if len(fields) > 16<<10 {
		fields = fields[:16<<10]
	}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields, EndStream: true, EndHeaders: true})
	last := f.until(func(frame http2.Frame) bool {
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if code := frame.PseudoValue("status"); code != "431" {
				t.Errorf("answer %s", code)
			}
			return true
		case *http2.GoAwayFrame, *http2.RSTStreamFrame:
			return true
		}
		return false
	})
	t.Logf("%d bytes of headers: %v", len(fields), last)
	wantFlat(t, before)
	if n := b.asked.Load(); n != 0 {
		t.Errorf("S3 was asked %d times", n)
	}
	b.serves()
}

// H10, H12: what HTTP/2 forbids in a request is no request: headers that belong to a
// connection, CONNECT, a name in upper case, a line break in a value.
func TestForbiddenInHTTP2(t *testing.T) {
	b := besiege(t, true, nil)
	for name, pairs := range map[string][]string{
		"connection":        {"connection", "authorization"},
		"transfer-encoding": {"transfer-encoding", "chunked"},
		"te":                {"te", "gzip"},
		"upper case":        {"X-A", "b"},
		"line break":        {"x-a", "b\r\nx-c: d"},
		"second path":       {":path", "/other"},
	} {
		f := b.frames()
		f.ask(1, b.link, pairs...)
		frame := f.until(func(frame http2.Frame) bool {
			switch frame.(type) {
			case *http2.MetaHeadersFrame, *http2.RSTStreamFrame, *http2.GoAwayFrame:
				return true
			}
			return false
		})
		if h, ok := frame.(*http2.MetaHeadersFrame); ok && h.PseudoValue("status") != "400" {
			t.Errorf("%s: answer %s", name, h.PseudoValue("status"))
		}
		f.conn.Close()
	}
	f := b.frames()
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.fields("CONNECT", b.link), EndHeaders: true, EndStream: true})
	frame := f.until(func(frame http2.Frame) bool {
		switch frame.(type) {
		case *http2.MetaHeadersFrame, *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return true
		}
		return false
	})
	if h, ok := frame.(*http2.MetaHeadersFrame); ok && h.PseudoValue("status")[0] != '4' {
		t.Errorf("CONNECT: answer %s", h.PseudoValue("status"))
	}
	if n := b.asked.Load(); n != 0 {
		t.Errorf("S3 was asked %d times", n)
	}
}
