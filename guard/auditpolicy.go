package guard

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"s3gate/policy"
)

// The findings on the policy as a whole.
const (
	findingPolicy = "bucket-policy"
	findingPublic = "policy-public"
)

// policy looks at the statements of the live policy, ours and others, and at what
// becomes of requests.
func (a *audit) policy(ctx context.Context) error {
	text, err := a.bucket.Policy(ctx)
	if err != nil {
		return a.refusal(&a.report.Lock, findingPolicy, err)
	}
	if err := a.public(ctx); err != nil {
		return err
	}
	var doc *policy.Document
	if text != nil {
		doc, err = policy.ParseStored(text)
	}
	if err != nil {
		// S3 takes some that the engine does not: then nobody knows what it says.
		a.add(&a.report.Lock, Finding{Name: findingPolicy, State: Unknown, Is: "not understood", Note: err.Error()})
		return nil
	}
	if err := a.lock(doc); err != nil {
		return err
	}
	return a.requests(doc)
}

// public is what S3 says itself.
func (a *audit) public(ctx context.Context) error {
	public, err := a.bucket.PolicyIsPublic(ctx)
	if err != nil {
		return a.refusal(&a.report.Policy, findingPublic, err)
	}
	f := Finding{Name: findingPublic, State: OK, Is: "S3 calls the policy not public"}
	if public {
		f.State, f.Is, f.Fix = Weak, "S3 calls the policy public", a.hardenCommand(PublicAccess)
	}
	a.add(&a.report.Policy, f)
	return nil
}

// lockSids are those of all statements that a lock can have.
var lockSids = []string{
	policy.SidPresigned, policy.SidPresignedList, policy.SidStaleURL, policy.SidGateForm, policy.SidGateStaleURL,
	policy.SidPlainHTTP, policy.SidOldSignature, policy.SidOutsider,
}

// lock compares our statements with those of a full lock. What bears a Sid like
// ours and refuses nothing, or is none of a lock's, is judged as anybody's.
func (a *audit) lock(doc *policy.Document) error {
	o := policy.LockOptions{
		Bucket: a.bucket.Name(), Partition: policy.PartitionOf(a.bucket.Region()), Prefix: a.Prefix,
		RequireTLS: a.bucket.Secure(), DenyOldSignatures: true,
	}
	if a.QuerySigning {
		o.QuerySigner = a.gate.ARN
	}
	full, err := policy.LockStatements(o)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	for _, want := range full {
		a.add(&a.report.Lock, a.statement(want, doc))
	}
	for i, s := range doc.Statements() {
		switch {
		case slices.ContainsFunc(full, func(f policy.Statement) bool { return f.Sid == s.Sid }):
		case slices.Contains(lockSids, s.Sid) && s.Effect == policy.Deny:
			a.add(&a.report.Lock, Finding{Name: s.Sid, State: OK, Is: "there, and more than a lock needs"})
		default:
			a.theirs(i, s)
		}
	}
	return nil
}

// statement compares one.
func (a *audit) statement(want policy.Statement, doc *policy.Document) Finding {
	f := Finding{Name: want.Sid, State: Missing, Is: "not in the policy", Fix: a.lockCommand()}
	all := doc.Statements()
	i := slices.IndexFunc(all, func(s policy.Statement) bool { return s.Sid == want.Sid })
	if i < 0 {
		return f
	}
	weaker := policy.Weaker([]policy.Statement{want}, all[i:i+1])
	if weaker != nil {
		for i, line := range weaker {
			weaker[i] = strings.TrimPrefix(line, want.Sid+" ")
		}
		f.State, f.Is = Weak, "weaker than a full lock: it "+strings.Join(weaker, "; it ")
		return f
	}
	return Finding{Name: want.Sid, State: OK, Is: "in the policy"}
}

func (a *audit) lockCommand() string {
	if a.Prefix == "" {
		return a.command("lock")
	}
	return a.command("lock", "--prefix", a.Prefix)
}

// theirs judges a statement that is not ours.
func (a *audit) theirs(index int, s policy.Statement) {
	f := Finding{Name: StatementName(policy.Decision{Sid: s.Sid, Index: index}), State: OK, Is: "allows " + listed(s)}
	if s.Effect == policy.Deny {
		f.Is = "denies " + listed(s)
	}
	everyone := s.Principal.Everyone || slices.Contains(s.Principal.AWS, "*")
	switch {
	case !isNobody(s.NotPrincipal):
		f.State = Weak
		f.Note = "NotPrincipal means everybody but the sessions and accounts that are named, each of them: say Principal \"*\" and a condition on aws:PrincipalArn"
	case s.Effect != policy.Allow || !everyone:
	case len(boundBy(s)) > 0:
		f.Is += ", for everybody within " + strings.Join(boundBy(s), ", ")
	default:
		f.State = Weak
		f.Is += ", for everybody in the world"
		f.Fix = a.hardenCommand(PublicAccess)
		f.Note = "a public access block makes S3 ignore it for all but the account; better name who is meant"
	}
	a.add(&a.report.Policy, f)
}

func isNobody(p policy.Principals) bool {
	return !p.Everyone && p.AWS == nil && p.Service == nil && p.Federated == nil && p.CanonicalUser == nil
}

// listed is what a statement is about.
func listed(s policy.Statement) string {
	if s.NotAction != nil {
		return "all but " + strings.Join(s.NotAction, ", ")
	}
	return strings.Join(s.Action, ", ")
}

// bounding are the condition keys that make everybody a few, if they are compared
// with fixed values ("The meaning of 'public'", Amazon S3 User Guide).
var bounding = []string{
	"aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths", "aws:sourceaccount",
	"aws:sourcearn", "aws:sourceip", "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce", "aws:userid",
	"s3:dataaccesspointaccount", "s3:dataaccesspointarn",
}

// boundBy returns the keys by which a statement for everybody is for a few.
func boundBy(s policy.Statement) (keys []string) {
	for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
		if strings.Contains(operator, "Not") || strings.HasSuffix(operator, "IfExists") || strings.HasPrefix(operator, "ForAllValues:") || operator == "Null" {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
			fixed := func(v string) bool {
				return v != "" && strings.Trim(v, "*") != "" && !strings.HasSuffix(v, "/0") && !strings.Contains(v, "${")
			}
			values := s.Condition[operator][key]
			if slices.Contains(bounding, strings.ToLower(key)) && !slices.ContainsFunc(values, func(v string) bool { return !fixed(v) }) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// requests evaluates the standard requests.
func (a *audit) requests(doc *policy.Document) error {
	o := StandardOptions{
		Bucket: a.bucket.Name(), Partition: policy.PartitionOf(a.bucket.Region()), Gate: a.gate, Admin: a.admin, QuerySigning: a.QuerySigning,
	}
	if a.Prefix != "" {
		o.Key = a.Prefix + CanaryPrefix + "standard"
	}
	list, err := StandardRequests(o)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	for _, r := range list {
		if r.Name == "plain-http" && !a.bucket.Secure() {
			continue // the store has nothing else
		}
		got := Judge(doc, a.gate.AccountID(), r.Request)
		a.report.Requests = append(a.report.Requests, AuditedRequest{
			Name: r.Name, Text: r.Text, Want: verdict(r.Allowed), Got: verdict(got.Allowed), By: got.Reason,
			OK: r.Allowed == got.Allowed,
		})
	}
	return nil
}

func verdict(allowed bool) string {
	if allowed {
		return "allow"
	}
	return "deny"
}
