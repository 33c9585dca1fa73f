// Package proxy is the data plane: it answers requests for links.
//
// A request carries a token in its path. The [Handler] asks [Tokens] what the
// token permits, sends the one request that this is, signed, to the bucket,
// and streams the body straight through. Nothing of the client's request
// reaches S3 but a short list of headers; nothing of S3's answer reaches the
// client but another. No body is buffered beyond one copy buffer, but for
// uploads that are too large for one request or do not say how large they are:
// they go in parts, which all share one bounded memory ([Multipart]).
//
// The invariants of this package:
//
//   - The token is never logged, measured, or repeated in an answer.
//   - A use of a limited token is charged before its first byte is given out,
//     and handed back when nothing was.
//   - A transfer that ends early ends visibly: the connection or stream is
//     reset, so that no client takes a part for the whole.
//   - A body that came short, was cut, or broke off is never completed
//     upstream.
//   - Errors name no bucket, no key and nothing that S3 said.
package proxy

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"s3gate/internal/conns"
	"s3gate/revocation"
	"s3gate/s3client"
	"s3gate/tokens"
	"s3gate/uploads"
	"s3gate/web"
)

// Tokens decides what a token permits; [tokens.Store] is one. It must be safe
// for concurrent use, and its errors are those of package tokens.
type Tokens interface {
	// Redeem reserves a use, or finds one to go on with; the handler ends it.
	Redeem(ctx context.Context, t tokens.Token, ask tokens.Ask) (*tokens.Use, error)
	// Look answers as Redeem would and reserves nothing.
	Look(ctx context.Context, t tokens.Token, ask tokens.Ask) (*tokens.Use, error)
	// Occupy takes one of max transfer slots of the token, which the handler
	// releases.
	Occupy(ctx context.Context, id tokens.ID, max int64) (*tokens.Slot, error)
}

// Upstream sends requests to one bucket; [s3client.Bucket] is one. It must be
// safe for concurrent use. What S3 answers is a response and not an error.
type Upstream interface {
	Do(ctx context.Context, r *s3client.Request) (*http.Response, error)
}

// Handler answers link requests: GET and HEAD for a token that permits get,
// with POST for the form of its page, PUT for one that permits put, with POST,
// PATCH, HEAD and DELETE for uploads that can be resumed, OPTIONS for everybody.
// Its fields are set before the first request and not changed after; some of them
// [Handler.Adjust] replaces.
type Handler struct {
	// Tokens decides what is permitted. Required.
	Tokens Tokens
	// Buckets are the upstreams by alias. A grant for an alias that is not
	// here answers 502.
	Buckets map[string]Upstream
	// Transfers is where running transfers are registered. Required.
	Transfers *revocation.Transfers
	// Client finds the client's address; the zero value takes the peer's.
	Client ClientAddress
	// Origin is what the front of the gate has to send; the zero value asks for
	// nothing.
	Origin Origin
	// Bandwidth shares the bandwidth of tokens that limit it; the zero value
	// is ready to use.
	Bandwidth Bandwidth
	// Rates limits the requests of tokens whose grant says so; the zero value
	// is ready to use.
	Rates Rates
	// ListPage is how many entries a page of a listing has, at least 2, since
	// S3 may give the last folder of a page again; 0 means 1000, which is
	// also the most.
	ListPage int
	// Guesses limits how often one network may ask for tokens that do not
	// exist; nil does not.
	Guesses *Guesses
	// Ended is told of each use that ends with a request; the store tells of
	// those that end later. It must not block. Nil hears nothing.
	Ended func(tokens.Receipt)
	// Redeemed is told of each use that begins: of a download when its first byte
	// is about to leave, of an upload before its body is read. Refused is told of
	// each request that is refused. They must not block; nil hears nothing.
	Redeemed func(Redemption)
	Refused  func(Refusal)
	// Answered is told of each request that is over, also of those that were refused
	// or broken off, with the context of the request. It must not block; nil hears
	// nothing.
	Answered func(context.Context, Answer)
	// ReceiptAddress is how much of a client's address a receipt keeps; ""
	// keeps nothing.
	ReceiptAddress AddressDetail
	// Passcodes checks the passcodes of tokens that have one; nil refuses all
	// of them, as unproven.
	Passcodes *Passcodes
	// Answers limits how often one network may answer the confirm page with
	// wrong digits; nil does not.
	Answers *Guesses
	// Status tells the confirm page how many uses are left; nil leaves that
	// out. [tokens.Store.Show] is one.
	Status func(context.Context, tokens.ID) (tokens.Status, error)
	// Revoke revokes a token for whoever holds its link. When it returns nil no
	// gate permits it any more. Nil lets no link be revoked by its holder.
	Revoke func(ctx context.Context, id tokens.ID) error
	// UploadIdle is how long a client may send nothing of an upload before
	// it is given up; 0 means 20 s, after which S3 gives up too.
	UploadIdle time.Duration
	// UploadMinRate is how many bytes a second a client must send of an upload,
	// on average over UploadIdle, or it is given up as if it sent none; 0 lets
	// it be slow.
	UploadMinRate int64
	// DownloadIdle is how long a client may take nothing of what it is sent over
	// HTTP/2, and DownloadMinRate how many bytes a second it must take on average over
	// that; see [revocation.Transfer.Watch]. Whoever accepts connections does the same
	// for a whole one. 0 lets it.
	DownloadIdle    time.Duration
	DownloadMinRate int64
	// MaxRunning is how many requests of one network may run at once, but for those of
	// trusted proxies themselves; 0 is without limit.
	MaxRunning int
	// Storage says how each bucket keeps uploads, by alias.
	Storage map[string]Storage
	// TempPrefix begins the keys of objects that are the gate's own, in every
	// bucket that is uploaded to; "" means ".s3gate/".
	TempPrefix string
	// Multipart sends uploads that one request cannot carry; the zero value is
	// ready to use.
	Multipart Multipart
	// Journal knows the uploads that leave something behind if the gate dies, and
	// those that can be resumed; nil remembers none, and offers no resuming.
	Journal *uploads.Journal
	// Look is how pages look, and Looks how those of links into a bucket do, by its
	// alias, if that is different. Their language is that of whoever asks.
	Look  web.Look
	Looks map[string]web.Look
	// Metrics counts; nil does not.
	Metrics *Metrics
	// Logger gets one line for each request, without the token; nil discards.
	Logger *slog.Logger

	probes   probes
	running  conns.Networks
	adjusted atomic.Pointer[Adjustable] // nil as long as the fields count
}

