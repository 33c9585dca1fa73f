package proxy

import (
	"errors"
	"net/http"

	"s3gate/tokens"
)

// withdraw answers a DELETE: whoever holds the link revokes it, where the
// grant lets them. It needs no use, so a link that is used up can be withdrawn
// too, with what still runs.
func (x *exchange) withdraw() error {
	ctx := x.r.Context()
	use, err := x.h.Tokens.Look(ctx, x.token, tokens.Ask{})
	x.use = use
	// Asked for no operation, a token that lives says which it permits instead.
	if !errors.Is(err, tokens.ErrOperation) {
		return err
	}
	if !x.grant().SelfRevoke || x.h.Revoke == nil {
		return &methodError{allow: x.allowed()}
	}
	if err := x.clear(ctx); err != nil {
		return err
	}
	if err := x.h.Revoke(ctx, x.token.ID()); err != nil {
		return err
	}
	x.writeHeader(http.StatusNoContent)
	return nil
}
