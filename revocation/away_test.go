package revocation_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"s3gate/internal/s3gatetest"
	"s3gate/revocation"
	"s3gate/tokens"
)

// cable is a way to Redis that can be cut.
type cable struct {
	mu    sync.Mutex
	off   bool
	conns []net.Conn
}

func (c *cable) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return nil, errors.New("no route")
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = true
	for _, conn := range c.conns {
		conn.Close()
	}
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = false
}

// A rule that was lifted while a gate was away, or before it came, stops
// nothing there.
func TestLiftedRuleIsNotRepeated(t *testing.T) {
	t.Parallel()
	addr := s3gatetest.Redis(t)
	var way cable
	a, b := join(t, addr, "a"), joinOver(t, addr, revocation.MemberOptions{Name: "b"}, way.dial)
	way.cut()
	eventually(t, "the lease is lost", func() bool { return b.Lease() != nil })
	var lifted []string
	for _, subject := range []string{"ada", "bob"} {
		receipt, err := a.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{Subject: subject})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.revoker(&tombstones{}).Lift(t.Context(), receipt.ID, "", ""); err != nil {
			t.Fatal(err)
		}
		lifted = append(lifted, receipt.ID, receipt.ID)
	}
	// A gate that may not have heard of a rule does not say that there is none.
	if _, err := b.revoker(&tombstones{}).Lift(t.Context(), lifted[0], "", ""); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("lifting a rule without a lease: %v, want ErrUnproven", err)
	}
	way.mend()
	eventually(t, "the lease is back", func() bool { return b.Lease() == nil })
	for _, m := range []*member{b, join(t, addr, "c")} {
		if told := m.told(); len(told) != 2 || m.stopped.Load() != 0 {
			t.Errorf("it was told of %d rules, of which %d held; want 2, lifted", len(told), m.stopped.Load())
		}
	}
	if told := a.told(); !slices.Equal(told, lifted) {
		t.Errorf("the gate that was there was told %v, want %v", told, lifted)
	}
}

// After another life of Redis an entry may have the number of one that the gate
// has applied in the life before, and is applied all the same.
func TestEntriesOfAnotherLife(t *testing.T) {
	t.Parallel()
	server := s3gatetest.RedisServer(t)
	var way cable
	a, b := join(t, server.Addr, "a"), joinOver(t, server.Addr, revocation.MemberOptions{Name: "b"}, way.dial)
	for _, subject := range []string{"ada", "bob"} {
		if _, err := a.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{Subject: subject}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both have come as far", func() bool { return b.Position() == a.Position() })
	way.cut()
	a.Leave(t.Context())
	server.Restart() // with nothing
	c := join(t, server.Addr, "c")
	for _, subject := range []string{"eve", "joe"} {
		if _, err := c.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{Subject: subject}); err != nil {
			t.Fatal(err)
		}
	}
	way.mend()
	eventually(t, "the lease is back", func() bool { return b.Lease() == nil })
	for _, subject := range []string{"ada", "bob", "eve", "joe"} {
		if b.Rules().Covers(&tokens.Grant{Subject: subject}) == nil {
			t.Errorf("the rule for %s is not known", subject)
		}
	}
}
