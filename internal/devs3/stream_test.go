package devs3_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

var discard = slog.New(slog.DiscardHandler)

// TestReaderKeepsItsVersion replaces and deletes an object in the middle of
// being read: more of it is to come than the connection can hold.
func TestReaderKeepsItsVersion(t *testing.T) {
	const size = 24 << 20
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	if err := put(t.Context(), c, "k", strings.Repeat("a", size)); err != nil {
		t.Fatal(err)
	}
	get := func() *s3.GetObjectOutput {
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first, second := get(), get()
	defer first.Body.Close()
	defer second.Body.Close()
	if err := put(t.Context(), c, "k", "new"); err != nil {
		t.Fatal(err)
	}
	check := func(out *s3.GetObjectOutput) {
		data, err := io.ReadAll(out.Body)
		if err != nil || len(data) != size || bytes.Count(data, []byte("a")) != size {
			t.Errorf("%d bytes, %d of the version begun with, %v", len(data), bytes.Count(data, []byte("a")), err)
		}
	}
	check(first)
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")}); err != nil {
		t.Fatal(err)
	}
	check(second)
}

// TestReadersSeeWholeVersions has readers and writers race.
func TestReadersSeeWholeVersions(t *testing.T) {
	const size = 256 << 10
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	if err := put(t.Context(), c, "k", strings.Repeat("a", size)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, version := range []string{"b", "c"} {
		all.Go(func() {
			for range 15 {
				if err := put(t.Context(), c, "k", strings.Repeat(version, size)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		all.Go(func() {
			for range 15 {
				out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
				if err != nil {
					t.Error(err)
					continue
				}
				data, err := io.ReadAll(out.Body)
				out.Body.Close()
				if err != nil || len(data) != size || bytes.Count(data, data[:1]) != size {
					t.Errorf("%d bytes, %d of the version begun with, %v", len(data), bytes.Count(data, data[:1]), err)
				}
				if sum := md5.Sum(data); aws.ToString(out.ETag) != fmt.Sprintf(`"%x"`, sum) {
					t.Errorf("the data of %q came with ETag %s", data[:1], aws.ToString(out.ETag))
				}
			}
		})
	}
	all.Wait()
}

// zeros is so much data without holding any of it.
type zeros int64

func (z *zeros) Read(p []byte) (int, error) {
	if *z == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), int64(*z))
	clear(p[:n])
	*z -= zeros(n)
	return int(n), nil
}

// TestMemoryIsFlat measures the heap of client and server together.
func TestMemoryIsFlat(t *testing.T) {
	const size, bound = 256 << 20, 16 << 20
	s := start(t, t.TempDir())
	createBucket(t, client(t, s.URL, "ADMINKEY"))
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	send := func(method string, body io.Reader) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/"+bucket+"/big", body)
		if err != nil {
			t.Fatal(err)
		}
		if body != nil {
			req.ContentLength = size
		}
		req.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		creds := aws.Credentials{AccessKeyID: "ADMINKEY", SecretAccessKey: admin.Secret}
		if err := v4.NewSigner().SignHTTP(t.Context(), creds, req, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", method, res.Status)
		}
		return res
	}
	peak := watchHeap()
	z := zeros(size)
	send(http.MethodPut, &z).Body.Close()
	res := send(http.MethodGet, nil)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, make([]byte, 256<<10))
	res.Body.Close()
	if err != nil || n != size {
		t.Errorf("got %d bytes, %v", n, err)
	}
	grown := peak()
	t.Logf("256 MiB in and out: the heap grew by %.1f MiB at most", float64(grown)/(1<<20))
	if grown > bound {
		t.Errorf("the heap grew by %d bytes, want at most %d", grown, bound)
	}
}

// watchHeap samples the heap in use until the function it returns is called,
// which tells by how much it grew at most.
func watchHeap() (peak func() int64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, most := int64(m.HeapInuse), int64(m.HeapInuse)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
				runtime.ReadMemStats(&m)
				most = max(most, int64(m.HeapInuse))
			}
		}
	}()
	return func() int64 {
		close(done)
		<-stopped
		return most - before
	}
}
