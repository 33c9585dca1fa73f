package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"s3gate/client"
)

// patience says whether and when something that failed is tried again.
type patience struct {
	ctx   context.Context
	limit time.Duration // without progress; 0 for no second try
	say   func(format string, args ...any)

	// reached is set when the server has done something that was asked of it.
	// Before that only what it asks to be tried again is, and not for long.
	reached  bool
	until    time.Time // when it gives up; zero as long as nothing fails
	failures int       // since there was progress
	told     bool
}

const (
	firstPatience = time.Minute
	firstBackoff  = 100 * time.Millisecond
	maxBackoff    = 15 * time.Second
)

// progress is called when something got on.
func (p *patience) progress() {
	p.reached, p.until, p.failures, p.told = true, time.Time{}, 0, false
}

// wait waits until it is worth trying again after a failure, or returns why
// there is no sense in that: the cause itself, or that the context has ended.
func (p *patience) wait(cause error) error {
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	if !p.passing(cause) {
		return cause
	}
	limit := p.limit
	if !p.reached {
		limit = min(limit, firstPatience)
	}
	if p.until.IsZero() {
		p.until = time.Now().Add(limit)
	}
	pause := p.pause(cause)
	if p.failures++; time.Now().Add(pause).After(p.until) {
		return cause
	}
	if pause >= time.Second && !p.told {
		p.told = true
		p.say("%v; trying again", cause)
	}
	select {
	case <-p.ctx.Done():
		return p.ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// pause is what the server asks for, or doubles each time. No two clients that
// a server has cut off come back at the same moment.
func (p *patience) pause(cause error) time.Duration {
	backoff := min(firstBackoff<<min(p.failures, 10), maxBackoff)
	backoff = backoff/2 + rand.N(backoff/2+1)
	var r *refusal
	if errors.As(cause, &r) && r.after != nil {
		return max(*r.after, backoff)
	}
	return backoff
}

// checksumMismatch is what a server answers to bytes that are not those of
// which it was told the checksum (tus 1.0, "Checksum").
const checksumMismatch = 460

// passing reports whether the same may succeed later.
func (p *patience) passing(cause error) bool {
	var r *refusal
	switch {
	case errors.Is(cause, errSourceChanged), errors.Is(cause, errProtocol), errors.As(cause, new(usageError)):
		return false
	case !errors.As(cause, &r):
		return p.reached
	case r.after != nil:
		return true
	}
	switch status := r.problem.Status; status {
	case http.StatusRequestTimeout, http.StatusLocked, http.StatusTooManyRequests, checksumMismatch:
		return p.reached
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	default:
		return p.reached && status >= 500
	}
}

// refused returns the status of an error answer, 0 for other errors.
func refused(err error) int {
	var problem *client.Error
	if errors.As(err, &problem) {
		return problem.Status
	}
	return 0
}
