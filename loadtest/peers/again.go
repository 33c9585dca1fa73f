package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"s3gate/client"
)

// statusError is an answer of another status than 200. It wraps [errAnswer].
type statusError struct {
	status int
	line   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%v: must be HTTP/1.1 200, is %q", errAnswer, e.line)
}

func (e *statusError) Unwrap() error { return errAnswer }

const (
	unavailableFor = 30 * time.Second
	betweenTries   = 250 * time.Millisecond
)

// whenAvailable does something again while it ends in 503: a gate that has just
// started has no lease for some seconds, and one on a machine that is too busy may
// lose it. What is done may be done twice.
func whenAvailable(ctx context.Context, f func() error) error {
	for until := time.Now().Add(unavailableFor); ; {
		err := f()
		if !unavailable(err) || time.Now().After(until) {
			return err
		}
		if err := pause(ctx, betweenTries); err != nil {
			return err
		}
	}
}

func unavailable(err error) bool {
	var link *statusError
	if errors.As(err, &link) {
		return link.status == http.StatusServiceUnavailable
	}
	var api *client.Error
	return errors.As(err, &api) && api.Status == http.StatusServiceUnavailable
}
