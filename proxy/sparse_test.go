package proxy_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"s3gate/proxy"
	"s3gate/s3client"
	"s3gate/tokens"
)

// counter is an upstream that counts the bytes of parts and keeps none.
type counter struct {
	mu        sync.Mutex
	parts     map[int]int64
	completed []int // the numbers that the last request named
}

func (c *counter) Do(_ context.Context, r *s3client.Request) (*http.Response, error) {
	var body io.Reader = http.NoBody
	if r.Body != nil {
		defer r.Body.Close()
		body = r.Body
	}
	answer := httptest.NewRecorder()
	switch target := "?" + r.Query.Encode(); kind(r.Method, target) {
	case create:
		io.WriteString(answer, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
	case uploadPart:
		n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{body}, make([]byte, 256<<10))
		if err != nil || n != r.Size {
			return nil, fmt.Errorf("%d bytes of %d: %w", n, r.Size, err)
		}
		number, err := strconv.Atoi(r.Query.Get("partNumber"))
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.parts[number] = n
		answer.Header().Set("ETag", `"part"`)
	case complete:
		var doc struct {
			Part []struct{ PartNumber int }
		}
		if err := xml.NewDecoder(body).Decode(&doc); err != nil {
			return nil, err
		}
		for _, p := range doc.Part {
			c.completed = append(c.completed, p.PartNumber)
		}
		io.WriteString(answer, "<CompleteMultipartUploadResult><ETag>&quot;all&quot;</ETag></CompleteMultipartUploadResult>")
	default:
		answer.WriteHeader(http.StatusNotFound)
	}
	return answer.Result(), nil
}

// sparse is a body of n bytes that nobody has to make.
func sparse(n int64) io.Reader { return io.LimitReader(holes{}, n) }

type holes struct{}

func (holes) Read(p []byte) (int, error) { return len(p), nil }

// sparseUpload sends n bytes through the handler, without a network, and
// returns what S3 got.
func (g *gate) sparseUpload(n int64, known bool) (*counter, int) {
	g.t.Helper()
	c := &counter{parts: map[int]int64{}}
	g.Buckets["media"] = c
	r := httptest.NewRequestWithContext(g.t.Context(), "PUT", "/"+g.mint(put()).Reveal(), sparse(n))
	if r.ContentLength = -1; known {
		r.ContentLength = n
		r.Header.Set("Content-Length", strconv.FormatInt(n, 10))
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return c, w.Code
}

// wantAll checks that S3 was asked to make an object of all n bytes, out of at
// most 10,000 parts, which are equal but the last one if the length was known.
func (c *counter) wantAll(t *testing.T, n int64, known bool) {
	t.Helper()
	var sum int64
	for i, number := range c.completed {
		size, ok := c.parts[number]
		if !ok || number != i+1 {
			t.Fatalf("place %d of those that make the object has part %d, which came: %v", i+1, number, ok)
		}
		sum += size
		last := i == len(c.completed)-1
		if first := c.parts[1]; known && (!last && size != first || size > first) {
			t.Fatalf("part %d has %d bytes, the first %d", number, size, first)
		}
	}
	if sum != n || len(c.completed) != len(c.parts) || len(c.parts) > s3client.MaxParts {
		t.Errorf("%d parts of %d with %d bytes, want %d", len(c.completed), len(c.parts), sum, n)
	}
}

// The most parts that there may be, all of which pass through the memory, and
// one byte more than that (S7).
func TestTenThousandParts(t *testing.T) {
	const part, memory = 1 << 10, 8 << 10
	_, unknown := proxy.PartSizes(&proxy.Multipart{PartSize: part, Memory: memory}, -1)
	for _, test := range []struct {
		name  string
		size  int64
		known bool
		want  int
	}{
		{"known", part * s3client.MaxParts, true, 200},
		{"unknown", unknown, false, 200},
		{"unknown and too large", unknown + 1, false, 413},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, http1)
			g.Multipart.SingleMax, g.Multipart.PartSize, g.Multipart.Memory = part, part, memory
			got, status := g.sparseUpload(test.size, test.known)
			if status != test.want {
				t.Errorf("status %d, want %d", status, test.want)
			}
			if test.want == 200 {
				if got.wantAll(t, test.size, test.known); len(got.parts) != s3client.MaxParts {
					t.Errorf("%d parts", len(got.parts))
				}
			} else if len(got.completed) > 0 {
				t.Error("S3 was asked to complete it")
			}
			if peak := proxy.MemoryPeak(&g.Multipart); peak > memory || proxy.MemoryHeld(&g.Multipart) != 0 {
				t.Errorf("took %d bytes of memory, at most %d", peak, memory)
			}
		})
	}
}

// The largest object fits exactly, out of the parts that its plan names, and
// one byte more is refused before any is read (S7).
func TestPlanOfTheLargestObject(t *testing.T) {
	for _, size := range []int64{5 * tib, -1} {
		part, reach := proxy.PartSizes(&proxy.Multipart{Memory: gib}, size)
		var sum int64
		number := 0
		for sum < 5*tib && number < s3client.MaxParts {
			number++
			sum += min(part(number), 5*tib-sum)
		}
		if sum != 5*tib || reach != 5*tib {
			t.Errorf("of length %d: %d parts hold %d bytes, reach %d", size, number, sum, reach)
		}
	}
	g := newGate(t, http1)
	got, status := g.sparseUpload(5*tib+1, true)
	if status != 413 || len(got.parts) > 0 {
		t.Errorf("5 TiB and a byte: status %d after %d parts", status, len(got.parts))
	}
}

// 5 TiB in fact, of known and of unknown length, through a memory of 1 GiB
// (S7). It copies each byte twice, which takes a quarter of an hour.
func TestSoakLargestObject(t *testing.T) {
	if os.Getenv("S3GATE_TEST_UPLOADS") != "soak" {
		t.Skip("make soak runs it")
	}
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprint("known length ", known), func(t *testing.T) {
			g := newGate(t, http1)
			g.Multipart.Memory = gib
			begin := time.Now()
			got, status := g.sparseUpload(tokens.MaxUploadBytes, known)
			if status != 200 {
				t.Fatalf("status %d", status)
			}
			got.wantAll(t, tokens.MaxUploadBytes, known)
			if peak := proxy.MemoryPeak(&g.Multipart); peak > gib {
				t.Errorf("took %d bytes of memory", peak)
			}
			t.Logf("%d parts in %v", len(got.parts), time.Since(begin).Round(time.Second))
		})
	}
}
