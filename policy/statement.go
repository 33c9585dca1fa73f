package policy

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Effect is what a statement, or a whole policy, says of a request.
type Effect int

// The effects, the stronger the greater. None is the zero value: no statement matches, the request is
// denied implicitly unless something outside the bucket policy allows it.
const (
	None Effect = iota
	Allow
	Deny
)

// String returns "None", "Allow" or "Deny".
func (e Effect) String() string {
	switch e {
	case Allow:
		return "Allow"
	case Deny:
		return "Deny"
	default:
		return "None"
	}
}

// MarshalText writes the Effect element of a statement. None is an error: no statement can have it.
func (e Effect) MarshalText() ([]byte, error) {
	if e != Allow && e != Deny {
		return nil, errors.New("effect is neither Allow nor Deny")
	}
	return []byte(e.String()), nil
}

// UnmarshalText reads the Effect element of a statement, which is case-sensitive.
func (e *Effect) UnmarshalText(text []byte) error {
	switch string(text) {
	case "Allow":
		*e = Allow
	case "Deny":
		*e = Deny
	default:
		return fmt.Errorf("%q is neither Allow nor Deny", text)
	}
	return nil
}

// A Statement is one statement of a policy document; its fields are the elements of the language ("IAM
// JSON policy element reference", IAM User Guide). Exactly one of each pair Principal/NotPrincipal,
// Action/NotAction and Resource/NotResource is set. It marshals to the JSON that S3 reads.
type Statement struct {
	Sid          string `json:",omitempty"`
	Effect       Effect
	Principal    Principals `json:",omitzero"`
	NotPrincipal Principals `json:",omitzero"`
	Action       Values     `json:",omitempty"`
	NotAction    Values     `json:",omitempty"`
	Resource     Values     `json:",omitempty"`
	NotResource  Values     `json:",omitempty"`
	Condition    Conditions `json:",omitempty"`
}

// Conditions holds a Condition element: operator, then condition key, then the values to compare with.
// All operators and all keys must hold, for each key one of the values must match.
type Conditions map[string]map[string]Values

// all goes through operators and keys, sorted.
func (c Conditions) all() iter.Seq2[string, string] {
	return func(yield func(operator, key string) bool) {
		for _, op := range slices.Sorted(maps.Keys(c)) {
			for _, key := range slices.Sorted(maps.Keys(c[op])) {
				if !yield(op, key) {
					return
				}
			}
		}
	}
}

// Values is a list of strings that JSON may also give as a single one.
type Values []string

// MarshalJSON writes a single value as a string and anything else as a list.
func (v Values) MarshalJSON() ([]byte, error) {
	if len(v) == 1 {
		return encode(v[0])
	}
	return encode([]string(v))
}

// Principals holds a Principal or NotPrincipal element. Everyone is the plain "*", which includes
// anonymous callers, as the AWS entry "*" does.
type Principals struct {
	Everyone      bool
	AWS           Values
	Service       Values
	Federated     Values
	CanonicalUser Values
}

// MarshalJSON writes "*" or the object that lists the principals by type.
func (p Principals) MarshalJSON() ([]byte, error) {
	if p.Everyone {
		return encode("*")
	}
	return encode(struct {
		AWS           Values `json:",omitempty"`
		Service       Values `json:",omitempty"`
		Federated     Values `json:",omitempty"`
		CanonicalUser Values `json:",omitempty"`
	}{p.AWS, p.Service, p.Federated, p.CanonicalUser})
}
