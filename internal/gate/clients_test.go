package gate_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/s3gatetest"
)

// fetch downloads a link into a file with some client, whatever happens to
// the connections.
type fetch func(t *testing.T, link, file string)

var clients = []struct {
	name    string
	program string // "" for none
	fetch   fetch
	cuts    []int64
}{
	{"curl -C -", "curl", fetchByCurl, []int64{20 << 20, 12 << 20}},
	{"wget -c", "wget", fetchByWget, []int64{20 << 20, 12 << 20}},
	{"aria2c", "aria2c", fetchByAria(1), []int64{20 << 20, 12 << 20}},
	{"aria2c with four connections", "aria2c", fetchByAria(4), nil},
	{"node's fetch", "node", fetchByNode, []int64{20 << 20, 12 << 20}},
	{"Go", "", fetchByGo, []int64{20 << 20, 12 << 20}},
}

// What people download with completes a broken download of a link that is good
// for one copy, and the copy is counted once (T4, T8).
func TestClientsResumeOneUse(t *testing.T) {
	t.Parallel()
	body := make([]byte, 48<<20)
	rand.Read(body)
	w := newEmbedded(t)
	w.store("dir/film.bin", "application/octet-stream", body)
	g := w.gate(nil)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			if c.program != "" {
				_, err := exec.LookPath(c.program)
				s3gatetest.Need(t, c.program, err)
			}
			token := g.mint("get", "dir/film.bin", resumable("10m"))
			relay := newCutter(t, g.LinksURL(), c.cuts...)
			file := filepath.Join(t.TempDir(), "film.bin")
			c.fetch(t, relay.url()+"/"+token.Token+"/film.bin", file)
			got, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, %v; want the %d of the object", len(got), err, len(body))
			}
			if relay.made() != len(c.cuts) {
				t.Errorf("%d connections were cut, want %d", relay.made(), len(c.cuts))
			}
			s := settled(t, g, token.ID)
			if s.Uses != 1 || len(s.Open) != 1 || s.Open[0].Bytes < int64(len(body)) || s.Open[0].Bytes > s.Open[0].Budget {
				t.Errorf("shown as %+v", s)
			}
			t.Logf("%d bytes of %d were given out", s.Open[0].Bytes, len(body))
		})
	}
}

