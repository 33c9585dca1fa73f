package proxy_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"s3gate/tokens"
)

// chunked frames a body for Transfer-Encoding: chunked, without its end.
func chunked(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

// What a body lacks, or has in excess, is not made up for: 400, and no object,
// whole or in parts (S8, H1).
func TestBodiesThatDoNotKeepToTheirFraming(t *testing.T) {
	large := noise(3*testPart + 5)
	length := func(n int) string { return fmt.Sprintf("Content-Length: %d\r\n", n) }
	const inChunks = "Transfer-Encoding: chunked\r\n"
	for _, test := range []struct{ name, head, body string }{
		{"short", length(100), "only this"},
		{"short by a byte", length(testPart), noise(testPart - 1)},
		{"nothing", length(100), ""},
		{"short in parts", length(len(large) + 1), large},
		{"short at the end of a part", length(3 * testPart), noise(2 * testPart)},
		{"chunks without an end", inChunks, chunked("only this")},
		{"chunks without an end, in parts", inChunks, chunked(large)},
		{"nothing in chunks", inChunks, ""},
		{"a chunk that is short", inChunks, "64\r\nonly this"},
		{"an end without its empty line", inChunks, chunked("all") + "0\r\n"},
		{"a chunk longer than it says", inChunks, "3\r\nfour\r\n0\r\n\r\n"},
		{"a chunk longer than it says, in parts", inChunks, chunked(large) + "3\r\nfour\r\n0\r\n\r\n"},
		{"a size that is none", inChunks, "xyz\r\nall\r\n0\r\n\r\n"},
		{"a size with a sign", inChunks, "+3\r\nall\r\n0\r\n\r\n"},
		{"a size of 2^64", inChunks, "10000000000000000\r\nall\r\n0\r\n\r\n"},
		{"bare line feeds", inChunks, "3\nall\n0\n\n"},
		{"two lengths", length(3) + length(4), "alls"},
		{"a list of lengths", "Content-Length: 3, 4\r\n", "alls"},
		{"a length with a sign", "Content-Length: +3\r\n", "all"},
		{"a length of 2^64", "Content-Length: 18446744073709551616\r\n", "all"},
		{"an unknown encoding", "Transfer-Encoding: gzip, chunked\r\n", chunked("all") + "0\r\n\r\n"},
	} {
		for _, proto := range []protocol{http1, http1TLS} {
			t.Run(test.name+" "+proto.name, func(t *testing.T) {
				t.Parallel()
				g := newPartsGate(t, proto)
				token := g.mint(put())
				reply := g.sendRaw("PUT /" + token.Reveal() + " HTTP/1.1\r\nHost: gate\r\n" + test.head + "\r\n" + test.body)
				if n := strings.Count(reply, "HTTP/1.1 "); n != 1 || !strings.HasPrefix(reply, "HTTP/1.1 400 ") && !strings.HasPrefix(reply, "HTTP/1.1 501 ") {
					t.Errorf("%d answers: %.300q", n, reply)
				}
				g.wantNothing(token)
			})
		}
	}
}

// sendRaw writes what a client sends, ends its half of the connection, and
// returns all that comes back.
func (g *gate) sendRaw(request string) string {
	g.t.Helper()
	var c interface {
		io.ReadWriter
		CloseWrite() error
	} = g.dial()
	if g.server.Certificate() != nil {
		c = tls.Client(c.(net.Conn), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	}
	go func() {
		io.WriteString(c, request)
		c.CloseWrite()
	}()
	reply, _ := io.ReadAll(c)
	return string(reply)
}

// What follows the body of an upload in parts is not part of the object (S8).
func TestLongBodyInParts(t *testing.T) {
	data := noise(3 * testPart)
	for _, test := range []struct{ name, head, body string }{
		{"known", fmt.Sprintf("Content-Length: %d", len(data)), data},
		{"unknown", "Transfer-Encoding: chunked", chunked(data) + "0\r\n\r\n"},
	} {
		g := newPartsGate(t, http1)
		token := g.mint(put())
		c := g.dial() // who ends a half of it counts as gone
		io.WriteString(c, "PUT /"+token.Reveal()+" HTTP/1.1\r\nHost: gate\r\n"+test.head+"\r\n\r\n"+test.body+"and more of it\r\n\r\n")
		reply, _ := io.ReadAll(c)
		// What follows chunks is not even looked at.
		refused := bytes.Contains(reply, []byte("HTTP/1.1 400 "))
		if !bytes.HasPrefix(reply, []byte("HTTP/1.1 200 ")) || refused != (test.name == "known") {
			t.Errorf("%s: answers %.300q", test.name, reply)
		}
		if stored, _ := g.s3.object(); stored != data {
			t.Errorf("%s: stored %d bytes of %d", test.name, len(stored), len(data))
		}
		g.wantCharge(token, "charged")
	}
}

// The body of an upload that is refused is never taken for a request, however
// much of it came before the refusal (S8, H1).
func TestRefusedBodyIsNoRequest(t *testing.T) {
	for _, test := range []struct {
		name    string
		grant   tokens.Grant
		arrange func(g *gate)
		want    int
	}{
		{"too large", limited(tokens.Upload{MaxBytes: 10}), nil, 413},
		{"of no type", limited(tokens.Upload{ContentTypes: []string{"image/png"}}), nil, 415},
		{"for downloads", get(), nil, 405},
		{"object exists", put(), func(g *gate) { g.s3.store(canaryKey, content) }, 412},
		{"refused by s3", put(), answering(refuse(403, "AccessDenied")), 502},
		{"no lease", put(), func(g *gate) { g.transfers.Gate = unleased{g.transfers.Gate} }, 503},
	} {
		for _, form := range []string{"Content-Length", "chunked", "Expect"} {
			for _, lead := range []int{0, 2 * testPart} { // what comes before the request in the body
				t.Run(fmt.Sprint(test.name, " ", form, " ", lead), func(t *testing.T) {
					t.Parallel()
					g := newPartsGate(t, http1)
					victim := g.withdrawable(unlimited(get()))
					if test.arrange != nil {
						test.arrange(g)
					}
					hidden := "DELETE /" + victim.Reveal() + " HTTP/1.1\r\nHost: gate\r\nContent-Length: 0\r\n\r\n"
					body := noise(lead) + strings.Repeat(hidden, 100)
					head := fmt.Sprintf("Content-Length: %d", len(body)+4*testPart)
					switch form {
					case "chunked":
						head, body = "Transfer-Encoding: chunked", chunked(body)
					case "Expect":
						head += "\r\nExpect: 100-continue"
					}
					reply := g.sendRaw("PUT /" + g.mint(test.grant).Reveal() + " HTTP/1.1\r\nHost: gate\r\n" + head + "\r\n\r\n" + body)
					// One of which S3 hears only when a part is there is asked for it.
					reply = strings.TrimPrefix(reply, "HTTP/1.1 100 Continue\r\n\r\n")
					if n := strings.Count(reply, "HTTP/1.1 "); n > 1 {
						t.Errorf("%d answers: %q", n, reply)
					}
					// A client that still sends may not see the answer.
					if reply != "" && !strings.HasPrefix(reply, fmt.Sprintf("HTTP/1.1 %d ", test.want)) && !strings.HasPrefix(reply, "HTTP/1.1 400 ") {
						t.Errorf("answer %.200q, want %d", reply, test.want)
					}
					if status, err := g.store.Show(t.Context(), victim.ID()); err != nil || status.State != tokens.Active {
						t.Errorf("the other link is %v, %v", status, err)
					}
				})
			}
		}
	}
}
