package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A Decision is what a policy says of a request.
type Decision struct {
	Effect Effect
	Sid    string // of the statement that decided; may be empty
	Index  int    // of that statement in the document; -1 when Effect is None
}

// Evaluate decides one request: the first matching Deny wins over everything, else the first matching
// Allow, else the Effect is None ("Policy evaluation logic", IAM User Guide). It is pure and safe for
// concurrent use.
func (d *Document) Evaluate(r Request) Decision {
	decision := Decision{Index: -1}
	if d == nil {
		return decision
	}
	f := facts{Request: r}
	for i := range d.rules {
		rule := &d.rules[i]
		if rule.effect > decision.Effect && rule.matches(&f) {
			decision = Decision{rule.effect, rule.sid, i}
		}
	}
	return decision
}

// A rule is a compiled statement.
type rule struct {
	effect       Effect
	sid          string
	principal    Principals
	notPrincipal Principals
	action       alternatives
	resource     alternatives
	conditions   []condition
}

func (r *rule) matches(f *facts) bool {
	if r.notPrincipal.set() && r.notPrincipal.exempt(f.Principal) || r.principal.set() && !r.principal.include(f.Principal) {
		return false
	}
	if !r.action.hold(f, f.Action) || !r.resource.hold(f, f.Resource) {
		return false
	}
	for i := range r.conditions {
		if !r.conditions[i].holds(f) {
			return false
		}
	}
	return true
}

// newRule compiles a statement; variables says whether the document's version has them.
func newRule(s Statement, variables bool) (rule, error) {
	r := rule{effect: s.Effect, sid: s.Sid, principal: s.Principal, notPrincipal: s.NotPrincipal}
	for _, e := range []struct {
		name    string
		values  Values
		into    *alternatives
		negated bool
		compile func(string, bool) (operand, error)
	}{
		{"Action", s.Action, &r.action, false, compileAction},
		{"NotAction", s.NotAction, &r.action, true, compileAction},
		{"Resource", s.Resource, &r.resource, false, compileResource},
		{"NotResource", s.NotResource, &r.resource, true, compileResource},
	} {
		if e.values == nil {
			continue
		}
		var err error
		if *e.into, err = compileAll(e.values, e.negated, variables, e.compile); err != nil {
			return rule{}, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	for op, key := range s.Condition.all() {
		c, err := newCondition(op, key, s.Condition[op][key], variables)
		if err != nil {
			//lint:ignore ST1005 it begins with the name of the element
			return rule{}, fmt.Errorf("Condition: %s: %w", op, err)
		}
		r.conditions = append(r.conditions, c)
	}
	return r, nil
}

var actionName = regexp.MustCompile(`^(?i:s3):[A-Za-z0-9*?]+$`)

// compileAction accepts "*" and S3's own actions; names are matched in any case and have no variables.
func compileAction(s string, _ bool) (operand, error) {
	if s != "*" && !actionName.MatchString(s) {
		return nil, fmt.Errorf("%q is no action of S3", s)
	}
	return compilePattern(s, syntax{wildcards: true, fold: true})
}

// compileResource accepts "*" and ARNs; variables may stand in their last field only.
func compileResource(s string, variables bool) (operand, error) {
	if f := strings.SplitN(s, ":", 6); s != "*" && (len(f) < 6 || f[0] != "arn") {
		return nil, fmt.Errorf("%q is no ARN", s)
	} else if s != "*" && strings.Contains(strings.Join(f[:5], ""), "$") {
		return nil, errors.New("a variable may stand only after the fifth colon")
	}
	return compilePattern(s, syntax{wildcards: true, variables: variables})
}
