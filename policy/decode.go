package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// decodeStatement reads one statement strictly. On error the statement holds what was read before, so
// that the caller can name it by its Sid.
func decodeStatement(raw json.RawMessage) (Statement, error) {
	var s Statement
	list, err := members(raw)
	if err != nil {
		return s, err
	}
	if err := distinct(list); err != nil {
		return s, err
	}
	for _, m := range list {
		if err := s.decode(m); err != nil {
			return s, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return s, s.complete()
}

// decode reads one element into the field of its name.
func (s *Statement) decode(m member) (err error) {
	switch m.name {
	case "Sid":
		s.Sid, err = decodeString(m.value)
	case "Effect":
		var text string
		if text, err = decodeString(m.value); err == nil {
			err = s.Effect.UnmarshalText([]byte(text))
		}
	case "Principal":
		s.Principal, err = decodePrincipals(m.value)
	case "NotPrincipal":
		s.NotPrincipal, err = decodePrincipals(m.value)
	case "Action":
		s.Action, err = decodeStrings(m.value)
	case "NotAction":
		s.NotAction, err = decodeStrings(m.value)
	case "Resource":
		s.Resource, err = decodeStrings(m.value)
	case "NotResource":
		s.NotResource, err = decodeStrings(m.value)
	case "Condition":
		s.Condition, err = decodeConditions(m.value)
	default:
		err = errors.New("unknown element")
	}
	return err
}

// complete refuses statements that lack an element or have both of a pair.
func (s *Statement) complete() error {
	if s.Effect == None {
		return errors.New("Effect: missing")
	}
	for _, pair := range []struct {
		name     string
		is, isNo bool
	}{
		{"Principal", s.Principal.set(), s.NotPrincipal.set()},
		{"Action", s.Action != nil, s.NotAction != nil},
		{"Resource", s.Resource != nil, s.NotResource != nil},
	} {
		switch {
		case pair.is && pair.isNo:
			//lint:ignore ST1005 it begins with the name of the element
			return fmt.Errorf("Not%s: stands beside %[1]s", pair.name)
		case !pair.is && !pair.isNo:
			return fmt.Errorf("%s: missing", pair.name)
		}
	}
	if s.Effect == Allow && s.NotPrincipal.set() {
		return errors.New("NotPrincipal: not supported with Allow, which would let in everybody else")
	}
	return nil
}

func decodeString(raw json.RawMessage) (string, error) {
	if raw[0] != '"' {
		return "", errors.New("must be a string")
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// decodeStrings reads a string or a list of strings that is not empty.
func decodeStrings(raw json.RawMessage) (Values, error) {
	if raw[0] != '[' {
		s, err := decodeString(raw)
		if err != nil {
			return nil, errors.New("must be a string or a list of strings")
		}
		return Values{s}, nil
	}
	list, err := items(raw)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("empty list")
	}
	var values Values
	for _, it := range list {
		s, err := decodeString(it.value)
		if err != nil {
			return nil, errors.New("must be a string or a list of strings")
		}
		values = append(values, s)
	}
	return values, nil
}

// decodePrincipals reads a Principal or NotPrincipal element.
func decodePrincipals(raw json.RawMessage) (p Principals, err error) {
	if raw[0] == '"' {
		s, err := decodeString(raw)
		if err == nil && s != "*" {
			err = fmt.Errorf(`%q is neither "*" nor an object`, s)
		}
		return Principals{Everyone: true}, err
	}
	list, err := members(raw)
	if err != nil {
		return p, errors.New(`must be "*" or an object`)
	}
	if err := distinct(list); err != nil {
		return p, err
	}
	if len(list) == 0 {
		return p, errors.New("empty object")
	}
	for _, m := range list {
		values, err := decodeStrings(m.value)
		if err == nil {
			err = p.add(m.name, values)
		}
		if err != nil {
			return p, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return p, nil
}

// decodeConditions reads a Condition element. Values may be strings, numbers and booleans; an empty list
// is legal and matches nothing.
func decodeConditions(raw json.RawMessage) (Conditions, error) {
	operators, err := members(raw)
	if err != nil {
		return nil, err
	}
	if err := distinct(operators); err != nil {
		return nil, err
	}
	conditions := Conditions{}
	for _, op := range operators {
		keys, err := decodeKeys(op.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op.name, err)
		}
		conditions[op.name] = keys
	}
	return conditions, nil
}

func decodeKeys(raw json.RawMessage) (map[string]Values, error) {
	list, err := members(raw)
	if err != nil {
		return nil, err
	}
	keys, seen := map[string]Values{}, map[string]bool{}
	for _, m := range list {
		lower := strings.ToLower(m.name) // condition keys are not case-sensitive
		if seen[lower] {
			return nil, fmt.Errorf("%s: named twice", m.name)
		}
		seen[lower] = true
		values, err := decodeScalars(m.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		keys[m.name] = values
	}
	return keys, nil
}

func decodeScalars(raw json.RawMessage) (Values, error) {
	list := []item{{value: raw}}
	if raw[0] == '[' {
		var err error
		if list, err = items(raw); err != nil {
			return nil, err
		}
	}
	values := Values{}
	for _, it := range list {
		switch c := it.value[0]; c {
		case '"':
			s, err := decodeString(it.value)
			if err != nil {
				return nil, err
			}
			values = append(values, s)
		case '{', '[', 'n':
			return nil, errors.New("must be a string, a number, a boolean or a list of those")
		default: // a number or a boolean stands for its own text
			values = append(values, string(it.value))
		}
	}
	return values, nil
}
