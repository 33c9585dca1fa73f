package auth

import "slices"

// Rights are what the rules of an issuer give a caller. Nobody changes them
// once they are made.
type Rights struct {
	// Allowances are those of the rules that apply, in their order.
	Allowances []Allowance
}

// Allowance is what one rule gives, with the values of claims filled in.
type Allowance struct {
	// Rule is the rule's name.
	Rule string `json:"rule"`
	Allow
}

// Origin is what decides whose a token is.
type Origin struct {
	// Issuer and Subject are those of the caller who minted it, and Bucket is
	// the alias of its bucket.
	Issuer, Subject, Bucket string
}

// allowances are those of the caller; none for an administrator, who needs
// none.
func (c Caller) allowances() []Allowance {
	if c.Rights == nil {
		return nil
	}
	return c.Rights.Allowances
}

func (c Caller) any(may func(a *Allowance) bool) bool {
	return c.Admin || slices.ContainsFunc(c.allowances(), func(a Allowance) bool { return may(&a) })
}

// MayMint reports whether there is anything that the caller may mint.
func (c Caller) MayMint() bool {
	return c.any(func(a *Allowance) bool { return len(a.Operations)+len(a.AdminBuckets) > 0 })
}

// MayList reports whether there can be tokens that the caller may see.
func (c Caller) MayList() bool {
	return c.any(func(a *Allowance) bool { return a.List.any() || len(a.AdminBuckets) > 0 })
}

// MayRevoke reports whether there can be tokens that the caller may revoke.
func (c Caller) MayRevoke() bool {
	return c.any(func(a *Allowance) bool { return a.Revoke.any() || len(a.AdminBuckets) > 0 })
}

// MayRule reports whether there are revocation rules that the caller may make.
func (c Caller) MayRule() bool { return c.any(func(a *Allowance) bool { return a.RevokeByRule }) }

// MayAdminister reports whether the caller may do everything.
func (c Caller) MayAdminister() bool { return c.Admin }

// MayGuard reports whether there can be buckets that the caller may verify.
func (c Caller) MayGuard() bool {
	return c.any(func(a *Allowance) bool { return len(a.AdminBuckets) > 0 })
}

// Sees reports whether the caller may see a token.
func (c Caller) Sees(o Origin) bool {
	return c.any(func(a *Allowance) bool { return a.administers(o.Bucket) || c.owns(a.List, o) })
}

// Revokes reports whether the caller may revoke a token.
func (c Caller) Revokes(o Origin) bool {
	return c.any(func(a *Allowance) bool { return a.administers(o.Bucket) || c.owns(a.Revoke, o) })
}

// SeesAll reports whether the caller may see every token.
func (c Caller) SeesAll() bool {
	return c.any(func(a *Allowance) bool { return a.List == ScopeAll })
}

// RevokesAll reports whether the caller may revoke every token.
func (c Caller) RevokesAll() bool {
	return c.any(func(a *Allowance) bool { return a.Revoke == ScopeAll })
}

// SeesRule reports whether the caller may see a revocation rule that selects
// only tokens of an issuer and of a bucket, where "" is any.
func (c Caller) SeesRule(issuer, bucket string) bool {
	return c.any(func(a *Allowance) bool {
		return a.administers(bucket) || a.List == ScopeAll || a.List == ScopeIssuer && c.of(issuer)
	})
}

// Rules reports whether the caller may make and lift such a rule.
func (c Caller) Rules(issuer, bucket string) bool {
	return c.any(func(a *Allowance) bool {
		return a.RevokeByRule && (a.administers(bucket) || a.Revoke == ScopeAll || a.Revoke == ScopeIssuer && c.of(issuer))
	})
}

// administers reports whether everything may be done in a bucket; "" is none.
func (a *Allowance) administers(bucket string) bool {
	return bucket != "" && slices.Contains(a.AdminBuckets, bucket)
}

// Administers reports whether the caller may do everything in a bucket.
func (c Caller) Administers(bucket string) bool {
	return c.any(func(a *Allowance) bool { return a.administers(bucket) })
}

// AdministersWith reports whether that also allows to send links through a topic.
func (c Caller) AdministersWith(bucket, topic string) bool {
	return c.any(func(a *Allowance) bool { return a.administers(bucket) && slices.Contains(a.Notify, topic) })
}

// of reports whether that is the caller's issuer. Callers without one have none
// in common.
func (c Caller) of(issuer string) bool { return c.Issuer != "" && issuer == c.Issuer }

func (c Caller) owns(s Scope, o Origin) bool {
	switch s {
	case ScopeAll:
		return true
	case ScopeIssuer:
		return c.of(o.Issuer)
	case ScopeOwn:
		return c.of(o.Issuer) && c.Subject != "" && o.Subject == c.Subject
	}
	return false
}
