package tokens_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"s3gate/internal/s3gatetest"
	"s3gate/tokens"
)

// countVariable is how many tokens there shall be.
const countVariable = "S3GATE_TEST_TOKENS"

const (
	perSubject = 10
	mostBytes  = 600 // of Redis' memory for a token, in bytes
)

// crowd is a Redis with many tokens.
type crowd struct {
	t      *testing.T
	n      int
	rdb    *redis.Client
	store  *tokens.Store
	begin  int // used memory
	minted []tokens.Token
}

// A token takes less than 600 bytes in Redis, and many do not slow each other
// down. "make million" shows the figures for a million.
func TestManyTokens(t *testing.T) {
	c := &crowd{t: t, n: 20_000}
	if text := os.Getenv(countVariable); text != "" {
		var err error
		if c.n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	c.rdb = redis.NewClient(&redis.Options{
		Addr: s3gatetest.Redis(t), PoolSize: 64, ReadTimeout: 10 * time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { c.rdb.Close() })
	c.store = newStore(t, c.rdb, tokens.Options{})
	c.begin = c.memory()
	c.mint()
	each := (c.memory() - c.begin) / c.n
	t.Logf("%d tokens, %d of each subject: %d bytes of Redis' memory each", c.n, perSubject, each)
	if each > mostBytes {
		t.Errorf("a token takes %d bytes, at most %d should be", each, mostBytes)
	}
	c.list("a subject", tokens.Query{Subject: subject(c.n / 2 / perSubject)}, perSubject)
	c.list("what expires last", tokens.Query{Limit: 50}, 50)
	c.list("what expires in a certain minute", tokens.Query{Limit: 50, ExpiresFrom: c.noon().Add(30 * time.Minute), ExpiresBefore: c.noon().Add(31 * time.Minute)}, 50)
	c.list("a label that a tenth has", tokens.Query{Limit: 50, Labels: map[string]string{"case": "7"}}, 50)
	c.redeem(min(c.n, 100_000))
}

func subject(n int) string { return fmt.Sprintf("somebody-%d@example.com", n) }

// memory is what Redis has in use but for its clients, in bytes.
func (c *crowd) memory() int {
	c.t.Helper()
	info, err := c.rdb.Info(c.t.Context(), "memory").Result()
	if err != nil {
		c.t.Fatal(err)
	}
	figure := func(name string) int {
		_, rest, _ := strings.Cut(info, "\n"+name+":")
		text, _, _ := strings.Cut(rest, "\r\n")
		n, err := strconv.Atoi(text)
		if err != nil {
			c.t.Fatal(err)
		}
		return n
	}
	return figure("used_memory") - figure("mem_clients_normal")
}

func (c *crowd) noon() time.Time {
	now, err := c.store.Now(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return now.Truncate(24 * time.Hour).Add(36 * time.Hour)
}

// workers call do with 0 to n-1, several at a time.
func workers(n int, do func(i int)) time.Duration {
	var next atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	for range 32 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
	return time.Since(begin)
}

func (c *crowd) mint() {
	c.t.Helper()
	noon := c.noon()
	c.minted = make([]tokens.Token, c.n)
	took := workers(c.n, func(i int) {
		g := typicalGrant()
		g.MaxUses, g.Subject, g.Labels["case"] = 1, subject(i/perSubject), strconv.Itoa(i%10)
		g.ExpiresAt = noon.Add(time.Duration(i%3600) * time.Second)
		token, _, err := c.store.Mint(c.t.Context(), g, 0)
		if err != nil {
			c.t.Error(err)
		}
		c.minted[i] = token
	})
	if c.t.Failed() {
		c.t.FailNow()
	}
	c.t.Logf("minted %.0f a second", float64(c.n)/took.Seconds())
}

// list asks for one page again and again.
func (c *crowd) list(what string, q tokens.Query, want int) {
	c.t.Helper()
	took := make([]time.Duration, 200)
	for i := range took {
		begin := time.Now()
		page, err := c.store.List(c.t.Context(), q)
		took[i] = time.Since(begin)
		if err != nil || len(page.Tokens) != want {
			c.t.Fatalf("%s: %d tokens, %v; want %d", what, len(page.Tokens), err, want)
		}
	}
	slices.Sort(took)
	c.t.Logf("page of %s: %s, 99 of 100 within %s", what, took[100].Round(10*time.Microsecond), took[198].Round(10*time.Microsecond))
}

// redeem uses n tokens, once each.
func (c *crowd) redeem(n int) {
	c.t.Helper()
	ctx := context.WithoutCancel(c.t.Context())
	took := workers(n, func(i int) {
		use, err := c.store.Redeem(ctx, c.minted[i*(c.n/n)], tokens.Ask{Operation: tokens.Get})
		if err != nil {
			c.t.Error(err)
			return
		}
		if err := use.Charge(ctx); err != nil {
			c.t.Error(err)
		}
		use.Commit(ctx)
	})
	c.t.Logf("redeemed, charged and ended %.0f a second", float64(n)/took.Seconds())
}
