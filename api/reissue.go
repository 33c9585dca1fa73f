package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"s3gate/revocation"
	"s3gate/tokens"
)

// replaced is the token that another one was minted for, and who has confirmed
// that it is revoked.
type replaced struct {
	ID tokens.ID `json:"id"`
	proof
}

// reissueStage is how far a reissue came that has failed.
type reissueStage string

const (
	// oldUnknown: the old token may be revoked, and then stays so. Nothing was
	// minted.
	oldUnknown reissueStage = "unknown"
	// oldUnproven: the old token is revoked for good, and not every gate was shown to
	// know. Nothing was minted.
	oldUnproven reissueStage = "old_unproven"
	// oldRevoked: the old token is revoked for good, and nothing was minted.
	oldRevoked reissueStage = "old_revoked"
	// newUnknown: the old token is revoked for good. The new one may be there, and
	// nobody has it.
	newUnknown reissueStage = "new_unknown"
)

var reissueStages = map[reissueStage]string{
	oldUnknown:  "The old token may or may not be revoked, and nothing was minted. Ask again, or revoke the old one.",
	oldUnproven: "The old token is revoked, but it could not be shown that every gate knows, and nothing was minted. Ask again, or revoke the old one.",
	oldRevoked:  "The old token is revoked, and nothing was minted in its place.",
	newUnknown:  "The old token is revoked. The new one may or may not have been minted, and nobody has it.",
}

// reissueError is a reissue that has failed when the old token may have been
// revoked already.
type reissueError struct {
	stage reissueStage
	err   error
}

func (e *reissueError) Error() string { return fmt.Sprintf("reissuing (%s): %v", e.stage, e.err) }

func (e *reissueError) Unwrap() error { return e.err }

func (h *Handler) reissue(c *call) (int, any, error) {
	id, err := c.tokenID()
	if err != nil {
		return 0, nil, err
	}
	var req ReissueRequest
	if c.ContentLength != 0 {
		if err := decode(c.Body, &req); err != nil {
			return 0, nil, err
		}
	}
	if err := checkReason(req.Reason); err != nil {
		return 0, nil, err
	}
	if err := h.spend(c, 1); err != nil {
		return 0, nil, err
	}
	opened, err := h.once(c, "reissue "+string(id), req, func() error { return h.mayReissueAgain(c, id, &req) }, func(token func(int) tokens.Token) ([]sealed, []tokens.Token, error) {
		return h.reissueOne(c, id, &req, token)
	})
	if err != nil {
		return 0, nil, err
	}
	minted, err := idOf(opened[0])
	return c.created(minted), opened[0], err
}

// reissueOne revokes the old token before it mints the new one, so that at no time
// both have uses.
func (h *Handler) reissueOne(c *call, id tokens.ID, req *ReissueRequest, token func(int) tokens.Token) ([]sealed, []tokens.Token, error) {
	successor := token(0)
	if successor.IsZero() {
		successor = tokens.Generate()
	}
	status, err := h.find(c, id, true)
	if err != nil {
		return nil, nil, err
	}
	w, err := h.mayReissue(c, &status, successor.ID(), req)
	if err != nil && status.ReissuedAs != "" {
		// An earlier reissue may have broken off before every gate knew.
		_, unproven := h.tellGates(c.Context(), id, c.caller.Subject, req.Reason)
		return nil, nil, cmp.Or(unproven, err)
	}
	if err != nil {
		return nil, nil, err
	}
	receipt, err := h.retire(c.Context(), status.Grant, successor.ID(), c.caller.Subject, req.Reason)
	if err != nil {
		return nil, nil, err
	}
	g := w.grant
	if err := h.leaveUses(c.Context(), id, &g); err != nil {
		return nil, nil, &reissueError{oldRevoked, err}
	}
	if err := h.uncovered(&status); err != nil {
		return nil, nil, &reissueError{oldRevoked, err}
	}
	done, err := h.cfg.Tokens.MintAll(c.Context(), []tokens.Minting{{Grant: g, Life: w.life, Token: successor, Quotas: h.quotas(&g)}})
	if err != nil {
		return nil, nil, &reissueError{oldRevoked, cmp.Or(errors.Unwrap(err), err)}
	}
	if done[0].Err != nil {
		return nil, nil, &reissueError{newUnknown, done[0].Err}
	}
	h.cfg.Minted(done[0].Grant)
	answer, err := h.seal(successor, &done[0].Grant, &replaced{id, proofOf(receipt)}, nil)
	return []sealed{answer}, []tokens.Token{successor}, err
}

