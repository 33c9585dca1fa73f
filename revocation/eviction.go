package revocation

import (
	"context"
	"errors"
	"strings"
)

// errEviction is a Redis that may forget tokens, uses and rules when its
// memory is full.
var errEviction = errors.New("redis may evict keys: set maxmemory-policy to noeviction")

// checkEviction asks whether Redis may throw keys away. A Redis that does not
// say is believed.
func (m *Member) checkEviction(ctx context.Context) error {
	info, err := m.log.rdb.Info(ctx, "memory").Result()
	if err != nil {
		return nil
	}
	for line := range strings.Lines(info) {
		if policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok && policy != "noeviction" {
			return errEviction
		}
	}
	return nil
}

// inspect checks what Redis is like. One that may evict keys gets no gate to
// serve, unless the gate was told to put up with it.
func (m *Member) inspect(ctx context.Context) {
	err := m.checkEviction(ctx)
	if err == nil || m.opts.AllowEviction {
		m.refused.Store(false)
		if err != nil && !m.warned {
			m.warned = true
			m.opts.Logger.Warn("what is revoked or used up may be forgotten", "err", err)
		}
		return
	}
	if !m.refused.Swap(true) {
		m.opts.Logger.Error("nothing is served", "err", err)
	}
	m.until.Store(0)
}
