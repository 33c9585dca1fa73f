package leakwatch

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"s3gate/guard"
	"s3gate/guard/accesslog"
)

// Bucket is one whose requests are looked at.
type Bucket struct {
	// Alias is what findings call it; "" is its name.
	Alias string
	// Principals are the ARNs of the users or roles of gates that sign in the URL;
	// empty if they sign in headers, and then nobody's signed URL is right.
	Principals []string
	// Networks are those that requests of such gates come from; nil means any.
	Networks []netip.Prefix
	// Probes are the keys of objects that the gates try presigned requests for, to
	// prove that the bucket is locked, besides those below [guard.CanaryPrefix].
	Probes []string
	// Provers are who does so: ARNs of users and roles, and IDs of access keys. A
	// request for one of Probes by anybody else is a finding.
	Provers []string
}

// own reports whether a gate that signs in the URL has made the request. Its URLs
// name who signed, whoever sends them, and the User-Agent is the sender's word: a
// URL that is used again within its minute, by somebody who knows a token's ID and
// from a network of the gates, is not told from the gate's.
func (b *Bucket) own(a *access) bool {
	if a.auth != accesslog.Query || !slices.ContainsFunc(b.Principals, func(p string) bool { return is(a.requester, p) }) {
		return false
	}
	return b.agent(a) && b.near(a.client)
}

// agent reports whether the User-Agent is a gate's. What reads an object, but to try
// whether the bucket is locked, names the token.
func (b *Bucket) agent(a *access) bool {
	product, token, _ := strings.Cut(a.agent, " ")
	if !strings.HasPrefix(product, "s3gate/") {
		return false
	}
	probe := strings.Contains(a.key, guard.CanaryPrefix) || slices.Contains(b.Probes, a.key)
	return tokenID.MatchString(token) || token == "" && (a.method != "GET" || a.key == "" || probe)
}

// tokenID is the form of the ID of a gate's token.
var tokenID = regexp.MustCompile(`^tok_[a-z2-7]{26}$`)

// near reports whether an address is in one of the networks of the gates.
func (b *Bucket) near(client string) bool {
	if b.Networks == nil {
		return true
	}
	addr, err := netip.ParseAddr(client)
	return err == nil && slices.ContainsFunc(b.Networks, func(n netip.Prefix) bool { return n.Contains(addr.Unmap().WithZone("")) })
}

// proof reports whether it is a request by which a gate has proven that the bucket,
// or what is below a prefix, is locked. One that was let in is no proof, and a
// finding. Of objects below [guard.CanaryPrefix] there is nothing to be had, whoever
// asks; others may be worth having.
func (b *Bucket) proof(f *Finding) bool {
	if f.Outcome != Refused {
		return false
	}
	return strings.Contains(f.Key, guard.CanaryPrefix) || slices.Contains(b.Probes, f.Key) && slices.ContainsFunc(b.Provers, f.by)
}

// by reports whether somebody has made the request: a user or role by its ARN, or
// whoever has an access key. Who is only said to have signed, and S3 does not say who
// that is, has not.
func (f *Finding) by(who string) bool {
	if f.Requester == "" {
		return false
	}
	return f.Signer == who || is(f.Requester, who)
}

// is reports whether a requester is a principal: the user, or a session of the
// role (IAM User Guide, "IAM identifiers").
func is(requester, principal string) bool {
	if requester == principal {
		return true
	}
	account, role, ok := strings.Cut(principal, ":role/")
	if !ok {
		return false
	}
	role = role[strings.LastIndexByte(role, '/')+1:] // a session does not name the path
	account = strings.Replace(account, ":iam:", ":sts:", 1)
	return strings.HasPrefix(requester, account+":assumed-role/"+role+"/")
}
