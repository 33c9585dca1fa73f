package gate_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"s3gate/auth"
	"s3gate/client"
	"s3gate/internal/s3gatetest"
)

// peakMemory is the most resident memory in bytes that a process ever had, as
// the kernel counts it.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	line, _, _ := strings.Cut(rest, "kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

const (
	uploadMemory = 64 << 20
	// uploadSlack is what uploads may cost besides: connections, buffers of
	// net/http, and what the garbage collector has not found yet.
	uploadSlack = 32 << 20
)

// served is s3gate as it ships, serving: without the race detector, which would
// take more memory, and without the tests.
type served struct {
	*s3gatetest.Program
	at struct {
		Links string `json:"links_url"`
		API   string `json:"api_url"`
	}
	api *client.Client
}

// newServed starts s3gate serve on an embedded S3 and a real Redis, with a
// memory for uploads, and with variables in its environment.
func newServed(t *testing.T, env ...string) (*world, *served) {
	t.Helper()
	w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
	dir := t.TempDir()
	binary, settings, ready := filepath.Join(dir, "s3gate"), filepath.Join(dir, "s3gate.yaml"), filepath.Join(dir, "ready")
	out, err := exec.Command("go", "build", "-o", binary, "s3gate/cmd/s3gate").CombinedOutput()
	s3gatetest.Need(t, "the go tool, to build a gate: "+string(out), err)
	type m = map[string]any
	text, err := json.Marshal(m{ // which is YAML
		"public_url": "https://files.example.com",
		"links":      m{"addr": "127.0.0.1:0"},
		"api":        m{"addr": "127.0.0.1:0", "jwt": m{"hs256_key": string(jwtKey)}},
		"ops":        m{"addr": "127.0.0.1:0"},
		"redis":      m{"addrs": w.redis},
		"upload":     m{"memory": uploadMemory},
		"buckets": m{"docs": m{
			"name": bucketName, "region": w.s3.Region, "endpoint": w.s3.URL, "path_style": true,
			"access_key_id": w.s3.AccessKey, "secret_access_key": w.s3.Secret,
		}},
	})
	if err == nil {
		err = os.WriteFile(settings, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &served{Program: s3gatetest.Start(t, env, binary, "serve", "--config", settings, "--ready-file", ready)}
	p.Await(func() error {
		raw, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &p.at)
	})
	bearer, err := auth.Sign(jwtKey, auth.Caller{Subject: "tester", Admin: true}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p.api = client.New(p.at.API, bearer)
	return w, p
}

// putStream uploads n bytes without saying how many, and returns their hash.
func (p *served) putStream(t *testing.T, key string, source io.Reader) (sum [sha256.Size]byte) {
	token, err := p.api.Mint(t.Context(), client.MintRequest{Operation: "put", Bucket: "docs", Key: key})
	if err != nil {
		t.Error(err)
		return sum
	}
	h := sha256.New()
	r, err := http.NewRequestWithContext(t.Context(), "PUT", p.at.Links+"/"+token.Token, io.TeeReader(source, h))
	if err != nil {
		t.Error(err)
		return sum
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Errorf("%s: %v", key, err)
		return sum
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
		t.Errorf("%s: %s %s", key, resp.Status, body)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// wantMemory compares the peak with what there was at rest and the budget.
func (p *served) wantMemory(t *testing.T, rest int64) {
	t.Helper()
	peak := peakMemory(t, p.PID())
	t.Logf("at most %d MiB resident, %d at rest, %d for parts", peak>>20, rest>>20, uploadMemory>>20)
	if most := rest + uploadMemory + uploadSlack; peak > most {
		t.Errorf("%d MiB of memory, want at most %d", peak>>20, most>>20)
	}
}

// Fifty uploads at once of unknown length, each several times as large as what
// falls to it, stay within upload.memory and 32 MiB (S7).
func TestMemoryOfFiftyUploads(t *testing.T) {
	const size = 12 << 20
	w, p := newServed(t)
	p.putStream(t, "warm", stream(1<<20))
	rest := peakMemory(t, p.PID())
	var wg sync.WaitGroup
	sums := make([][sha256.Size]byte, 50)
	for i := range sums {
		wg.Go(func() { sums[i] = p.putStream(t, fmt.Sprint("upload ", i), stream(size+int64(i))) })
	}
	wg.Wait()
	p.wantMemory(t, rest)
	for i, sum := range sums {
		if n, stored := w.storedSum(fmt.Sprint("upload ", i)); n != size+int64(i) || stored != sum {
			t.Errorf("upload %d: stored %d bytes, of another hash: %v", i, n, stored != sum)
		}
	}
}

// One large upload takes no more than its budget either: 512 MiB, and 10 GiB in
// the long run (S7).
func TestSoakMemoryOfALargeUpload(t *testing.T) {
	size := int64(512 << 20)
	if os.Getenv("S3GATE_TEST_UPLOADS") == "soak" {
		size = 10 << 30
	}
	w, p := newServed(t)
	p.putStream(t, "warm", stream(1<<20))
	rest := peakMemory(t, p.PID())
	sum := p.putStream(t, "large", io.LimitReader(zeros{}, size))
	p.wantMemory(t, rest)
	if n, stored := w.storedSum("large"); n != size || stored != sum {
		t.Errorf("stored %d bytes, of another hash: %v", n, stored != sum)
	}
}

// zeros is an endless body that costs nothing to make.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
