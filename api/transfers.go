package api

import (
	"log/slog"
	"net/http"

	"s3gate/revocation"
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
}

func (h *Handler) running(*call) (int, any, error) {
	return http.StatusOK, transferList{h.cfg.Transfers.Running(nil)}, nil
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
	stopped, late := h.cfg.Transfers.Cut(func(t *revocation.Transfer) bool { return t.ID == id })
	if stopped == 0 && len(late) == 0 {
		return 0, nil, errTransfer
	}
	h.cfg.Logger.LogAttrs(c.Context(), slog.LevelInfo, "transfer cut by a caller",
		slog.String("transfer", id), slog.String("by", c.caller.Subject), slog.Bool("cut", stopped > 0))
	if h.cfg.Cut != nil {
		h.cfg.Cut(CutTransfer{ID: id, Author: c.caller.Subject, Committing: stopped == 0})
	}
	return http.StatusOK, ended{ID: id, Cut: stopped > 0, Committing: len(late) > 0}, nil
}
