package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"s3gate/tokens"
)

// batchRoute is the path of a batch, whose body may be larger than others.
const batchRoute = "/v1/tokens:batch"

// maxBatchPasscodes bounds the time that hashing takes.
const maxBatchPasscodes = 100

// batchRequest is the body of POST /v1/tokens:batch. Each token is that of
// POST /v1/tokens.
type batchRequest struct {
	Tokens []json.RawMessage `json:"tokens"`
}

// batch is the answer: one result for each token, in their order.
type batch struct {
	Results []batchResult `json:"results"`
}

// batchResult is what has become of one token: either is there.
type batchResult struct {
	// Token is the answer to its mint.
	Token json.RawMessage `json:"token,omitempty"`
	// Error says why there is none: Redis did not answer for it. It may be there,
	// and nobody has it.
	Error *Problem `json:"error,omitempty"`
}

// decodeBatch reads all requests; an error names the one that is wrong.
func (h *Handler) decodeBatch(c *call) ([]MintRequest, error) {
	var body batchRequest
	if err := decode(c.Body, &body); err != nil {
		return nil, err
	}
	if n := len(body.Tokens); n < 1 || n > h.cfg.MaxBatch {
		return nil, &tokens.FieldError{Field: "tokens", Problem: fmt.Sprintf("must hold 1 to %d requests, got %d", h.cfg.MaxBatch, n)}
	}
	requests, passcodes := make([]MintRequest, len(body.Tokens)), 0
	for i, raw := range body.Tokens {
		if err := decode(bytes.NewReader(raw), &requests[i]); err != nil {
			return nil, &tokens.ItemError{Item: i, Err: err}
		}
		if requests[i].Notify != (Notify{}) {
			return nil, &tokens.ItemError{Item: i, Err: &tokens.FieldError{Field: "notify", Problem: "may not be in a batch, which would take too long"}}
		}
		if requests[i].Passcode == "" {
			continue
		}
		if passcodes++; passcodes > maxBatchPasscodes {
			return nil, &tokens.ItemError{Item: i, Err: &tokens.FieldError{
				Field: "passcode", Problem: fmt.Sprintf("may be in at most %d requests of one batch", maxBatchPasscodes)}}
		}
	}
	return requests, nil
}

func (h *Handler) mintBatch(c *call) (int, any, error) {
	requests, err := h.decodeBatch(c)
	if err != nil {
		return 0, nil, err
	}
	if err := h.spend(c, len(requests)); err != nil {
		return 0, nil, err
	}
	opened, err := h.once(c, "batch", requests, func() error { return h.mayMintAllAgain(c, requests) }, func(token func(int) tokens.Token) ([]sealed, []tokens.Token, error) {
		return h.mintAll(c, requests, token)
	})
	var part *partError
	switch {
	case errors.As(err, &part):
		return h.partly(c, part)
	case err != nil:
		return 0, nil, err
	}
	answer := batch{make([]batchResult, len(opened))}
	for i := range opened {
		answer.Results[i].Token = opened[i]
	}
	return http.StatusCreated, answer, nil
}

// mayMintAllAgain asks for the right to each that was minted before.
func (h *Handler) mayMintAllAgain(c *call, requests []MintRequest) error {
	for i := range requests {
		if err := h.mayMintAgain(c, &requests[i]); err != nil {
			return &tokens.ItemError{Item: i, Err: err}
		}
	}
	return nil
}

// mintAll checks every request before it mints the first.
func (h *Handler) mintAll(c *call, requests []MintRequest, token func(int) tokens.Token) ([]sealed, []tokens.Token, error) {
	all := make([]tokens.Minting, len(requests))
	for i := range requests {
		g, life, err := h.prepare(c, &requests[i])
		if err == nil {
			err = c.Context().Err()
		}
		if err != nil {
			return nil, nil, &tokens.ItemError{Item: i, Err: err}
		}
		all[i] = tokens.Minting{Grant: g, Life: life, Token: token(i), Quotas: h.quotas(&g)}
	}
	var done []tokens.Minted
	err := h.hash(c.Context(), all, requests)
	if err == nil {
		done, err = h.cfg.Tokens.MintAll(c.Context(), all)
	}
	var item *tokens.ItemError
	if errors.As(err, &item) {
		err = &tokens.ItemError{Item: item.Item, Err: blame(item.Err, all[item.Item].Life)}
	}
	if err != nil {
		return nil, nil, err
	}
	answers, given := make([]sealed, len(done)), make([]tokens.Token, len(done))
	failed := 0
	for i := range done {
		if done[i].Err != nil {
			failed++
			continue
		}
		given[i] = done[i].Token
		h.cfg.Minted(done[i].Grant)
		if answers[i], err = h.seal(given[i], &done[i].Grant, nil, nil); err != nil {
			return nil, nil, err
		}
	}
	switch failed {
	case 0:
		return answers, given, nil
	case len(done):
		return nil, nil, done[0].Err
	}
	return nil, nil, &partError{answers, given, done}
}

// partError is a batch of which a part was minted.
type partError struct {
	answers []sealed
	given   []tokens.Token
	done    []tokens.Minted
}

func (e *partError) Error() string { return "a part of a batch was not minted" }

// partly answers with those tokens that were minted, and what is known of the
// others.
func (h *Handler) partly(c *call, e *partError) (int, any, error) {
	answer := batch{make([]batchResult, len(e.done))}
	for i := range e.done {
		if err := e.done[i].Err; err != nil {
			p := h.problem(c.w, err)
			answer.Results[i].Error = &p
			continue
		}
		opened, err := e.answers[i].open(h.cfg.PublicURL, e.given[i])
		if err != nil {
			return 0, nil, err
		}
		answer.Results[i].Token = opened
	}
	return http.StatusMultiStatus, answer, nil
}
