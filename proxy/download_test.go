package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"s3gate/tokens"
)

// A body that breaks off upstream breaks off for the client too, so that
// nobody takes a part for the whole (H9).
func TestTruncation(t *testing.T) {
	// More than is read before the first byte is given out.
	chunks := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + strings.Repeat("x", 128<<10) + "\r\n"
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"length, first byte", truncated(100, 1)},
		{"length, all but the last byte", truncated(100, 99)},
		{"length, a megabyte", truncated(2<<20, 1<<20)},
		{"chunks, no last one", hangUp(chunks)},
		{"chunks, in the middle of one", hangUp(chunks + "ff\r\nand")},
		{"chunks, no end of the last one", hangUp(chunks + "0\r\n")},
		{"chunks, malformed", hangUp(chunks + "xyz\r\n")},
	} {
		for _, proto := range protocols {
			t.Run(test.name+" "+proto.name, func(t *testing.T) {
				g := newGate(t, proto)
				g.s3.answer(test.answer)
				token := g.mint(get())
				a := g.get(token)
				if a.StatusCode != 200 || a.err == nil {
					t.Errorf("status %d, %d bytes, %v; want an error", a.StatusCode, len(a.body), a.err)
				}
				g.wantCharge(token, "charged")
			})
		}
	}
}

// To a client of HTTP/1.0 the end of the connection is the end of a body
// without length, so a broken one ends with a reset (H9).
func TestTruncationForHTTP10(t *testing.T) {
	g := newGate(t, http1)
	g.s3.answer(hangUp("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"))
	c := g.dial()
	io.WriteString(c, "GET /"+g.mint(get()).Reveal()+" HTTP/1.0\r\n\r\n")
	if reply, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v after\n%s", err, reply)
	}
}

func TestDownloadOfUnknownLength(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, content)
				w.(http.Flusher).Flush()
				io.WriteString(w, content)
			})
			if a := g.get(g.mint(get())); a.StatusCode != 200 || a.body != content+content || a.err != nil {
				t.Errorf("%d, %q, %v", a.StatusCode, a.body, a.err)
			}
		})
	}
}

// What the client gets is what is stored, byte for byte, whatever its
// encoding (C5).
func TestDownloadIsExact(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			data := make([]byte, 3<<20+1)
			rand.NewChaCha8([32]byte{}).Read(data)
			g.s3.store(canaryKey, string(data))
			g.s3.objects[canaryKey].header.Set("Content-Encoding", "gzip")
			a := g.get(g.mint(get()), "Accept-Encoding", "gzip")
			if a.err != nil || sha256.Sum256([]byte(a.body)) != sha256.Sum256(data) || a.Header.Get("Content-Encoding") != "gzip" {
				t.Errorf("%d bytes of %d, %v, encoding %q", len(a.body), len(data), a.err, a.Header.Get("Content-Encoding"))
			}
		})
	}
}

// Racers for one use: one gets it.
func TestRacersForOneUse(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(get())
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			switch a := g.get(token); {
			case a.StatusCode == 200 && a.body == content:
				won.Add(1)
			case a.StatusCode != 409 && a.StatusCode != 410:
				t.Errorf("status %d", a.StatusCode)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d got the object", won.Load())
	}
	g.wantCharge(token, "charged")
}

