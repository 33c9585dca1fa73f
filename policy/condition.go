package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A verdict is what comparing one value of a policy with one of a request yields.
type verdict int

const (
	differs    verdict = iota
	equals             // the comparison holds
	unresolved         // the policy's value has a variable the request gives no value
)

func truth(b bool) verdict {
	if b {
		return equals
	}
	return differs
}

// An operand is one compiled value of a policy: a pattern, a number, a range of addresses. Its match
// compares it with one value of a request and does not modify it.
type operand interface {
	match(f *facts, got string) verdict
}

// alternatives is a list of operands of which one must match, or negated: none.
type alternatives struct {
	operands []operand
	negated  bool
}

func compileAll(values Values, negated, variables bool, compile func(string, bool) (operand, error)) (alternatives, error) {
	a := alternatives{negated: negated}
	for _, v := range values {
		o, err := compile(v, variables)
		if err != nil {
			return alternatives{}, err
		}
		a.operands = append(a.operands, o)
	}
	return a, nil
}

// hold reports whether one operand, or negated: none, matches got. An operand that cannot be resolved
// matches nothing, and nothing can be said of what it excludes: the list then holds neither way.
func (a *alternatives) hold(f *facts, got string) bool {
	known := true
	for _, o := range a.operands {
		switch o.match(f, got) {
		case equals:
			return !a.negated
		case unresolved:
			known = false
		}
	}
	return a.negated && known
}

// A quantifier says how many of a request's values must pass.
type quantifier int

const (
	plain  quantifier = iota // no prefix: any, and with a negated operator all
	forAny                   // ForAnyValue:
	forAll                   // ForAllValues:
)

// A condition is one operator on one condition key.
type condition struct {
	operator string // as written
	name     string // the key as written
	key      string // lower case
	set      quantifier
	ifExists bool
	null     bool // Null operator: want compares "true" or "false" with the key's absence
	want     alternatives
}

// newCondition compiles one key of a Condition element. ("IAM JSON policy elements: Condition operators",
// IAM User Guide.)
func newCondition(name, key string, values Values, variables bool) (condition, error) {
	c := condition{operator: name, name: key, key: strings.ToLower(key)}
	base := name
	if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
		c.set, base = forAny, rest
	} else if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
		c.set, base = forAll, rest
	}
	base, c.ifExists = strings.CutSuffix(base, "IfExists")
	op, ok := operators[base]
	c.null = base == "Null"
	switch {
	case !ok || c.null && name != "Null":
		return c, errors.New("unknown operator")
	case !strings.Contains(key, ":"):
		return c, fmt.Errorf("%q is no condition key", key)
	}
	var err error
	if c.want, err = compileAll(values, op.negated, variables, op.compile); err != nil {
		return c, fmt.Errorf("%s: %w", key, err)
	}
	return c, nil
}

// holds evaluates the condition. A key the request lacks makes a positive operator false and a negated one
// true; …IfExists makes both true, ForAllValues: is then true and ForAnyValue: false whatever the
// operator. ("Single-valued vs. multivalued context keys", IAM User Guide.)
func (c *condition) holds(f *facts) bool {
	got := f.values(c.key)
	switch {
	case c.null && len(got) == 0:
		return c.want.hold(f, "true")
	case c.null:
		return c.want.hold(f, "false")
	case len(got) == 0 && c.ifExists:
		return true
	case c.set == plain && len(got) == 0:
		return c.want.negated
	case c.set == forAny && !hasText(got):
		return false
	case c.set == forAll && !hasText(got):
		return true
	}
	all := c.set == forAll || c.set == plain && c.want.negated
	for _, g := range got {
		if c.want.hold(f, g) != all {
			return !all
		}
	}
	return all
}

// hasText reports whether a set of values is more than the empty one, which empty strings alone also are.
func hasText(values []string) bool {
	return slices.ContainsFunc(values, func(s string) bool { return s != "" })
}
