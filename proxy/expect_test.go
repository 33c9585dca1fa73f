package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"s3gate/revocation"
	"s3gate/tokens"
)

// A client that asks before it sends hears a refusal and is never told to go
// on, however it would send its body: whole, in parts, or of unknown length
// (H8). An object that is there is found by S3 or by a look.
func TestRefusedBeforeAByteIsSent(t *testing.T) {
	lengths := []struct{ name, header string }{
		{"one request", fmt.Sprint("Content-Length: ", expectedPart)},
		{"in parts", fmt.Sprint("Content-Length: ", 10*expectedPart)},
		{"unknown length", "Transfer-Encoding: chunked"},
	}
	for _, test := range []struct {
		name    string
		grant   tokens.Grant
		arrange func(g *gate, token tokens.Token)
		header  string
		want    int
	}{
		{"revoked", put(), func(g *gate, token tokens.Token) { g.revoke(token) }, "", 410},
		{"used", put(), func(g *gate, token tokens.Token) { g.put(token, "x"); g.s3.clear() }, "", 410},
		{"in use", put(), func(g *gate, token tokens.Token) {
			g.store.Redeem(g.t.Context(), token, tokens.Ask{Operation: tokens.Put})
		}, "", 409},
		{"for downloads", get(), nil, "", 405},
		{"too large", limited(tokens.Upload{MaxBytes: 10}), nil, "", 413},
		{"of a wrong type", limited(tokens.Upload{ContentTypes: []string{"image/png"}}), nil, "Content-Type: text/html", 415},
		{"of no type", limited(tokens.Upload{ContentTypes: []string{"image/png"}}), nil, "", 415},
		{"in chunks with signatures", put(), nil, "Content-Encoding: aws-chunked", 400},
		{"object exists", put(), func(g *gate, _ tokens.Token) { g.s3.store(canaryKey, content) }, "", 412},
		{"no lease", put(), func(g *gate, _ tokens.Token) { g.transfers.Gate = unleased{g.transfers.Gate} }, "", 503},
		{"redis away", put(), func(g *gate, _ tokens.Token) { g.redis.SetError("LOADING") }, "", 503},
	} {
		for _, length := range lengths {
			if test.want == 413 && strings.HasPrefix(length.header, "Transfer") {
				continue // it has not said that it is too large
			}
			t.Run(test.name+", "+length.name, func(t *testing.T) {
				g := newPartsGate(t, http1)
				token := g.mint(test.grant)
				if test.arrange != nil {
					test.arrange(g, token)
				}
				wantRefusal(t, g, token, length.header, test.header, test.want)
				g.redis.SetError("")
				if n := g.s3.left(); n != 0 {
					t.Errorf("%d uploads were begun", n)
				}
			})
		}
	}
	for _, length := range lengths {
		t.Run("unknown, "+length.name, func(t *testing.T) {
			wantRefusal(t, newPartsGate(t, http1), tokens.Generate(), length.header, "", 404)
		})
	}
}

// unleased is a gate that has lost its lease.
type unleased struct{ revocation.Gate }

func (unleased) Remaining() time.Duration { return 0 }

// expectedPart is more than what S3 is asked about before it gets a body.
const expectedPart = testPart + 1

// wantRefusal sends the head of an upload only. The first answer has to be the
// refusal, and the last.
func wantRefusal(t *testing.T, g *gate, token tokens.Token, length, header string, want int) {
	t.Helper()
	g.Multipart.SingleMax = expectedPart
	head := "PUT /" + token.Reveal() + " HTTP/1.1\r\nHost: gate\r\nExpect: 100-continue\r\n" + length + "\r\n"
	if header != "" {
		head += header + "\r\n"
	}
	a := g.raw(head + "\r\n")
	if a.StatusCode != want {
		t.Errorf("%s %s; want %d", a.Status, a.body, want)
	}
	if !a.Close {
		t.Error("the connection stays open: a body that comes yet would be taken for a request")
	}
}
