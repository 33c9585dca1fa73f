package gate_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"testing"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/s3client"
)

// What an object is kept with comes from the grant, the bucket's settings and
// the client, in one request and in parts; the answer has S3's checksum.
func TestWhatAnUploadIsKeptWith(t *testing.T) {
	eachWorld(t, func(w *world) {
		g := w.gate(func(c *config.Config) {
			b := c.Buckets["docs"]
			b.StorageClass = "STANDARD"
			c.Buckets["docs"] = b
			c.Upload.SingleMax = 1 << 20
		})
		for _, test := range []struct {
			name string
			size int
		}{{"one", 1000}, {"parts", 9 << 20}} {
			key, data := "kept/"+test.name, bytes.Repeat([]byte("x"), test.size)
			link := g.mint("put", key, func(r *client.MintRequest) {
				r.Upload = &client.Upload{
					Checksum: "sha256", StorageClass: "REDUCED_REDUNDANCY",
					Metadata: map[string]string{"case": "47 11"}, ClientMetadata: []string{"author"},
				}
			})
			r, err := http.NewRequestWithContext(w.t.Context(), "PUT", link.URL, bytes.NewReader(data))
			if err != nil {
				w.t.Fatal(err)
			}
			hash := sha256.Sum256(data)
			sum := base64.StdEncoding.EncodeToString(hash[:])
			for name, value := range map[string]string{
				"Content-Type": "text/x-test", "Repr-Digest": "sha-256=:" + sum + ":",
				"x-amz-meta-author": "ada", "x-amz-meta-case": "forged", "x-amz-meta-other": "dropped",
			} {
				r.Header.Set(name, value)
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				w.t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 {
				w.t.Errorf("%s: %s %s", test.name, resp.Status, body)
			}
			if got := resp.Header.Get("x-amz-checksum-sha256"); test.name == "one" && got != sum {
				w.t.Errorf("%s: the answer has the checksum %q, want %q", test.name, got, sum)
			}
			kept, err := w.bucket.Do(w.t.Context(), &s3client.Request{Method: "HEAD", Key: key})
			if err != nil {
				w.t.Fatal(err)
			}
			kept.Body.Close()
			for name, want := range map[string]string{
				"Content-Type": "text/x-test", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY",
				"X-Amz-Meta-Case": "47 11", "X-Amz-Meta-Author": "ada", "X-Amz-Meta-Other": "",
			} {
				if got := kept.Header.Get(name); got != want {
					w.t.Errorf("%s: %s is %q, want %q", test.name, name, got, want)
				}
			}
		}
		if w.stored(".s3gate/probe") != nil {
			w.t.Error("the probe has left something")
		}
		if n := metric(w.t, g, "s3gate_upload_memory_bytes"); n != 0 {
			w.t.Errorf("uploads hold %v bytes", n)
		}
		if n := metric(w.t, g, "s3gate_upload_memory_limit_bytes"); n != 256<<20 {
			w.t.Errorf("uploads may hold %v bytes", n)
		}
	})
}
