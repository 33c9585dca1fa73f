package gate_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"s3gate/client"
)

// A drop box takes as many files as it has uses, small ones and such that go in
// parts, each under a key that only its receipt tells; a revocation of what its
// prefix begins with closes it.
func TestDropBox(t *testing.T) {
	eachWorld(t, func(w *world) {
		g := w.gate(nil)
		box := g.mint("put", "", func(r *client.MintRequest) {
			uses(3)(r)
			r.Upload = &client.Upload{KeyTemplate: "incoming/{date}/{uuid}/{filename}"}
		})
		small := []byte("hello")
		if a := do(w.t, "PUT", box.URL+"a%2Fb%20c.txt", small); a.status != 200 || a.header.Get("X-S3gate-Key") != "" {
			w.t.Fatalf("%d %s %v", a.status, a.body, a.header)
		}
		// 10 MiB of unknown length: two parts.
		const size = 10 << 20
		req, err := http.NewRequestWithContext(w.t.Context(), "PUT", box.URL, io.NopCloser(stream(size)))
		if err != nil {
			w.t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			w.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(resp.Header.Get("ETag"), "-2") {
			w.t.Errorf("in parts: %s %v", resp.Status, resp.Header)
		}

		var keys []string
		eventually(w.t, "receipts of both", func() bool {
			status, err := g.api.Show(w.t.Context(), box.ID)
			keys = nil
			for _, receipt := range status.Receipts {
				keys = append(keys, receipt.Key)
			}
			return err == nil && len(keys) == 2
		})
		slices.Sort(keys)
		stored := w.keys("incoming/")
		if !slices.Equal(keys, stored) || len(stored) != 2 {
			w.t.Fatalf("receipts of %q, stored %q", keys, stored)
		}
		for _, key := range stored {
			name := regexp.MustCompile(`^incoming/\d{4}-\d\d-\d\d/[0-9a-f-]{36}/(b c\.txt|file)$`).FindStringSubmatch(key)
			switch {
			case name == nil:
				w.t.Errorf("stored as %q", key)
			case name[1] == "file":
				h := sha256.New()
				io.Copy(h, stream(size))
				if n, sum := w.storedSum(key); n != size || !bytes.Equal(sum[:], h.Sum(nil)) {
					w.t.Errorf("%q has %d bytes, not those that were sent", key, n)
				}
			case !bytes.Equal(w.stored(key), small):
				w.t.Errorf("%q has %q", key, w.stored(key))
			}
		}
		if a := do(w.t, "GET", box.URL, nil); a.status != 405 {
			w.t.Errorf("GET: %d", a.status)
		}

		if _, err := g.api.RevokeBy(w.t.Context(), client.Rule{Bucket: "docs", Prefix: "incoming/20"}); err != nil {
			w.t.Fatal(err)
		}
		if a := do(w.t, "PUT", box.URL+"late.txt", small); a.status != 410 || len(w.keys("incoming/")) != 2 {
			w.t.Errorf("after the revocation: %d, stored %q", a.status, w.keys("incoming/"))
		}
	})
}
