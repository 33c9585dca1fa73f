package proxy_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"s3gate/tokens"
)

// A client that sends, and next to nothing, is given up as one that does not
// send (H5).
func TestUploadBelowTheLeastRate(t *testing.T) {
	for _, proto := range []protocol{http1, http2} {
		for _, known := range []bool{true, false} {
			for _, sniff := range []bool{true, false} {
				t.Run(fmt.Sprint(proto.name, " known ", known, " sniff ", sniff), func(t *testing.T) {
					t.Parallel()
					g := newPartsGate(t, proto)
					g.UploadIdle, g.UploadMinRate = 300*time.Millisecond, 100_000
					body, w := io.Pipe()
					defer body.Close()
					go func() {
						for {
							time.Sleep(10 * time.Millisecond)
							if _, err := w.Write([]byte("x")); err != nil {
								return
							}
						}
					}()
					token := g.mint(limited(tokens.Upload{Sniff: sniff, ContentTypes: []string{"text/plain"}}))
					r := g.request("PUT", token, body, "Content-Type", "text/plain")
					if r.ContentLength = -1; known {
						r.ContentLength = testPart
					}
					if a := g.do(r); a.StatusCode != 408 || !strings.Contains(a.body, "RequestTimeout") {
						t.Errorf("%s %s", a.Status, a.body)
					}
					g.wantNothing(token)
				})
			}
		}
	}
}

// What the gate itself holds back is not the client's slowness.
func TestBandwidthIsNotSlowness(t *testing.T) {
	t.Parallel()
	for _, size := range []int{6 << 10, testPart + 1} {
		g := newPartsGate(t, http1)
		g.UploadIdle, g.UploadMinRate = 100*time.Millisecond, 1<<20
		grant := put()
		grant.Bandwidth = int64(size) * 2 / 3
		if a := g.put(g.mint(grant), noise(size)); a.StatusCode != 200 {
			t.Errorf("%d bytes: %s %s", size, a.Status, a.body)
		}
	}
}
