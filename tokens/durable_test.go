package tokens_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/s3gatetest"
	"s3gate/tokens"
)

// replicated starts a server with a replica that has caught up, and returns a
// client of it.
func replicated(t *testing.T) (*redis.Client, *s3gatetest.RedisProcess) {
	t.Helper()
	// Nothing but commands moves the replication on.
	primary := s3gatetest.RedisServer(t, "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "3600")
	host, port, _ := strings.Cut(primary.Addr, ":")
	replica := s3gatetest.RedisServer(t, "--replicaof", host+" "+port, "--repl-timeout", "7200")
	rdb := newClient(t, primary.Addr, -1)
	eventually(t, "the replica has caught up", func() bool { return rdb.Wait(t.Context(), 1, time.Second).Val() == 1 })
	return rdb, replica
}

// life lets tokens go through everything that must not be lost.
func life(t *testing.T, s *tokens.Store) {
	t.Helper()
	ctx := t.Context()
	strict := mint(t, s, 2)
	use := redeem(t, s, strict)
	if err := use.Charge(ctx); err != nil {
		t.Fatal(err)
	}
	use.Commit(ctx)
	redeem(t, s, strict).Refund(ctx)
	open := mintOpen(t, s, 1, time.Hour, 100)
	large := tokens.Object{Size: 2 * tokens.Slice, ETag: `"one"`}
	use = start(t, s, open, large, whole)
	if n, err := use.Allow(ctx, large.Size); n != large.Size {
		t.Fatal(n, err)
	}
	use.Commit(ctx)
	use.End(ctx, large.Size)
	upload, _ := mintGrant(t, s, tokens.Grant{Operation: tokens.Put, MaxUses: 1}, time.Hour)
	put, err := s.Redeem(ctx, upload, tokens.Ask{Operation: tokens.Put})
	if err != nil {
		t.Fatal(err)
	}
	put.Commit(ctx)
	if err := errors.Join(s.Revoke(ctx, strict.ID(), "a", "r"), s.Restore(ctx, strict.ID())); err != nil {
		t.Fatal(err)
	}
	if _, err := narrow(t, s, strict.ID(), tokens.Narrowing{MaxUses: ptr(int64(1))}); err != nil {
		t.Fatal(err)
	}
	if err := s.Retire(ctx, tokens.Grant{ID: strict.ID(), Version: 2}, open.ID(), "a", "r"); err != nil {
		t.Fatal(err)
	}
	r := reserve(t, s, asking("k", "body"))
	if _, err := r.Finish(ctx, []byte("answer")); err != nil {
		t.Fatal(err)
	}
	reserve(t, s, asking("k", "body"))
	// One that is found, since it was minted before, with another end.
	found := tokens.Minting{Grant: tokens.Grant{Operation: tokens.Get, Bucket: "b", Key: "k"}, Token: tokens.Generate()}
	for found.Life = time.Hour; found.Life <= 2*time.Hour; found.Life += time.Hour {
		if minted, err := s.MintAll(ctx, []tokens.Minting{found}); err != nil || minted[0].Err != nil {
			t.Fatal(minted, err)
		}
	}
}

// replayed sends every proven script once more, on its own, and notes those
// which then leave nothing for a replica to acknowledge.
type replayed struct {
	rdb  *redis.Client   // without hooks
	seen map[string]bool // scripts
	mute []string
}

func (r *replayed) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (r *replayed) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (r *replayed) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		last := len(cmds) - 1
		if last < 1 || cmds[last].Name() != "wait" || cmds[last-1].Err() != nil {
			return err
		}
		proven := cmds[last-1]
		if proven.Name() == "evalsha" {
			r.seen[proven.Args()[1].(string)] = true
		}
		before := r.offset(ctx)
		r.rdb.Do(ctx, proven.Args()...)
		if r.offset(ctx) == before {
			r.mute = append(r.mute, proven.String())
		}
		return err
	}
}

// offset is how much the primary has told its replicas.
func (r *replayed) offset(ctx context.Context) int64 {
	for line := range strings.Lines(r.rdb.Info(ctx, "replication").Val()) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "master_repl_offset:"); ok {
			n, _ := strconv.ParseInt(text, 10, 64)
			return n
		}
	}
	return -1
}

// A command that a client has repeated changes nothing, and is written again,
// so that the replicas' acknowledgement is one of it.
func TestRepeatedWritesAreProven(t *testing.T) {
	rdb, _ := replicated(t)
	again := &replayed{rdb: newClient(t, rdb.Options().Addr, -1), seen: map[string]bool{}}
	rdb.AddHook(again)
	s := newStore(t, rdb, tokens.Options{MinAcks: 1, MintSecrets: [][]byte{[]byte(oneSecret)}})
	life(t, s)
	life(t, s) // Redis has the scripts now
	// Mint, redeem, charge, settle, pin, extend, end, revoke, restore, narrow,
	// retire, reserve and finish.
	if len(again.seen) != 13 {
		t.Errorf("%d scripts were proven, want 13", len(again.seen))
	}
	for _, cmd := range again.mute {
		t.Errorf("repeated, it is not written again: %.200q", cmd)
	}
}

// While a replica is missing nothing counts that could be lost with the
// primary, and it does when the replica is back (R10, D1).
func TestMissingReplica(t *testing.T) {
	ctx := t.Context()
	rdb, replica := replicated(t)
	patient := newStore(t, rdb, tokens.Options{MinAcks: 1, AckTimeout: 20 * time.Second})
	token, free := mint(t, patient, 1), mint(t, patient, 0)
	upload, _ := mintGrant(t, patient, tokens.Grant{Operation: tokens.Put, MaxUses: 1}, time.Hour)
	s := newStore(t, rdb, tokens.Options{MinAcks: 1, AckTimeout: 200 * time.Millisecond})
	use := redeem(t, s, token)

	replica.Pause()
	if err := use.Charge(ctx); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("charging: %v, want ErrUnproven", err)
	}
	use.Refund(ctx)
	if _, err := s.Redeem(ctx, upload, tokens.Ask{Operation: tokens.Put}); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("redeeming an upload: %v, want ErrUnproven", err)
	}
	if err := s.Revoke(ctx, token.ID(), "", ""); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("revoking: %v, want ErrUnproven", err)
	}
	if err := s.Restore(ctx, token.ID()); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("restoring: %v, want ErrUnproven", err)
	}
	if _, _, err := s.Mint(ctx, tokens.Grant{Operation: tokens.Get, Bucket: "b", Key: "k"}, time.Hour); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("minting: %v, want ErrUnproven", err)
	}
	if use, err := s.Redeem(ctx, free, tokens.Ask{Operation: tokens.Get}); err != nil {
		t.Errorf("a token without limit, of which nothing is written: %v", err)
	} else if err := use.Charge(ctx); err != nil {
		t.Errorf("charging it: %v", err)
	}

	replica.Resume()
	eventually(t, "what was handed back is back", func() bool {
		again, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get})
		return err == nil && again.Charge(ctx) == nil
	})
	eventually(t, "the upload can be redeemed", func() bool {
		_, err := s.Redeem(ctx, upload, tokens.Ask{Operation: tokens.Put})
		return err == nil
	})
}