// mayReissue asks for the right to revoke the old token and to mint the new one,
// and that there is something to mint: nothing that is over or was taken back
// comes back so.
func (h *Handler) mayReissue(c *call, status *tokens.Status, successor tokens.ID, req *ReissueRequest) (*wish, error) {
	again := status.ReissuedAs == successor // an earlier try did not come to its end
	if err := over(status); err != nil && !again {
		return nil, err
	}
	if status.Limited() && status.MaxUses-status.Uses-status.InUse <= 0 && !again {
		return nil, errAllInUse
	}
	g := status.Grant
	g.IssuedBy, g.Issuer = c.caller.Subject, c.caller.Issuer
	w := &wish{grant: g}
	if err := req.life(w); err != nil {
		return nil, err
	}
	if err := h.permit(c, w); err != nil {
		return nil, err
	}
	if !slices.Contains(h.cfg.Buckets, w.grant.Bucket) {
		return nil, &tokens.FieldError{Field: "bucket", Problem: "of the token is not an alias of this gate"}
	}
	if err := h.mayMint(&w.grant); err != nil {
		return nil, err
	}
	if err := h.uncovered(status); err != nil {
		return nil, err
	}
	// Nothing is revoked for what cannot be minted.
	return w, blame(h.cfg.Tokens.Check(c.Context(), w.grant, w.life), w.life)
}

// uncovered asks that no rule covers the old token, which what takes its place
// might escape.
func (h *Handler) uncovered(old *tokens.Status) error {
	unnamed := old.Grant
	unnamed.ID = "" // by name it may be revoked already, for this
	if err := h.cfg.Member.Lease(); err != nil {
		return err
	}
	if h.cfg.Member.Rules().Covers(&unnamed) != nil {
		return errCovered
	}
	return nil
}

// mayReissueAgain asks for the right to what was done before: to revoke the old
// token, and to mint one like it.
func (h *Handler) mayReissueAgain(c *call, id tokens.ID, req *ReissueRequest) error {
	status, err := h.find(c, id, true)
	if err != nil {
		return err
	}
	w := &wish{grant: status.Grant}
	if err := req.life(w); err != nil {
		return err
	}
	return h.permit(c, w)
}

// life is as long as that of the old token, unless the request says otherwise.
func (r *ReissueRequest) life(w *wish) (err error) {
	if r.ExpiresIn == "" && r.ExpiresAt == "" {
		return nil
	}
	m := MintRequest{ExpiresIn: r.ExpiresIn, ExpiresAt: r.ExpiresAt}
	if w.life, err = m.life(); err != nil {
		return err
	}
	w.grant.ExpiresAt, err = parseTime("expires_at", r.ExpiresAt)
	return err
}

// over is why a token cannot be used any more; nil if it can.
func over(st *tokens.Status) error {
	switch st.State {
	case tokens.Revoked:
		return tokens.ErrRevoked
	case tokens.Expired:
		return tokens.ErrExpired
	case tokens.Used:
		return tokens.ErrUsed
	}
	return nil
}

// settleTime is how long a reissue may take to revoke the old token, whatever has
// become of its client.
const settleTime = 30 * time.Second

// retire revokes the old token, on every gate, for this one successor. It does not
// stop in between when the client goes away.
func (h *Handler) retire(ctx context.Context, from tokens.Grant, successor tokens.ID, author, reason string) (revocation.Receipt, error) {
	settled, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	err := h.cfg.Tokens.Retire(settled, from, successor, author, reason)
	if errors.Is(err, tokens.ErrVersion) {
		return revocation.Receipt{}, errChanged
	}
	if errors.Is(err, tokens.ErrUnproven) {
		return revocation.Receipt{}, &reissueError{oldUnknown, err}
	}
	if err != nil {
		return revocation.Receipt{}, err
	}
	return h.tellGates(ctx, from.ID, author, reason)
}

// tellGates tells every gate of a token that the store says is revoked.
func (h *Handler) tellGates(ctx context.Context, id tokens.ID, author, reason string) (revocation.Receipt, error) {
	settled, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	receipt, err := h.cfg.Revoker.Revoke(settled, revocation.Rule{Token: id, Author: author, Reason: reason})
	if err != nil {
		return receipt, &reissueError{oldUnproven, err}
	}
	return receipt, nil
}

// leaveUses gives the new grant what the old one has left. What is in use may
// still be charged, as an upload is that S3 has stored already.
func (h *Handler) leaveUses(ctx context.Context, id tokens.ID, g *tokens.Grant) error {
	if !g.Limited() {
		return nil
	}
	status, err := h.cfg.Tokens.Show(ctx, id)
	if err != nil {
		return err
	}
	if g.MaxUses = min(g.MaxUses, status.MaxUses) - status.Uses - status.InUse; g.MaxUses <= 0 {
		return tokens.ErrUsed
	}
	return nil
}

// idOf reads the ID of an answer to a mint.
func idOf(answer json.RawMessage) (tokens.ID, error) {
	var m struct {
		ID tokens.ID `json:"id"`
	}
	err := json.Unmarshal(answer, &m)
	return m.ID, err
}
