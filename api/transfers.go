package api

import (
	"errors"
	"log/slog"
	"net/http"

	"s3gate/revocation"
	"s3gate/tokens"
)

// gateList is the answer to GET /v1/gates.
type gateList struct {
	Gates []revocation.GateStatus `json:"gates"`
}

func (h *Handler) gates(c *call) (int, any, error) {
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
	all := h.cfg.Fleet.Running(c.Context())
	list := transferList{all.Running, all.Silent, all.Complete}
	if !c.caller.SeesAll() {
		var err error
		if list.Transfers, err = h.visible(c, all.Running); err != nil {
			return 0, nil, err
		}
		list.Silent = nil // the gates are not the caller's business
	}
	return http.StatusOK, list, nil
}

// visible are the transfers of tokens that the caller may see.
func (h *Handler) visible(c *call, all []revocation.Running) ([]revocation.Running, error) {
	known := map[tokens.ID]bool{}
	seen := []revocation.Running{}
	for _, t := range all {
		sees, asked := known[t.Token]
		if !asked {
			_, err := h.find(c, t.Token, false)
			if err != nil && !errors.Is(err, tokens.ErrUnknown) {
				return nil, err
			}
			sees = err == nil
			known[t.Token] = sees
		}
		if sees {
			t.Gate = ""
			seen = append(seen, t)
		}
	}
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
	return http.StatusOK, ended{ID: id, Cut: end.Stopped, Committing: end.Late}, nil
}
