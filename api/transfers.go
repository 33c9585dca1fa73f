package api

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"s3gate/revocation"
	"s3gate/tokens"
)

// gateList is the answer to GET /v1/gates.
type gateList struct {
	Gates []revocation.GateStatus `json:"gates"`
}

func (h *Handler) gates(c *call) (int, any, error) {
	if c.follows() {
		return answered, nil, h.followGates(c)
	}
	gates, err := h.cfg.Member.Gates(c.Context())
	return http.StatusOK, gateList{gates}, err
}

// transferList is the answer to GET /v1/transfers.
type transferList struct {
	Transfers []revocation.Running `json:"transfers"`
	// Silent names gates that did not answer, and Complete says that nothing
	// else runs.
	Silent   []string `json:"silent,omitempty"`
	Complete bool     `json:"complete"`
}

func (h *Handler) running(c *call) (int, any, error) {
	if c.follows() {
		return answered, nil, h.followTransfers(c)
	}
	list, err := h.overview(c, h.cfg.Fleet.Running(c.Context()), sight{})
	return http.StatusOK, list, err
}

// overview is what the caller may see of an overview. It goes by what the caller is
// known to see, and adds to that.
func (h *Handler) overview(c *call, all revocation.Overview, known sight) (list transferList, err error) {
	list = transferList{all.Running, all.Silent, all.Complete}
	if !c.caller.SeesAll() {
		list.Transfers, err = h.visible(c, all.Running, known)
		list.Silent = nil // the gates are not the caller's business
	}
	return list, err
}

// sight says whether a caller may see tokens, as far as that was asked. Whose a
// token is never changes.
type sight map[tokens.ID]bool

// visible are the transfers of tokens that the caller may see.
func (h *Handler) visible(c *call, all []revocation.Running, known sight) ([]revocation.Running, error) {
	seen, asked := []revocation.Running{}, sight{}
	for _, t := range all {
		sees, there := known[t.Token]
		if !there {
			_, err := h.find(c, t.Token, false)
			if err != nil && !errors.Is(err, tokens.ErrUnknown) {
				return nil, err
			}
			sees = err == nil
			known[t.Token] = sees
		}
		asked[t.Token] = sees
		if sees {
			t.Gate = ""
			seen = append(seen, t)
		}
	}
	maps.DeleteFunc(known, func(id tokens.ID, _ bool) bool { _, runs := asked[id]; return !runs })
	return seen, nil
}

// mayCut asks whether the caller may revoke the token of a transfer, and so end
// it. What the caller may not see does not run.
func (h *Handler) mayCut(c *call, id string) error {
	for _, t := range h.cfg.Fleet.Running(c.Context()).Running {
		if t.ID != id {
			continue
		}
		_, err := h.find(c, t.Token, true)
		if !errors.Is(err, tokens.ErrUnknown) {
			return err
		}
	}
	return revocation.ErrNoTransfer
}

// ended is the answer to DELETE /v1/transfers/{id}: it was cut, or it is an
// upload past stopping.
type ended struct {
	ID         string `json:"id"`
	Cut        bool   `json:"cut"`
	Committing bool   `json:"committing"`
	// Bytes had been moved, and Gate ran it, for those who see everything.
	Bytes  int64   `json:"bytes"`
	Gate   string  `json:"gate,omitempty"`
	TookMS float64 `json:"took_ms"`
}

// CutTransfer is a transfer that a caller has ended.
type CutTransfer struct {
	// ID is that of the request.
	ID string `json:"id"`
	// Author is the caller's subject.
	Author string `json:"author"`
	// Committing says that it was an upload past stopping.
	Committing bool `json:"committing,omitempty"`
}

func (h *Handler) cut(c *call) (int, any, error) {
	begin := time.Now()
	id := c.PathValue("id")
	if !c.caller.RevokesAll() {
		if err := h.mayCut(c, id); err != nil {
			return 0, nil, err
		}
	}
	end, err := h.cfg.Fleet.Cut(c.Context(), id)
	if err != nil {
		return 0, nil, err
	}
	h.cfg.Logger.LogAttrs(c.Context(), slog.LevelInfo, "transfer cut by a caller",
		slog.String("transfer", id), slog.String("by", c.caller.Subject), slog.Bool("cut", end.Stopped))
	if h.cfg.Cut != nil {
		h.cfg.Cut(CutTransfer{ID: id, Author: c.caller.Subject, Committing: end.Late})
	}
	receipt := ended{ID: id, Cut: end.Stopped, Committing: end.Late, Bytes: end.Bytes}
	if c.caller.SeesAll() {
		receipt.Gate = end.Gate
	}
	receipt.TookMS = float64(time.Since(begin).Microseconds()) / 1000
	return http.StatusOK, receipt, nil
}
