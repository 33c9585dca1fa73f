package policy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Ours returns the statements of a policy that we own ([Owned]), in the order of the text, which is read as
// leniently as [Merge] reads it. A statement of ours that somebody has changed beyond recognition is an error
// wrapping [ErrMalformed]. Existing may be empty.
func Ours(existing []byte) ([]Statement, error) {
	if strings.TrimSpace(string(existing)) == "" {
		return nil, nil
	}
	o, err := newOutline(existing)
	if err != nil {
		return nil, err
	}
	var list []Statement
	for i, e := range o.entries {
		if !Owned(e.sid) {
			continue
		}
		s, err := decodeStatement([]byte(e.body))
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, place(i, e.sid), err)
		}
		list = append(list, s)
	}
	return list, nil
}

// Keep returns next with what merging next alone would take away: the actions and resources of deny
// statements of was that those of their Sid in next do not cover, and behind all the statements whose Sids are
// not in next. Conditions are those of next. Neither argument is modified.
func Keep(was, next []Statement) []Statement {
	list := slices.Clone(next)
	for _, s := range was {
		if i := slices.IndexFunc(list, func(n Statement) bool { return n.Sid == s.Sid }); i >= 0 {
			list[i] = list[i].with(s)
		} else {
			list = append(list, s)
		}
	}
	return list
}

// with returns the statement for what another one is for too, if both deny and have the same form.
func (s Statement) with(other Statement) Statement {
	if s.Effect != Deny || other.Effect != Deny || !reflect.DeepEqual(s.NotAction, other.NotAction) || !reflect.DeepEqual(s.NotResource, other.NotResource) {
		return s
	}
	s.Action = covering(s.Action, other.Action, true)
	s.Resource = covering(s.Resource, other.Resource, false)
	return s
}

// covering returns patterns, and those of more that none of them includes.
func covering(patterns, more Values, fold bool) Values {
	patterns = slices.Clone(patterns)
	for _, m := range more {
		if !slices.ContainsFunc(patterns, func(p string) bool { return includes(p, m, fold) }) {
			patterns = append(patterns, m)
		}
	}
	return patterns
}

// Weaker says, a line each, in which ways the deny statements of next refuse less than those of was, which
// they replace Sid by Sid: statements that go, exemptions that are new, and actions, resources and requests
// that are no longer covered. It compares what the statements say, not all that they could mean: where it
// cannot tell, as with a value that another one includes, it says "weaker". Nil means not weaker.
func Weaker(was, next []Statement) []string {
	var list []string
	for _, w := range was {
		i := slices.IndexFunc(next, func(n Statement) bool { return n.Sid == w.Sid })
		if i < 0 {
			list = append(list, w.Sid+" goes")
			continue
		}
		list = append(list, w.weakerAs(next[i])...)
	}
	return list
}

// weakerAs is Weaker for one statement.
func (s Statement) weakerAs(next Statement) (list []string) {
	say := func(format string, args ...any) { list = append(list, s.Sid+" "+fmt.Sprintf(format, args...)) }
	if !next.Principal.everyone() && !reflect.DeepEqual(s.Principal, next.Principal) || !reflect.DeepEqual(s.NotPrincipal, next.NotPrincipal) {
		say("is for other principals")
	}
	if s.Effect != next.Effect || !reflect.DeepEqual(s.NotAction, next.NotAction) || !reflect.DeepEqual(s.NotResource, next.NotResource) {
		say("has another Effect, NotAction or NotResource")
	}
	for _, a := range s.Action {
		if !slices.ContainsFunc(next.Action, func(n string) bool { return includes(n, a, true) }) {
			say("is no longer for %s", a)
		}
	}
	for _, r := range s.Resource {
		if !slices.ContainsFunc(next.Resource, func(n string) bool { return includes(n, r, false) }) {
			say("is no longer for %s", r)
		}
	}
	for _, op := range slices.Sorted(maps.Keys(next.Condition)) {
		for _, key := range slices.Sorted(maps.Keys(next.Condition[op])) {
			before, after := s.Condition[op][key], next.Condition[op][key]
			switch {
			case negated(op):
				for _, v := range without(after, before) {
					say("now exempts %s %s", key, v)
				}
			case len(before) == 0:
				say("is now only for %s %s", key, strings.Join(after, ", "))
			case op == "NumericGreaterThan":
				if more(after, before) {
					say("now permits %s up to %s, was %s", key, after[0], before[0])
				}
			default:
				for _, v := range without(before, after) {
					say("is no longer for %s %s", key, v)
				}
			}
		}
	}
	return list
}

// negated reports whether a condition operator holds for what is not in its values.
func negated(operator string) bool {
	if _, base, quantified := strings.Cut(operator, ":"); quantified {
		operator = base
	}
	return operators[strings.TrimSuffix(operator, "IfExists")].negated
}

func without(list, taken Values) (left Values) {
	for _, v := range list {
		if !slices.Contains(taken, v) {
			left = append(left, v)
		}
	}
	return left
}

// more reports whether a is, or may be, a larger number than b.
func more(a, b Values) bool {
	if len(a) != 1 || len(b) != 1 {
		return true
	}
	x, errX := strconv.ParseFloat(a[0], 64)
	y, errY := strconv.ParseFloat(b[0], 64)
	return errX != nil || errY != nil || x > y
}

// Excluded returns what the negated conditions of a statement leave out, such as "aws:username alice", in a
// fixed order: for a deny statement of ours, its exemptions.
func (s Statement) Excluded() []string {
	var list []string
	for _, op := range slices.Sorted(maps.Keys(s.Condition)) {
		for _, key := range slices.Sorted(maps.Keys(s.Condition[op])) {
			for _, v := range s.Condition[op][key] {
				if negated(op) {
					list = append(list, key+" "+v)
				}
			}
		}
	}
	return list
}
