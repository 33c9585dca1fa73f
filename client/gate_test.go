package client_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/goleak"

	"s3gate/api"
	"s3gate/auth"
	"s3gate/client"
	"s3gate/revocation"
	"s3gate/tokens"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	goleak.VerifyTestMain(m)
}

// quiet keeps the Redis client from writing to the test's output that a server
// which a test has stopped does not answer.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// start is the time of Redis when a gate starts.
var start = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

var key = []byte("0123456789abcdef0123456789abcdef")

// gate is the real API with a store of its own.
type gate struct {
	url, admin string // admin is a JWT
	redis      *miniredis.Miniredis
	transfers  *revocation.Transfers
	stop       func()
}

func startGate() (*gate, error) {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		return nil, err
	}
	server.SetTime(start)
	rdb := redis.NewClient(&redis.Options{
		Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	store := tokens.New(rdb, tokens.Options{})
	verifier, err := auth.New(auth.Config{Keys: [][]byte{key}})
	if err != nil {
		return nil, err
	}
	admin, err := auth.Sign(key, auth.Caller{Subject: "ops", Admin: true}, "", time.Hour)
	if err != nil {
		return nil, err
	}
	transfers := &revocation.Transfers{}
	member := revocation.Join(rdb, revocation.MemberOptions{
		Name: "gate-1", Fresh: true, Answer: transfers.Answer,
		Apply: func(r *revocation.Rule) revocation.Effect {
			stopped, late := transfers.Cut(r.CoversTransfer)
			return revocation.Effect{Stopped: stopped, Committing: late}
		},
	})
	transfers.Gate = member
	if err := member.Await(context.Background()); err != nil {
		return nil, err
	}
	web := httptest.NewServer(api.New(api.Config{
		Tokens:  store,
		Revoker: &revocation.Revoker{Member: member, Tombstones: store, Now: store.Now},
		Member:  member, Transfers: transfers, Fleet: &revocation.Fleet{Member: member, Transfers: transfers},
		Verifier: verifier, Buckets: []string{"docs", "inbox"}, PublicURL: "https://files.example.com",
		Ready: func(context.Context) error { return nil },
	}))
	stop := func() {
		web.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		member.Leave(ctx)
		_ = store.Close(ctx) // its Redis may be gone
		rdb.Close()
		server.Close()
	}
	return &gate{web.URL, admin, server, transfers, stop}, nil
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g, err := startGate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.stop)
	return g
}

func newClient(t *testing.T, url, bearer string) *client.Client {
	t.Helper()
	c := client.New(url, bearer)
	t.Cleanup(c.HTTP.CloseIdleConnections)
	return c
}
