// Package revocation takes permission back: it marks tokens as revoked and
// stops the transfers that run under them.
//
// The invariant: once [Revoker.Revoke] has returned without error, no gate
// that shares the store authorizes a matching request, and this gate hands no
// further byte of a matching transfer to the kernel. Bytes that are in kernel
// buffers already are thrown away with the connection (HTTP/1.1) or may still
// arrive (HTTP/2, whose connection others share); an upload whose last bytes
// were on their way is named in the [Receipt], not stopped.
//
// Transfers of other gates on the same store are not stopped, which the
// Receipt shows by naming only this gate.
package revocation

import (
	"context"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"

	"s3gate/tokens"
)

// Rule says what is to be revoked, by whom and why.
type Rule struct {
	// Token is the token to revoke. Required.
	Token tokens.ID
	// Author and Reason are kept with the token and shown to whoever may see
	// it; both may be empty.
	Author, Reason string
}

// Matches reports whether the rule covers a transfer or grant of the token.
func (r *Rule) Matches(id tokens.ID) bool { return r.Token == id }

// ErrRule is returned for a rule that says nothing.
var ErrRule = errors.New("revocation rule names no token")

// Receipt is what a revocation can show for itself.
type Receipt struct {
	// ID names the revocation.
	ID string `json:"id"`
	// AcknowledgedBy names the gates that have stopped every matching
	// transfer.
	AcknowledgedBy []string `json:"acknowledged_by"`
	// Cut is the number of transfers that were stopped.
	Cut int `json:"cut"`
	// Committing lists uploads that could not be stopped: their last bytes
	// had been sent when the rule arrived, and S3 may have stored them.
	Committing []string `json:"committing,omitempty"`
	// TookMS is the time from the call to this receipt in milliseconds.
	TookMS float64 `json:"took_ms"`
}

// Tombstones marks a token as revoked in the store. When Revoke returns nil
// every later redemption of the token fails, on every gate. It must be safe
// for concurrent use and may be called twice for one token.
type Tombstones interface {
	Revoke(ctx context.Context, id tokens.ID, author, reason string) error
}

// Revoker revokes. It is safe for concurrent use.
type Revoker struct {
	// Gate is this gate's name in receipts.
	Gate string
	// Tombstones is the store. Required.
	Tombstones Tombstones
	// Transfers are the transfers of this gate. Required.
	Transfers *Transfers
}

// Revoke applies the rule and returns when that is true for good. Errors:
// [ErrRule], tokens.ErrUnknown, and tokens.ErrUnproven, after which the rule
// may or may not hold. Transfers are stopped whatever the store says.
func (r *Revoker) Revoke(ctx context.Context, rule Rule) (Receipt, error) {
	begin := time.Now()
	if rule.Token == "" {
		return Receipt{}, ErrRule
	}
	// The store first: a request that asks from now on is refused, and one
	// that asked before has registered its transfer before it asked.
	err := r.Tombstones.Revoke(ctx, rule.Token, rule.Author, rule.Reason)
	cut, committing := r.Transfers.Cut(rule.Matches)
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{
		ID:             "rev_" + ulid.Make().String(),
		AcknowledgedBy: []string{r.Gate},
		Cut:            cut,
		Committing:     committing,
		TookMS:         float64(time.Since(begin).Microseconds()) / 1000,
	}, nil
}
