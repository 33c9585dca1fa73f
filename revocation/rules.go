package revocation

import (
	"cmp"
	"slices"
	"time"

	"s3gate/tokens"
)

// Rules is a set of rules, compiled so that a match takes about as long for
// ten thousand rules as for ten: each rule stands under the field of its
// selection that few grants share, and a grant looks under its own. Rules is
// immutable, and safe for concurrent use. The zero Rules covers nothing.
type Rules struct {
	byID map[string]*Rule

	byToken   map[tokens.ID][]*Rule
	bySubject map[string][]*Rule
	byLabel   map[[2]string][]*Rule
	byPrefix  map[string]*prefixes // by bucket
	byIssuer  map[string][]*Rule
	others    []*Rule // those that only name a time, or all
}

// NewRules compiles a set. Of rules with one ID the highest version counts.
// The rules are the set's from then on, and not changed.
func NewRules(rules []*Rule) *Rules {
	s := &Rules{
		byID: map[string]*Rule{}, byToken: map[tokens.ID][]*Rule{}, bySubject: map[string][]*Rule{},
		byLabel: map[[2]string][]*Rule{}, byPrefix: map[string]*prefixes{}, byIssuer: map[string][]*Rule{},
	}
	for _, r := range rules {
		if known := s.byID[r.ID]; known == nil || known.Version < r.Version {
			s.byID[r.ID] = r
		}
	}
	for _, r := range s.byID {
		if !r.Lifted() {
			s.add(r)
		}
	}
	for _, p := range s.byPrefix {
		p.sort()
	}
	return s
}

// With is the set with more rules, or later versions of some. It takes as long
// for many as for one.
func (s *Rules) With(rules ...*Rule) *Rules {
	all := make([]*Rule, 0, len(s.byID)+len(rules))
	for _, known := range s.byID {
		all = append(all, known)
	}
	return NewRules(append(all, rules...))
}

func (s *Rules) add(r *Rule) {
	switch {
	case r.Token != "":
		s.byToken[r.Token] = append(s.byToken[r.Token], r)
	case r.Subject != "":
		s.bySubject[r.Subject] = append(s.bySubject[r.Subject], r)
	case len(r.Labels) > 0:
		for name, value := range r.Labels { // under any one of them
			pair := [2]string{name, value}
			s.byLabel[pair] = append(s.byLabel[pair], r)
			return
		}
	case r.Bucket != "":
		p := s.byPrefix[r.Bucket]
		if p == nil {
			p = &prefixes{rules: map[string][]*Rule{}}
			s.byPrefix[r.Bucket] = p
		}
		p.rules[r.Prefix] = append(p.rules[r.Prefix], r)
	case r.Issuer != "":
		s.byIssuer[r.Issuer] = append(s.byIssuer[r.Issuer], r)
	default:
		s.others = append(s.others, r)
	}
}

// Covers returns a rule that covers the grant; nil if none does.
func (s *Rules) Covers(g *tokens.Grant) *Rule { return s.find(g, (*Rule).Covers) }

// Escaped returns a rule that covers a grant as it is and not as it would be;
// nil if none does.
func (s *Rules) Escaped(is, wouldBe *tokens.Grant) *Rule {
	return s.find(is, func(r *Rule, g *tokens.Grant) bool { return r.Covers(g) && !r.Covers(wouldBe) })
}

// Refuses returns a rule that forbids to mint the grant; nil if none does.
func (s *Rules) Refuses(g *tokens.Grant) *Rule { return s.find(g, (*Rule).Refuses) }

func (s *Rules) find(g *tokens.Grant, hits func(*Rule, *tokens.Grant) bool) *Rule {
	first := func(candidates []*Rule) *Rule {
		for _, r := range candidates {
			if hits(r, g) {
				return r
			}
		}
		return nil
	}
	if r := cmp.Or(first(s.byToken[g.ID]), first(s.bySubject[g.Subject]), first(s.byIssuer[g.Issuer]), first(s.others)); r != nil {
		return r
	}
	for name, value := range g.Labels {
		if r := first(s.byLabel[[2]string{name, value}]); r != nil {
			return r
		}
	}
	return s.byPrefix[g.Bucket].find(g, first)
}

// over returns the IDs of rules that have outlived what they cover, most at
// most.
func (s *Rules) over(now time.Time, longest time.Duration, most int) []string {
	var ids []string
	for id, r := range s.byID {
		if r.over(now, longest) && len(ids) < most {
			ids = append(ids, id)
		}
	}
	return ids
}

// without is the set without some rules.
func (s *Rules) without(ids []string) *Rules {
	kept := make([]*Rule, 0, len(s.byID))
	for id, r := range s.byID {
		if !slices.Contains(ids, id) {
			kept = append(kept, r)
		}
	}
	return NewRules(kept)
}

// names reports whether a rule that holds names the token, besides one.
func (s *Rules) names(id tokens.ID, besides string) bool {
	return slices.ContainsFunc(s.byToken[id], func(r *Rule) bool { return r.ID != besides })
}

// Rule returns a rule by its ID, also one that was lifted; nil if it is not
// known, or a change.
func (s *Rules) Rule(id string) *Rule {
	if r := s.byID[id]; r != nil && r.Change == nil {
		return r
	}
	return nil
}

// All returns the rules, the latest first, without changes.
func (s *Rules) All() []*Rule {
	return slices.DeleteFunc(s.entries(), func(r *Rule) bool { return r.Change != nil })
}

// entry is what stands in the log under an ID: a rule, or a change.
func (s *Rules) entry(id string) *Rule { return s.byID[id] }

// entries are all that stand in the log, the latest first.
func (s *Rules) entries() []*Rule {
	all := make([]*Rule, 0, len(s.byID))
	for _, r := range s.byID {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Rule) int {
		return cmp.Or(cmp.Compare(b.Position.Gen, a.Position.Gen), cmp.Compare(b.Position.Seq, a.Position.Seq), cmp.Compare(b.ID, a.ID))
	})
	return all
}

// Len is the number of rules and changes.
func (s *Rules) Len() int { return len(s.byID) }

// prefixes are the rules of one bucket by prefix. A key is looked up once for
// each length that a prefix has, which are few, however many prefixes there
// are.
type prefixes struct {
	rules   map[string][]*Rule
	lengths []int    // ascending
	sorted  []string // for grants of a prefix, which longer prefixes of rules may cover too
}

func (p *prefixes) sort() {
	seen := map[int]bool{}
	for prefix := range p.rules {
		p.sorted = append(p.sorted, prefix)
		if !seen[len(prefix)] {
			seen[len(prefix)] = true
			p.lengths = append(p.lengths, len(prefix))
		}
	}
	slices.Sort(p.sorted)
	slices.Sort(p.lengths)
}

// find looks under every prefix of the grant's key. A nil prefixes has none.
func (p *prefixes) find(g *tokens.Grant, first func([]*Rule) *Rule) *Rule {
	if p == nil {
		return nil
	}
	key := g.Key + g.Prefix
	for _, n := range p.lengths {
		if n > len(key) {
			break
		}
		if r := first(p.rules[key[:n]]); r != nil {
			return r
		}
	}
	if g.Prefix == "" {
		return nil
	}
	// Those that begin with the grant's prefix stand together.
	at, _ := slices.BinarySearch(p.sorted, g.Prefix)
	for ; at < len(p.sorted) && len(p.sorted[at]) >= len(g.Prefix) && p.sorted[at][:len(g.Prefix)] == g.Prefix; at++ {
		if r := first(p.rules[p.sorted[at]]); r != nil {
			return r
		}
	}
	return nil
}
