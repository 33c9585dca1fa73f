package proxy

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"

	"s3gate/s3client"
	"s3gate/tokens"
)

// Redemption is a use of a token that begins.
type Redemption struct {
	// Grant is the token's. Nobody changes it.
	Grant *tokens.Grant
	// Key is the object's: that of the grant, or one below its prefix.
	Key string
	// Use names the use, as its receipt will, and Request the request.
	Use, Request string
	// Client is the client's address, as far as receipts keep it.
	Client string
}

// Refusal is a request that was refused: by its token, by what that permits, or
// since there is none. What goes wrong at the storage is no refusal.
type Refusal struct {
	// Grant is the token's; the zero Grant where there is no such token.
	Grant *tokens.Grant
	// Reason is the code that the client got, and Status goes with it.
	Reason string
	Status int
	// Method is the request's, "other" for those that no link knows, and Request
	// names it.
	Method, Request string
	// Client is the client's address, as far as receipts keep it.
	Client string
	// Canary says that the token is one, though the client heard that there is none.
	Canary bool
}

// tellRedeemed tells of a use that begins, but not of a request that goes on with
// one.
func (x *exchange) tellRedeemed() {
	if x.h.Redeemed == nil || x.use.Open != nil {
		return
	}
	g := x.grant()
	x.h.Redeemed(Redemption{
		Grant: g, Key: cmp.Or(x.object, g.Key+g.Prefix), Use: x.use.Mark(), Request: x.id, Client: x.h.ReceiptAddress.of(x.client),
	})
}

// tellRefused tells of a request that was refused. Of those that came past the front
// there may be any number, and they have reached no link.
func (x *exchange) tellRefused(err error, p problem) {
	if x.h.Refused == nil || errors.Is(err, errOrigin) || !refuses(err, p.status) {
		return
	}
	grant := x.grant()
	var canary *tokens.CanaryError
	if errors.As(err, &canary) {
		grant = &canary.Grant
	}
	x.h.Refused(Refusal{
		Canary: canary != nil,
		Grant:  grant, Reason: p.code, Status: p.status, Method: knownMethod(x.r.Method), Request: x.id,
		Client: x.h.ReceiptAddress.of(x.address()),
	})
}

// address is the client's, also of a request that was refused before that was asked.
func (x *exchange) address() netip.Addr {
	if !x.client.IsValid() {
		return x.now.Client.Of(x.r)
	}
	return x.client
}

// refuses reports whether an answer is the gate's no.
func refuses(err error, status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusConflict, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusTooManyRequests:
		var answered *s3client.Error
		return !errors.As(err, &answered)
	}
	return false
}
