package gate_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"s3gate/internal/config"
	"s3gate/internal/gate"
)

// openError is why a gate does not open.
func openError(t *testing.T, cfg *config.Config) error {
	t.Helper()
	cfg.PublicURL = "https://files.example.com"
	g, err := gate.Open(t.Context(), cfg, gate.Options{})
	if err == nil {
		g.Close()
	}
	return err
}

// Each link request has a line, also in a file that was renamed meanwhile, and nothing
// else has one.
func TestAccessLog(t *testing.T) {
	w := newEmbedded(t)
	w.store("a.txt", "text/plain", []byte("content"))
	path := filepath.Join(t.TempDir(), "access.log")
	g := w.open(func(c *config.Config) {
		c.AccessLog.File, c.AccessLog.MaxAgent = path, 6
		c.Audit.ClientAddress = "prefix"
	})
	link := g.mint("get", "a.txt", uses(1))
	a := do(t, "GET", link.URL, nil, "User-Agent: curl/8.5.0")
	eventually(t, "the line", func() bool { return bytes.Contains(bytesOf(t, path), []byte("\n")) })
	var line struct {
		Request, Token, Op, Bucket, Method, Outcome, Client, Agent, Proto, TLS, Trace string
		Status, BytesOut                                                              int64
		Raw                                                                           map[string]any
	}
	if err := json.Unmarshal(bytesOf(t, path), &line); err != nil {
		t.Fatal(err)
	}
	if line.Request != a.header.Get("X-Request-Id") || line.Token != link.ID || line.Op != "get" || line.Bucket != "docs" || line.Method != "GET" ||
		line.Outcome != "ok" || line.Client != "127.0.0.0/24" || line.Agent != "curl/8" || line.Proto != "HTTP/1.1" || line.TLS != "" || line.Trace != "" || line.Status != 200 {
		t.Errorf("the line is %+v", line)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := g.Reopen(); err != nil {
		t.Fatal(err)
	}
	do(t, "GET", link.URL, nil)
	if err := g.Gate.Close(); err != nil {
		t.Fatal(err)
	}
	if now := string(bytesOf(t, path)); strings.Count(now, "\n") != 1 || !strings.Contains(now, `"outcome":"LinkUsed"`) || !strings.Contains(now, `"status":410`) {
		t.Errorf("the new file has %s", now)
	}
	if old := bytesOf(t, path+".1"); bytes.Count(old, []byte("\n")) != 1 {
		t.Errorf("the old file has %s", old)
	}
}

// Limits of the access log change without a restart.
func TestAccessLogIsAdjusted(t *testing.T) {
	w := newEmbedded(t)
	path := filepath.Join(t.TempDir(), "access.log")
	none := func(c *config.Config) { c.AccessLog.File, c.AccessLog.Refusals = path, 0 }
	g := w.open(none)
	do(t, "GET", g.LinksURL()+"/nothing", nil)
	g.reload(w, func(c *config.Config) { none(c); c.AccessLog.Refusals = 100 })
	do(t, "GET", g.LinksURL()+"/nothing", nil)
	if err := g.Gate.Close(); err != nil {
		t.Fatal(err)
	}
	text := string(bytesOf(t, path))
	if strings.Count(text, `"outcome":"NotFound"`) != 1 || !strings.Contains(text, `"by_outcome":{"NotFound":1}`) {
		t.Errorf("the file has %s", text)
	}
}

func TestAccessLogThatCannotBe(t *testing.T) {
	cfg := newEmbedded(t).config()
	cfg.AccessLog.File = t.TempDir()
	if err := openError(t, cfg); err == nil || !strings.Contains(err.Error(), "access_log.file") {
		t.Errorf("opening: %v", err)
	}
}
