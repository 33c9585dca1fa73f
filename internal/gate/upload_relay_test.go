package gate_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/s3gatetest"
)

// A file gets through a network on which every connection is lost after a short
// time, whole, and the page says its checksum: 96 MiB and half a second, and in
// the long run 2 GiB and five seconds. Neither gate nor page ever begins again.
func TestSoakUploadOverBadNetwork(t *testing.T) {
	size, every, rate := int64(96<<20), 500*time.Millisecond, int64(24<<20)
	c, w := newChrome(t), newEmbedded(t)
	end := 2 * time.Minute
	if os.Getenv("S3GATE_TEST_UPLOADS") == "soak" {
		size, every, rate = 2<<30, 5*time.Second, 40<<20
		c.ctx, end = context.WithoutCancel(c.ctx), 20*time.Minute
	}
	g := w.gate(nil)
	relay := s3gatetest.NewRelay(t, strings.TrimPrefix(g.LinksURL(), "http://"), s3gatetest.Pass{})
	link := g.mint("put", "in/large", func(r *client.MintRequest) { r.Bandwidth = rate })
	path, sum := fileOf(t, "large.bin", size)
	c.open("http://" + relay.Addr + "/" + link.Token)
	began, cuts, most := time.Now(), 0, int64(0)
	c.choose(path)
	for !c.shows("stored") {
		if time.Since(began) > end {
			t.Fatalf("not after %v:\n%s", end, c.text())
		}
		time.Sleep(every)
		relay.Cut(false)
		cuts++
		most = max(most, browserMemory(t))
	}
	took := time.Since(began)
	c.until("the checksum", fmt.Sprintf(`document.querySelector(".sum code").textContent === "%x"`, sum))
	w.wantOnly("in/large", size, sum)
	g.wantUses(link.ID, 1)
	c.wentOn()
	t.Logf("%d MiB in %v with %d cuts; the largest process of the browser had %d MiB", size>>20, took, cuts, most>>20)
	if c.mu.Lock(); len(c.offsets) < 4 {
		t.Errorf("only %d pieces", len(c.offsets))
	}
	c.mu.Unlock()
	if limit := int64(700 << 20); most > limit {
		t.Errorf("the browser takes %d MiB, want at most %d", most>>20, limit>>20)
	}
}

// shows reports whether a file is in a state.
func (c *chrome) shows(state string) bool {
	return c.visible(fmt.Sprintf("li[data-state=%s]", state))
}

// browserMemory is what the largest browser process below this one has resident,
// in bytes; 0 where that cannot be told.
func browserMemory(t *testing.T) (most int64) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	parents, resident := map[int]int{}, map[int]int64{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		for line := range strings.Lines(string(data)) {
			name, value, _ := strings.Cut(line, ":")
			fields := strings.Fields(value)
			if len(fields) == 0 {
				continue
			}
			switch n, _ := strconv.ParseInt(fields[0], 10, 64); name {
			case "PPid":
				parents[pid] = int(n)
			case "VmRSS":
				resident[pid] = n << 10
			}
		}
	}
	for pid, bytes := range resident {
		for p := parents[pid]; p > 1; p = parents[p] {
			if p == os.Getpid() {
				most = max(most, bytes)
				break
			}
		}
	}
	return most
}
