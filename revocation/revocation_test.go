package revocation_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"s3gate/revocation"
	"s3gate/tokens"
)

// tombstones is a store that answers err and looks at what has been stopped.
type tombstones struct {
	err    error
	called []string
	look   func()
}

func (s *tombstones) Revoke(_ context.Context, id tokens.ID, author, reason string) error {
	s.called = append(s.called, strings.Join([]string{string(id), author, reason}, " "))
	if s.look != nil {
		s.look()
	}
	return s.err
}

func TestRevoke(t *testing.T) {
	failed := errors.New("redis: " + tokens.ErrUnproven.Error())
	for _, test := range []struct {
		name    string
		token   tokens.ID
		store   error
		want    error
		wantCut bool
	}{
		{name: "a running transfer", token: "tok_a", wantCut: true},
		{name: "another token", token: "tok_b"},
		{name: "no token", want: revocation.ErrRule},
		// What runs under a token that the store has lost may not go on.
		{name: "unknown to the store", token: "tok_a", store: tokens.ErrUnknown, want: tokens.ErrUnknown, wantCut: true},
		{name: "store unproven", token: "tok_a", store: errors.Join(tokens.ErrUnproven, failed), want: tokens.ErrUnproven, wantCut: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var ts revocation.Transfers
			transfer := begin(&ts, "req_1", "tok_a")
			defer transfer.End()
			store := &tombstones{err: test.store}
			revoker := &revocation.Revoker{Gate: "gate-1", Tombstones: store, Transfers: &ts}
			receipt, err := revoker.Revoke(t.Context(), revocation.Rule{Token: test.token, Author: "ops", Reason: "leaked"})
			if !errors.Is(err, test.want) {
				t.Fatalf("err = %v, want %v", err, test.want)
			}
			if cut := transfer.Err() != nil; cut != test.wantCut {
				t.Errorf("cut = %v, want %v", cut, test.wantCut)
			}
			if err != nil {
				if receipt.ID != "" || receipt.AcknowledgedBy != nil {
					t.Errorf("a receipt for what did not happen: %+v", receipt)
				}
				return
			}
			wantCut := 0
			if test.wantCut {
				wantCut = 1
			}
			if !strings.HasPrefix(receipt.ID, "rev_") || !slices.Equal(receipt.AcknowledgedBy, []string{"gate-1"}) ||
				receipt.Cut != wantCut || receipt.Committing != nil || receipt.TookMS < 0 {
				t.Errorf("receipt %+v", receipt)
			}
			if want := []string{string(test.token) + " ops leaked"}; !slices.Equal(store.called, want) {
				t.Errorf("the store heard %q, want %q", store.called, want)
			}
		})
	}
}

// A request registers its transfer before it asks the store, so the store has
// to know of the revocation before transfers are looked for (R1).
func TestRevokeTellsTheStoreFirst(t *testing.T) {
	var ts revocation.Transfers
	var transfer *revocation.Transfer
	store := &tombstones{look: func() { transfer = begin(&ts, "req_1", "tok_a") }}
	revoker := &revocation.Revoker{Gate: "gate-1", Tombstones: store, Transfers: &ts}
	receipt, err := revoker.Revoke(t.Context(), revocation.Rule{Token: "tok_a"})
	if err != nil {
		t.Fatal(err)
	}
	defer transfer.End()
	if receipt.Cut != 1 || transfer.Err() == nil {
		t.Errorf("a transfer slipped between: %+v, %v", receipt, transfer.Err())
	}
}

func TestRevokeNamesUploadsPastStopping(t *testing.T) {
	var ts revocation.Transfers
	transfer := begin(&ts, "req_1", "tok_a")
	defer transfer.End()
	if err := transfer.Commit(); err != nil {
		t.Fatal(err)
	}
	revoker := &revocation.Revoker{Gate: "gate-1", Tombstones: &tombstones{}, Transfers: &ts}
	receipt, err := revoker.Revoke(t.Context(), revocation.Rule{Token: "tok_a"})
	if err != nil || receipt.Cut != 0 || !slices.Equal(receipt.Committing, []string{"req_1"}) {
		t.Errorf("receipt %+v, %v; want req_1 committing", receipt, err)
	}
}