// ServeHTTP answers one request. It panics with [http.ErrAbortHandler] when a
// body that has begun cannot be finished, which makes net/http reset the
// connection or the stream.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	endAfterChunks(w, r)
	x := newExchange(h, w, r)
	defer x.finish()
	if err := x.serve(); err != nil {
		x.fail(err)
	}
	x.returned = true
}

// serve is the story of a request; it returns an error only while nothing
// has been sent to the client.
func (x *exchange) serve() error {
	x.setSafeHeaders()
	if !x.now.Origin.admit(x.r.Header) {
		x.h.Metrics.bypassed()
		return errOrigin
	}
	if err := x.skipBody(); err != nil {
		return err
	}
	if x.r.Method == http.MethodOptions {
		// Also where there is no link: a browser shows a script the 404 only
		// if the preflight succeeded.
		x.options()
		return nil
	}
	answer := x.answer()
	if answer == nil {
		return &methodError{allow: anyMethod}
	}
	if err := x.route(); err != nil {
		return err
	}
	x.client = x.now.Client.Of(x.r)
	if !x.runs() {
		return errCrowd
	}
	if x.now.Guesses.exhausted(x.client) {
		return errGuessing
	}
	// Who holds a link may revoke it whenever Redis can be reached.
	if err := x.h.Transfers.Lease(); err != nil && x.r.Method != http.MethodDelete {
		return err
	}
	err := answer()
	if errors.Is(err, tokens.ErrUnknown) {
		x.now.Guesses.missed(x.client)
	}
	return err
}

// answer returns what serves the method, nil for a method that no link
// permits.
func (x *exchange) answer() func() error {
	if serve := x.tus(); serve != nil {
		return serve
	}
	switch x.r.Method {
	case http.MethodGet:
		return x.download
	case http.MethodHead:
		return x.head
	case http.MethodPut:
		return x.upload
	case http.MethodPost:
		return x.submit
	case http.MethodDelete:
		return x.withdraw
	}
	return nil
}

// tempPrefix begins the keys of temporary objects.
func (x *exchange) tempPrefix() string { return cmp.Or(x.h.TempPrefix, ".s3gate/") }

// permit asks whether the gate may serve what the grant permits.
func (x *exchange) permit() error {
	if x.transfer != nil {
		return x.transfer.Permit(x.grant())
	}
	return x.h.Transfers.Permits(x.grant())
}

// abort ends a response visibly: nobody can take what was sent, or nothing, for
// the whole of it.
func (x *exchange) abort() {
	// To HTTP/1.0 a body of unknown length ends with the connection.
	if x.transfer != nil && !x.r.ProtoAtLeast(1, 1) {
		x.transfer.Reset()
	}
	x.returned = true
	panic(http.ErrAbortHandler)
}

// drainAndClose lets the connection to S3 be used again when little is left
// on it, and closes it otherwise.
func drainAndClose(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10)
	body.Close()
}
