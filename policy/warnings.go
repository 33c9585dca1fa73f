package policy

import (
	"fmt"
	"slices"
	"strings"
)

// A Warning is something a statement says that works otherwise than it looks, or that cannot be evaluated
// here.
type Warning struct {
	Index int    `json:"index"` // of the statement in the document
	Sid   string `json:"sid,omitempty"`
	Text  string `json:"text"` // names the element and what is the matter
}

// Warnings lists what is doubtful about the statements, in their order. A document that S3 accepts may
// have some: condition keys that S3 does not know, so that they are absent from every request; operators
// that read a key's values as something else; ForAllValues in a statement that allows, which also holds
// without the key; variables that the document's version does not have; and principals that a [Request]
// cannot be. None is an error.
func (d *Document) Warnings() (list []Warning) {
	for i, s := range d.Statements() {
		w := warner{s: &s, variables: d.variables}
		w.principals()
		w.conditions()
		w.versions()
		for _, text := range w.texts {
			list = append(list, Warning{i, s.Sid, text})
		}
	}
	return list
}

// A warner collects what is doubtful about one statement.
type warner struct {
	s         *Statement
	variables bool
	texts     []string
}

func (w *warner) add(format string, args ...any) {
	w.texts = append(w.texts, fmt.Sprintf(format, args...))
}

func (w *warner) principals() {
	for _, e := range []struct {
		name string
		p    *Principals
		so   string
	}{
		{"Principal", &w.s.Principal, "nobody is taken for it"},
		{"NotPrincipal", &w.s.NotPrincipal, "nobody is taken for it, so the statement is taken to deny it"},
	} {
		for kind, names := range map[string]Values{"Federated": e.p.Federated, "CanonicalUser": e.p.CanonicalUser} {
			for _, name := range names {
				w.add("%s: %s %q cannot be evaluated here: %s", e.name, kind, name, e.so)
			}
		}
		for _, id := range e.p.deleted() {
			w.add("%s: %q is what remains of a deleted user or role, and matches nobody", e.name, id)
		}
	}
	slices.Sort(w.texts)
}

func (w *warner) conditions() {
	for op, name := range w.s.Condition.all() {
		values := w.s.Condition[op][name]
		place := "Condition: " + op + " " + name
		t, known := keyType(name)
		switch want, kind := operatorType(op); {
		case !known:
			w.add("%s: S3 knows no such key: it is taken to be absent from every request", place)
		case kind != "" && t != want && !(t == epoch && (want == numbers || want == dates)) && !(want == textual && sameAsText(t, values)):
			w.add("%s: the operator compares %s, which the key's values are not", place, kind)
		}
		if len(values) == 0 {
			w.add("%s: without values it matches nothing", place)
		}
		if w.s.Effect == Allow && strings.HasPrefix(op, "ForAllValues:") {
			w.add("%s: it also holds for requests without the key, which are then allowed", place)
		}
		for _, v := range values {
			w.unknownVariables(place, v)
		}
	}
	for _, v := range slices.Concat(w.s.Resource, w.s.NotResource) {
		w.unknownVariables("Resource", v)
	}
}

// sameAsText reports whether comparing values of a key as text is as good as by their type: for a boolean
// or a number there is one way to write it, for addresses there are ranges and for dates there is order.
func sameAsText(t valueType, values Values) bool {
	return t == booleans || t == numbers || t == addresses && !slices.ContainsFunc(values, func(s string) bool { return strings.Contains(s, "/") })
}

// operatorType says what an operator compares; without kind it is anything.
func operatorType(op string) (t valueType, kind string) {
	_, base, set := strings.Cut(op, ":")
	if !set {
		base = op
	}
	switch {
	case strings.HasPrefix(base, "Numeric"):
		return numbers, "numbers"
	case strings.HasPrefix(base, "Date"):
		return dates, "dates"
	case strings.HasPrefix(base, "Bool"):
		return booleans, "true and false"
	case strings.HasPrefix(base, "IpAddress"), strings.HasPrefix(base, "NotIpAddress"):
		return addresses, "IP addresses"
	case strings.HasPrefix(base, "String"), strings.HasPrefix(base, "Arn"):
		return textual, "text"
	}
	return 0, ""
}

func (w *warner) unknownVariables(place, text string) {
	if !w.variables {
		return
	}
	p, err := compilePattern(text, syntax{variables: true})
	if err != nil {
		return // of an operator that has no variables
	}
	for _, part := range p.(pattern).parts {
		if part.variable != "" && !KnownKey(part.variable) {
			w.add("%s: S3 knows no key %q: the variable has no value", place, part.variable)
		}
	}
}

// versions warns of variables in a document of the version that has none.
func (w *warner) versions() {
	if w.variables {
		return
	}
	values := slices.Concat(w.s.Resource, w.s.NotResource)
	for op, name := range w.s.Condition.all() {
		values = append(values, w.s.Condition[op][name]...)
	}
	for _, v := range values {
		if strings.Contains(v, "${") {
			w.add("%q is taken literally: variables need %q: %q", v, "Version", version2012)
		}
	}
}
