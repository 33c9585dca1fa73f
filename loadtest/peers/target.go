package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// target is what is asked in one turn: servers, and what they are asked for.
type target struct {
	servers []*server // connections are spread over them
	redis   *server   // whose CPU time is told apart; nil is none
	secure  *tls.Config
	// request returns the n-th request. It is called concurrently.
	request func(n int) []byte
	size    int64 // of each answer's body
}

// fixed asks for the same path always.
func fixed(path string) func(int) []byte {
	request := getRequest(path)
	return func(int) []byte { return request }
}

// dial opens connections.
func (t *target) dial(ctx context.Context, n int) (_ []*connection, err error) {
	var all []*connection
	defer func() {
		if err != nil {
			closeAll(all)
		}
	}()
	for i := range n {
		c, err := dial(ctx, t.servers[i%len(t.servers)].addr, t.secure)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func closeAll(all []*connection) {
	for _, c := range all {
		c.close()
	}
}

// work sends requests over connections, each the next one when it has an answer (a
// closed loop).
func (t *target) work(all []*connection, n int) error {
	var next atomic.Int64
	var group errgroup.Group
	for _, c := range all {
		group.Go(func() error {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := c.get(t.request(i), t.size); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// verify fetches once from each server and compares every byte by its hash.
func (t *target) verify(ctx context.Context, want []byte) error {
	for _, s := range t.servers {
		if err := whenAvailable(ctx, func() error { return t.verifyOne(ctx, s, want) }); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (t *target) verifyOne(ctx context.Context, s *server, want []byte) error {
	c, err := dial(ctx, s.addr, t.secure)
	if err != nil {
		return err
	}
	defer c.close()
	got, err := c.sum(t.request(1), t.size)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%w: has other bytes than the object", errAnswer)
	}
	return err
}

// costs are the CPU time of the servers and of Redis.
type costs struct{ servers, redis time.Duration }

// cost runs f and says what it took.
func (t *target) cost(f func() error) (costs, error) {
	var pids, redis []int
	for _, s := range t.servers {
		if s.process != nil {
			pids = append(pids, s.pids()...)
		}
	}
	if t.redis != nil {
		redis = t.redis.pids()
	}
	before, err := usedBy(pids)
	if err != nil {
		return costs{}, err
	}
	beforeRedis, err := usedBy(redis)
	if err != nil {
		return costs{}, err
	}
	if err := f(); err != nil {
		return costs{}, err
	}
	after, err := usedBy(pids)
	afterRedis, errRedis := usedBy(redis)
	return costs{after.since(before), afterRedis.since(beforeRedis)}, errors.Join(err, errRedis)
}

// closedLoop is the cost of requests, after a few that do not count.
func (t *target) closedLoop(ctx context.Context, clients, n int) (costs, error) {
	all, err := t.dial(ctx, clients)
	if err != nil {
		return costs{}, err
	}
	defer closeAll(all)
	if err := t.work(all, max(n/20, clients)); err != nil {
		return costs{}, err
	}
	return t.cost(func() error { return t.work(all, n) })
}

// hashOf is that of an object of a size.
func hashOf(size int64) []byte {
	h := sha256.New()
	for left := size; left > 0; left -= int64(len(block)) {
		h.Write(block[:min(left, int64(len(block)))])
	}
	return h.Sum(nil)
}
