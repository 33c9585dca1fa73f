package gate_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"s3gate/auth"
	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
)

// world is an S3 with a bucket, a Redis, and gates in front of them.
type world struct {
	t      *testing.T
	s3     *s3gatetest.Endpoint
	redis  string
	bucket *s3client.Bucket // as an administrator, past the gates
	log    *s3gatetest.Log  // of all gates
	shared bool             // others may have used the Redis
	writes *oracle          // of all gates; nil keeps none
}

// newEmbedded is a world of embedded parts, for what does not depend on them.
func newEmbedded(t *testing.T) *world {
	return newWorld(t, s3gatetest.DevS3(t), miniredis.RunT(t).Addr())
}

// eachWorld runs a test on the embedded parts and on the real ones.
func eachWorld(t *testing.T, test func(*world)) {
	t.Run("devs3 and miniredis", func(t *testing.T) {
		test(newEmbedded(t))
	})
	t.Run("MinIO and Redis", func(t *testing.T) {
		test(newWorld(t, s3gatetest.MinIO(t), s3gatetest.Redis(t)))
	})
}

const bucketName = "gate-test"

func newWorld(t *testing.T, s3 *s3gatetest.Endpoint, redis string) *world {
	t.Helper()
	b, err := s3client.Open(t.Context(), s3client.Config{
		Name: bucketName, Region: s3.Region, Endpoint: s3.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s3.AccessKey, s3.Secret, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := b.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &world{t: t, s3: s3, redis: redis, bucket: b, log: &s3gatetest.Log{}}
}

var jwtKey = []byte("a key for the tests of the gate, 32 bytes and more")

// testGate is a running gate and a client of its API.
type testGate struct {
	*gate.Gate
	t      *testing.T
	api    *client.Client
	bearer string
}

// config is that of a gate of this world.
func (w *world) config() *config.Config {
	cfg := config.Default()
	cfg.Links.Addr, cfg.API.Addr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Ops.Addr = cfg.API.Addr
	cfg.API.JWT.HS256Key = string(jwtKey)
	cfg.Redis.Addrs = []string{w.redis}
	// The machine may stand still for a second. Tests of what happens then set these.
	cfg.Redis.Timeout, cfg.Revocation.Lease = 3*time.Second, 3*time.Second
	cfg.DrainTimeout = 2 * time.Second
	cfg.Buckets = map[string]config.Bucket{"docs": {
		Name: bucketName, Region: w.s3.Region, Endpoint: w.s3.URL, PathStyle: true,
		AccessKeyID: w.s3.AccessKey, SecretAccessKey: w.s3.Secret,
	}}
	return cfg
}

// open starts a gate that the test closes; change may be nil.
func (w *world) open(change func(*config.Config)) *testGate {
	w.t.Helper()
	cfg := w.config()
	if change != nil {
		change(cfg)
	}
	opts := gate.Options{
		Logger:  slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Version: "test",
		// Gates would wait for each other to give back what a Redis may have lost
		// that is new to them.
		FreshRedis: !w.shared,
		PublicURL:  func(addr net.Addr) string { return gate.URL(addr, cfg.Links.Secure()) },
	}
	if cfg.PublicURL != "" {
		opts.PublicURL = nil
	}
	if w.writes != nil {
		opts.Listen = w.writes.listen
	}
	g, err := gate.Open(w.t.Context(), cfg, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	g.Start()
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Second)
	defer cancel()
	_ = g.Await(ctx) // some tests have no Redis
	bearer, err := auth.Sign(jwtKey, auth.Caller{Subject: "tester", Admin: true}, "", time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return &testGate{Gate: g, t: w.t, api: client.New(g.APIURL(), bearer), bearer: bearer}
}

// gate starts a gate that ends with the test.
func (w *world) gate(change func(*config.Config)) *testGate {
	w.t.Helper()
	g := w.open(change)
	w.t.Cleanup(func() {
		if err := g.Close(); err != nil {
			w.t.Errorf("closing the gate: %v", err)
		}
	})
	return g
}

// store puts an object into the bucket past the gate.
func (w *world) store(key, contentType string, body []byte) {
	w.t.Helper()
	resp, err := w.bucket.Do(w.t.Context(), &s3client.Request{
		Method: http.MethodPut, Key: key, Body: io.NopCloser(bytes.NewReader(body)), Size: int64(len(body)),
		Header: http.Header{"Content-Type": {contentType}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("storing %q: %v", key, s3client.ReadError(resp))
	}
}

// stored reads an object past the gate; nil if it is not there.
func (w *world) stored(key string) []byte {
	w.t.Helper()
	resp, err := w.bucket.Do(w.t.Context(), &s3client.Request{Method: http.MethodGet, Key: key})
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

// mint makes a token for an object of the bucket.
func (g *testGate) mint(op, key string, change func(*client.MintRequest)) *client.Token {
	g.t.Helper()
	r := client.MintRequest{Operation: op, Bucket: "docs", Key: key}
	if change != nil {
		change(&r)
	}
	token, err := g.api.Mint(g.t.Context(), r)
	if err != nil {
		g.t.Fatal(err)
	}
	return token
}

func uses(n int64) func(*client.MintRequest) {
	return func(r *client.MintRequest) { r.MaxUses = &n }
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
	proto  string
}

func do(t *testing.T, method, url string, body []byte, header ...string) answer {
	t.Helper()
	a, err := try(t.Context(), http.DefaultTransport, method, url, body, header...)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return a
}

func try(ctx context.Context, rt http.RoundTripper, method, url string, body []byte, header ...string) (answer, error) {
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, got, err, resp.Proto}, nil
}
