package proxy_test

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"s3gate/internal/s3gatetest"
	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/s3client"
	"s3gate/tokens"
	"s3gate/uploads"
)

// soon is how long what should happen at once may take on a busy machine.
const soon = 10 * time.Second

// protocol is a way in which clients reach the gate.
type protocol struct {
	name       string
	tls, http2 bool
}

var (
	http1     = protocol{name: "HTTP/1.1"}
	http1TLS  = protocol{name: "HTTP/1.1 over TLS", tls: true}
	http2     = protocol{name: "HTTP/2", tls: true, http2: true}
	protocols = []protocol{http1, http1TLS, http2}
)

// gate is a handler on a real server between a client and a stub of S3, with
// its tokens in a real store on an embedded Redis.
type gate struct {
	*proxy.Handler
	t         testing.TB
	redis     *miniredis.Miniredis
	store     *tokens.Store
	s3        *stubS3
	transfers *revocation.Transfers
	revoker   *revocation.Revoker
	rdb       *redis.Client
	server    *httptest.Server
	client    *http.Client
	log       *s3gatetest.Log
	metrics   *prometheus.Registry
}

// newGate starts a gate with one bucket, of the alias "media".
func newGate(t testing.TB, p protocol) *gate {
	t.Helper()
	g := &gate{t: t, s3: newStubS3(t), transfers: &revocation.Transfers{}, log: &s3gatetest.Log{}, metrics: prometheus.NewRegistry()}
	g.redis, g.store = newStore(t)
	g.rdb = newClient(g.redis)
	t.Cleanup(func() { g.rdb.Close() })
	g.Handler = &proxy.Handler{
		Tokens: g.store, Transfers: g.transfers,
		Buckets:   map[string]proxy.Upstream{"media": g.openBucket(s3client.TransportConfig{})},
		Passcodes: proxy.NewPasscodes(g.store), Status: g.store.Show,
		Journal: uploads.New(g.rdb, uploads.Options{}),
		Metrics: proxy.NewMetrics(g.metrics),
		Logger:  slog.New(slog.NewJSONHandler(g.log, nil)),
	}
	member := revocation.Join(g.rdb, revocation.MemberOptions{
		Name: "gate-1", Fresh: true, Lease: time.Minute, // however long the machine stands still
		Apply: func(r *revocation.Rule) revocation.Effect {
			stopped, late := g.transfers.Cut(r.CoversTransfer)
			return revocation.Effect{Stopped: stopped, Committing: late}
		},
	})
	t.Cleanup(func() { member.Leave(context.Background()) })
	if err := member.Await(context.Background()); err != nil {
		t.Fatal(err)
	}
	g.transfers.Gate = member
	g.revoker = &revocation.Revoker{Member: member, Tombstones: g.store, Now: g.store.Now}
	g.server = serve(t, p, g.Handler, g.log)
	g.client = g.server.Client()
	g.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	transport := g.client.Transport.(*http.Transport)
	transport.DisableCompression = true
	transport.DialContext = dialSmall
	transport.ExpectContinueTimeout = soon
	t.Cleanup(transport.CloseIdleConnections)
	return g
}

// newClient connects to a Redis that may answer late, as a busy machine does.
func newClient(server *miniredis.Miniredis) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, ReadTimeout: soon, WriteTimeout: soon})
}

// newStore returns a store on a fresh Redis. It does not wait for uses.
func newStore(t testing.TB) (*miniredis.Miniredis, *tokens.Store) {
	server := miniredis.RunT(t)
	rdb := newClient(server)
	store := tokens.New(rdb, tokens.Options{BusyWait: -1})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		store.Close(ctx)
		rdb.Close()
	})
	return server, store
}

// serve runs h as a gate runs it.
func serve(t testing.TB, p protocol, h http.Handler, errorLog io.Writer) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Listener = revocation.Listen(s.Listener, nil, 0)
	s.Config.ConnContext = revocation.ConnContext
	s.Config.HTTP2 = proxy.HTTP2()
	s.Config.ErrorLog = log.New(errorLog, "", 0)
	s.EnableHTTP2 = p.http2
	if p.tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// dialSmall connects with a receive buffer of 64 KiB, so that little is held
// back from a client that reads little.
func dialSmall(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return c, c.(*net.TCPConn).SetReadBuffer(64 << 10)
}

func (g *gate) openBucket(cfg s3client.TransportConfig) *s3client.Bucket {
	b, err := s3client.Open(g.t.Context(), s3client.Config{
		Name: canaryBucket, Endpoint: g.s3.server.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", canarySecret, ""),
		Transport:   s3client.NewTransport(cfg),
	})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { b.Close() })
	return b
}

// get and put are grants for one use of the canary key.
func get() tokens.Grant {
	return tokens.Grant{Operation: tokens.Get, Bucket: "media", Key: canaryKey, MaxUses: 1}
}

func put() tokens.Grant {
	return tokens.Grant{Operation: tokens.Put, Bucket: "media", Key: canaryKey, MaxUses: 1}
}

func unlimited(grant tokens.Grant) tokens.Grant {
	grant.MaxUses = 0
	return grant
}

// mint returns a fresh token, good for an hour.
func (g *gate) mint(grant tokens.Grant) tokens.Token {
	g.t.Helper()
	token, _, err := g.store.Mint(g.t.Context(), grant, time.Hour)
	if err != nil {
		g.t.Fatal(err)
	}
	return token
}

func (g *gate) url(token tokens.Token) string { return g.server.URL + "/" + token.Reveal() }

// request builds a request for a token; header holds names and values in
// turn.
func (g *gate) request(method string, token tokens.Token, body io.Reader, header ...string) *http.Request {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.url(token), body)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// answer is what a client got; err is how the body broke off.
type answer struct {
	*http.Response
	body string
	err  error
}

// do sends a request and reads the whole answer.
func (g *gate) do(r *http.Request) answer {
	g.t.Helper()
	resp, err := g.client.Do(r)
	if err != nil {
		g.t.Fatalf("%s: %v", r.Method, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp, string(body), err}
}

func (g *gate) get(token tokens.Token, header ...string) answer {
	g.t.Helper()
	return g.do(g.request("GET", token, nil, header...))
}

func (g *gate) put(token tokens.Token, body string, header ...string) answer {
	g.t.Helper()
	return g.do(g.request("PUT", token, strings.NewReader(body), header...))
}

// charge says what has become of the use of a token for one use.
func (g *gate) charge(token tokens.Token) string {
	g.t.Helper()
	status, err := g.store.Show(context.Background(), token.ID())
	switch {
	case err != nil:
		g.t.Fatal(err)
	case status.Uses > 0:
		return "charged"
	case status.InUse > 0:
		return "taken"
	}
	return "free"
}

func (g *gate) wantCharge(token tokens.Token, want string) {
	g.t.Helper()
	eventually(g.t, "the use is "+want, func() bool { return g.transfers.Len() == 0 && g.charge(token) == want })
}

// dial opens a connection on which a test speaks HTTP/1 by itself.
func (g *gate) dial() *net.TCPConn {
	g.t.Helper()
	c, err := net.Dial("tcp", g.server.Listener.Addr().String())
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * soon))
	return c.(*net.TCPConn)
}

// eventually waits for what other goroutines are about to do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// receive waits for a value from another goroutine.
func receive[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(soon):
		t.Fatalf("never: %s", what)
	}
	return v
}
