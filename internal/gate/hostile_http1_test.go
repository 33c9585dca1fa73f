package gate_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
)

// H1: a request whose length can be read in two ways, or whose lines can, is answered
// 400, on a connection that is closed then: what follows it is no request to anybody.
func TestSmuggling(t *testing.T) {
	b := besiege(t, false, nil)
	put := "/" + b.mint("put", "p", nil).Token
	hidden := "GET " + b.link + " HTTP/1.1\r\nHost: gate\r\n\r\n"
	chunks := "0\r\n\r\n"
	for name, text := range map[string]string{
		"two lengths":                  "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nContent-Length: 1\r\nContent-Length: 60\r\n\r\nx" + hidden,
		"two lengths in one":           "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nContent-Length: 1, 60\r\n\r\nx" + hidden,
		"a length with a sign":         "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nContent-Length: +1\r\n\r\nx" + hidden,
		"a hexadecimal length":         "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nContent-Length: 0x1\r\n\r\nx" + hidden,
		"a length less than nothing":   "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nContent-Length: -1\r\n\r\nx" + hidden,
		"a coding of another name":     "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: xchunked\r\n\r\n" + chunks + hidden,
		"two codings":                  "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + chunks + hidden,
		"chunked twice":                "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + hidden,
		"a coding behind a tab":        "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding:\x0bchunked\r\n\r\n" + chunks + hidden,
		"a blank before the colon":     "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding : chunked\r\n\r\n" + chunks + hidden,
		"a line that is folded":        "GET " + b.link + " HTTP/1.1\r\nHost: gate\r\n X-A: b\r\n\r\n" + hidden,
		"a size of chunk with a sign":  "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n" + chunks + hidden,
		"a chunk that ends in LF":      "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n" + chunks + hidden,
		"an extension that ends in LF": "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n1;x\nx\r\n" + chunks + hidden,
		"a chunk that is longer":       "PUT " + put + " HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n" + chunks + hidden,
		"no host":                      "GET " + b.link + " HTTP/1.1\r\n\r\n" + hidden,
		"two hosts":                    "GET " + b.link + " HTTP/1.1\r\nHost: gate\r\nHost: other\r\n\r\n" + hidden,
		"NUL in a header":              "GET " + b.link + " HTTP/1.1\r\nHost: gate\r\nX-A: b\x00c\r\n\r\n" + hidden,
		"CR in a header":               "GET " + b.link + " HTTP/1.1\r\nHost: gate\r\nX-A: b\rc: d\r\n\r\n" + hidden,
		"no version":                   "GET " + b.link + "\r\nHost: gate\r\n\r\n" + hidden,
		"of HTTP/2 in plain":           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + hidden,
	} {
		before := b.read.Load()
		reply := b.send(text)
		codes := statuses(reply)
		if len(codes) != 1 || !slices.Contains([]string{"400", "405", "501", "505"}, codes[0]) {
			t.Errorf("%s: answers %q", name, codes)
		}
		if n := b.read.Load() - before; n > 0 {
			t.Errorf("%s: S3 was asked for an object", name)
		}
		if strings.Contains(reply, b.whole[:20]) {
			t.Errorf("%s: what was hidden was answered", name)
		}
	}
	b.serves()
}