// Ranges of an unlimited link are S3's to serve; under If-Range the part is
// only for a client whose copy is the current one (RFC 9110, section 13.1.5),
// and a limited link gives out the whole.
func TestRanges(t *testing.T) {
	const older, newer = "Sun, 01 Mar 2026 10:00:00 GMT", "Tue, 03 Mar 2026 10:00:00 GMT"
	for _, test := range []struct {
		name   string
		grant  tokens.Grant
		header []string
		status int
		body   string
	}{
		{"one", unlimited(get()), []string{"Range", "bytes=4-10"}, 206, "content"},
		{"open", unlimited(get()), []string{"Range", "bytes=19-"}, 206, "object"},
		{"suffix", unlimited(get()), []string{"Range", "bytes=-6"}, 206, "object"},
		{"outside", unlimited(get()), []string{"Range", "bytes=25-"}, 416, ""},
		{"several", unlimited(get()), []string{"Range", "bytes=0-1,4-5"}, 200, content},
		{"bomb", unlimited(get()), []string{"Range", "bytes=" + strings.Repeat("0-,", 5000) + "0-"}, 200, content},
		{"backwards", unlimited(get()), []string{"Range", "bytes=5-4"}, 200, content},
		{"other unit", unlimited(get()), []string{"Range", "lines=1-2"}, 200, content},
		{"nonsense", unlimited(get()), []string{"Range", "bytes=a-b"}, 200, content},

		{"If-Range, current", unlimited(get()), []string{"Range", "bytes=0-2", "If-Range", etag}, 206, "the"},
		{"If-Range, stale", unlimited(get()), []string{"Range", "bytes=0-2", "If-Range", `"old"`}, 200, content},
		{"If-Range, weak", unlimited(get()), []string{"Range", "bytes=0-2", "If-Range", "W/" + etag}, 200, content},
		{"If-Range, nonsense", unlimited(get()), []string{"Range", "bytes=0-2", "If-Range", "yesterday"}, 200, content},
		{"If-Range, same date", unlimited(get()), []string{"Range", "bytes=0-2", "If-Range", modified}, 206, "the"},
		{"If-Range, older date", unlimited(get()), []string{"Range", "bytes=0-2", "If-Range", older}, 200, content},
		{"If-Range, newer date", unlimited(get()), []string{"Range", "bytes=0-2", "If-Range", newer}, 200, content},
		{"If-Range without Range", unlimited(get()), []string{"If-Range", `"old"`}, 200, content},
		{"If-Range and a condition that fails", unlimited(get()),
			[]string{"Range", "bytes=0-2", "If-Range", etag, "If-Match", `"old"`}, 412, ""},
		{"If-Range and a date that fails", unlimited(get()),
			[]string{"Range", "bytes=0-2", "If-Range", etag, "If-Unmodified-Since", older}, 412, ""},
		{"If-Range, outside", unlimited(get()), []string{"Range", "bytes=25-", "If-Range", etag}, 416, ""},
		{"If-Range, stale and outside", unlimited(get()), []string{"Range", "bytes=25-", "If-Range", `"old"`}, 200, content},

		{"limited, one", get(), []string{"Range", "bytes=0-1"}, 200, content},
		{"limited, several", get(), []string{"Range", "bytes=0-1,100-"}, 200, content},
		{"limited, outside", get(), []string{"Range", "bytes=25-"}, 416, ""},
		{"limited, last byte", get(), []string{"Range", "bytes=24-"}, 200, content},
		{"limited, empty suffix", get(), []string{"Range", "bytes=-0"}, 416, ""},
		{"limited, long suffix", get(), []string{"Range", "bytes=-1000"}, 200, content},
		{"limited, If-Range stale and outside", get(), []string{"Range", "bytes=25-", "If-Range", `"old"`}, 200, content},
		{"limited, condition", get(), []string{"If-None-Match", etag}, 304, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, http1)
			a := g.get(g.mint(test.grant), test.header...)
			if a.StatusCode != test.status || a.StatusCode < 300 && a.body != test.body {
				t.Errorf("%d %q, want %d %q", a.StatusCode, a.body, test.status, test.body)
			}
			if part := a.Header.Get("Content-Range"); (part != "") != (test.status == 206 || test.status == 416) {
				t.Errorf("Content-Range %q with %d", part, a.StatusCode)
			}
		})
	}
}

