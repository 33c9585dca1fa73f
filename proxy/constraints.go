package proxy

import (
	"errors"
	"net/http"
)

// errNetwork is a request from where the token does not work.
var errNetwork = errors.New("token does not work from this network")

// admit returns the bucket that the grant names, if the client may be served
// from it now.
func (x *exchange) admit() (Upstream, error) {
	g := x.grant()
	if err := x.clear(x.r.Context()); err != nil {
		return nil, err
	}
	if err := x.permit(); err != nil {
		return nil, err
	}
	if !x.h.Rates.allow(g) {
		return nil, errRate
	}
	up, ok := x.h.Buckets[g.Bucket]
	if !ok {
		return nil, errNoBucket
	}
	return up, nil
}

// upstream is admit for a request for an object, which it locates. A transfer
// takes one of the token's slots, until the exchange is finished; method is
// that of the request to S3.
func (x *exchange) upstream(method string) (Upstream, error) {
	up, err := x.admit()
	if err != nil {
		return nil, err
	}
	if err := x.locate(); err != nil {
		return nil, err
	}
	return up, x.occupy(method)
}

// occupy takes a slot for a transfer, if the token has a limit of them.
func (x *exchange) occupy(method string) (err error) {
	g := x.grant()
	if method == http.MethodHead || g.MaxConcurrent <= 0 {
		return nil
	}
	x.slot, err = x.h.Tokens.Occupy(x.r.Context(), x.token.ID(), g.MaxConcurrent)
	return err
}
