package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"s3gate/internal/duration"
	"s3gate/revocation"
	"s3gate/tokens"
)

// decodePatch reads a patch. Null removes a label, or all; nothing else can be
// removed.
func decodePatch(r io.Reader) (n tokens.Narrowing, err error) {
	var raw bytes.Buffer
	var req PatchRequest
	if err := decode(io.TeeReader(r, &raw), &req); err != nil {
		return n, err
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw.Bytes(), &given); err != nil {
		return n, bodyError("is not a valid JSON object")
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch null := string(given[name]) == "null"; {
		case null && name == "labels":
			n.NoLabels = true
		case null, string(given[name]) == `""`:
			return n, &tokens.FieldError{Field: name, Problem: "cannot be removed; leave it out to keep it as it is"}
		}
	}
	n.MaxUses, n.Labels = req.MaxUses, req.Labels
	if req.ExpiresIn != "" && req.ExpiresAt != "" {
		return n, &tokens.FieldError{Field: "expires_in", Problem: "and expires_at exclude each other"}
	}
	if n.ExpiresAt, err = parseTime("expires_at", req.ExpiresAt); err != nil || req.ExpiresIn == "" {
		return n, err
	}
	if n.ExpiresIn, err = duration.Parse(req.ExpiresIn); err != nil {
		return n, &tokens.FieldError{Field: "expires_in", Problem: err.Error()}
	}
	if n.ExpiresIn <= 0 {
		return n, &tokens.FieldError{Field: "expires_in", Problem: "must be more than 0s, got " + clip(req.ExpiresIn)}
	}
	return n, nil
}

// matches reports whether the If-Match header names a version of a grant.
func (c *call) matches(version int64) bool {
	for _, value := range c.Header.Values("If-Match") {
		for tag := range strings.SplitSeq(value, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || tag == etag(version) {
				return true
			}
		}
	}
	return false
}

// changed is the answer to a patch: the grant as it is now, and who has confirmed
// that.
type changed struct {
	tokens.Grant
	proof
}

// proof is what a change can show for itself; see [revocation.Receipt].
type proof struct {
	AcknowledgedBy []string              `json:"acknowledged_by"`
	ExpiredLeases  []string              `json:"expired_leases"`
	Cut            int                   `json:"cut"`
	Committing     []string              `json:"committing,omitempty"`
	Durability     revocation.Durability `json:"durability"`
	TookMS         float64               `json:"took_ms"`
}

func proofOf(r revocation.Receipt) proof {
	return proof{r.AcknowledgedBy, r.ExpiredLeases, r.Cut, r.Committing, r.Durability, r.TookMS}
}

func (h *Handler) patch(c *call) (int, any, error) {
	id, err := c.tokenID()
	if err != nil {
		return 0, nil, err
	}
	if len(c.Header.Values("If-Match")) == 0 {
		return 0, nil, errNoMatch
	}
	n, err := decodePatch(c.Body)
	if err != nil {
		return 0, nil, err
	}
	status, err := h.find(c, id, true)
	if err != nil {
		return 0, nil, err
	}
	from := status.Grant
	if !c.matches(from.Version) {
		return 0, nil, tokens.ErrVersion
	}
	to, err := h.cfg.Tokens.Narrow(c.Context(), from, n)
	if err != nil {
		return 0, nil, err
	}
	if err := h.mayRelabel(c, &from, &to); err != nil {
		return 0, nil, err
	}
	receipt, err := h.replace(c, from, to)
	if err != nil {
		return 0, nil, err
	}
	c.w.Header().Set("ETag", etag(to.Version))
	return http.StatusOK, changed{to, proofOf(receipt)}, nil
}

// replace changes the grant, and waits until that counts everywhere. It does not stop
// in between when the client goes away.
func (h *Handler) replace(c *call, from, to tokens.Grant) (revocation.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), settleTime)
	defer cancel()
	var receipt revocation.Receipt
	err := h.cfg.Tokens.Replace(ctx, from, to)
	if err != nil && !errors.Is(err, tokens.ErrUnproven) {
		return receipt, err
	}
	if err == nil {
		receipt, err = h.cfg.Revoker.Change(ctx, &from, &to, c.caller.Subject)
	}
	if lostLabel(&from, &to) == "" {
		return receipt, err
	}
	if escape := h.escaped(&from, &to); escape != nil {
		_, unproven := h.cfg.Revoker.Revoke(ctx, revocation.Rule{
			Token: to.ID, Author: c.caller.Subject, Reason: "a rule covered it, or may have, when its labels were changed"})
		return receipt, cmp.Or(unproven, escape)
	}
	return receipt, err
}

// escaped asks that no rule that was made meanwhile meant the token by a label that it
// has lost. Without a lease there may be one that is not known here, whoever has
// acknowledged the change.
func (h *Handler) escaped(from, to *tokens.Grant) error {
	if h.cfg.Member.Lease() != nil {
		return errDoubt
	}
	if h.cfg.Member.Rules().Escaped(from, to) != nil {
		return errCovered
	}
	return nil
}

// mayRelabel asks whether the caller may change labels so. Nobody may take one
// away by which a rule covers the token. Who is no administrator may take away or
// change only what it need not have set: it must be able to mint the token as it
// then is.
func (h *Handler) mayRelabel(c *call, from, to *tokens.Grant) error {
	if err := h.cfg.Member.Lease(); err != nil {
		return err // there may be rules that are not known here
	}
	if h.cfg.Member.Rules().Escaped(from, to) != nil {
		return errCovered
	}
	lost := lostLabel(from, to)
	if lost == "" || c.caller.Admin || c.caller.Administers(from.Bucket) {
		return nil
	}
	w := &wish{grant: *to}
	switch err := h.permit(c, w); {
	case errors.Is(err, errNoRight):
		return denied("labels."+clip(lost), "can only be changed or removed by who may mint the token so, which the bearer JWT may not")
	case err != nil:
		return err
	case !maps.Equal(w.grant.Labels, to.Labels):
		return denied("labels."+clip(lost), "can not be changed so: a rule for the bearer JWT sets labels of what it mints")
	}
	return nil
}

// lostLabel is the first label that a grant does not have as before; "" for none.
func lostLabel(from, to *tokens.Grant) string {
	for _, name := range slices.Sorted(maps.Keys(from.Labels)) {
		if is, has := to.Labels[name]; !has || is != from.Labels[name] {
			return name
		}
	}
	return ""
}
