package policy

import (
	"slices"
	"strconv"
	"strings"
)

// A Trace says how a policy came to its decision: what each statement has to say of the request, and which
// one decided. It holds values of the request's context, and no more of it.
type Trace struct {
	Decision
	Statements []Verdict // in the order of the document; empty without a policy
}

// A Verdict is what one statement says of a request.
type Verdict struct {
	Index   int    `json:"index"` // in the document
	Sid     string `json:"sid,omitempty"`
	Effect  Effect `json:"effect"`
	Matches bool   `json:"matches"` // all its elements do: the statement applies
	Decides bool   `json:"decides"` // true for one statement at most
	Misses  []Miss `json:"misses,omitempty"`
}

// A Miss is one element of a statement that does not match, or for a Condition one operator on one key.
// One miss is enough for the statement not to apply.
type Miss struct {
	Element  string   `json:"element"`            // such as "Principal", "NotAction" or "Condition"
	Operator string   `json:"operator,omitempty"` // of a Condition, as written
	Key      string   `json:"key,omitempty"`      // of a Condition, as written
	Want     []string `json:"want"`               // the element's values, as written
	Got      []string `json:"got"`                // the request's; nil when it carries none
}

// Explain decides a request as [Document.Evaluate] does and says why. Where Evaluate stops at the first
// element that does not match, Explain looks at all of them, so it is for people and not for the path of
// requests. It is pure and safe for concurrent use.
func (d *Document) Explain(r Request) Trace {
	trace := Trace{Decision: Decision{Index: -1}}
	if d == nil {
		return trace
	}
	f := facts{Request: r}
	for i := range d.rules {
		rule := &d.rules[i]
		v := Verdict{Index: i, Sid: rule.sid, Effect: rule.effect, Misses: rule.misses(&d.statements[i], &f)}
		v.Matches = len(v.Misses) == 0
		if v.Matches && rule.effect > trace.Effect {
			trace.Decision = Decision{rule.effect, rule.sid, i}
		}
		trace.Statements = append(trace.Statements, v)
	}
	if trace.Index >= 0 {
		trace.Statements[trace.Index].Decides = true
	}
	return trace
}

// misses lists the elements of s, which r was compiled from, that do not match.
func (r *rule) misses(s *Statement, f *facts) (list []Miss) {
	who := []string{f.Principal.String()}
	if r.principal.set() && !r.principal.include(f.Principal) {
		list = append(list, Miss{Element: "Principal", Want: s.Principal.list(), Got: who})
	}
	if r.notPrincipal.set() && r.notPrincipal.exempt(f.Principal) {
		list = append(list, Miss{Element: "NotPrincipal", Want: s.NotPrincipal.list(), Got: who})
	}
	if !r.action.hold(f, f.Action) {
		list = append(list, r.action.miss("Action", s.Action, s.NotAction, f.Action))
	}
	if !r.resource.hold(f, f.Resource) {
		list = append(list, r.resource.miss("Resource", s.Resource, s.NotResource, f.Resource))
	}
	for i := range r.conditions {
		c := &r.conditions[i]
		if !c.holds(f) {
			list = append(list, Miss{
				Element: "Condition", Operator: c.operator, Key: c.name,
				Want: s.Condition[c.operator][c.name], Got: slices.Clone(f.values(c.key)),
			})
		}
	}
	return list
}

// miss names one of the pairs Action/NotAction and Resource/NotResource.
func (a *alternatives) miss(element string, is, isNot Values, got string) Miss {
	if a.negated {
		return Miss{Element: "Not" + element, Want: isNot, Got: []string{got}}
	}
	return Miss{Element: element, Want: is, Got: []string{got}}
}

// list returns all the principals an element names.
func (p *Principals) list() []string {
	if p.Everyone {
		return []string{"*"}
	}
	return slices.Concat(p.AWS, p.Service, p.Federated, p.CanonicalUser)
}

// String says it in words: what the statement asks for, and what the request has instead, such as
//
//	Condition StringEquals s3:authType "POST": the request has "REST-HEADER"
func (m Miss) String() string {
	var b strings.Builder
	for _, word := range []string{m.Element, m.Operator, m.Key} {
		if word != "" {
			b.WriteString(word + " ")
		}
	}
	b.WriteString(quoted(m.Want, "without values", " or ") + ": the request has " + quoted(m.Got, "none", " and "))
	return b.String()
}

func quoted(values []string, none, or string) string {
	if len(values) == 0 {
		return none
	}
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = strconv.Quote(v)
	}
	return strings.Join(list, or)
}
