package gate_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
)

// tusHeader is what requests of tus carry.
var tusHeader = []string{"Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream"}

// beginTus begins an upload and returns its address.
func beginTus(t *testing.T, link string, size int) string {
	t.Helper()
	a := do(t, "POST", link, nil, "Tus-Resumable: 1.0.0", fmt.Sprintf("Upload-Length: %d", size))
	if a.status != 201 {
		t.Fatalf("creation: %d %s", a.status, a.body)
	}
	return a.header.Get("Location")
}

// tusOffset asks a gate how far an upload has come.
func tusOffset(t *testing.T, at string) int {
	t.Helper()
	a := do(t, "HEAD", at, nil, "Tus-Resumable: 1.0.0")
	n, err := strconv.Atoi(a.header.Get("Upload-Offset"))
	if a.status != 200 || err != nil {
		t.Fatalf("HEAD: %d %v", a.status, a.header)
	}
	return n
}

// sendTus sends a piece, and returns the status; 0 if there was no answer.
func sendTus(t *testing.T, at string, offset int, body io.Reader) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "PATCH", at, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range append([]string{fmt.Sprintf("Upload-Offset: %d", offset)}, tusHeader...) {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// wantOnly checks that a key has these bytes, and that nothing is left besides.
func (w *world) wantOnly(key string, size int64, sum [32]byte) {
	w.t.Helper()
	if n, got := w.storedSum(key); n != size || got != sum {
		w.t.Errorf("stored %d bytes of %d, of another hash: %v", n, size, got != sum)
	}
	w.wantNothingLeft()
}

func (w *world) wantNothingLeft() {
	w.t.Helper()
	if left := w.uploads(); left != nil {
		w.t.Errorf("uploads are left: %q", left)
	}
	resp, err := w.bucket.Do(w.t.Context(), s3client.NewListRequest(s3client.ListQuery{Prefix: ".s3gate/"}))
	if err != nil {
		w.t.Fatal(err)
	}
	page, err := s3client.ReadListing(resp)
	if err != nil || len(page.Objects)+len(page.Prefixes) > 0 {
		w.t.Errorf("temporary objects are left: %v %v", page, err)
	}
}

// An upload breaks off, goes on through another gate, and becomes the object;
// another one is ended by its client.
func TestTusThroughTwoGates(t *testing.T) {
	eachWorld(t, func(w *world) {
		const size = 13<<20 + 5
		small := func(c *config.Config) { c.Upload.PartSize = 5 << 20 }
		a, b := w.gate(small), w.gate(small)
		data, err := io.ReadAll(stream(size))
		if err != nil {
			w.t.Fatal(err)
		}
		link := a.mint("put", "tus/file", nil)
		at := beginTus(w.t, link.URL, size)
		if status := sendTus(w.t, a.LinksURL()+at, 0, io.MultiReader(bytes.NewReader(data[:7<<20]), broken{})); status == 204 {
			w.t.Errorf("a broken piece: %d", status)
		}
		n := tusOffset(w.t, b.LinksURL()+at)
		if n != 7<<20 {
			w.t.Errorf("the offset is %d", n)
		}
		if status := sendTus(w.t, b.LinksURL()+at, n, bytes.NewReader(data[n:])); status != 204 {
			w.t.Errorf("the rest: %d", status)
		}
		w.wantOnly("tus/file", size, sha256.Sum256(data))
		if n := tusOffset(w.t, a.LinksURL()+at); n != size {
			w.t.Errorf("the offset is %d in the end", n)
		}

		link = a.mint("put", "tus/ended", nil)
		at = beginTus(w.t, link.URL, size)
		if status := sendTus(w.t, a.LinksURL()+at, 0, bytes.NewReader(data[:7<<20])); status != 204 {
			w.t.Errorf("a piece: %d", status)
		}
		if a := do(w.t, "DELETE", b.LinksURL()+at, nil, "Tus-Resumable: 1.0.0"); a.status != 204 {
			w.t.Errorf("ending it: %d %s", a.status, a.body)
		}
		w.wantNothingLeft()
		eventually(w.t, "the use comes back", func() bool {
			status, err := a.api.Show(w.t.Context(), link.ID)
			return err == nil && status.Uses == 0 && status.InUse == 0
		})
	})
}

// A gate is killed in the middle of a piece, and the one after it goes on from what
// S3 has.
func TestTusGateKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, s3gatetest.MinIO(t), s3gatetest.Redis(t))
	const size = 40<<20 + 5
	data, err := io.ReadAll(stream(size))
	if err != nil {
		t.Fatal(err)
	}
	first := w.process(t, "", "")
	link, err := first.api.Mint(t.Context(), client.MintRequest{Operation: "put", Bucket: "docs", Key: "tus/killed"})
	if err != nil {
		t.Fatal(err)
	}
	at := beginTus(t, first.Links+link.URL[strings.LastIndex(link.URL, "/"):], size)
	body, pipe := io.Pipe()
	ended := make(chan int, 1)
	go func() { ended <- sendTus(t, first.Links+at, 0, body) }()
	pipe.Write(data[:30<<20])
	eventually(t, "S3 has parts", func() bool { return len(w.uploads()) > 0 })
	first.Kill()
	pipe.CloseWithError(errors.New("the gate is gone"))
	if status := <-ended; status != 0 {
		t.Errorf("an answer of a gate that was killed: %d", status)
	}
	second := w.process(t, "", "")
	n := tusOffset(t, second.Links+at)
	if n%(8<<20) != 0 || n > 30<<20 {
		t.Errorf("the offset is %d", n)
	}
	if status := sendTus(t, second.Links+at, n, bytes.NewReader(data[n:])); status != 204 {
		t.Errorf("the rest: %d", status)
	}
	w.wantOnly("tus/killed", size, sha256.Sum256(data))
	second.Stop()
}

