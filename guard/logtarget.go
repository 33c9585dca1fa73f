package guard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"s3gate/policy"
	"s3gate/s3client"
)

func lookLogging(ctx context.Context, b *s3client.Bucket, w *Want) (look, error) {
	is, err := b.Logging(ctx)
	if err != nil {
		return look{}, err
	}
	if is != nil && (is.Bucket != b.Name() || w.LogToSelf) {
		l := look{state: OK, is: target(is)}
		if w.LogBucket != "" && *is != (s3client.Logging{Bucket: w.LogBucket, Prefix: w.LogPrefix}) {
			l.note = "somewhere else than asked for, and left as it is: somebody may read it there"
		}
		return l, nil
	}
	l := look{state: Missing, is: "off"}
	if is != nil {
		l.state, l.is, l.note = Weak, target(is), "the bucket's log goes to the bucket, and logs how it is written"
	}
	if w.LogBucket == "" {
		l.note = cmp.Or(l.note, "name a bucket for the log")
		return l, nil
	}
	want := s3client.Logging{Bucket: w.LogBucket, Prefix: w.LogPrefix}
	l.will = target(&want)
	l.apply = func(ctx context.Context) error { return b.PutLogging(ctx, want) }
	if takes := takesLogs(ctx, b.Name(), w); errors.Is(takes, ErrLogTarget) {
		l.fails = takes
	} else if takes != nil {
		l.note = takes.Error()
	}
	return l, nil
}

func target(l *s3client.Logging) string { return "s3://" + l.Bucket + "/" + l.Prefix }

// ErrLogTarget is a bucket that does not permit S3 to write an access log into it.
var ErrLogTarget = errors.New("the log bucket does not take logs")

const (
	logService = "logging.s3.amazonaws.com"
	// logGroup is whom the ACL of a log bucket names, in the older way.
	logGroup = "http://acs.amazonaws.com/groups/s3/LogDelivery"
)

// takesLogs returns nil if the log bucket takes logs, [ErrLogTarget] if not, and
// another error if that could not be seen.
func takesLogs(ctx context.Context, source string, w *Want) error {
	if w.Logs == nil {
		return nil
	}
	text, err := w.Logs.Policy(ctx)
	if err != nil {
		return fmt.Errorf("whether the log bucket takes logs could not be seen: %w", err)
	}
	permits, err := policyTakesLogs(text, source, w)
	if err != nil {
		return fmt.Errorf("whether the log bucket takes logs could not be seen: %w", err)
	}
	if permits {
		return nil
	}
	if grants, err := w.Logs.Grants(ctx); err == nil {
		for _, g := range grants {
			if g.Grantee == logGroup && (g.Permission == "WRITE" || g.Permission == "FULL_CONTROL") {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: its policy needs the statement %s", ErrLogTarget, oneLine(LogTargetStatement(source, w)))
}

func oneLine(s policy.Statement) string {
	text, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// LogTargetStatement is what the policy of w.LogBucket needs so that S3 may write
// the access log of the source bucket into it ("Enabling Amazon S3 server access
// logging", Amazon S3 User Guide).
func LogTargetStatement(source string, w *Want) policy.Statement {
	s := policy.Statement{
		Sid: "AccessLogDelivery", Effect: policy.Allow,
		Principal: policy.Principals{Service: policy.Values{logService}},
		Action:    policy.Values{"s3:PutObject"},
		Resource:  policy.Values{"arn:aws:s3:::" + w.LogBucket + "/" + w.LogPrefix + "*"},
		Condition: policy.Conditions{"ArnLike": {"aws:SourceArn": {"arn:aws:s3:::" + source}}},
	}
	if w.Account != "" {
		s.Condition["StringEquals"] = map[string]policy.Values{"aws:SourceAccount": {w.Account}}
	}
	return s
}

// policyTakesLogs evaluates the policy of the log bucket for the service that
// writes logs.
func policyTakesLogs(text []byte, source string, w *Want) (bool, error) {
	if text == nil {
		return false, nil
	}
	doc, err := policy.Parse(text)
	if err != nil {
		return false, err
	}
	// The engine knows no services as callers: statements for this one become
	// statements for everybody, and those for others go.
	var list []policy.Statement
	for _, s := range doc.Statements() {
		if forLogService(&s.Principal) {
			s.Principal = policy.Principals{Everyone: true}
			list = append(list, withoutAccount(s, w.Account))
		}
	}
	if list == nil {
		return false, nil
	}
	doc, err = document(list)
	if err != nil {
		return false, err
	}
	c := policy.Context{}
	c.Set("aws:SourceArn", "arn:aws:s3:::"+source)
	c.Set("aws:PrincipalIsAWSService", "true")
	c.Set("aws:PrincipalServiceName", logService)
	c.Set("aws:SecureTransport", "true")
	if w.Account != "" {
		c.Set("aws:SourceAccount", w.Account)
	}
	key := w.LogPrefix + "2026-01-01-00-00-00-0123456789ABCDEF"
	decision := doc.Evaluate(policy.Request{Action: "s3:PutObject", Resource: "arn:aws:s3:::" + w.LogBucket + "/" + key, Context: c})
	return decision.Effect == policy.Allow, nil
}

func forLogService(p *policy.Principals) bool {
	if p.Everyone {
		return true
	}
	for _, name := range p.Service {
		if name == logService {
			return true
		}
	}
	return false
}

// withoutAccount takes conditions on the account out of a statement where the
// account is not known.
func withoutAccount(s policy.Statement, account string) policy.Statement {
	if account != "" {
		return s
	}
	conditions := policy.Conditions{}
	for operator, keys := range s.Condition {
		keys = maps.Clone(keys)
		maps.DeleteFunc(keys, func(key string, _ policy.Values) bool { return strings.EqualFold(key, "aws:SourceAccount") })
		conditions[operator] = keys
	}
	s.Condition = conditions
	return s
}

// document makes a policy of statements.
func document(list []policy.Statement) (*policy.Document, error) {
	text, err := json.Marshal(struct {
		Version   string
		Statement []policy.Statement
	}{"2012-10-17", list})
	if err != nil {
		return nil, fmt.Errorf("writing a policy: %w", err)
	}
	return policy.Parse(text)
}
