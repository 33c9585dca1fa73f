package revocation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/script"
)

// Durability says what becomes of what Redis has acknowledged, uses and rules
// alike, when Redis loses a server.
type Durability string

// What a Redis may be worth.
const (
	// Memory: it may be lost with the process or its machine.
	Memory Durability = "memory"
	// Disk: one server that has written it to its disk.
	Disk Durability = "disk"
	// Replicated: every replica that there should be has acknowledged it.
	Replicated Durability = "replicated"
	// BestEffort: fewer replicas have than there are. It may be lost with the
	// primary, if one that has not is promoted.
	BestEffort Durability = "best-effort"
)

// Durability says what an acknowledgement of this Redis is worth. Of one that
// does not tell how it is configured the worst is assumed.
func (m *Member) Durability() Durability {
	switch {
	case m.opts.Replicas > 0 && m.opts.MinAcks >= m.opts.Replicas:
		return Replicated
	case m.opts.Replicas > 0:
		return BestEffort
	case m.onDisk.Load():
		return Disk
	}
	return Memory
}

// errEviction is a Redis that may forget tokens, uses and rules when its
// memory is full.
var errEviction = errors.New("redis may evict keys: set maxmemory-policy to noeviction")

// inspectTimeout bounds an inspection: a server that does not answer is not to
// keep the gate from serving.
const inspectTimeout = 2 * time.Second

// inspection inspects Redis: before anything is served from it, or beside that,
// because it must not hold up the lease.
func (m *Member) inspection(ctx context.Context, before bool) {
	inspect := func() {
		ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
		defer cancel()
		m.inspect(ctx)
	}
	if before {
		inspect()
	} else {
		m.wg.Go(inspect)
	}
}

// inspect checks what Redis is like. One that cannot be relied on gets no gate
// to serve, unless the gate was told to put up with it.
func (m *Member) inspect(ctx context.Context) {
	onDisk := true
	err := script.EachPrimary(ctx, m.log.rdb, func(one redis.Cmdable) error {
		onDisk = writesThrough(ctx, one) && onDisk
		return checkEviction(ctx, one)
	})
	m.onDisk.Store(onDisk)
	if err != nil && !errors.Is(err, errEviction) {
		if said := redis.Error(nil); m.refused.Load() && !errors.As(err, &said) {
			return // it was not asked: what was found stands
		}
		err = nil // one that does not say is believed
	}
	if err == nil && m.opts.Check != nil {
		err = m.opts.Check(ctx)
	}
	if err == nil || m.opts.AllowUnsafe {
		m.refused.Store(false)
		if err != nil && !m.warned.Swap(true) {
			m.opts.Logger.Warn("what is revoked or used up may be forgotten", "err", err)
		}
		return
	}
	if !m.refused.Swap(true) {
		m.opts.Logger.Error("nothing is served", "err", err)
	}
	m.until.Store(0)
}

// checkEviction asks whether a server may throw keys away.
func checkEviction(ctx context.Context, one redis.Cmdable) error {
	info, err := one.Info(ctx, "memory").Result()
	if err != nil {
		return err
	}
	for line := range strings.Lines(info) {
		if policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok && policy != "noeviction" {
			return errEviction
		}
	}
	return nil
}

// writesThrough reports whether a server acknowledges only what is on its disk.
func writesThrough(ctx context.Context, one redis.Cmdable) bool {
	only, err := one.ConfigGet(ctx, "appendonly").Result()
	if err != nil {
		return false
	}
	when, err := one.ConfigGet(ctx, "appendfsync").Result()
	return err == nil && only["appendonly"] == "yes" && when["appendfsync"] == "always"
}

// PriorityError is a replica that sentinels would rather promote than one that
// has more of what was acknowledged.
type PriorityError struct {
	// Replica is host:port.
	Replica string
	// Priority is its replica-priority, and Other that of another one.
	Priority, Other int
}

func (e *PriorityError) Error() string {
	return fmt.Sprintf("redis replicas have different priorities: replica-priority of %s is %d, of another %d; "+
		"make them equal, or let redis.min_acks be all of them", e.Replica, e.Priority, e.Other)
}
