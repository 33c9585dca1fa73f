package leakwatch

import (
	"fmt"
	"slices"
)

// Action is what is done about a finding, besides telling of it.
type Action string

// The actions.
const (
	// RevokeKey revokes the tokens that permit exactly the object.
	RevokeKey Action = "revoke_key"
	// RevokeSubject revokes the tokens of the subject of the token.
	RevokeSubject Action = "revoke_subject"
	// RevokeToken revokes the token.
	RevokeToken Action = "revoke_token"
	// Lock locks the bucket, and proves it.
	Lock Action = "lock"
)

// Actions returns all actions.
func Actions() []Action { return []Action{RevokeKey, RevokeSubject, RevokeToken, Lock} }

// about are the kinds of findings about which an action can do something: requests
// past the gate name no token and no subject, canaries do not work anyway, and of a
// shared link it is the token that leaked and not the object.
var about = map[Action][]Kind{
	RevokeKey:     {Presigned, Form},
	RevokeSubject: {Shared, Canary},
	RevokeToken:   {Shared},
	Lock:          Kinds(),
}

// Rule says what is done about which findings.
type Rule struct {
	// Kind and Outcome select findings; "" selects every one, of which each action
	// is for those that it can do something about.
	Kind    Kind
	Outcome Outcome
	// Do is what is done, in this order.
	Do []Action
}

// Validate says what is wrong with a rule.
func (r *Rule) Validate() error {
	if r.Kind != "" && !slices.Contains(Kinds(), r.Kind) {
		return fmt.Errorf("kind must be one of %v, got %q", Kinds(), r.Kind)
	}
	if r.Outcome != "" && !slices.Contains(Outcomes(), r.Outcome) {
		return fmt.Errorf("outcome must be one of %v, got %q", Outcomes(), r.Outcome)
	}
	if len(r.Do) == 0 {
		return fmt.Errorf("do must name at least one of %v", Actions())
	}
	for _, a := range r.Do {
		if !slices.Contains(Actions(), a) {
			return fmt.Errorf("do must be of %v, got %q", Actions(), a)
		}
		if r.Kind != "" && !slices.Contains(about[a], r.Kind) {
			return fmt.Errorf("do must not hold %s for kind %s, only for %v", a, r.Kind, about[a])
		}
	}
	return nil
}

// Choose returns what the rules say about a finding: each action once, in the
// order in which the rules have it, if it can do something about such a finding.
func Choose(rules []Rule, f *Finding) (do []Action) {
	for _, r := range rules {
		if r.Kind != "" && r.Kind != f.Kind || r.Outcome != "" && r.Outcome != f.Outcome {
			continue
		}
		for _, a := range r.Do {
			if slices.Contains(about[a], f.Kind) && !slices.Contains(do, a) {
				do = append(do, a)
			}
		}
	}
	return do
}
