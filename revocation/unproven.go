package revocation

import (
	"errors"
	"fmt"

	"s3gate/tokens"
)

// Stage is how far a revocation came, or a lift, that cannot be shown to hold.
type Stage string

// The stages.
const (
	// NotMade: nothing was changed.
	NotMade Stage = "not_made"
	// MaybeMade: Redis may have it or not. If it has, every gate will hear of it.
	MaybeMade Stage = "unknown"
	// Made: Redis has it, and every gate that hears of it applies it. It could
	// not be shown that all have, or can no longer serve.
	Made Stage = "made"
)

// UnprovenError is a revocation or a lift that cannot be shown to hold on every
// gate. It is a tokens.ErrUnproven.
type UnprovenError struct {
	// Rule is the ID of the rule; "" if it has got none.
	Rule  string
	Stage Stage
	Err   error
}

func (e *UnprovenError) Error() string {
	return fmt.Sprintf("revocation rule %s (%s): %v", e.Rule, e.Stage, e.Err)
}

func (e *UnprovenError) Unwrap() error { return e.Err }

// at says at which stage a rule failed; other errors are as they are.
func (r *Rule) at(stage Stage, err error) error {
	if !errors.Is(err, tokens.ErrUnproven) {
		return err
	}
	return &UnprovenError{r.ID, stage, err}
}
