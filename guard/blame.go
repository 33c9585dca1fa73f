package guard

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"s3gate/policy"
	"s3gate/s3client"
)

// blame says of each check that failed why it did, as far as the bucket's policy
// and our evaluation of it can tell.
func (v *verification) blame(doc *policy.Document, problem string) {
	for i := range v.report.Checks {
		c := &v.report.Checks[i]
		switch {
		case c.OK:
		case strings.HasPrefix(c.Got, "failed"):
			c.Cause = "the answer says nothing of the policy"
		case problem != "":
			c.Cause = problem
		default:
			var ignored bool
			c.Cause, ignored = v.tried[i].cause(doc)
			v.report.PolicyIgnored = v.report.PolicyIgnored || ignored
		}
	}
}

// policyOf returns the policy of a store, or why it cannot be had.
func policyOf(ctx context.Context, s Store) (doc *policy.Document, problem string) {
	reader, ok := s.(interface {
		Policy(ctx context.Context) ([]byte, error)
	})
	if !ok {
		return nil, "nothing is known of the bucket's policy"
	}
	text, err := reader.Policy(ctx)
	if err != nil {
		return nil, "the bucket's policy cannot be read with these credentials"
	}
	if text == nil {
		return nil, ""
	}
	if doc, err = policy.ParseStored(text); err != nil {
		return nil, "the bucket's policy cannot be understood: " + err.Error()
	}
	return doc, ""
}

// cause says why an attempt went another way than it should have, and whether
// it went another way than the policy says.
func (a *attempt) cause(doc *policy.Document) (words string, ignored bool) {
	trace := doc.Explain(a.request())
	name := StatementName(trace.Decision)
	switch {
	case a.want == allowed && trace.Effect == policy.Deny:
		return name + " denies it", false
	case a.want == allowed:
		return "no statement of the bucket's policy denies it: these credentials may lack " + a.action(), false
	case doc == nil:
		return "the bucket has no policy", false
	case trace.Effect == policy.Deny && a.mayBeExempt(doc, trace.Index):
		return name + " denies it to others than those it exempts, and who these credentials belong to is not known", false
	case trace.Effect == policy.Deny && a.kind == byNobody:
		return name + " denies it, but the store let it through", true
	case trace.Effect == policy.Deny:
		return name + " denies it, but the store let it through: it does not apply bucket policies to signed requests", true
	case trace.Effect == policy.Allow && a.kind == byNobody:
		return name + " allows it to everybody", false
	case a.kind == byNobody:
		return "no statement of the bucket's policy allows it: an access control list may, or the store", false
	}
	return a.gap(doc, trace), false
}

// gap says why no statement denies a presigned request: which one comes nearest,
// and what it leaves out.
func (a *attempt) gap(doc *policy.Document, trace policy.Trace) string {
	what := map[kind]string{byURL: "URL-signed requests (s3:authType REST-QUERY-STRING)", byForm: "POST forms (s3:authType POST)"}[a.kind]
	nearest := -1
	for i, s := range doc.Statements() {
		if s.Effect != policy.Deny || !of(s, "s3:authType", a.authType()) {
			continue
		}
		if nearest < 0 || len(trace.Statements[i].Misses) < len(trace.Statements[nearest].Misses) {
			nearest = i
		}
	}
	if nearest < 0 {
		return "the policy has no deny for " + what
	}
	verdict := trace.Statements[nearest]
	name := StatementName(policy.Decision{Sid: verdict.Sid, Index: verdict.Index})
	var exempt, other []string
	for _, m := range verdict.Misses {
		if strings.Contains(m.Operator, "Not") {
			exempt = append(exempt, m.Key+" "+strings.Join(m.Got, ", "))
		} else {
			other = append(other, m.String())
		}
	}
	if len(other) == 0 {
		return name + " exempts " + strings.Join(exempt, " and ")
	}
	return name + " does not cover it: " + strings.Join(other, "; ")
}

// of reports whether a statement has a condition on a key that names a value.
func of(s policy.Statement, key, value string) bool {
	for operator, keys := range s.Condition {
		for k, values := range keys {
			if !strings.Contains(operator, "Not") && strings.EqualFold(k, key) && slices.Contains(values, value) {
				return true
			}
		}
	}
	return false
}

// mayBeExempt reports whether a statement that seems to deny an attempt leaves
// somebody out, and who has made it is not known.
func (a *attempt) mayBeExempt(doc *policy.Document, index int) bool {
	if a.kind == byNobody || a.who != (policy.Principal{}) {
		return false
	}
	s := doc.Statements()[index]
	if !s.Principal.Everyone && !slices.Contains(s.Principal.AWS, "*") { // MinIO writes it so
		return true
	}
	for _, keys := range s.Condition {
		for k := range keys {
			switch k = strings.ToLower(k); {
			case strings.HasPrefix(k, "aws:principal"), strings.HasPrefix(k, "aws:source"), k == "aws:username", k == "aws:userid":
				return true
			}
		}
	}
	return false
}

// request is what the policy is told of an attempt.
func (a *attempt) request() policy.Request {
	d := Description{
		Bucket: a.store.Name(), Partition: a.partition, Key: a.key, Action: a.action(), Principal: a.who, PlainHTTP: !a.store.Secure(),
		Auth: map[string]string{"": AuthNone, "REST-QUERY-STRING": AuthPresigned, "POST": AuthPost, "REST-HEADER": AuthHeader}[a.authType()],
	}
	if d.Auth == AuthPresigned {
		d.Age = a.age
	}
	if d.Auth != AuthNone && d.Principal == (policy.Principal{}) {
		d.Principal = policy.Principal{ARN: "unknown"} // who has signed is not known
	}
	r, err := d.Request()
	if err != nil {
		return policy.Request{} // which no statement matches
	}
	r.Principal = a.who
	return r
}

// action is the permission that an attempt needs.
func (a *attempt) action() string {
	switch {
	case a.method == http.MethodPut || a.method == http.MethodPost:
		return "s3:PutObject"
	case a.method == http.MethodDelete:
		return "s3:DeleteObject"
	case a.key == "":
		return "s3:ListBucket"
	}
	return "s3:GetObject"
}

// authType is the condition key of that name; "" without a signature.
func (a *attempt) authType() string {
	switch {
	case a.kind == byNobody:
		return ""
	case a.kind == byForm:
		return "POST"
	case a.kind == byURL, a.store.Signing() == s3client.SignQuery:
		return "REST-QUERY-STRING"
	}
	return "REST-HEADER"
}
