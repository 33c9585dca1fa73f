package proxy

import (
	"crypto/tls"
	"errors"
	"time"

	"s3gate/revocation"
	"s3gate/tokens"
)

// Answer is what became of a link request, for whoever keeps a record of all of them.
// It holds nothing that opens a link.
type Answer struct {
	// Request names the request, as the client and the log have it.
	Request string
	// Token is the ID of the token that was asked for, whether it exists or not; ""
	// if the path held none. Operation and Bucket, the alias, are its grant's, "" if
	// the token was not found.
	Token     tokens.ID
	Operation tokens.Operation
	Bucket    string
	// Method is the request's, "other" for those that no link knows.
	Method string
	// Status is what was answered, 0 if the client left before.
	Status int
	// Outcome is "ok", or why not: the code that the client got, such as
	// LinkExpired; or of an answer that has begun and was broken off "cut" (revoked),
	// "expired", "shutdown" or "broken"; or "gone" if nothing was answered; or "panic"
	// if that was the end of it.
	Outcome string
	// In and Out are bytes of bodies from and to the client.
	In, Out int64
	// Began is when the request came. FirstByte is how long after that the headers
	// of the answer left, 0 if they did not, and Took how long it all took.
	Began           time.Time
	FirstByte, Took time.Duration
	// Client is the client's address, as far as receipts keep it.
	Client string
	// Agent is the User-Agent as the client has sent it, of any length and content.
	Agent string
	// Proto is the protocol, such as HTTP/1.1, and TLS its version below that, such
	// as "TLS 1.3"; "" for none.
	Proto, TLS string
}

// tellAnswered tells of a request that is over.
func (x *exchange) tellAnswered() {
	if x.h.Answered == nil {
		return
	}
	a := Answer{
		Request: x.id, Operation: x.grant().Operation, Bucket: x.grant().Bucket, Method: knownMethod(x.r.Method),
		Status: x.status, Outcome: x.outcome(), In: x.in, Out: x.out, Began: x.begin, Took: time.Since(x.begin),
		Client: x.h.ReceiptAddress.of(x.address()), Agent: x.r.UserAgent(), Proto: x.r.Proto,
	}
	if !x.token.IsZero() {
		a.Token = x.token.ID()
	}
	if x.status > 0 {
		a.FirstByte = x.first.Sub(x.begin)
	}
	if x.r.TLS != nil {
		a.TLS = tls.VersionName(x.r.TLS.Version)
	}
	x.h.Answered(x.r.Context(), a)
}

// outcome is that of an [Answer].
func (x *exchange) outcome() string {
	switch {
	case !x.returned:
		return "panic"
	case x.code != "" && x.status > 0:
		return x.code
	case x.status == 0:
		return "gone"
	case x.err == nil:
		return "ok"
	case errors.Is(x.err, revocation.ErrCut):
		return "cut"
	case errors.Is(x.err, revocation.ErrExpired):
		return "expired"
	case errors.Is(x.err, revocation.ErrShutdown):
		return "shutdown"
	}
	return "broken"
}