// The token is one part of the path as it came; what follows is only a name.
// Malformed ones are refused without asking Redis (T11, T15).
func TestTargets(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(get())).Reveal()
	for _, test := range []struct {
		name, target string
		want         int
	}{
		{"token", "/" + token, 200},
		{"empty name", "/" + token + "/", 200},
		{"name", "/" + token + "/report.txt", 200},
		{"deep name", "/" + token + "//a//b", 200},
		{"escaped slash in the name", "/" + token + "/a%2Fb%00", 200},
		{"dots in the name", "/" + token + "/../../x", 200},
		{"query", "/" + token + "?X-Amz-Signature=x&list-type=2", 200},
		{"malformed query", "/" + token + "?a=%zz;b", 200},
		{"absolute form", "http://elsewhere.example/" + token, 200},
		{"two slashes", "//" + token, 404},
		{"dot segment", "/./" + token, 404},
		{"dots before", "/x/../" + token, 404},
		{"escaped letter", "/%73" + token[1:], 404},
		{"escaped slash after", "/" + token + "%2Freport.txt", 404},
		{"parameter", "/" + token + ";v=1", 404},
		{"NUL", "/" + token + "%00", 404},
		{"upper case", "/" + strings.ToUpper(token), 404},
		{"one too many", "/" + token + "x", 404},
		{"one too few", "/" + token[:len(token)-1], 404},
		{"checksum", "/" + token[:len(token)-1] + string(token[len(token)-1]^1), 404},
		{"nothing", "/", 404},
		{"long", "/" + strings.Repeat("A", 500<<10), 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.want == 404 {
				g.redis.SetError("not to be asked")
				defer g.redis.SetError("")
			}
			a := g.raw("GET " + test.target + " HTTP/1.1\r\nHost: gate\r\n\r\n")
			if a.StatusCode != test.want || test.want == 200 && a.body != content {
				t.Errorf("%s: %q", a.Status, a.body)
			}
		})
	}
}

// Methods are listed before anything is asked, so none can be passed on
// signed (H10).
func TestMethodsOfNoLink(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(get())).Reveal()
	for _, line := range []string{
		"POST /" + token, "DELETE /" + token, "PATCH /" + token, "TRACE /" + token, "CONNECT /" + token,
		"CONNECT s3.example:443", "PROPFIND /" + token, "get /" + token, "GETX /" + token, "TRACE /mistyped",
	} {
		a := g.raw(line + " HTTP/1.1\r\nHost: gate\r\n\r\n")
		if a.StatusCode != 405 || a.Header.Get("Allow") == "" {
			t.Errorf("%s: %s, Allow %q", line[:6], a.Status, a.Header.Get("Allow"))
		}
	}
	if n := len(g.s3.log()); n > 0 {
		t.Errorf("%d requests reached s3", n)
	}
}

// A request to upgrade is served as what it is without (H10).
func TestUpgradeIsIgnored(t *testing.T) {
	g := newGate(t, http1)
	a := g.raw("GET /" + g.mint(get()).Reveal() + " HTTP/1.1\r\nHost: gate\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if a.StatusCode != 200 || a.body != content || a.Header.Get("Upgrade") != "" {
		t.Errorf("%s: %q, Upgrade %q", a.Status, a.body, a.Header.Get("Upgrade"))
	}
}

// A connection is used again after an answer of any kind.
func TestConnectionIsReused(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(get())).Reveal()
	c := g.dial()
	for _, status := range []string{"200", "404", "200", "416"} {
		target, header := token, ""
		switch status {
		case "404":
			target = "mistyped"
		case "416":
			header = "Range: bytes=100-\r\n"
		}
		io.WriteString(c, "GET /"+target+" HTTP/1.1\r\nHost: gate\r\n"+header+"\r\n")
		buf := make([]byte, 4<<10)
		n, err := c.Read(buf)
		if err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 "+status)) {
			t.Fatalf("%s: %v\n%s", status, err, buf[:n])
		}
		for !bytes.Contains(buf[:n], []byte("\r\n\r\n")) || status == "200" && !bytes.HasSuffix(buf[:n], []byte(content)) {
			m, err := c.Read(buf[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
	}
}
