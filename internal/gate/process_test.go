package gate_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"s3gate/auth"
	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/internal/s3gatetest"
)

// ordersVariable makes the test binary a gate, with the orders that it holds.
const ordersVariable = "S3GATE_TEST_GATE"

func TestMain(m *testing.M) {
	text := os.Getenv(ordersVariable)
	if text == "" {
		code := m.Run()
		_ = os.RemoveAll(shippedDir)
		os.Exit(code)
	}
	if err := obey(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// orders are what a gate in a process of its own is told.
type orders struct {
	S3        *s3gatetest.Endpoint
	Redis     string
	Cert, Key string         // files; "" for plain HTTP
	Dir       string         // where it keeps its files
	Upload    *config.Upload // nil means the defaults
	Links     string         // the address of its links; "" for any port
	Webhook   *config.Webhook
}

// The files of the process: where it answers, and what its oracle has seen.
func (o *orders) ready() string  { return filepath.Join(o.Dir, "ready") }
func (o *orders) writes() string { return filepath.Join(o.Dir, "writes") }

// places are where a gate answers.
type places struct{ Links, API string }

// processLease is one that a gate in a process of its own does not lose because
// the machine is busy with tests.
const processLease = 3 * time.Second

// obey runs a gate until SIGTERM.
func obey(text string) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	out, err := os.Create(o.writes())
	if err != nil {
		return err
	}
	defer out.Close()
	cfg := (&world{s3: o.S3, redis: o.Redis}).config()
	cfg.Links.Cert, cfg.Links.Key = o.Cert, o.Key
	cfg.Links.Addr = cmp.Or(o.Links, cfg.Links.Addr)
	cfg.Revocation.Lease = processLease
	if o.Upload != nil {
		cfg.Upload = *o.Upload
	}
	if o.Webhook != nil {
		cfg.Webhooks = map[string]config.Webhook{"ops": *o.Webhook}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	g, err := gate.Open(ctx, cfg, gate.Options{
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), FreshRedis: true,
		PublicURL: func(addr net.Addr) string { return gate.URL(addr, cfg.Links.Cert != "") },
		Listen:    (&oracle{out: out}).listen,
	})
	if err != nil {
		return err
	}
	g.Start()
	soon, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_ = g.Await(soon) // or it may have no Redis yet
	if err := o.tell(places{g.LinksURL(), g.APIURL()}); err != nil {
		return err
	}
	<-ctx.Done()
	return g.Close()
}

func (o *orders) tell(p places) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.ready()+".part", text, 0o600); err != nil {
		return err
	}
	return os.Rename(o.ready()+".part", o.ready())
}

// gateProcess is a gate in a process of its own.
type gateProcess struct {
	*s3gatetest.Child
	places
	orders orders
	name   string // in receipts
	api    *client.Client
}

// process starts a gate that can serve.
func (w *world) process(t *testing.T, cert, key string) *gateProcess {
	t.Helper()
	return w.processWith(t, orders{S3: w.s3, Redis: w.redis, Cert: cert, Key: key})
}

// processWith starts a gate with these orders.
func (w *world) processWith(t *testing.T, o orders) *gateProcess {
	t.Helper()
	o.Dir = t.TempDir()
	p := &gateProcess{orders: o}
	text, err := json.Marshal(p.orders)
	if err != nil {
		t.Fatal(err)
	}
	p.Child = s3gatetest.Again(t, ordersVariable+"="+string(text))
	p.Await(func() error {
		text, err := os.ReadFile(p.orders.ready())
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &p.places)
	})
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	p.name = fmt.Sprintf("%s/%d", host, p.PID())
	bearer, err := auth.Sign(jwtKey, auth.Caller{Subject: "tester", Admin: true}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p.api = client.New(p.API, bearer)
	return p
}

// restart starts a gate in place of one that has ended, at the same address.
func (w *world) restart(t *testing.T, p *gateProcess) *gateProcess {
	t.Helper()
	o := p.orders
	o.Links = strings.TrimPrefix(p.places.Links, "http://")
	return w.processWith(t, o)
}

// written is what the oracle of a process has seen, which must have ended.
func (p *gateProcess) written(t *testing.T) trace {
	t.Helper()
	f, err := os.Open(p.orders.writes())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all trace
	for lines := json.NewDecoder(f); ; {
		var w write
		switch err := lines.Decode(&w); err {
		case nil:
			all = append(all, w)
		case io.EOF:
			return all
		default:
			t.Fatal(err)
		}
	}
}
