package gate_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"hash/crc64"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// sameBytes are what bodies here consist of, and nothing else that is sent has.
var sameBytes = bytes.Repeat([]byte("a"), 1000)

// flipping is a way to the world's S3 on which one bit of a body changes, as
// often as left says.
func (w *world) flipping(left *atomic.Int64) string {
	u, err := url.Parse(w.s3.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	relay := s3gatetest.NewRelay(w.t, u.Host, s3gatetest.Pass{Up: func(to, from net.Conn) {
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if at := bytes.Index(buf[:n], sameBytes); at >= 0 && left.Add(-1) >= 0 {
				buf[at] ^= 1
			}
			if _, writeErr := to.Write(buf[:n]); err != nil || writeErr != nil {
				return
			}
		}
	}})
	return "http://" + relay.Addr
}

// A bit that changes between the gate and S3 is noticed where a checksum is in
// force: one that the client has sent, and over plain HTTP the gate's own of
// what it has in memory (S9).
func TestBitFlipOnTheWayToS3(t *testing.T) {
	eachWorld(t, func(w *world) {
		var left atomic.Int64
		endpoint := w.flipping(&left)
		g := w.gate(func(c *config.Config) {
			b := c.Buckets["docs"]
			b.Endpoint = endpoint
			c.Buckets["docs"] = b
			c.Upload.SingleMax, c.Upload.Backoff = 10<<20, 1
		})
		const always = math.MaxInt64
		small, large := bytes.Repeat(sameBytes, 1000), bytes.Repeat(sameBytes, 12_000)
		for _, test := range []struct {
			name   string
			data   []byte
			known  bool
			header string // of the checksum; "" for none
			sum    func([]byte) []byte
			flips  int64
			want   int
			whole  bool // what is stored is what was sent
		}{
			{"nothing in force", small, true, "", nil, 1, 200, false},
			{"MD5", small, true, "Content-MD5", func(d []byte) []byte { s := md5.Sum(d); return s[:] }, 1, 400, false},
			{"CRC32", small, true, "x-amz-checksum-crc32", crc32IEEE, 1, 400, false},
			{"CRC64NVME", small, true, "x-amz-checksum-crc64nvme", crc64NVME, 1, 400, false},
			{"SHA-256", small, true, "x-amz-checksum-sha256", sha256Sum, 1, 400, false},
			{"nothing flips", small, true, "x-amz-checksum-sha256", sha256Sum, 0, 200, true},
			{"from memory", small, false, "", nil, 1, 502, false},
			{"one part", large, true, "", nil, 1, 200, true},
			{"one part of unknown length", large, false, "x-amz-checksum-crc32", crc32IEEE, 1, 200, true},
			{"all parts", large, true, "x-amz-checksum-sha256", sha256Sum, always, 502, false},
		} {
			key := "flip/" + test.name
			link := g.mint("put", key, nil)
			r, err := http.NewRequestWithContext(w.t.Context(), "PUT", link.URL, io.MultiReader(bytes.NewReader(test.data)))
			if err != nil {
				w.t.Fatal(err)
			}
			if r.ContentLength = -1; test.known {
				r.ContentLength = int64(len(test.data))
			}
			if test.header != "" {
				r.Header.Set(test.header, base64.StdEncoding.EncodeToString(test.sum(test.data)))
			}
			left.Store(test.flips)
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				w.t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != test.want {
				w.t.Errorf("%s: %s %s, want %d", test.name, resp.Status, body, test.want)
			}
			if test.flips == 1 && left.Load() > 0 {
				w.t.Errorf("%s: nothing was flipped", test.name)
			}
			left.Store(0)
			stored := w.stored(key)
			if test.want == 200 && bytes.Equal(stored, test.data) != test.whole || test.want != 200 && stored != nil {
				w.t.Errorf("%s: stored %d bytes, which are what was sent: %v", test.name, len(stored), bytes.Equal(stored, test.data))
			}
			if test.want != 200 {
				eventually(w.t, test.name+": the use comes back", func() bool {
					status, err := g.api.Show(w.t.Context(), link.ID)
					return err == nil && status.Uses == 0 && status.InUse == 0
				})
			}
		}
		if left := w.uploads(); left != nil {
			w.t.Errorf("uploads are left: %q", left)
		}
	})
}

func crc32IEEE(d []byte) []byte { return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(d)) }

func crc64NVME(d []byte) []byte {
	return binary.BigEndian.AppendUint64(nil, crc64.Checksum(d, crc64.MakeTable(0x9a6c9329ac4bc9b5)))
}

func sha256Sum(d []byte) []byte {
	s := sha256.Sum256(d)
	return s[:]
}
