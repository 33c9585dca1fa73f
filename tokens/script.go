package tokens

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var sources embed.FS

// Each decision about one token is one script.
var (
	mintScript    = load("mint")
	redeemScript  = load("redeem")
	chargeScript  = load("charge")
	settleScript  = load("settle")
	revokeScript  = load("revoke")
	restoreScript = load("restore")
	showScript    = load("show")
	// Those of uses that may be resumed, and of receipts.
	pinScript     = load("pin")
	extendScript  = load("extend")
	endScript     = load("end")
	dueScript     = load("due")
	closedScript  = load("closed")
	receiptScript = load("receipt")
	slotScript    = load("slot")
	tryScript     = load("try")
)

func load(name string) *redis.Script {
	src, err := sources.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // embedded: it is there or the program does not build
	}
	return redis.NewScript(string(src))
}

// keys of one token share the hash tag {ID}, so that they live in one slot of
// a Redis Cluster.
func recordKey(id ID) string   { return "s3g:{" + string(id) + "}:t" }
func reservedKey(id ID) string { return "s3g:{" + string(id) + "}:r" }
func chargedKey(id ID) string  { return "s3g:{" + string(id) + "}:c" }
func slotsKey(id ID) string    { return "s3g:{" + string(id) + "}:n" }
func triesKey(id ID) string    { return "s3g:{" + string(id) + "}:p" }
func cancelledKey(id ID, nonce string) string {
	return "s3g:{" + string(id) + "}:x:" + nonce
}

func openKey(id ID) string                { return "s3g:{" + string(id) + "}:o" }
func openUseKey(id ID, use string) string { return openKey(id) + ":" + use }
func receiptsKey(id ID) string            { return "s3g:{" + string(id) + "}:l" }

// useKeys are the keys of charge and settle, and the first of redeem, pin and
// end.
func useKeys(id ID, nonce string) []string {
	return []string{recordKey(id), reservedKey(id), chargedKey(id), cancelledKey(id, nonce)}
}

// list reads an element that is a list.
func (r reply) list(i int) []reply {
	if i >= len(r) {
		return nil
	}
	elements, _ := r[i].([]any)
	out := make([]reply, 0, len(elements))
	for _, e := range elements {
		switch e := e.(type) {
		case []any:
			out = append(out, e)
		default:
			out = append(out, reply{e})
		}
	}
	return out
}

// run executes a script and returns its status and what follows it. The reply
// begins with the name of this one call: a reply meant for another command, as
// on a connection that lost its place, is an error and decides nothing.
func (s *Store) run(ctx context.Context, script *redis.Script, id ID, keys []string, args ...any) (string, reply, error) {
	call := newCall(id)
	raw, err := script.Run(ctx, s.rdb, keys, append([]any{call}, args...)...).Slice()
	return checkReply(raw, err, call)
}

// newCall names a call: the token's ID and a random number, because the ID
// alone would let one attempt be answered with what another on the same token
// was told.
func newCall(id ID) string { return string(id) + "." + strconv.FormatUint(rand.Uint64(), 36) }

func checkReply(raw []any, err error, call string) (string, reply, error) {
	if err != nil {
		return "", nil, unproven(err)
	}
	r := reply(raw)
	if r.text(0) != call || r.text(1) == "" {
		return "", nil, unproven(errors.New("reply for another command"))
	}
	return r.text(1), r[2:], nil
}

func unproven(err error) error { return fmt.Errorf("%w: %w", ErrUnproven, err) }

// reply is a script's answer. Its readers give zero values for what is absent.
type reply []any

func (r reply) text(i int) string {
	if i >= len(r) {
		return ""
	}
	switch v := r[i].(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return ""
}

func (r reply) number(i int) int64 {
	n, _ := strconv.ParseInt(r.text(i), 10, 64)
	return n
}

// time reads milliseconds since 1970; empty means zero.
func (r reply) time(i int) time.Time {
	if r.text(i) == "" {
		return time.Time{}
	}
	return time.UnixMilli(r.number(i)).UTC()
}

// grant reads the part of a reply that redeem and show have in common:
// operation, grant, expires, not-before, max uses, resume window and slack,
// cut at expiry.
func (r reply) grant(id ID) (Grant, error) {
	g := Grant{ID: id}
	switch r.text(0) {
	case opGet:
		g.Operation = Get
	case opPut:
		g.Operation = Put
	default:
		return Grant{}, unproven(fmt.Errorf("%w: operation", errRecord))
	}
	g.ExpiresAt, g.NotBefore, g.MaxUses = r.time(2), r.time(3), r.number(4)
	if g.ExpiresAt.IsZero() || r.text(4) != strconv.FormatInt(g.MaxUses, 10) {
		// Read as zero it would be a token without limit.
		return Grant{}, unproven(fmt.Errorf("%w: limits", errRecord))
	}
	g.ResumeWindow = Duration(time.Duration(r.number(5)) * time.Millisecond)
	g.ResumeSlack, g.CutAtExpiry = r.number(6), r.text(7) == "1"
	if err := decodeGrant([]byte(r.text(1)), &g); err != nil {
		return Grant{}, unproven(err)
	}
	return g, nil
}

// The operations as Redis has them.
const (
	opGet = "g"
	opPut = "p"
)

// opCode is empty for what is no operation, which no token permits.
func opCode(op Operation) string {
	switch op {
	case Get:
		return opGet
	case Put:
		return opPut
	}
	return ""
}
