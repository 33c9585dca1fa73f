package auth

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Rule says what claims are worth.
type Rule struct {
	// Name is what explanations call the rule. Default: its place in the list.
	Name string `koanf:"name"`
	// When are claims and the values of which each must have one; for a claim
	// that is a list one element is enough, for scope and scp one word. A name
	// with dots is that of a claim, or the way to one that is inside others:
	// realm_access.roles. Required.
	When map[string]Texts `koanf:"when"`
	// Allow is what that allows.
	Allow Allow `koanf:"allow"`
}

// Scope says whose tokens: of the caller, of all callers of the issuer, of
// everybody, or nobody's, which is also "".
type Scope string

// The scopes.
const (
	ScopeNone   Scope = "none"
	ScopeOwn    Scope = "own"
	ScopeIssuer Scope = "issuer"
	ScopeAll    Scope = "all"
)

// Allow is what a rule allows. The zero Allow allows nothing.
type Allow struct {
	// Operations are those that may be minted: get, put. Default: none.
	Operations Texts `koanf:"operations" json:"operations,omitempty"`
	// Buckets are aliases, and for each what the keys must begin with; "" is
	// every key. {claim} stands for the value of a claim. Default: none.
	Buckets map[string]Texts `koanf:"buckets" json:"buckets,omitempty"`
	// MaxLife is the longest life of what is minted; 0 sets no limit of its own.
	// Default: tokens.max_life.
	MaxLife time.Duration `koanf:"max_life" json:"max_life,omitempty"`
	// MaxBytes is the largest upload in bytes; 0 sets no limit of its own.
	// Default: 5 TiB.
	MaxBytes int64 `koanf:"max_bytes" json:"max_bytes,omitempty"`
	// MaxUses are the most uses of what is minted; with it nothing is without
	// limit, and 0 sets no limit of its own. Default: tokens.max_uses, or no
	// limit.
	MaxUses int64 `koanf:"max_uses" json:"max_uses,omitempty"`
	// Labels are those that everything minted has; {claim} stands for the value
	// of a claim. Default: none.
	Labels map[string]string `koanf:"labels" json:"labels,omitempty"`
	// List says whose tokens and transfers may be seen: own, issuer, all or
	// none. Default: none.
	List Scope `koanf:"list" json:"list,omitempty"`
	// Revoke says whose may be ended, likewise. Default: none.
	Revoke Scope `koanf:"revoke" json:"revoke,omitempty"`
	// RevokeByRule permits to make and lift revocation rules, as far as revoke
	// and admin_buckets go. Default false.
	RevokeByRule bool `koanf:"revoke_by_rule" json:"revoke_by_rule,omitempty"`
	// AdminBuckets are aliases of buckets in which everything may be minted,
	// seen and revoked. Default: none.
	AdminBuckets Texts `koanf:"admin_buckets" json:"admin_buckets,omitempty"`
	// Notify are aliases of topics through which the links may be sent that are
	// minted. Default: none.
	Notify Texts `koanf:"notify" json:"notify,omitempty"`
	// Admin permits everything. Default false.
	Admin bool `koanf:"admin" json:"admin,omitempty"`
}

// rule is a Rule that has been checked.
type rule struct {
	Rule
	prefixes map[string][]template
	labels   map[string]template
}

// newRules checks rules.
func newRules(all []Rule, bad func(field, format string, args ...any)) []rule {
	if len(all) == 0 {
		bad("rules", "are required: without them its tokens are worth nothing")
	}
	rules := make([]rule, len(all))
	for n, r := range all {
		at := fmt.Sprintf("rules[%d]", n)
		if r.Name == "" {
			r.Name = fmt.Sprint(n + 1)
		}
		rules[n] = newRule(r, func(field, format string, args ...any) { bad(at+"."+field, format, args...) })
	}
	return rules
}

func newRule(r Rule, bad func(field, format string, args ...any)) rule {
	if len(r.When) == 0 {
		bad("when", "must name at least one claim")
	}
	for claim, values := range r.When {
		if claim == "" || len(values) == 0 || slices.Contains(values, "") {
			bad("when", "claim %q must have values, and none that is empty", claim)
		}
	}
	a := &r.Allow
	a.validate(func(field, format string, args ...any) { bad("allow."+field, format, args...) })
	checked := rule{Rule: r, prefixes: map[string][]template{}, labels: map[string]template{}}
	for alias, prefixes := range a.Buckets {
		if len(prefixes) == 0 {
			bad("allow.buckets."+alias, `must have a list of prefixes; "" is every key`)
		}
		for _, text := range prefixes {
			t, err := parsePrefix(text)
			if err != nil {
				bad("allow.buckets."+alias, "%q %v", text, err)
			}
			checked.prefixes[alias] = append(checked.prefixes[alias], t)
		}
	}
	for name, text := range a.Labels {
		t, err := parseTemplate(text)
		if err == nil && text == "" {
			err = errEmpty
		}
		if err != nil {
			bad("allow.labels."+name, "%q %v", text, err)
		}
		checked.labels[name] = t
	}
	return checked
}

