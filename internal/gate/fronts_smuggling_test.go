package gate_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// smuggled are requests that two servers may end at different places, HOST, TOKEN and
// CANARY filled in. The one for CANARY is a part of the body, whoever is right.
var smuggled = []struct{ name, request string }{
	{"CL.TE", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nContent-Length: 56\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	{"TE.CL", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n42\r\nGET /CANARY HTTP/1.1\r\nHost: HOST\r\n\r\n                      \r\n0\r\n\r\n"},
	{"TE twice", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nContent-Length: 56\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	{"TE in disguise", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nContent-Length: 56\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	{"TE after a blank", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nContent-Length: 56\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	{"TE on a folded line", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nContent-Length: 56\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	{"TE of HTTP/1.0", "PUT /TOKEN HTTP/1.0\r\nHost: HOST\r\nContent-Length: 56\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	{"CL twice", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nContent-Length: 56\r\nContent-Length: 0\r\n\r\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	{"CL as a list", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nContent-Length: 56, 0\r\n\r\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	{"CL with a sign", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nContent-Length: +56\r\n\r\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	{"CL after a bare CR", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nX: y\rContent-Length: 0\r\nContent-Length: 56\r\n\r\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	{"a body of GET", "GET /TOKEN HTTP/1.1\r\nHost: HOST\r\nContent-Length: 56\r\n\r\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	// RFC 9112, section 7.1: a chunk ends with CR LF, and so does its size (CVE-2025-22871).
	{"bare LF after the size of a chunk", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n5;\nGET /CANARY HTTP/1.1\r\nX: \r\n0\r\n\r\n"},
	{"bare LF in an extension", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n1;x\n4\r\nGET /CANARY HTTP/1.1\r\n0\r\n\r\n"},
	{"bare LF after headers", "PUT /TOKEN HTTP/1.1\nHost: HOST\nContent-Length: 56\n\n0\r\n\r\nGET /CANARY HTTP/1.1\r\nX: "},
	{"a size that is too large", "PUT /TOKEN HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nGET /CANARY HTTP/1.1\r\nX: \r\n0\r\n\r\n"},
}

// However the end of a request is disguised, the gate gets one request of it at most,
// and none for what stands in its body; who comes after gets what they ask for (H1).
func TestFrontsAreNotDesynchronised(t *testing.T) {
	eachFront(t, func(t *testing.T, w *world, g *testGate, f *front) {
		w.store("canary", "text/plain", []byte("canary"))
		w.store("mine", "text/plain", []byte("mine"))
		canary, mine := g.mint("get", "canary", nil), f.link(g.mint("get", "mine", nil))
		tr := f.transport(t, false, "127.0.0.3")
		for _, tt := range smuggled {
			token := g.mint("put", "up", uses(1))
			if strings.HasPrefix(tt.request, "GET") {
				token = g.mint("get", "mine", nil)
			}
			request := strings.NewReplacer("HOST", strings.TrimPrefix(f.url, "https://"), "TOKEN", token.Token, "CANARY", canary.Token).Replace(tt.request)
			before := requestsOf(w, "")
			answered := f.send(t, request)
			// Whatever is left on a connection to the gate comes before the next ones.
			for range 6 {
				if a, err := try(t.Context(), tr, "GET", mine, nil); err != nil || a.status != 200 || string(a.body) != "mine" {
					t.Errorf("%s: who came after got %d %q, %v", tt.name, a.status, a.body, err)
				}
			}
			eventually(t, "those who came after are in the log", func() bool { return requestsOf(w, "") >= before+6 })
			time.Sleep(50 * time.Millisecond) // each is there after its answer
			came := requestsOf(w, "") - before - 6
			t.Logf("%s through %s: %q, and %d requests at the gate", tt.name, f.name, answered, came)
			if came > 1 || strings.Contains(answered, "canary") {
				t.Errorf("%s: the gate got %d requests; the client got %q", tt.name, came, answered)
			}
		}
		if n := requestsOf(w, canary.ID); n > 0 {
			t.Errorf("%d requests were smuggled", n)
		}
	})
}

// requestsOf counts the requests for a token that gates have logged, "" for any.
func requestsOf(w *world, id string) (n int) {
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, `"msg":"link request"`) && strings.Contains(line, id) {
			n++
		}
	}
	return n
}

// send writes bytes to the front and returns the status lines that come back until it
// closes the connection, or has nothing to say for a while.
func (f *front) send(t *testing.T, request string) string {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", strings.TrimPrefix(f.url, "https://"), &tls.Config{RootCAs: f.roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return fmt.Sprint("closed while it was sent: ", err)
	}
	c.SetReadDeadline(time.Now().Add(1500 * time.Millisecond))
	from, all := bufio.NewReader(c), []string{}
	for {
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			return strings.Join(all, ", ")
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		line := resp.Status
		if strings.Contains(string(body), "canary") {
			line += " with the canary"
		}
		all = append(all, line)
	}
}