// tusScript uploads a file with tus-js-client, and prints how far it has come.
const tusScript = `
import fs from 'node:fs'
import { Upload } from 'tus-js-client'
const [endpoint, path] = process.argv.slice(2)
const upload = new Upload(fs.createReadStream(path), {
  endpoint, chunkSize: 64 * 1024 * 1024, metadata: { filename: 'a.bin', filetype: 'video/mp4' },
  retryDelays: Array(60).fill(1000),
  onProgress: (sent) => console.log(sent),
  onError: (err) => { console.error(String(err)); process.exit(1) },
  onSuccess: () => { console.log('done'); process.exit(0) },
})
upload.start()
`

// tus-js-client uploads 256 MiB through a gate that is killed twice meanwhile.
func TestTusClientThroughKilledGates(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	s3gatetest.Need(t, "node (apt-get install nodejs)", err)
	packages := s3gatetest.Uploaders(t)
	w := newWorld(t, s3gatetest.MinIO(t), s3gatetest.Redis(t))
	const size = 256 << 20
	path, sum := filepath.Join(t.TempDir(), "file"), sha256.New()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.MultiWriter(f, sum), stream(size)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g := w.process(t, "", "")
	link, err := g.api.Mint(t.Context(), client.MintRequest{Operation: "put", Bucket: "docs", Key: "tus/client", Bandwidth: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "--input-type=module", "-", link.URL, path)
	var problems strings.Builder
	cmd.Dir, cmd.Stdin, cmd.Stderr = packages, strings.NewReader(tusScript), &problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kills := []int{60 << 20, 150 << 20}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err == nil && len(kills) > 0 && n > kills[0] {
			kills = kills[1:]
			g.Kill()
			g = w.restart(t, g)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &problems)
	}
	if len(kills) > 0 {
		t.Errorf("%d gates were not killed", len(kills))
	}
	w.wantOnly("tus/client", size, [32]byte(sum.Sum(nil)))
	g.Stop()
}
