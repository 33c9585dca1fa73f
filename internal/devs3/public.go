package devs3

import (
	"net/netip"
	"slices"
	"strings"

	"s3gate/policy"
)

// isPublic reports whether a policy counts as public. This is the part of S3's
// rule ("The meaning of public", Amazon S3 User Guide) that can be told from the
// text alone: a statement that allows something to everyone makes the policy
// public, unless one of its conditions binds a key about
// the caller's place or identity to fixed values. Statements that deny never
// count, neither for nor against.
func isPublic(doc *policy.Document) bool {
	return slices.ContainsFunc(doc.Statements(), func(s policy.Statement) bool {
		everyone := s.Principal.Everyone || slices.Contains(s.Principal.AWS, "*")
		return s.Effect == policy.Allow && everyone && !bound(s.Condition)
	})
}

// bindingKeys, in lower case, narrow down who "everyone" is.
var bindingKeys = []string{
	"aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths", "aws:sourceaccount",
	"aws:sourcearn", "aws:sourceorgid", "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce", "aws:userid", "aws:username",
	"s3:dataaccesspointaccount", "s3:dataaccesspointarn", "s3:x-amz-server-side-encryption-aws-kms-key-id",
}

func bound(conditions policy.Conditions) bool {
	for operator, keys := range conditions {
		for key, values := range keys {
			if binds(strings.ToLower(operator), strings.ToLower(key), values) {
				return true
			}
		}
	}
	return false
}

func binds(operator, key string, values policy.Values) bool {
	operator = strings.TrimPrefix(operator, "foranyvalue:")
	switch operator {
	case "ipaddress":
		return key == "aws:sourceip" && !slices.ContainsFunc(values, broad)
	case "stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike":
		return slices.Contains(bindingKeys, key) && !slices.ContainsFunc(values, func(v string) bool {
			return strings.ContainsAny(v, "*?") || strings.Contains(v, "${")
		})
	default:
		return false
	}
}

// broad reports whether a network is so large that it binds nobody.
func broad(network string) bool {
	p, err := netip.ParsePrefix(network)
	if err != nil {
		return false // one address
	}
	if p.Addr().Is4() {
		return p.Bits() < 8
	}
	return p.Bits() < 32
}
