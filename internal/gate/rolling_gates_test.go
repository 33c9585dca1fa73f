package gate_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"s3gate/auth"
	"s3gate/client"
	"s3gate/internal/s3gatetest"
)

// shipped is s3gate as it ships, serving in a process of its own. It can be ended and
// begun again.
type shipped struct {
	*s3gatetest.Program
	t        *testing.T
	settings map[string]any
	dir      string
	files    []*os.File // that it inherits
	env      []string
	at       struct {
		Links string `json:"links_url"`
		API   string `json:"api_url"`
		Ops   string `json:"ops_url"`
	}
}

// shippedDir holds the binary once it was built; TestMain removes it.
var shippedDir string

// shippedBinary is built once for all tests.
var shippedBinary = sync.OnceValues(func() (string, error) {
	var err error
	if shippedDir, err = os.MkdirTemp("", "s3gate-shipped-"); err != nil {
		return "", err
	}
	path := filepath.Join(shippedDir, "s3gate")
	out, err := exec.Command("go", "build", "-o", path, "s3gate/cmd/s3gate").CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return path, nil
})

func shippedPath(t *testing.T) string {
	t.Helper()
	path, err := shippedBinary()
	s3gatetest.Need(t, "the go tool, to build a gate: "+path, err)
	return path
}

// group are settings.
type group = map[string]any

// shippedSettings are those of a gate of this world, with others instead.
func (w *world) shippedSettings(instead group) group {
	settings := group{
		"public_url": "https://files.example.com",
		"links":      group{"addr": "127.0.0.1:0"},
		"api":        group{"addr": "127.0.0.1:0", "jwt": group{"hs256_key": string(jwtKey)}},
		"ops":        group{"addr": ""},
		"redis":      group{"addrs": []string{w.redis}, "timeout": "5s"},
		"revocation": group{"lease": "3s"},
		"buckets": group{"docs": group{
			"name": bucketName, "region": w.s3.Region, "endpoint": w.s3.URL, "path_style": true,
			"access_key_id": w.s3.AccessKey, "secret_access_key": w.s3.Secret,
		}},
	}
	maps.Copy(settings, instead)
	return settings
}

// ship starts a gate, and waits until it serves.
func (w *world) ship(t *testing.T, instead group) *shipped {
	t.Helper()
	p := &shipped{t: t, settings: w.shippedSettings(instead), dir: t.TempDir()}
	p.begin()
	return p
}

// begin starts it with its settings as they are now.
func (p *shipped) begin() {
	p.t.Helper()
	p.write()
	ready := filepath.Join(p.dir, "ready")
	_ = os.Remove(ready)
	// The number of the process is what it is told whose files those are.
	p.Program = s3gatetest.StartWith(p.t, p.files, p.env, "/bin/sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh",
		shippedPath(p.t), "serve", "--config", p.config(), "--ready-file", ready)
	p.Await(func() error {
		raw, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &p.at)
	})
	// The first gates of a Redis wait for others, who may know what it has lost.
	p.Await(func() error {
		if a, err := alone(p.t, "GET", p.at.API+"/readyz"); err != nil || a.status != 200 {
			return fmt.Errorf("/readyz: %d, %w", a.status, err)
		}
		return nil
	})
}

func (p *shipped) config() string { return filepath.Join(p.dir, "s3gate.yaml") }

// write puts the settings where the gate reads them.
func (p *shipped) write() {
	p.t.Helper()
	text, err := json.Marshal(p.settings) // which is YAML
	if err == nil {
		err = os.WriteFile(p.config(), text, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// apiAt is a client of the API at a URL.
func apiAt(t *testing.T, url string) *client.Client {
	t.Helper()
	return client.New(url, bearer(t))
}

// bearer is an administrator's JWT.
func bearer(t *testing.T) string {
	t.Helper()
	text, err := auth.Sign(jwtKey, auth.Caller{Subject: "tester", Admin: true}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// minted is a token that a client of the API has minted.
func minted(t *testing.T, api *client.Client, r client.MintRequest) *client.Token {
	t.Helper()
	r.Bucket = "docs"
	token, err := api.Mint(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
