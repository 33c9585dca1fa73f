package policy

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An operator compiles the values it compares with. Most have a negated twin.
type operator struct {
	compile func(value string, variables bool) (operand, error)
	negated bool
}

var (
	exactly    = text(syntax{})
	anyCase    = text(syntax{fold: true})
	wildcarded = text(syntax{wildcards: true})
)

// operators are the condition operators by name, without ForAnyValue:, ForAllValues: and …IfExists. It is
// read only.
var operators = map[string]operator{
	"StringEquals":              {exactly, false},
	"StringNotEquals":           {exactly, true},
	"StringEqualsIgnoreCase":    {anyCase, false},
	"StringNotEqualsIgnoreCase": {anyCase, true},
	"StringLike":                {wildcarded, false},
	"StringNotLike":             {wildcarded, true},
	"ArnEquals":                 {compileARN, false},
	"ArnLike":                   {compileARN, false},
	"ArnNotEquals":              {compileARN, true},
	"ArnNotLike":                {compileARN, true},
	"NumericEquals":             {numeric(func(order int) bool { return order == 0 }), false},
	"NumericNotEquals":          {numeric(func(order int) bool { return order == 0 }), true},
	"NumericLessThan":           {numeric(func(order int) bool { return order < 0 }), false},
	"NumericLessThanEquals":     {numeric(func(order int) bool { return order <= 0 }), false},
	"NumericGreaterThan":        {numeric(func(order int) bool { return order > 0 }), false},
	"NumericGreaterThanEquals":  {numeric(func(order int) bool { return order >= 0 }), false},
	"DateEquals":                {date(func(order int) bool { return order == 0 }), false},
	"DateNotEquals":             {date(func(order int) bool { return order == 0 }), true},
	"DateLessThan":              {date(func(order int) bool { return order < 0 }), false},
	"DateLessThanEquals":        {date(func(order int) bool { return order <= 0 }), false},
	"DateGreaterThan":           {date(func(order int) bool { return order > 0 }), false},
	"DateGreaterThanEquals":     {date(func(order int) bool { return order >= 0 }), false},
	"Bool":                      {boolean, false},
	"Null":                      {absence, false},
	"BinaryEquals":              {binary, false},
	"IpAddress":                 {address, false},
	"NotIpAddress":              {address, true},
}

// text compares strings; variables are theirs and those of ARNs alone.
func text(how syntax) func(string, bool) (operand, error) {
	return func(s string, variables bool) (operand, error) {
		return compilePattern(s, syntax{how.wildcards, variables, how.fold})
	}
}

// An arnPattern compares ARNs field by field: a wildcard never crosses one of the first five colons.
type arnPattern struct{ pattern }

func compileARN(s string, variables bool) (operand, error) {
	if strings.Count(s, ":") < 5 && !(variables && strings.Contains(s, "${")) {
		return nil, fmt.Errorf("%q is no ARN", s)
	}
	p, err := compilePattern(s, syntax{wildcards: true, variables: variables})
	if err != nil {
		return nil, err
	}
	return arnPattern{p.(pattern)}, nil
}

func (p arnPattern) match(f *facts, got string) verdict {
	runes, err := p.resolve(f)
	if err != nil {
		return unresolved
	}
	for range 5 {
		field, rest, ok := strings.Cut(got, ":")
		colon := slices.Index(runes, ':')
		if !ok || colon < 0 || !like(runes[:colon], field, false) {
			return differs
		}
		got, runes = rest, runes[colon+1:]
	}
	return truth(like(runes, got, false))
}

// An ordered operand parses what a request gives and passes it where its order to the policy's value does.
// What cannot be parsed differs from everything.
type ordered[T any] struct {
	parse   func(string) (T, bool)
	compare func(got, want T) int
	want    T
	passes  func(order int) bool
}

func (o ordered[T]) match(_ *facts, got string) verdict {
	v, ok := o.parse(got)
	return truth(ok && o.passes(o.compare(v, o.want)))
}

func numeric(passes func(order int) bool) func(string, bool) (operand, error) {
	compare := func(a, b float64) int {
		switch {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	}
	return func(s string, _ bool) (operand, error) {
		want, ok := parseNumber(s)
		if !ok {
			return nil, fmt.Errorf("%q is no number", s)
		}
		return ordered[float64]{parseNumber, compare, want, passes}, nil
	}
}

func parseNumber(s string) (float64, bool) {
	if strings.Trim(s, "0123456789.eE+-") != "" { // no NaN, no Inf, no hexadecimal
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

func date(passes func(order int) bool) func(string, bool) (operand, error) {
	return func(s string, _ bool) (operand, error) {
		want, ok := parseDate(s)
		if !ok {
			return nil, fmt.Errorf("%q is no date", s)
		}
		return ordered[time.Time]{parseDate, time.Time.Compare, want, passes}, nil
	}
}

// parseDate reads the W3C profile of ISO 8601 and seconds since 1970. Four digits are a year.
func parseDate(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(n, 0), err == nil
}

// boolean reads true and false in any case, and variables, which AWS documents for Bool too.
func boolean(s string, variables bool) (operand, error) {
	if !strings.EqualFold(s, "true") && !strings.EqualFold(s, "false") && !(variables && strings.HasPrefix(s, "${")) {
		return nil, fmt.Errorf("%q is neither true nor false", s)
	}
	return compilePattern(s, syntax{variables: variables, fold: true})
}

// absence reads what Null compares with: true for a key that is absent.
func absence(s string, _ bool) (operand, error) { return boolean(s, false) }

// binary compares the bytes that two base64 texts stand for.
func binary(s string, _ bool) (operand, error) {
	want, ok := decodeBase64(s)
	if !ok {
		return nil, fmt.Errorf("%q is not base64", s)
	}
	return ordered[string]{decodeBase64, strings.Compare, want, func(order int) bool { return order == 0 }}, nil
}

func decodeBase64(s string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), err == nil
}

type network struct{ netip.Prefix }

// address reads an IPv4 or IPv6 range, or a single address.
func address(s string, _ bool) (operand, error) {
	p, err := netip.ParsePrefix(s)
	if one, single := netip.ParseAddr(s); single == nil && one.Zone() == "" {
		p, err = netip.PrefixFrom(one, one.BitLen()), nil
	}
	if err != nil || p.Addr().Is4In6() {
		return nil, fmt.Errorf("%q is no range of IP addresses", s)
	}
	return network{p}, nil
}

func (n network) match(_ *facts, got string) verdict {
	a, err := netip.ParseAddr(got)
	return truth(err == nil && n.Contains(a.Unmap().WithZone("")))
}
