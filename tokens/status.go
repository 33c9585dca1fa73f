package tokens

import (
	"context"
	"time"

	"s3gate/internal/script"
)

// State is what has become of a token.
type State string

// The states, of which the first that applies is given.
const (
	Revoked State = "revoked"
	Expired State = "expired"
	Used    State = "used"    // every use is charged
	Pending State = "pending" // NotBefore has not come
	Active  State = "active"
)

// Status is a grant together with what has become of it.
type Status struct {
	Grant
	// State is judged by Redis time.
	State State `json:"state"`
	// Uses counts the uses of a limited token that are charged, and InUse
	// those that are taken by a request under way. Both are 0 for a token
	// without limit.
	Uses  int64 `json:"uses"`
	InUse int64 `json:"in_use"`
	// Open are the uses that may still be resumed. Like Receipts it is given
	// by Show, and not by List.
	Open []OpenStatus `json:"open,omitempty"`
	// Receipts are those of the last uses that have ended, the latest first.
	Receipts []Receipt `json:"receipts,omitempty"`
	// Unreported counts charged uses that have neither: their transfer runs,
	// or its gate has died. Uploads have receipts too.
	Unreported int64 `json:"unreported,omitempty"`
	// Revocation is nil unless the token was revoked.
	Revocation *Revocation `json:"revocation,omitempty"`
	// ReissuedAs is the token for which this one was revoked; "" for none. It
	// may not have been minted after all.
	ReissuedAs ID `json:"reissued_as,omitempty"`
}

// OpenStatus is a use that may still be resumed.
type OpenStatus struct {
	// Use names it, as its receipt will.
	Use string `json:"use"`
	// Began is when, and Until how long it stays open if nothing happens.
	Began time.Time `json:"began"`
	Until time.Time `json:"until"`
	// Size is the object's, and Budget what the use may yield in all; Bytes
	// are given out or reserved, and Left is the rest.
	Size   int64 `json:"size"`
	Budget int64 `json:"budget"`
	Bytes  int64 `json:"bytes"`
	Left   int64 `json:"left"`
	// Running is how many requests of it run.
	Running int64 `json:"running"`
}

// Revocation says who revoked a token, when and why.
type Revocation struct {
	At     time.Time `json:"at"`
	Author string    `json:"author,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Show returns the status of a token. Errors: [ErrUnknown], [ErrUnproven].
func (s *Store) Show(ctx context.Context, id ID) (Status, error) {
	status, r, err := s.run(ctx, showScript, id, showKeys(id), "1")
	if err != nil {
		return Status{}, err
	}
	if err := statusError(status); err != nil {
		return Status{}, err
	}
	st, err := readStatus(id, r)
	if st.Limited() {
		st.Unreported = max(0, st.Uses-r.Number(showReceipts)-int64(len(st.Open)))
	}
	return st, err
}

func showKeys(id ID) []string {
	return []string{recordKey(id), reservedKey(id), chargedKey(id), openKey(id), receiptsKey(id)}
}

// Where show.lua answers what, after the status.
const (
	showReceipts = 16 + iota // how many were ever kept
	showOpen
	showKept
)

// readStatus reads the answer of show.lua after its status.
func readStatus(id ID, r script.Reply) (Status, error) {
	g, err := readGrant(id, r)
	if err != nil {
		return Status{}, err
	}
	now := r.Time(9)
	st := Status{Grant: g, State: Active, InUse: r.Number(14), Uses: r.Number(15), ReissuedAs: ID(r.Text(13))}
	if at := r.Time(10); !at.IsZero() {
		st.Revocation = &Revocation{At: at, Author: r.Text(11), Reason: r.Text(12)}
	}
	for _, o := range r.List(showOpen) {
		open := OpenStatus{Use: mark(o.Text(0)), Until: o.Time(1), Began: o.Time(2), Size: o.Number(3), Budget: o.Number(4), Bytes: o.Number(5), Running: o.Number(6)}
		open.Left = open.Budget - open.Bytes
		st.Open = append(st.Open, open)
	}
	for _, kept := range r.List(showKept) {
		if receipt, ok := decodeReceipt(kept.Text(0), &g); ok {
			st.Receipts = append(st.Receipts, receipt)
		}
	}
	switch {
	case st.Revocation != nil:
		st.State = Revoked
	case !now.Before(g.ExpiresAt):
		st.State = Expired
	case g.Limited() && st.Uses >= g.MaxUses:
		st.State = Used
	case now.Before(g.NotBefore):
		st.State = Pending
	}
	return st, nil
}
