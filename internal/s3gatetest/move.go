package s3gatetest

import "fmt"

// SlotMove is a slot on its way from one primary of a cluster to another. Until
// it is finished the old one has the slot, and sends on with ASK who asks for a
// key that it does not have; a command with several keys, of which it has some,
// gets TRYAGAIN.
type SlotMove struct {
	Slot     int64
	From, To *RedisProcess

	set *ClusterSet
}

// BeginMove begins to move the slot of a key to another primary. No key has
// moved when it returns.
func (s *ClusterSet) BeginMove(key string, to *RedisProcess) *SlotMove {
	s.t.Helper()
	slot := s.slot(key)
	m := &SlotMove{Slot: slot, From: s.awaitOwner(slot), To: to, set: s}
	if m.From == to {
		s.t.Fatalf("slot %d is at %s already", slot, to.Addr)
	}
	to.must("CLUSTER", "SETSLOT", slot, "IMPORTING", s.ids[m.From])
	m.From.must("CLUSTER", "SETSLOT", slot, "MIGRATING", s.ids[to])
	return m
}

// MoveKeys moves up to n keys and returns how many there were to move.
func (m *SlotMove) MoveKeys(n int) int {
	m.set.t.Helper()
	keys, err := m.From.must("CLUSTER", "GETKEYSINSLOT", m.Slot, n).Slice()
	if err != nil {
		m.set.t.Fatalf("keys of slot %d: %v", m.Slot, err)
	}
	if len(keys) > 0 {
		m.From.must(append([]any{"MIGRATE", "127.0.0.1", m.To.port, "", 0, 5000, "KEYS"}, keys...)...)
	}
	return len(keys)
}

// Finish moves the keys that are left, makes the move known and waits until all
// nodes that answer know it.
func (m *SlotMove) Finish() {
	m.set.t.Helper()
	// The one that gets it is told first: if it were the last, requests would
	// be sent to and fro in between.
	for m.MoveKeys(100) > 0 {
	}
	m.To.must("CLUSTER", "SETSLOT", m.Slot, "NODE", m.set.ids[m.To])
	m.From.must("CLUSTER", "SETSLOT", m.Slot, "NODE", m.set.ids[m.To])
	await(m.set.t, fmt.Sprintf("move of slot %d", m.Slot), m.set.Nodes, func() error {
		owner, err := m.set.owner(m.Slot)
		if err == nil && owner != m.To {
			err = fmt.Errorf("it is still at %s", owner.Addr)
		}
		return err
	})
}

// MoveSlot moves the slot of a key, with all its keys, to another primary.
func (s *ClusterSet) MoveSlot(key string, to *RedisProcess) {
	s.t.Helper()
	s.BeginMove(key, to).Finish()
}
