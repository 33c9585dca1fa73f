package consistency_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/rs/zerolog"

	"s3gate/auth"
	"s3gate/client"
	"s3gate/internal/fault"
	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
)

const (
	jwtKey = "a key for tests of consistency, 32 bytes and more"
	bucket = "consistency"
	lease  = 500 * time.Millisecond
	// lapse is how long a download may hold a use that it does not charge.
	lapse = 3 * time.Second
	// redisTimeout bounds one command of a gate.
	redisTimeout = 300 * time.Millisecond
)

// objects are what there is to download: one that fits into every buffer on its
// way, and one that does not fit into those of a client that reads nothing.
var objects = map[string][]byte{
	"small": bytes.Repeat([]byte("small. "), 100),
	"large": bytes.Repeat([]byte("large. "), 100_000),
}

// world is some gates in processes of their own, each of which reaches the one
// Redis through a network of its own.
type world struct {
	t     *testing.T
	dir   string
	s3    *s3gatetest.Endpoint
	redis *s3gatetest.RedisProcess
	gates []*gate
	begin time.Time

	operations atomic.Int64 // that clients have begun
}

// gate is one process, or, while that is being replaced, none.
type gate struct {
	w       *world
	name    string
	faults  []fault.Fault
	network *toxiproxy.Proxy // between it and Redis
	prog    *s3gatetest.Program
	at      atomic.Pointer[addresses] // of its last life
}

// addresses are where a gate listens.
type addresses struct {
	Links string `json:"links_url"`
	API   string `json:"api_url"`
	api   *client.Client
}

// newWorld starts gates, each with its faults.
func newWorld(t *testing.T, gates ...[]fault.Fault) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), s3: s3gatetest.DevS3(t), begin: time.Now()}
	// What it has answered outlives a crash.
	w.redis = s3gatetest.RedisServer(t, "--appendonly", "yes", "--appendfsync", "no")
	w.store(t.Context())
	toxics := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	for i, faults := range gates {
		g := &gate{w: w, name: fmt.Sprintf("gate%d", i), faults: faults}
		g.network = toxiproxy.NewProxy(toxics, g.name, "127.0.0.1:0", w.redis.Addr)
		if err := g.network.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.network.Stop)
		w.gates = append(w.gates, g)
		g.start()
	}
	return w
}

// store puts the objects into a bucket.
func (w *world) store(ctx context.Context) {
	w.t.Helper()
	b, err := s3client.Open(ctx, s3client.Config{
		Name: bucket, Region: w.s3.Region, Endpoint: w.s3.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(w.s3.AccessKey, w.s3.Secret, ""),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	defer b.Close()
	if err := b.Create(ctx); err != nil {
		w.t.Fatal(err)
	}
	for key, body := range objects {
		resp, err := b.Do(ctx, &s3client.Request{
			Method: http.MethodPut, Key: key, Body: io.NopCloser(bytes.NewReader(body)), Size: int64(len(body)),
		})
		if err != nil {
			w.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			w.t.Fatalf("storing %s: %s", key, resp.Status)
		}
	}
}

// start begins a life of the gate, and waits until it serves.
func (g *gate) start() {
	t := g.w.t
	t.Helper()
	config, ready := filepath.Join(g.w.dir, g.name+".yaml"), filepath.Join(g.w.dir, g.name+".ready")
	if err := errors.Join(os.RemoveAll(ready), os.WriteFile(config, []byte(g.config()), 0o600)); err != nil {
		t.Fatal(err)
	}
	env := []string{"S3GATE_FAULTS=" + join(g.faults), "AWS_EC2_METADATA_DISABLED=true"}
	g.prog = s3gatetest.Start(t, env, gateBinary(t), "serve", "--config", config, "--ready-file", ready)
	at := &addresses{}
	g.prog.Await(func() error {
		raw, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, at)
	})
	bearer, err := auth.Sign([]byte(jwtKey), auth.Caller{Subject: "tester", Admin: true}, "", 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	at.api = client.New(at.API, bearer)
	at.api.HTTP = &http.Client{Transport: transport}
	g.at.Store(at)
}

func join(faults []fault.Fault) string {
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = string(f)
	}
	return strings.Join(names, ",")
}

// config is YAML, of which JSON is a part.
func (g *gate) config() string {
	type m = map[string]any
	text, err := json.Marshal(m{
		"public_url": "https://files.example.com",
		"links":      m{"addr": "127.0.0.1:0"},
		"api":        m{"addr": "127.0.0.1:0", "jwt": m{"hs256_key": jwtKey}},
		"ops":        m{"addr": "127.0.0.1:0"},
		"redis":      m{"addrs": g.network.Listen, "timeout": redisTimeout.String()},
		"revocation": m{"lease": lease.String()},
		"tokens":     m{"reserve_timeout": lapse.String(), "busy_wait": "200ms"},
		"guesses":    m{"burst": 0},
		"log":        m{"level": "warn"},
		"buckets": m{"docs": m{
			"name": bucket, "region": g.w.s3.Region, "endpoint": g.w.s3.URL, "path_style": true,
			"access_key_id": g.w.s3.AccessKey, "secret_access_key": g.w.s3.Secret,
		}},
	})
	if err != nil {
		g.w.t.Fatal(err)
	}
	return string(text)
}

// await waits until every gate has its lease.
func (w *world) await() {
	w.t.Helper()
	for _, g := range w.gates {
		g.prog.Await(func() error {
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.at.Load().API+"/readyz", nil)
			if err != nil {
				return err
			}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return errors.New(resp.Status)
			}
			return nil
		})
	}
}
