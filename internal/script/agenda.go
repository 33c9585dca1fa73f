package script

import (
	"context"
	"embed"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var sources embed.FS

var agendaScript = Load(sources, "agenda")

// Agenda is a list in Redis of what some process has to look at, by the time
// when it is due. It is safe for concurrent use, and many processes share one.
type Agenda struct {
	// Key is the name of the sorted set.
	Key string
	// Scripts runs the scripts, and RDB is the client that it runs them on.
	Scripts *Runner
	RDB     interface {
		ZRem(ctx context.Context, key string, members ...any) *redis.IntCmd
	}
}

// Add notes that a member is due so long from now, also if it is on the list
// for another time.
func (a *Agenda) Add(ctx context.Context, in time.Duration, member string) error {
	_, _, err := a.Scripts.Read(ctx, agendaScript, "agenda", []string{a.Key}, "add", in.Milliseconds(), member)
	return err
}

// Due takes up to most members that are due. Each is due again so long from
// now, for another process if this one dies, unless it is removed.
func (a *Agenda) Due(ctx context.Context, most int, again time.Duration) ([]string, error) {
	_, r, err := a.Scripts.Read(ctx, agendaScript, "agenda", []string{a.Key}, "due", again.Milliseconds(), most)
	members := make([]string, len(r))
	for i := range r {
		members[i] = r.Text(i)
	}
	return members, err
}

// Each has look look at every member that is due, taking up to most at a time,
// and returns for how many it said true. When Redis is away they stay due.
func (a *Agenda) Each(ctx context.Context, most int, again time.Duration, look func(member string) bool) int {
	n := 0
	for ctx.Err() == nil {
		due, _ := a.Due(ctx, most, again)
		for _, member := range due {
			if look(member) {
				n++
			}
		}
		if len(due) < most {
			break
		}
	}
	return n
}

// Remove takes a member off the list. If that fails it is due once more.
func (a *Agenda) Remove(ctx context.Context, member string) {
	a.RDB.ZRem(ctx, a.Key, member)
}
