package auth

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// template is a text in which {claim} stands for the value of a claim: texts
// and claims in turn, beginning and ending with a text.
type template []string

var errEmpty = errors.New("must not be empty")

func parseTemplate(text string) (t template, err error) {
	for {
		before, rest, found := strings.Cut(text, "{")
		if strings.Contains(before, "}") {
			return nil, errors.New("has a } without {")
		}
		t = append(t, before)
		if !found {
			return t, nil
		}
		claim, after, closed := strings.Cut(rest, "}")
		if !closed || claim == "" || strings.Contains(claim, "{") {
			return nil, errors.New("has a { that is not one of {claim}")
		}
		t, text = append(t, claim), after
	}
}

// parsePrefix reads what keys begin with. Two callers with different claims
// must not come to share a prefix, nor one's to be the beginning of the
// other's: so each claim is the only one between two slashes, and the last is
// followed by one.
func parsePrefix(text string) (template, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return nil, err
	}
	if len(t) > 1 && !strings.HasSuffix(text, "/") {
		return nil, errors.New("must end in /, or it would cover longer names too")
	}
	for n := 2; n < len(t); n += 2 {
		if !strings.Contains(t[n], "/") {
			return nil, errors.New("must have a / between claims")
		}
	}
	if len(text) > maxPrefix || !utf8.ValidString(text) {
		return nil, fmt.Errorf("must be at most %d bytes of UTF-8", maxPrefix)
	}
	return t, nil
}

const (
	maxPrefix = 512 // leaves room for the rest of a key, and for values
	maxValue  = 255 // of a claim that is filled in, in bytes
)

// fill puts the values of claims in their places. The error says why that
// cannot be.
func (t template) fill(claims map[string]any, check func(string) error) (string, error) {
	var out strings.Builder
	for n, part := range t {
		if n%2 == 0 {
			out.WriteString(part)
			continue
		}
		v, there := find(claims, part)
		if !there {
			return "", fmt.Errorf("there is no claim %s", part)
		}
		value, ok := textOf(v)
		if !ok {
			return "", fmt.Errorf("claim %s is not a single value", part)
		}
		if err := check(value); err != nil {
			return "", fmt.Errorf("the value of claim %s %w", part, err)
		}
		out.WriteString(value)
	}
	return out.String(), nil
}

// plain checks a value that becomes a label.
func plain(value string) error {
	switch {
	case value == "":
		return errors.New("is empty")
	case len(value) > maxValue:
		return fmt.Errorf("is longer than %d bytes", maxValue)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("is not UTF-8 without control characters")
	}
	return nil
}

// segment checks a value that becomes part of a key, where it must stay between
// its slashes, and not be read as a placeholder.
func segment(value string) error {
	if err := plain(value); err != nil {
		return err
	}
	if strings.ContainsAny(value, `/\{}`) {
		return errors.New(`has one of / \ { }`)
	}
	if strings.HasPrefix(value, ".") {
		return errors.New("begins with a dot")
	}
	return nil
}
