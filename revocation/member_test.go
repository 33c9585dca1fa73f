package revocation_test

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"s3gate/internal/s3gatetest"
	"s3gate/revocation"
	"s3gate/tokens"
)

func TestMembersAcknowledge(t *testing.T) {
	for _, tt := range []struct {
		name string
		addr func(t *testing.T) string
	}{
		{"miniredis", func(t *testing.T) string { return miniredis.RunT(t).Addr() }},
		{"Redis", func(t *testing.T) string { return s3gatetest.Redis(t) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rdb := redis.NewClient(&redis.Options{Addr: tt.addr(t), ContextTimeoutEnabled: true})
			t.Cleanup(func() { rdb.Close() })
			var members []*revocation.Member
			for _, name := range []string{"a", "b", "c"} {
				m := revocation.Join(rdb, revocation.MemberOptions{Name: name, Lease: 300 * time.Millisecond})
				t.Cleanup(func() { m.Leave(context.Background()) })
				members = append(members, m)
			}
			for _, m := range members {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if err := m.Await(ctx); err != nil {
					t.Fatal(err)
				}
			}
			r := &revocation.Revoker{Member: members[0], Tombstones: &tombstones{}, Now: func(ctx context.Context) (time.Time, error) { return rdb.Time(ctx).Result() }}
			time.Sleep(time.Second)
			for range 5 {
				receipt, err := r.Revoke(t.Context(), revocation.Rule{Subject: "ada", Reason: "test"})
				t.Logf("%+v %v", receipt, err)
			}
			for _, m := range members {
				if m.Rules().Covers(&tokens.Grant{Subject: "ada", Operation: tokens.Get}) == nil {
					t.Error("not covered")
				}
			}
		})
	}
}

// tombstones is a store that answers err.
type tombstones struct{ err error }

func (s *tombstones) Revoke(context.Context, tokens.ID, string, string) error { return s.err }
