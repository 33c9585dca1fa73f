package tokens

import (
	"context"
	"embed"
	"fmt"
	"strconv"
	"time"

	"s3gate/internal/script"
)

//go:embed lua/*.lua
var sources embed.FS

// Each decision about one token is one script.
var (
	mintScript    = load("mint")
	redeemScript  = load("redeem")
	chargeScript  = load("charge")
	stayScript    = load("stay")
	settleScript  = load("settle")
	revokeScript  = load("revoke")
	restoreScript = load("restore")
	showScript    = load("show")
	// Those of uses that may be resumed, and of receipts.
	pinScript     = load("pin")
	extendScript  = load("extend")
	endScript     = load("end")
	closedScript  = load("closed")
	receiptScript = load("receipt")
	slotScript    = load("slot")
	tryScript     = load("try")
	indexScript   = load("index")
	admitScript   = load("admit")
	holdScript    = load("hold")
)

func load(name string) *script.Script { return script.Load(sources, name) }

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

// run executes a script whose effect may be lost with the primary, and returns its
// status and what follows it. The script's reply begins with the name of this one
// call, which begins with the token's ID.
func (s *Store) run(ctx context.Context, what *script.Script, id ID, keys []string, args ...any) (string, script.Reply, error) {
	return answer(s.scripts.Read(ctx, what, string(id), keys, args...))
}

// prove executes a script whose effect must not be lost; see [Options.MinAcks].
func (s *Store) prove(ctx context.Context, what *script.Script, id ID, keys []string, args ...any) (string, script.Reply, error) {
	return answer(s.scripts.Write(ctx, what, string(id), keys, args...))
}

func answer(status string, r script.Reply, err error) (string, script.Reply, error) {
	if err != nil {
		return "", nil, unproven(err)
	}
	return status, r, nil
}

func unproven(err error) error { return fmt.Errorf("%w: %w", ErrUnproven, err) }

// grant reads the part of a reply that redeem and show have in common:
// operation, grant, expires, not-before, max uses, resume window and slack,
// cut at expiry, version.
func readGrant(id ID, r script.Reply) (Grant, error) {
	g := Grant{ID: id}
	switch r.Text(0) {
	case opGet:
		g.Operation = Get
	case opPut:
		g.Operation = Put
	default:
		return Grant{}, unproven(fmt.Errorf("%w: operation", errRecord))
	}
	g.ExpiresAt, g.NotBefore, g.MaxUses = r.Time(2), r.Time(3), r.Number(4)
	if g.ExpiresAt.IsZero() || r.Text(4) != strconv.FormatInt(g.MaxUses, 10) {
		// Read as zero it would be a token without limit.
		return Grant{}, unproven(fmt.Errorf("%w: limits", errRecord))
	}
	g.ResumeWindow = Duration(time.Duration(r.Number(5)) * time.Millisecond)
	g.ResumeSlack, g.CutAtExpiry = r.Number(6), r.Text(7) == "1"
	g.Version = r.Number(8)
	if err := decodeGrant([]byte(r.Text(1)), &g); err != nil {
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
