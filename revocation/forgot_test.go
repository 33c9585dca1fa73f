package revocation_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"s3gate/revocation"
	"s3gate/tokens"
)

// A Redis that forgets its gates while a rule is announced does not make them
// leave: as long as one of them may hold a lease nothing is said to be revoked.
func TestForgottenGatesAreWaitedFor(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	var way cable
	a, b := join(t, redis.Addr(), "a"), joinOver(t, redis.Addr(), revocation.MemberOptions{Name: "b"}, way.dial)
	time.Sleep(2 * lease) // a new Redis is watched for so long
	way.cut()
	var once sync.Once
	redis.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		if runs(cmd, args, "head", "members") {
			once.Do(redis.FlushAll)
		}
		return false
	})
	_, err := a.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{Subject: "ada"})
	if err != nil && !errors.Is(err, tokens.ErrUnproven) {
		t.Fatal(err)
	}
	if err == nil && b.Lease() == nil {
		t.Error("revoked, while a gate that has not heard of it holds a lease")
	}
}

// What a Redis has forgotten before any gate has heard of it is not revoked.
func TestForgottenRuleIsNotRevoked(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	a := join(t, redis.Addr(), "a")
	time.Sleep(2 * lease)
	var once sync.Once
	var mu sync.Mutex
	announced := false
	redis.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case runs(cmd, args, "rules", "head", "log", "members"):
			announced = true
		case runs(cmd, args, "head", "log", "members", "questions") && announced:
			c.WriteError("LOADING Redis is loading the dataset in memory")
			return true
		case runs(cmd, args, "head", "members"):
			once.Do(redis.FlushAll)
		}
		return false
	})
	if _, err := a.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{Subject: "ada"}); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("revoking in a Redis that has forgotten it: %v, want ErrUnproven", err)
	}
}