// settled waits until no request of the token runs.
func settled(t *testing.T, g *testGate, id string) *client.Status {
	t.Helper()
	for range 200 {
		s, err := g.api.Show(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Open) == 1 && s.Open[0].Running == 0 {
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("a request of the use runs for ever")
	return nil
}

// run runs a program and returns its error, with what it printed.
func run(t *testing.T, program string, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

func fetchByCurl(t *testing.T, link, file string) {
	var err error
	for range 5 { // curl itself resumes only when it is started
		if err = run(t, "curl", "-sS", "--fail", "-C", "-", "-o", file, link); err == nil {
			return
		}
	}
	t.Error(err)
}

func fetchByWget(t *testing.T, link, file string) {
	if err := run(t, "wget", "-q", "-c", "--tries=5", "--waitretry=0", "-O", file, link); err != nil {
		t.Error(err)
	}
}

func fetchByAria(connections int) fetch {
	return func(t *testing.T, link, file string) {
		n := strconv.Itoa(connections)
		err := run(t, "aria2c", "-q", "--no-conf", "--max-tries=5", "--retry-wait=0", "--file-allocation=none",
			"-x", n, "-s", n, "-k", "1M", "-d", filepath.Dir(file), "-o", filepath.Base(file), link)
		if err != nil {
			t.Error(err)
		}
	}
}

// fetchByNode is a script as one would write it in a browser.
func fetchByNode(t *testing.T, link, file string) {
	const script = `
const fs = require("fs");
const [link, file] = process.argv.slice(1);
(async () => {
  const out = fs.openSync(file, "w");
  let have = 0, etag = null, size = Infinity;
  for (let tries = 0; have < size && tries < 5; tries++) {
    const r = await fetch(link, have ? {headers: {Range: "bytes=" + have + "-", "If-Range": etag}} : {});
    if (r.status !== (have ? 206 : 200)) throw new Error("status " + r.status);
    etag = r.headers.get("etag");
    if (!have) size = Number(r.headers.get("content-length"));
    try {
      for await (const chunk of r.body) { fs.writeSync(out, chunk, 0, chunk.length, have); have += chunk.length; }
    } catch (e) { /* cut: ask for the rest */ }
  }
  if (have !== size) throw new Error(have + " of " + size);
})().catch(e => { console.error(e); process.exit(1); });`
	if err := run(t, "node", "-e", script, link, file); err != nil {
		t.Error(err)
	}
}

func fetchByGo(t *testing.T, link, file string) {
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	have, size := int64(0), int64(1)
	for range 5 {
		if have >= size {
			return
		}
		n, total, err := fetchFrom(t, tr, link, have, out)
		have += n
		if size = max(size, total); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Logf("cut: %v", err)
		}
	}
	if have != size {
		t.Errorf("%d of %d bytes", have, size)
	}
}

func fetchFrom(t *testing.T, tr *http.Transport, link string, from int64, out io.Writer) (n, size int64, err error) {
	req, err := http.NewRequestWithContext(t.Context(), "GET", link, nil)
	if err != nil {
		return 0, 0, err
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return 0, 0, fmt.Errorf("status %d", resp.StatusCode)
	}
	n, err = io.Copy(out, resp.Body)
	return n, from + resp.ContentLength, err
}

// curl is killed at about half of 256 MiB and completes with -C -. After that no
// more than the slack comes out, however one asks (T8).
func TestKilledCurlResumes(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("curl")
	s3gatetest.Need(t, "curl", err)
	const size, slack = 256 << 20, 16 << 20
	body := make([]byte, size)
	rand.Read(body)
	w := newEmbedded(t)
	w.store("big", "application/octet-stream", body)
	g := w.gate(nil)
	token := g.mint("get", "big", resumable("10m"))
	file := filepath.Join(t.TempDir(), "big")
	kill := exec.CommandContext(t.Context(), "curl", "-sS", "--limit-rate", "400M", "-o", file, token.URL)
	if err := kill.Start(); err != nil {
		t.Fatal(err)
	}
	for range 3000 {
		if info, err := os.Stat(file); err == nil && info.Size() >= size/2 {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	kill.Process.Kill()
	kill.Wait()
	part, err := os.Stat(file)
	if err != nil || part.Size() < size/4 || part.Size() >= size {
		t.Fatalf("killed with %v, %v; want about half", part.Size(), err)
	}
	settled(t, g, token.ID)
	if err := run(t, "curl", "-sS", "--fail", "-C", "-", "-o", file, token.URL); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v; want the object", len(got), err)
	}
	more := int64(0)
	for range 30 {
		for _, header := range []string{"Range: bytes=0-", "Range: bytes=1-", "Range: bytes=-1048576", "Range: bytes=0-4194303", "Range: bytes=5-5"} {
			if a := do(t, "GET", token.URL, nil, header); a.status == 206 {
				more += int64(len(a.body))
			}
		}
	}
	s := settled(t, g, token.ID)
	t.Logf("killed at %d bytes; %d came out after the copy was complete, %d in all of %d", part.Size(), more, s.Open[0].Bytes, s.Open[0].Budget)
	if more > slack || s.Open[0].Bytes > size+slack {
		t.Errorf("%d bytes came out afterwards, %d in all", more, s.Open[0].Bytes)
	}
	if a := do(t, "GET", token.URL, nil); a.status != 410 {
		t.Errorf("afterwards: %d", a.status)
	}
}

// A small object never yields more than two copies (T8).
func TestSmallObjectYieldsTwoCopies(t *testing.T) {
	body := make([]byte, 4<<10)
	rand.Read(body)
	w := newEmbedded(t)
	w.store("small", "application/octet-stream", body)
	g := w.gate(nil)
	token := g.mint("get", "small", resumable("10m"))
	total := 0
	for i := range 20 {
		header := []string{"Accept: */*", "Range: bytes=0-", "Range: bytes=1-", "Range: bytes=-100", "Range: bytes=7-7"}[i%5]
		if a := do(t, "GET", token.URL, nil, header); a.status/100 == 2 {
			total += len(a.body)
		}
	}
	if total > 2*len(body) {
		t.Errorf("%d bytes of an object of %d", total, len(body))
	}
}
