package guard

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"s3gate/policy"
	"s3gate/s3client"
)

// AuditOptions says what a bucket is measured by. The zero value asks for a lock
// of the whole bucket and for the settings of the zero [Want].
type AuditOptions struct {
	Want
	// Prefix is the part of the bucket that is locked; "" is all of it.
	Prefix string
	// Gate is who the gate signs as, an ARN of a role or user; "" stands for a
	// role in the bucket's account.
	Gate string
	// QuerySigning says that the gate signs in the query string, for which the
	// lock has to exempt Gate.
	QuerySigning bool
	// Target are the words by which the command line names the bucket, flags
	// included, for the commands that fix what was found; nil is its name.
	Target []string
	// Skip are the names of findings to leave out, such as "access-logging".
	Skip []string
}

// Finding is one thing that was looked at.
type Finding struct {
	// Name is that of the setting or of the statement. It stays.
	Name string `json:"name"`
	// State is what was found, and Is the same in words.
	State State  `json:"state"`
	Is    string `json:"is"`
	// Fix is the command that mends it; "" where there is none, or no need.
	Fix string `json:"fix,omitempty"`
	// Note is what else there is to say; usually "".
	Note string `json:"note,omitempty"`
}

// AuditReport is the outcome of [Audit].
type AuditReport struct {
	Bucket string `json:"bucket"`
	// Settings are those of the bucket, Lock the statements of ours, Policy
	// what else its policy and its ACL let through.
	Settings []Finding `json:"settings"`
	Lock     []Finding `json:"lock"`
	Policy   []Finding `json:"policy"`
	// Requests are the [StandardRequests], evaluated with the live policy. It is
	// no proof: a store may not apply it, see [Verify]. Nil if the policy could
	// not be read.
	Requests []AuditedRequest `json:"requests"`
}

// AuditedRequest is a request and what the live policy makes of it.
type AuditedRequest struct {
	Name string `json:"name"`
	Text string `json:"text"`
	// Want is what a locked bucket makes of it, "allow" or "deny", and Got
	// what this one's policy does, for the reason in By.
	Want string `json:"want"`
	Got  string `json:"got"`
	By   string `json:"by"`
	// OK is whether that is the same.
	OK bool `json:"ok"`
}

// Audit looks at a bucket's settings and policy and changes nothing. What the
// credentials may not see, or the store does not have, is a state. Errors wrap
// [ErrOptions], or are those of a store that does not answer.
func Audit(ctx context.Context, b *s3client.Bucket, o AuditOptions) (AuditReport, error) {
	a, err := newAudit(b, o)
	if err != nil {
		return AuditReport{}, fmt.Errorf("auditing bucket %q: %w: %w", b.Name(), ErrOptions, err)
	}
	for _, look := range []func(context.Context) error{a.settings, a.objectLock, a.grants, a.policy} {
		if err := look(ctx); err != nil {
			return AuditReport{}, err
		}
	}
	return a.report, nil
}

// OK reports whether nothing was found that is as bad as the state: [Missing],
// [Weak] or worse, or [Unknown] or worse, which is the strictest.
func (r *AuditReport) OK(worst State) bool {
	bad := map[State]int{Unknown: 1, Weak: 2, Missing: 3}
	for _, f := range slices.Concat(r.Settings, r.Lock, r.Policy) {
		if bad[f.State] >= bad[worst] {
			return false
		}
	}
	return bad[Weak] < bad[worst] || !slices.ContainsFunc(r.Requests, func(r AuditedRequest) bool { return !r.OK })
}

type audit struct {
	bucket *s3client.Bucket
	AuditOptions
	gate, admin policy.Principal
	report      AuditReport
}

// nobodysAccount stands for the bucket's where that is not known.
const nobodysAccount = "000000000000"

func newAudit(b *s3client.Bucket, o AuditOptions) (*audit, error) {
	if err := o.Want.check(b.Name()); err != nil {
		return nil, err
	}
	if o.QuerySigning && o.Gate == "" {
		return nil, errors.New("gate: say who signs in the query string")
	}
	if o.Gate == "" {
		account := o.Account
		if account == "" {
			account = nobodysAccount
		}
		o.Gate = "arn:" + policy.PartitionOf(b.Region()) + ":iam::" + account + ":role/s3gate"
	}
	if o.Target == nil {
		o.Target = []string{b.Name()}
	}
	gate, err := policy.ParsePrincipal(o.Gate)
	if err != nil || gate.ARN == "" {
		return nil, fmt.Errorf("gate: %q is not the ARN of a role or user", o.Gate)
	}
	return &audit{
		bucket: b, AuditOptions: o, gate: gate,
		admin:  policy.Principal{ARN: "arn:" + policy.PartitionOf(b.Region()) + ":iam::" + gate.AccountID() + ":user/admin", UserName: "admin", Account: gate.AccountID()},
		report: AuditReport{Bucket: b.Name(), Settings: []Finding{}, Lock: []Finding{}, Policy: []Finding{}},
	}, nil
}