// H1: where a length and chunks are both there the chunks count and the length does not,
// and the connection ends with the request (RFC 9112, section 6.3): whoever believed the
// length has no connection on which they could be wrong.
func TestLengthAndChunks(t *testing.T) {
	b := besiege(t, false, nil)
	hidden := "GET " + b.link + " HTTP/1.1\r\nHost: gate\r\n\r\n"
	for name, head := range map[string]string{
		"length first": "Content-Length: 5\r\nTransfer-Encoding: chunked",
		"chunks first": "Transfer-Encoding: chunked\r\nContent-Length: 5",
	} {
		reply := b.send("GET " + b.link + " HTTP/1.1\r\nHost: gate\r\n" + head + "\r\n\r\n0\r\n\r\n" + hidden)
		if codes := statuses(reply); len(codes) != 1 {
			t.Errorf("%s: answers %q", name, codes)
		}
	}
	for name, head := range map[string]string{"of the API": "POST /v1/tokens", "of its console": "POST /console/session"} {
		c, err := net.Dial("tcp", strings.TrimPrefix(b.APIURL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, head+" HTTP/1.1\r\nHost: gate\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: gate\r\n\r\n")
		all, err := io.ReadAll(c)
		if codes := statuses(string(all)); len(codes) != 1 || err != nil {
			t.Errorf("%s: answers %q, %v", name, codes, err)
		}
	}
}

// H6: headers above links.max_header are answered 431, be it one that is large or many
// that are small, and the connection is closed.
func TestHeaderBombs(t *testing.T) {
	b := besiege(t, false, nil)
	for name, bomb := range map[string]string{
		"one that is large":   "X-A: " + strings.Repeat("a", 1<<20),
		"many that are small": strings.Repeat("X-A: b\r\n", 1<<17) + "X-A: b",
		"a cookie":            "Cookie: " + strings.Repeat("a=b; ", 1<<18),
	} {
		codes := statuses(b.send("GET " + b.link + " HTTP/1.1\r\nHost: gate\r\n" + bomb + "\r\n\r\n"))
		// Who still sends when the connection is closed may not read why.
		if len(codes) > 1 || len(codes) == 1 && codes[0] != "431" {
			t.Errorf("%s: answers %q", name, codes)
		}
	}
	codes := statuses(b.send("GET " + b.link + " HTTP/1.1\r\nHost: gate\r\nX-A: " + strings.Repeat("a", 30<<10) + "\r\n\r\n"))
	if !slices.Equal(codes, []string{"431"}) {
		t.Errorf("a little too large: %q", codes)
	}
	if n := b.asked.Load(); n != 0 {
		t.Errorf("S3 was asked %d times", n)
	}
	b.serves()
}

// H10: other methods than those of links are 405, and neither a tunnel nor another
// protocol is opened.
func TestOtherMethods(t *testing.T) {
	b := besiege(t, false, nil)
	for _, request := range []string{"TRACE " + b.link, "CONNECT gate:443", "CONNECT " + b.link, "PROPFIND " + b.link, "get " + b.link, "PATCH " + b.link} {
		reply := b.send(request + " HTTP/1.1\r\nHost: gate\r\nX-Secret: canary\r\nConnection: close\r\n\r\n")
		codes := statuses(reply)
		if len(codes) != 1 || codes[0] != "405" && codes[0] != "404" && codes[0] != "400" || strings.Contains(reply, "canary") {
			t.Errorf("%s: answers %q", request, reply)
		}
	}
	for _, upgrade := range []string{"h2c\r\nHTTP2-Settings: AAMAAABkAAQ", "websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"} {
		reply := b.send("GET " + b.link + " HTTP/1.1\r\nHost: gate\r\nConnection: close, Upgrade\r\nUpgrade: " + upgrade + "\r\n\r\n")
		if codes := statuses(reply); !slices.Equal(codes, []string{"200"}) {
			t.Errorf("upgrade to %.9s: answers %q", upgrade, codes)
		}
	}
}

// H11: a header that asks for many parts gets the whole, once, however many it names,
// and S3 is asked once.
func TestManyRanges(t *testing.T) {
	b := besiege(t, false, nil)
	for name, ranges := range map[string]string{
		"overlapping": strings.TrimSuffix(strings.Repeat("0-,", 1300), ","),
		"tiny":        strings.TrimSuffix(strings.Repeat("0-0,", 1300), ","),
	} {
		before := b.asked.Load()
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(b.send("GET "+b.link+" HTTP/1.1\r\nHost: gate\r\nRange: bytes="+ranges+"\r\nConnection: close\r\n\r\n"))), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 || string(body) != b.whole || err != nil || b.asked.Load()-before != 1 {
			t.Errorf("%s: %s, %d bytes, %v, after %d requests to S3", name, resp.Status, len(body), err, b.asked.Load()-before)
		}
	}
}

// H12: a trailer changes nothing of an upload, and a header with an underscore is not
// the one with a dash that others might take it for. (H2, H3 and H4 are on the way to
// S3, in the tests of the proxy.)
func TestTrailersAndUnderscores(t *testing.T) {
	b := besiege(t, false, func(c *config.Config) { c.TrustedProxies = []string{"127.0.0.0/8"} })
	only := b.mint("get", "o", func(r *client.MintRequest) { r.Clients = []string{"192.0.2.7"} })
	for _, header := range []string{"X_Forwarded_For: 192.0.2.7", "X-Forwarded_For: 192.0.2.7", "x_forwarded_for: 192.0.2.7"} {
		codes := statuses(b.send("GET /" + only.Token + " HTTP/1.1\r\nHost: gate\r\n" + header + "\r\nConnection: close\r\n\r\n"))
		if !slices.Equal(codes, []string{"403"}) {
			t.Errorf("%s: answers %q", header, codes)
		}
	}
	real := &besieged{testGate: newEmbedded(t).gate(nil)}
	token := real.mint("put", "p", nil)
	codes := statuses(real.send("PUT /" + token.Token + " HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length, X-Amz-Acl\r\nConnection: close\r\n\r\n" +
		"4\r\nbody\r\n0\r\nContent-Length: 99\r\nX-Amz-Acl: public-read\r\nHost: other\r\n\r\n"))
	if !slices.Equal(codes, []string{"200"}) && !slices.Equal(codes, []string{"400"}) {
		t.Errorf("a trailer: answers %q", codes)
	}
}
