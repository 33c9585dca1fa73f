package revocation_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"s3gate/revocation"
)

// runs reports whether a command runs the script that has these keys.
func runs(cmd string, args []string, keys ...string) bool {
	if cmd != "EVAL" && cmd != "EVALSHA" || len(args) < 2+len(keys) || args[1] != fmt.Sprint(len(keys)) {
		return false
	}
	for i, key := range keys {
		if args[2+i] != "s3g:{rev}:"+key {
			return false
		}
	}
	return true
}

// A gate that is interrupted while it gives Redis back what it has lost goes on
// with the rest.
func TestGivesBackTheRest(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	a := join(t, redis.Addr(), "a")
	for _, subject := range []string{"ada", "bob", "eve"} {
		if _, err := a.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{Subject: subject}); err != nil {
			t.Fatal(err)
		}
	}
	var given atomic.Int64
	redis.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		if !runs(cmd, args, "rules", "head", "log", "members") || given.Add(1) != 2 {
			return false
		}
		c.WriteError("LOADING Redis is loading the dataset in memory")
		return true
	})
	redis.FlushAll()
	eventually(t, "the lease is lost", func() bool { return a.Lease() != nil })
	eventually(t, "the lease is back", func() bool { return a.Lease() == nil })
	if rules, err := redis.HKeys("s3g:{rev}:rules"); err != nil || len(rules) != 3 {
		t.Errorf("with the lease Redis has %d of 3 rules, %v", len(rules), err)
	}
}
