package revocation_test

import (
	"context"
	"errors"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"s3gate/revocation"
	"s3gate/tokens"
)

// failing makes commands of one client fail that match.
type failing struct{ match func(redis.Cmder) bool }

func (f failing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f failing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if f.match(cmd) {
			err := errors.New("connection lost")
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func (f failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// script reports whether a command runs a script on so many keys, of which the
// first is this one.
func script(cmd redis.Cmder, first string, keys int) bool {
	args := cmd.Args()
	return len(args) > 3 && args[2] == keys && args[3] == first
}

// A revocation that cannot be shown to hold says how far it came, and so does a
// lift.
func TestUnprovenSaysWhatIsKnown(t *testing.T) {
	for _, test := range []struct {
		name  string
		token bool // the rule names a token
		store error
		match func(redis.Cmder) bool
		want  revocation.Stage
		named bool // the rule has an ID
	}{
		{"no time", false, nil, func(cmd redis.Cmder) bool { return cmd.Name() == "time" }, revocation.NotMade, false},
		{"the mark", true, tokens.ErrUnproven, func(redis.Cmder) bool { return false }, revocation.MaybeMade, true},
		{"the rule", false, nil, func(cmd redis.Cmder) bool { return script(cmd, "s3g:{rev}:rules", 4) }, revocation.MaybeMade, true},
		{"the gates", false, nil, func(cmd redis.Cmder) bool { return script(cmd, "s3g:{rev}:head", 2) }, revocation.Made, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := miniredis.RunT(t)
			a, b := join(t, server.Addr(), "a"), join(t, server.Addr(), "b")
			rule := revocation.Rule{Subject: "ada"}
			if test.token {
				rule = revocation.Rule{Token: tokens.Generate().ID()}
			}
			earlier, err := a.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{Subject: "bob"})
			if err != nil {
				t.Fatal(err)
			}
			a.rdb.AddHook(failing{test.match})
			r := a.revoker(&tombstones{err: test.store})
			_, err = r.Revoke(t.Context(), rule)
			var unproven *revocation.UnprovenError
			if !errors.As(err, &unproven) || !errors.Is(err, tokens.ErrUnproven) ||
				unproven.Stage != test.want || (unproven.Rule != "") != test.named {
				t.Fatalf("revoking: %v, want %s", err, test.want)
			}
			if test.want == revocation.Made {
				eventually(t, "the other gate applies it", func() bool { return b.Rules().Rule(unproven.Rule) != nil })
			}
			if test.token {
				return
			}
			if _, err = r.Lift(t.Context(), earlier.ID, "", ""); !errors.As(err, &unproven) || unproven.Stage != test.want || unproven.Rule != earlier.ID {
				t.Errorf("lifting: %v, want %s", err, test.want)
			}
		})
	}
}

// A gate that lifts a rule and does not hear of it by itself, because its lease is
// over, takes the mark away all the same.
func TestLiftByASilentGate(t *testing.T) {
	server := miniredis.RunT(t)
	a, b := join(t, server.Addr(), "a"), join(t, server.Addr(), "b")
	store := &tombstones{}
	receipt, err := a.revoker(store).Revoke(t.Context(), revocation.Rule{Token: tokens.Generate().ID()})
	if err != nil || len(store.marked) != 1 {
		t.Fatalf("%d marks, %v", len(store.marked), err)
	}
	a.rdb.AddHook(failing{func(cmd redis.Cmder) bool { return script(cmd, "s3g:{rev}:head", 4) }})
	lifted, err := a.revoker(store).Lift(t.Context(), receipt.ID, "", "")
	if err != nil || len(lifted.ExpiredLeases) != 1 || lifted.ExpiredLeases[0] != "a" {
		t.Fatalf("%+v, %v; want that gate a was silent", lifted, err)
	}
	if len(store.marked) != 0 {
		t.Error("the mark is still there")
	}
	if !b.Rules().Rule(receipt.ID).Lifted() {
		t.Error("the other gate does not know")
	}
}
