package proxy

import (
	"context"
	"net/http"
	"net/netip"

	"s3gate/internal/conns"
	"s3gate/tokens"
)

// AddressDetail is how much of a client's address is kept in receipts.
type AddressDetail string

// The details. A prefix is the /24 of an IPv4 address and the /64 of an IPv6
// address.
const (
	AddressFull   AddressDetail = "full"
	AddressPrefix AddressDetail = "prefix"
	AddressNone   AddressDetail = "none"
)

// of returns what may be kept of an address; unknown details keep nothing.
func (d AddressDetail) of(a netip.Addr) string {
	switch {
	case !a.IsValid():
	case d == AddressFull:
		return a.String()
	case d == AddressPrefix:
		return conns.Network(a).String()
	}
	return ""
}

// wants is what the request wants of its token.
func (x *exchange) wants(op tokens.Operation) tokens.Ask {
	ask := tokens.Ask{Operation: op, Request: x.id, Client: x.h.ReceiptAddress.of(x.client)}
	if ranges := x.r.Header.Values("Range"); op == tokens.Get && x.r.Method == http.MethodGet && len(ranges) == 1 {
		ask.Span = askedSpan(ranges[0])
	}
	return ask
}

// askedSpan is the part that a Range header asks for, the whole if it does
// not ask for one part.
func askedSpan(v string) tokens.Span {
	first, last, ok := parseRange(v)
	if !ok {
		return tokens.Span{}
	}
	// The end of the last byte that there could be is that of any object.
	return tokens.Span{From: first, To: max(0, last+1)}
}

// endUse ends the use, if it was not ended before, and passes its receipt on.
func (x *exchange) endUse(ctx context.Context) {
	bytes := x.in
	if x.grant().Operation == tokens.Get {
		bytes = x.transfer.Bytes()
		if x.grant().ResumeWindow > 0 {
			bytes += x.maybe // the budget holds also if they did
		}
	}
	x.report(ctx, bytes)
}

// report ends the use after so many bytes, and passes its receipt on.
func (x *exchange) report(ctx context.Context, bytes int64) {
	receipt, ended := x.use.End(ctx, bytes)
	if ended && x.h.Ended != nil {
		x.h.Ended(receipt)
	}
}

// limitTime ends the transfer when its token expires, if the grant says so.
func (x *exchange) limitTime() {
	if x.grant().CutAtExpiry {
		x.transfer.EndAfter(x.use.ExpiresIn)
	}
}
