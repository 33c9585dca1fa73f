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
	// CaughtUp says that this is all there is.
	CaughtUp bool `json:"caught_up"`
	// Live says that it has renewed its lease while it was watched. One that
	// has not is stopped, cut off or frozen; the next revocation waits for its
	// lease to run out and then takes it off the list.
	Live bool `json:"live"`
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
	_, reply, err := l.run(ctx, membersScript, []string{headKey, membersKey}, "", "")
	if err != nil {
		return Position{}, nil, err
	}
	return Position{reply.number(0), reply.number(1)}, reply.pairs(2), nil
}

// compare says who has renewed between two looks. A gate that has left is not
// there any more, and one that came in between has just renewed.
func compare(head Position, before, now map[string]string) []GateStatus {
	gates := make([]GateStatus, 0, len(now))
	for id, renewal := range now {
		seq, name := readRenewal(renewal)
		at := Position{renewalGen(renewal), seq}
		gates = append(gates, GateStatus{Name: name, Position: at, CaughtUp: at == head, Live: before[id] != renewal})
	}
	slices.SortFunc(gates, func(a, b GateStatus) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Position.Gen, b.Position.Gen), cmp.Compare(a.Position.Seq, b.Position.Seq))
	})
	return gates
}

func allLive(gates []GateStatus) bool {
	return !slices.ContainsFunc(gates, func(g GateStatus) bool { return !g.Live })
}

// renewalGen reads the life of the log out of "renewals gen seq name"; -1 if
// it is not there.
func renewalGen(text string) int64 {
	parts := strings.SplitN(text, " ", 3)
	if len(parts) < 3 {
		return -1
	}
	gen, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return -1
	}
	return gen
}
