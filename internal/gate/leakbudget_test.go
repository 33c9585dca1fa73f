package gate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"s3gate/client"
	"s3gate/internal/config"
)

// What the budget holds back is done later, by another gate if need be; findings of
// one outcome take nothing from those of another.
func TestWhatTheBudgetHoldsBackIsDoneLater(t *testing.T) {
	w := newEmbedded(t)
	logs := w.withLogs()
	settings := func(c *config.Config) {
		w.watchLogs(map[string]config.LeakAction{"all": {Do: []string{"revoke_key"}}})(c)
		c.Guard.Leaks.MaxActions = 1
	}
	g := w.open(settings)
	for _, key := range []string{"a", "b", "c"} {
		g.mint("get", key, nil)
	}
	of := func(g *testGate, key string, n int) (taken client.LeakAction) {
		eventually(t, "something is noted about "+key, func() bool {
			found := g.leaks(n)
			i := slices.IndexFunc(found, func(f client.Leak) bool { return f.Key == key && len(f.Taken) == 1 })
			if i >= 0 {
				taken = found[i].Taken[0]
			}
			return i >= 0
		})
		return taken
	}
	w.deliverLog(logs, "A", "a", 403)
	if done := of(g, "a", 1); done.Error != "" || len(done.Tokens) != 1 {
		t.Errorf("the first: %+v", done)
	}
	w.deliverLog(logs, "B", "b", 403)
	if held := of(g, "b", 2); !held.Pending || !strings.Contains(held.Error, "max_actions is 1") {
		t.Errorf("the second: %+v", held)
	}
	w.deliverLog(logs, "C", "c", 200)
	if done := of(g, "c", 3); done.Error != "" || len(done.Tokens) != 1 {
		t.Errorf("of another outcome: %+v", done)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	w.shared = true
	rdb := redis.NewClient(&redis.Options{Addr: w.redis})
	defer rdb.Close()
	for _, id := range rdb.ZRange(t.Context(), "s3g:{leaks}:pending", 0, -1).Val() {
		rdb.ZAdd(t.Context(), "s3g:{leaks}:pending", redis.Z{Score: 0, Member: id})
	}
	next := w.gate(settings)
	eventually(t, "it is done and told again", func() bool {
		done := of(next, "b", 3)
		return done.Error == "" && !done.Pending && len(done.Tokens) == 1 && len(next.told("s3gate.leak.seen.v1")) == 4
	})
}

// The first start of a watch does nothing about what logs have had for long.
func TestOldLogsAreLeftAlone(t *testing.T) {
	w := newEmbedded(t)
	logs := w.withLogs()
	g := w.gate(func(c *config.Config) {
		w.watchLogs(nil)(c)
		c.Guard.Leaks.Since = 0
	})
	rdb := redis.NewClient(&redis.Options{Addr: w.redis})
	defer rdb.Close()
	source := "s3g:{leaks}:at:s3://gate-test-logs/logs/"
	w.deliverLog(logs, "A", "a", 200)
	eventually(t, "the log is read", func() bool { return strings.Contains(rdb.Get(t.Context(), source).Val(), "logs/A") })
	found, err := g.api.Leaks(t.Context(), client.LeakQuery{})
	if err != nil || len(found) > 0 {
		t.Errorf("%+v, %v", found, err)
	}
}