// add notes a finding, unless nobody wants it.
func (a *audit) add(list *[]Finding, f Finding) {
	if !slices.Contains(a.Skip, f.Name) {
		*list = append(*list, f)
	}
}

// settings are those that [Harden] brings about.
func (a *audit) settings(ctx context.Context) error {
	for _, s := range AllSettings() {
		if s == NoncurrentVersions && a.NoncurrentDays == 0 {
			continue
		}
		l, err := lookAt(ctx, a.bucket, s, &a.Want)
		if err != nil {
			return err
		}
		f := Finding{Name: string(s), State: l.state, Is: l.is, Note: l.note}
		if l.state == Missing || l.state == Weak {
			f.Fix = a.hardenCommand(s)
		}
		if l.fails != nil {
			f.Note = l.fails.Error()
		}
		a.add(&a.report.Settings, f)
	}
	return nil
}

// hardenCommand is the command that brings a setting about.
func (a *audit) hardenCommand(s Setting) string {
	words := []string{"--only", string(s)}
	switch {
	case s == AccessLogging && a.LogBucket == "":
		words = append(words, "--log-bucket", "LOGS", "--log-prefix", a.bucket.Name()+"/")
	case s == AccessLogging:
		words = append(words, "--log-bucket", a.LogBucket, "--log-prefix", a.LogPrefix)
	case s == Encryption && a.KMSKey != "":
		words = append(words, "--kms-key", a.KMSKey)
	case s == OrphanParts && a.AbortDays > 0:
		words = append(words, "--abort-days", strconv.Itoa(a.AbortDays))
	case s == NoncurrentVersions:
		words = append(words, "--noncurrent-days", strconv.Itoa(a.NoncurrentDays))
	}
	return a.command("harden", words...)
}

// command is one of ours on the bucket, as a shell reads it.
func (a *audit) command(verb string, words ...string) string {
	text := "s3gate bucket " + verb
	for _, w := range slices.Concat(a.Target, words) {
		if w == "" || !plainWord.MatchString(w) {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		text += " " + w
	}
	return text
}

var plainWord = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// refusal notes what could not be looked at; other errors it gives back.
func (a *audit) refusal(list *[]Finding, name string, err error) error {
	state := refusalState(err)
	if state == "" {
		return err
	}
	a.add(list, Finding{Name: name, State: state, Is: "?", Note: err.Error()})
	return nil
}

// objectLock is told and not judged: whether objects must be kept is for others
// to say.
func (a *audit) objectLock(ctx context.Context) error {
	const name = "object-lock"
	lock, err := a.bucket.ObjectLock(ctx)
	if err != nil {
		return a.refusal(&a.report.Settings, name, err)
	}
	f := Finding{Name: name, State: OK, Is: "off"}
	if lock != nil {
		f.Is = "on"
	}
	if lock != nil && lock.Mode != "" {
		f.Is = fmt.Sprintf("on, %s for %d days and %d years by default", lock.Mode, lock.Days, lock.Years)
	}
	a.add(&a.report.Settings, f)
	return nil
}

// grants are what an ACL lets through besides the policy.
func (a *audit) grants(ctx context.Context) error {
	const name = "acl-grants"
	// S3 gives the ACL of such a bucket to whoever asks, and does not apply it.
	if owner, err := a.bucket.Ownership(ctx); err == nil && owner == s3client.OwnerEnforced {
		a.add(&a.report.Policy, Finding{Name: name, State: OK, Is: "ACLs do not count"})
		return nil
	}
	grants, err := a.bucket.Grants(ctx)
	if err != nil {
		return a.refusal(&a.report.Policy, name, err)
	}
	f := Finding{Name: name, State: OK, Is: "none to others"}
	if len(grants) > 0 {
		f.State, f.Is, f.Fix = Weak, grantList(grants), a.hardenCommand(Ownership)
	}
	a.add(&a.report.Policy, f)
	return nil
}
