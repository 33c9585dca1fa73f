package gate_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"s3gate/internal/config"
)

// Through HAProxy a client that asks before it sends a body is answered by the gate, so
// that of an upload that is refused nothing has to be sent (H8).
func TestFrontsLetTheGateAnswerExpect(t *testing.T) {
	w := newEmbedded(t)
	g := w.gate(func(c *config.Config) { c.TrustedProxies = []string{"127.0.0.1"} })
	f := haproxyFront(t, g.behind(), g.behind())
	put := func(token string) (first, last int) {
		t.Helper()
		addr := strings.TrimPrefix(f.url, "https://")
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: f.roots})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "PUT /%s HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n", token, addr)
		from := bufio.NewReader(c)
		for {
			resp, err := http.ReadResponse(from, nil)
			if err != nil {
				t.Fatal(err)
			}
			if first == 0 {
				first = resp.StatusCode
			}
			if last = resp.StatusCode; last != http.StatusContinue {
				return first, last
			}
			fmt.Fprint(c, "body")
		}
	}
	revoked := g.mint("put", "no", nil)
	if _, err := g.api.Revoke(t.Context(), revoked.ID, ""); err != nil {
		t.Fatal(err)
	}
	if first, _ := put(revoked.Token); first != 410 {
		t.Errorf("refused: the first answer is %d", first)
	}
	if first, last := put(g.mint("put", "yes", nil).Token); first != 100 || last != 200 {
		t.Errorf("permitted: %d, and then %d", first, last)
	}
	if got := w.stored("yes"); string(got) != "body" {
		t.Errorf("stored %q", got)
	}
}
