package gate_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/s3client"
)

// stream is n bytes that are not all the same, by a reader that does not say
// how many.
func stream(n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{byte(n)}), n)
}

// uploads are the keys of multipart uploads that are neither completed nor
// aborted.
func (w *world) uploads() []string {
	w.t.Helper()
	resp, err := w.bucket.Do(w.t.Context(), &s3client.Request{Method: "GET", Query: url.Values{"uploads": {""}}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		XMLName xml.Name `xml:"ListMultipartUploadsResult"`
		Upload  []struct{ Key string }
	}
	if err := xml.NewDecoder(resp.Body).Decode(&doc); err != nil {
		w.t.Fatal(resp.Status, err)
	}
	var keys []string
	for _, u := range doc.Upload {
		keys = append(keys, u.Key)
	}
	return keys
}

// storedSum is the size and hash of an object, past the gate.
func (w *world) storedSum(key string) (int64, [32]byte) {
	w.t.Helper()
	resp, err := w.bucket.Do(w.t.Context(), &s3client.Request{Method: "GET", Key: key})
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatal(resp.Status, err)
	}
	return n, [32]byte(sum.Sum(nil))
}

// What one request to S3 cannot carry goes in parts: it arrives whole, and
// leaves nothing besides (S7).
func TestUploadInParts(t *testing.T) {
	eachWorld(t, func(w *world) {
		g := w.gate(func(c *config.Config) { c.Upload.Memory, c.Upload.SingleMax = 32<<20, 16<<20 })
		for _, test := range []struct {
			name  string
			size  int64
			known bool
		}{
			{"small", 1000, false},
			{"empty", 0, false},
			{"one part", 8 << 20, false},
			{"one part and a byte", 8<<20 + 1, false},
			{"300 MiB", 300 << 20, false},
			{"of known length", 40<<20 + 7, true},
		} {
			key := "parts/" + test.name
			sum := sha256.New()
			r, err := http.NewRequestWithContext(w.t.Context(), "PUT", g.mint("put", key, nil).URL, io.TeeReader(stream(test.size), sum))
			if err != nil {
				w.t.Fatal(err)
			}
			if r.ContentLength = -1; test.known {
				r.ContentLength = test.size
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				w.t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 || len(body) != 0 || resp.Header.Get("ETag") == "" {
				w.t.Errorf("%s: %s %s", test.name, resp.Status, body)
				continue
			}
			if n, got := w.storedSum(key); n != test.size || got != [32]byte(sum.Sum(nil)) {
				w.t.Errorf("%s: stored %d bytes, of another hash: %v", test.name, n, got != [32]byte(sum.Sum(nil)))
			}
		}
		if left := w.uploads(); left != nil {
			w.t.Errorf("uploads are left: %q", left)
		}
	})
}

// What is not to be stored leaves no parts: too large, where an object is,
// broken off.
func TestUploadInPartsLeavesNothing(t *testing.T) {
	eachWorld(t, func(w *world) {
		g := w.gate(func(c *config.Config) { c.Upload.Memory = 16 << 20 })
		w.store("there", "text/plain", []byte("x"))
		for _, test := range []struct {
			name, key string
			limit     int64
			body      io.Reader
			want      int
		}{
			{"too large", "large", 20 << 20, stream(30 << 20), 413},
			{"an object is there", "there", 0, stream(30 << 20), 412},
			{"broken off", "broken", 0, io.MultiReader(stream(30<<20), broken{}), 0},
		} {
			link := g.mint("put", test.key, func(r *client.MintRequest) { r.Upload = &client.Upload{MaxBytes: test.limit} })
			r, err := http.NewRequestWithContext(w.t.Context(), "PUT", link.URL, test.body)
			if err != nil {
				w.t.Fatal(err)
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode != test.want {
					w.t.Errorf("%s: %s, want %d", test.name, resp.Status, test.want)
				}
			} else if test.want != 0 {
				w.t.Logf("%s: the client was still sending: %v", test.name, err)
			}
			eventually(w.t, test.name+": the use comes back", func() bool {
				status, err := g.api.Show(w.t.Context(), link.ID)
				return err == nil && status.Uses == 0 && status.InUse == 0
			})
		}
		if !bytes.Equal(w.stored("there"), []byte("x")) || w.stored("large") != nil || w.stored("broken") != nil {
			w.t.Error("something was stored")
		}
		if left := w.uploads(); left != nil {
			w.t.Errorf("uploads are left: %q", left)
		}
	})
}

// broken is a body that ends with an error.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, fmt.Errorf("broken off") }