func (a *Allow) validate(bad func(field, format string, args ...any)) {
	for _, op := range a.Operations {
		if op != "get" && op != "put" {
			bad("operations", "are get and put, got %q", op)
		}
	}
	if (len(a.Operations) == 0) != (len(a.Buckets) == 0) {
		bad("operations", "and buckets go together: set both or none")
	}
	if a.MaxLife < 0 || a.MaxBytes < 0 || a.MaxUses < 0 {
		bad("max_life", "max_bytes and max_uses must not be less than 0")
	}
	for field, s := range map[string]Scope{"list": a.List, "revoke": a.Revoke} {
		if !slices.Contains([]Scope{"", ScopeNone, ScopeOwn, ScopeIssuer, ScopeAll}, s) {
			bad(field, "must be own, issuer, all or none, got %q", s)
		}
	}
	if a.RevokeByRule && a.Revoke != ScopeIssuer && a.Revoke != ScopeAll && len(a.AdminBuckets) == 0 {
		bad("revoke_by_rule", "needs revoke issuer or all, or admin_buckets: a rule cannot select what one caller has minted")
	}
	if len(a.Operations) == 0 && !a.Admin && len(a.AdminBuckets) == 0 && !a.List.any() && !a.Revoke.any() {
		bad("operations", "or another permission is required: the rule allows nothing")
	}
}

func (s Scope) any() bool { return s != "" && s != ScopeNone }

// apply holds claims against the rule.
func (r *rule) apply(claims jwt.MapClaims) Outcome {
	not := func(format string, args ...any) Outcome {
		return Outcome{Rule: r.Name, Why: fmt.Sprintf(format, args...)}
	}
	var why []string
	for _, claim := range slices.Sorted(maps.Keys(r.When)) {
		have, there := values(claims, claim)
		if !there {
			return not("there is no claim %s", claim)
		}
		if !intersect(have, r.When[claim]) {
			return not("claim %s has none of the values %s", claim, strings.Join(r.When[claim], ", "))
		}
		why = append(why, "claim "+claim+" matches")
	}
	allow := r.Allow
	allow.Buckets, allow.Labels = nil, nil
	for alias, prefixes := range r.prefixes {
		for _, t := range prefixes {
			prefix, err := t.fill(claims, segment)
			if err != nil {
				return not("%v", err)
			}
			if allow.Buckets == nil {
				allow.Buckets = map[string]Texts{}
			}
			allow.Buckets[alias] = append(allow.Buckets[alias], prefix)
		}
	}
	for name, t := range r.labels {
		value, err := t.fill(claims, plain)
		if err != nil {
			return not("%v", err)
		}
		if allow.Labels == nil {
			allow.Labels = map[string]string{}
		}
		allow.Labels[name] = value
	}
	return Outcome{Rule: r.Name, Applies: true, Why: strings.Join(why, ", "), Allow: &allow}
}

// find returns a claim: the one of that name, or one inside others, where the
// name is the way to it.
func find(claims map[string]any, name string) (any, bool) {
	if v, ok := claims[name]; ok {
		return v, true
	}
	for i, c := range name {
		if inner, ok := claims[name[:i]].(map[string]any); ok && c == '.' {
			if v, ok := find(inner, name[i+1:]); ok {
				return v, true
			}
		}
	}
	return nil, false
}

// values are those of a claim as texts. What is neither a text, a number nor a
// truth value has none.
func values(claims map[string]any, name string) (all []string, there bool) {
	v, there := find(claims, name)
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if text, ok := textOf(e); ok {
				all = append(all, text)
			}
		}
	case string:
		if name == "scope" || name == "scp" { // RFC 8693, section 4.2
			return strings.Fields(v), there
		}
		all = []string{v}
	default:
		if text, ok := textOf(v); ok {
			all = []string{text}
		}
	}
	return all, there
}

func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}
