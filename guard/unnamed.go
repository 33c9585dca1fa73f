package guard

import (
	"slices"

	"s3gate/policy"
	"s3gate/s3client"
)

// othersCheck is the name of the check that is no request.
const othersCheck = "presigned by others, by the policy"

// unnamed are callers that no policy names but by leaving out whole kinds of them:
// what it says of them it says of everybody but the exempt.
func unnamed() []policy.Principal {
	const account = "000000000000"
	return []policy.Principal{
		{ARN: "arn:aws:iam::" + account + ":user/unnamed", Account: account, UserName: "unnamed"},
		{ARN: "arn:aws:sts::" + account + ":assumed-role/unnamed/session", Account: account},
	}
}

// readPolicy looks at what cannot be tried without credentials of others: whether
// the bucket's policy denies their presigned requests, and whom it exempts. Where
// the gate signs in headers that only tells; its own presigned requests were
// refused, and on some stores by something else than the bucket's policy. Where it
// signs in the query string those are exempt, and nothing else would show that
// the lock is gone.
func (v *verification) readPolicy(doc *policy.Document, problem string) {
	gap := problem
	if problem == "" {
		v.report.Exempts = exempts(doc)
		gap = v.ofUnnamed(doc)
	}
	if v.report.Signing != s3client.SignQuery {
		if gap != "" {
			v.report.Unproven = "that presigned requests of others are refused: " + gap
		}
		return
	}
	c := Check{Name: othersCheck, Want: refused, Got: refused, OK: true}
	switch {
	case problem != "" && slices.ContainsFunc(v.Others, func(o Other) bool { return !o.Exempt }):
		return // they were tried
	case problem != "":
		c.Got, c.OK = "unknown", false
		c.Cause = problem + ": permit the gate s3:GetBucketPolicy, or verify with credentials of others too"
	case gap != "":
		c.Got, c.OK, c.Cause = allowed, false, gap
	}
	v.report.Checks = append(v.report.Checks, c)
}

// ofUnnamed says why a presigned request that was tried would not be denied to one
// of [unnamed], fresh and over TLS; "" if all would be.
func (v *verification) ofUnnamed(doc *policy.Document) string {
	for _, a := range v.tried {
		if a.kind != byURL && a.kind != byForm || a.store != v.store {
			continue
		}
		for _, who := range unnamed() {
			a.who, a.age = who, 0
			r := a.request()
			r.Context.Set("aws:SecureTransport", "true")
			trace := doc.Explain(r)
			switch {
			case trace.Effect == policy.Deny:
			case doc == nil:
				return "the bucket has no policy"
			default:
				return a.gap(doc, trace)
			}
		}
	}
	return ""
}

// exempts is what a policy leaves out where it denies presigned requests.
func exempts(doc *policy.Document) (list []string) {
	for _, s := range doc.Statements() {
		if s.Effect == policy.Deny && (of(s, "s3:authType", "REST-QUERY-STRING") || of(s, "s3:authType", "POST")) {
			list = append(list, s.Excluded()...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
