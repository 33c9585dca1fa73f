package revocation

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GateStatus is how one gate stands, seen from Redis.
type GateStatus struct {
	// Name is the gate's name for people.
	Name string `json:"name"`
	// Position is how much of the log it has acknowledged.
	Position Position `json:"position"`
	// CaughtUp says that this is all there is, and Lag how many entries are
	// missing.
	CaughtUp bool  `json:"caught_up"`
	Lag      int64 `json:"lag"`
	// Live says that it has renewed its lease while it was watched. One that
	// has not is stopped, cut off or frozen; the next revocation waits for its
	// lease to run out and then takes it off the list.
	Live bool `json:"live"`
	// Durability is what the gate takes an acknowledgement of Redis for.
	Durability Durability `json:"durability"`
}

// Gates returns the gates that Redis knows, by name. It takes until each has
// renewed its lease, a third of its life as a rule, and for a silent one the
// whole of it. Errors: tokens.ErrUnproven.
func (m *Member) Gates(ctx context.Context) ([]GateStatus, error) {
	_, before, err := m.log.gates(ctx)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(m.opts.Lease); ; {
		pause(ctx, m.opts.Lease/20)
		head, now, err := m.log.gates(ctx)
		if err != nil {
			return nil, err
		}
		if gates := compare(head, before, now); !time.Now().Before(deadline) || allLive(gates) {
			return gates, nil
		}
	}
}

// gates reads the end of the log, and the renewal of each gate by its ID.
func (l log) gates(ctx context.Context) (Position, map[string]string, error) {
	_, reply, err := l.run(ctx, membersScript, []string{headKey, membersKey})
	if err != nil {
		return Position{}, nil, err
	}
	return Position{reply.Number(0), reply.Number(1)}, reply.Pairs(2), nil
}

// compare says who has renewed between two looks. A gate that has left is not
// there any more, and one that came in between has just renewed.
func compare(head Position, before, now map[string]string) []GateStatus {
	gates := make([]GateStatus, 0, len(now))
	for id, renewal := range now {
		gate := readRenewal(renewal)
		gates = append(gates, GateStatus{
			Name: gate.name, Position: gate.at, CaughtUp: gate.at == head, Lag: max(0, head.Seq-gate.at.Seq),
			Live: before[id] != renewal, Durability: gate.durability,
		})
	}
	slices.SortFunc(gates, func(a, b GateStatus) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Position.Gen, b.Position.Gen), cmp.Compare(a.Position.Seq, b.Position.Seq))
	})
	return gates
}

func allLive(gates []GateStatus) bool {
	return !slices.ContainsFunc(gates, func(g GateStatus) bool { return !g.Live })
}

// renewal is what a gate has said of itself with its lease.
type renewal struct {
	at         Position
	durability Durability
	name       string
}

// readRenewal reads "renewals gen seq durability name". One that cannot be read
// has acknowledged nothing.
func readRenewal(text string) renewal {
	parts := strings.SplitN(text, " ", 5)
	if len(parts) != 5 {
		return renewal{at: Position{-1, -1}, name: cmp.Or(text, "?")}
	}
	gen, err := strconv.ParseInt(parts[1], 10, 64)
	seq, err2 := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || err2 != nil {
		gen, seq = -1, -1
	}
	return renewal{Position{gen, seq}, Durability(parts[3]), parts[4]}
}
