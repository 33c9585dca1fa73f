package script

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// pipeliner sends several commands over one connection, as [redis.Client] does.
type pipeliner interface {
	Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error)
}

// cluster is what the client of a Cluster adds. It would send commands without
// a key anywhere, so the server that has the slot is addressed by itself, and
// its redirections are followed here.
type cluster interface {
	MasterForKey(ctx context.Context, key string) (*redis.Client, error)
	ForEachMaster(ctx context.Context, fn func(context.Context, *redis.Client) error) error
	ReloadState(ctx context.Context)
}

// EachPrimary calls fn, one call at a time, for the server, or for each that
// has a part of a Cluster, and returns the first error.
func EachPrimary(ctx context.Context, rdb any, fn func(redis.Cmdable) error) error {
	c, ok := rdb.(cluster)
	if !ok {
		one, ok := rdb.(redis.Cmdable)
		if !ok {
			return fmt.Errorf("no Redis client: %T", rdb)
		}
		return fn(one)
	}
	var mu sync.Mutex
	return c.ForEachMaster(ctx, func(_ context.Context, one *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		return fn(one)
	})
}

// How often a command is sent elsewhere, or again, before it is given up.
const (
	redirections = 8
	firstPause   = 5 * time.Millisecond
)

// proven runs a script where its keys are until enough replicas have its
// effect.
func (r *Runner) proven(ctx context.Context, s *Script, keys []string, args []any) (raw []any, err error) {
	var to string // a server that was named; "" is the one that has the slot
	asking := false
	pause := firstPause
	for range redirections {
		var on pipeliner
		if on, err = r.server(ctx, keys[0], to); err != nil {
			return nil, err
		}
		raw, err = r.once(ctx, on, asking, s, keys, args)
		if err == nil {
			return raw, nil
		}
		again := true
		if to, asking = redis.IsAskError(err); asking {
			continue
		}
		if to, again = redis.IsMovedError(err); again {
			r.reload(ctx)
		} else if !passing(err) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
		pause *= 2
	}
	return nil, err
}

// passing reports whether an error is one of a slot that is on the move, or of
// a server that is not the primary any more: nothing was done.
func passing(err error) bool {
	return redis.IsTryAgainError(err) || redis.IsReadOnlyError(err) || redis.IsClusterDownError(err)
}

// reload lets the client ask soon who is who.
func (r *Runner) reload(ctx context.Context) {
	if c, ok := r.rdb.(cluster); ok {
		c.ReloadState(ctx)
	}
}

// server finds who is to be asked.
func (r *Runner) server(ctx context.Context, key, addr string) (pipeliner, error) {
	c, ok := r.rdb.(cluster)
	if !ok {
		one, ok := r.rdb.(pipeliner)
		if !ok {
			return nil, fmt.Errorf("redis client cannot wait for replicas: %T", r.rdb)
		}
		return one, nil
	}
	if addr != "" {
		if one := named(ctx, c, addr); one != nil {
			return one, nil
		}
	}
	return c.MasterForKey(ctx, key)
}

// named finds a primary by its address; nil if it is not known yet.
func named(ctx context.Context, c cluster, addr string) (found *redis.Client) {
	var mu sync.Mutex
	_ = c.ForEachMaster(ctx, func(_ context.Context, one *redis.Client) error {
		if one.Options().Addr == addr {
			mu.Lock()
			defer mu.Unlock()
			found = one
		}
		return nil
	})
	return found
}
