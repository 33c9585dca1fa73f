package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Runes beyond Unicode stand for what is no character in a compiled pattern and in the text it is held
// against.
const (
	anyRun  rune = -1 // "*": any run of characters, none included
	anyOne  rune = -2 // "?": exactly one character
	notUTF8 rune = -3 // a byte that belongs to no character: matched by wildcards, equal to nothing
)

// A pattern is a policy value that text is matched against: literal characters, wildcards and variables.
type pattern struct {
	parts []part
	fold  bool // ignore case
}

// A part is a run of literals and wildcards, or a variable.
type part struct {
	runes    []rune
	variable string // condition key in lower case; empty for runes
	fallback []rune // the variable's default value; nil for none
}

// syntax says how the text of a pattern is read.
type syntax struct {
	wildcards bool // * and ? are wildcards
	variables bool // ${…} is a variable
	fold      bool // compare ignoring case
}

func compilePattern(s string, how syntax) (operand, error) {
	p := pattern{fold: how.fold}
	var run []rune
	for s != "" {
		if how.variables && strings.HasPrefix(s, "${") {
			v, rest, err := cutVariable(s)
			if err != nil {
				return nil, err
			}
			if v.variable == "" {
				run = append(run, v.runes...)
			} else {
				p.parts = append(p.parts, part{runes: run}, v)
				run = nil
			}
			s = rest
			continue
		}
		r, width := utf8.DecodeRuneInString(s)
		switch {
		case how.wildcards && r == '*':
			r = anyRun
		case how.wildcards && r == '?':
			r = anyOne
		}
		run, s = append(run, r), s[width:]
	}
	p.parts = append(p.parts, part{runes: run})
	return p, nil
}

// cutVariable reads the variable that s begins with: ${key}, ${key, 'default'}, or one of ${*}, ${?} and
// ${$}, which are the characters themselves. ("IAM policy elements: Variables and tags", IAM User Guide.)
func cutVariable(s string) (v part, rest string, err error) {
	end := strings.IndexAny(s, "},")
	if end < 0 {
		return v, "", fmt.Errorf("%q: variable without a closing brace", s)
	}
	name, rest := s[2:end], s[end+1:]
	if name == "" || strings.ContainsAny(name, " \t\r\n${'") && name != "$" {
		return v, "", fmt.Errorf("%q: variable without a valid name", s)
	}
	if s[end] == '}' {
		if name == "*" || name == "?" || name == "$" {
			return part{runes: []rune(name)}, rest, nil
		}
		return part{variable: strings.ToLower(name)}, rest, nil
	}
	text, quoted := strings.CutPrefix(strings.TrimLeft(rest, " "), "'")
	text, rest, closed := strings.Cut(text, "'")
	rest, braced := strings.CutPrefix(strings.TrimLeft(rest, " "), "}")
	if !quoted || !closed || !braced {
		return v, "", fmt.Errorf("%q: default value of a variable without quotes or closing brace", s)
	}
	return part{variable: strings.ToLower(name), fallback: append([]rune{}, []rune(text)...)}, rest, nil
}

var errUnresolved = errors.New("variable without a value")

// resolve puts the request's values in place of variables, as literals. A variable whose key the request
// lacks takes its default; without one, or when the key has several values, it cannot be resolved.
func (p pattern) resolve(f *facts) ([]rune, error) {
	if len(p.parts) == 1 {
		return p.parts[0].runes, nil
	}
	var out []rune
	for _, part := range p.parts {
		if part.variable == "" {
			out = append(out, part.runes...)
			continue
		}
		switch values := f.values(part.variable); {
		case len(values) == 1:
			out = append(out, []rune(values[0])...)
		case len(values) == 0 && part.fallback != nil:
			out = append(out, part.fallback...)
		default:
			return nil, errUnresolved
		}
	}
	return out, nil
}

func (p pattern) match(f *facts, text string) verdict {
	runes, err := p.resolve(f)
	if err != nil {
		return unresolved
	}
	return truth(like(runes, text, p.fold))
}

// like matches text against a pattern in time proportional to the product of their lengths at worst: only
// the last "*" ever needs to be tried again, each time one character further on.
func like(pattern []rune, text string, fold bool) bool {
	star, resume := -1, 0
	p, t := 0, 0
	for t < len(text) {
		r, width := decodeRune(text[t:])
		switch {
		case p < len(pattern) && pattern[p] == anyRun:
			star, resume = p, t
			p++
		case p < len(pattern) && sameRune(pattern[p], r, fold):
			p++
			t += width
		case star >= 0:
			_, width := decodeRune(text[resume:])
			resume += width
			p, t = star+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == anyRun {
		p++
	}
	return p == len(pattern)
}

func decodeRune(s string) (rune, int) {
	r, width := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && width == 1 {
		r = notUTF8
	}
	return r, width
}

func sameRune(want, got rune, fold bool) bool {
	return want == anyOne || want == got || fold && unicode.ToUpper(want) == unicode.ToUpper(got)
}
