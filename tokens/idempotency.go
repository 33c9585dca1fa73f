package tokens

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

var (
	reserveScript = load("reserve")
	finishScript  = load("finish")
	abandonScript = load("abandon")
)

// Why a [Request] gets no [Reservation].
var (
	// ErrNoSecret: the store has no secret to derive tokens from.
	ErrNoSecret = errors.New("no mint secret")
	// ErrOtherRequest: the key stands for a request that asked for something
	// else.
	ErrOtherRequest = errors.New("key of another request")
	// ErrUnderWay: the first request is being answered. The key is free again
	// half a minute after its gate was last heard of, whatever became of that.
	ErrUnderWay = errors.New("request under way")
	// ErrForgottenSecret: the key stands for tokens of a secret that this store
	// does not have.
	ErrForgottenSecret = errors.New("key of an unknown mint secret")
)

// underWay is how long a request may take until another may finish it.
const underWay = 30 * time.Second

// Request is a request for tokens that may come again, and is to have the same
// tokens then. Issuer, Subject and Key name it together.
type Request struct {
	// Issuer and Subject are those of the caller, and Key is the caller's name
	// for the request.
	Issuer, Subject, Key string
	// Body is what is asked for, in one form whatever way it was written. Redis
	// gets a keyed hash of it.
	Body []byte
}

// Reservation is the right to answer a request. It ends with Finish, Leave or
// Abandon.
type Reservation struct {
	// Answer is what the request was answered before; nil if it was not: then
	// the tokens have to be minted.
	Answer []byte

	store   *Store
	request Request
	secret  mintSecret
	salt    []byte
	nonce   string
	again   bool // somebody else had begun
}

// Reserve takes hold of a request, so that it is answered once. Errors:
// [ErrNoSecret], [ErrOtherRequest], [ErrUnderWay], [ErrForgottenSecret],
// [ErrUnproven].
func (s *Store) Reserve(ctx context.Context, req Request) (*Reservation, error) {
	if len(s.secrets) == 0 {
		return nil, ErrNoSecret
	}
	var salt [sha256.Size]byte
	rand.Read(salt[:])
	r := &Reservation{store: s, request: req, nonce: newNonce()}
	r.request.Body = nil // it may hold a passcode
	args := []any{r.nonce, salt[:], s.opts.IdempotencyWindow.Milliseconds(), s.opts.underWay.Milliseconds()}
	for _, secret := range s.secrets {
		body := secret.sum(forBody, []byte(req.Issuer), []byte(req.Subject), []byte(req.Key), req.Body)
		args = append(args, secret.id(), hex.EncodeToString(body[:]))
	}
	status, reply, err := s.prove(ctx, reserveScript, "request", []string{req.redisKey()}, args...)
	if err != nil {
		r.Leave(ctx) // it may hold the request
		return nil, err
	}
	switch status {
	case "new", "again", "done":
	default:
		return nil, requestError(status)
	}
	r.again, r.salt = status == "again", []byte(reply.Text(0))
	for _, secret := range s.secrets {
		if secret.id() == reply.Text(1) {
			r.secret = secret
		}
	}
	if r.secret.key == nil || len(r.salt) != len(salt) {
		return nil, unproven(fmt.Errorf("%w: request", errRecord))
	}
	if status == "done" {
		r.Answer = []byte(reply.Text(2))
	}
	return r, nil
}

func requestError(status string) error {
	switch status {
	case "body":
		return ErrOtherRequest
	case "busy":
		return ErrUnderWay
	case "secret":
		return ErrForgottenSecret
	}
	return statusError(status)
}

// redisKey is the same under every secret.
func (q *Request) redisKey() string {
	h := sha256.New()
	writeFramed(h, []byte(q.Issuer), []byte(q.Subject), []byte(q.Key))
	return "s3g:{req_" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18]) + "}"
}

// Token is the i-th token of the request, the same each time: its characters
// come from the HMAC-SHA256, under the mint secret, of issuer, subject, key,
// the salt that Redis keeps, and i. Neither Redis nor the secret alone gives
// it.
func (r *Reservation) Token(i int) Token {
	q := &r.request
	return fromSeed(r.secret.sum(forToken, []byte(q.Issuer), []byte(q.Subject), []byte(q.Key), r.salt, []byte(strconv.Itoa(i))))
}

// Finish keeps the answer for when the request comes again, and returns the one
// that counts: that of somebody else who was faster, or this. It must not hold
// a token. It goes on when ctx is done, so that a client that gave up and asks
// again has its answer. Errors: [ErrUnproven]; then the request is left.
func (r *Reservation) Finish(ctx context.Context, answer []byte) ([]byte, error) {
	last, cancel := ending(ctx)
	defer cancel()
	status, reply, err := r.store.prove(last, finishScript, "request", []string{r.request.redisKey()}, r.salt, answer)
	switch {
	case err != nil:
		r.Leave(ctx)
		return nil, err
	case status == "gone":
		return answer, nil // its time is over: a request that is there now is another
	case status != "ok":
		return nil, statusError(status)
	}
	return []byte(reply.Text(0)), nil
}

// Leave lets somebody else finish at once, with the same tokens: something
// failed, and may be there.
func (r *Reservation) Leave(ctx context.Context) { r.abandon(ctx, "leave") }

// Abandon gives the key back: nothing was minted, and nothing will be. A request
// that somebody else had begun is only left.
func (r *Reservation) Abandon(ctx context.Context) {
	if r.again {
		r.Leave(ctx)
		return
	}
	r.abandon(ctx, "forget")
}

// endingTime is how long the end of a request may take when its client is gone.
const endingTime = 5 * time.Second

// ending is the context in which a request ends: its client may have given up.
func ending(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), endingTime)
}

// abandon may fail: the key is free after a while.
func (r *Reservation) abandon(ctx context.Context, how string) {
	ctx, cancel := ending(ctx)
	defer cancel()
	_, _, _ = r.store.run(ctx, abandonScript, "request", []string{r.request.redisKey()}, r.nonce, how)
}
