package guard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
		l := look{state: OK, is: logTarget(is)}
		if w.LogBucket != "" && *is != (s3client.Logging{Bucket: w.LogBucket, Prefix: w.LogPrefix}) {
			l.note = "somewhere else than asked for, and left as it is: somebody may read it there"
		}
		return l, nil
	}
	l := look{state: Missing, is: "off"}
	if is != nil {
		l.state, l.is, l.note = Weak, logTarget(is), "the bucket's log goes to the bucket, and logs how it is written"
	}
	if w.LogBucket == "" {
		l.note = cmp.Or(l.note, "name a bucket for the log")
		return l, nil
	}
	want := s3client.Logging{Bucket: w.LogBucket, Prefix: w.LogPrefix}
	l.will = logTarget(&want)
	l.apply = func(ctx context.Context) error { return b.PutLogging(ctx, want) }
	if takes := takesLogs(ctx, b.Name(), w); errors.Is(takes, ErrLogTarget) {
		l.fails = takes
	} else if takes != nil {
		l.note = takes.Error()
	}
	return l, nil
}

func logTarget(l *s3client.Logging) string { return "s3://" + l.Bucket + "/" + l.Prefix }

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
		Resource:  policy.Values{w.arn(w.LogBucket) + "/" + w.LogPrefix + "*"},
		Condition: policy.Conditions{"ArnLike": {"aws:SourceArn": {w.arn(source)}}},
	}
	if w.Account != "" {
		s.Condition["StringEquals"] = map[string]policy.Values{"aws:SourceAccount": {w.Account}}
	}
	return s
}

// arn is that of a bucket in the partition of the log bucket, which is in the region
// of the other one.
func (w *Want) arn(bucket string) string {
	if w.Logs == nil {
		return bucketARN("", bucket)
	}
	return bucketARN(policy.PartitionOf(w.Logs.Region()), bucket)
}

// policyTakesLogs evaluates the policy of the log bucket for the service that
// writes logs. Where the account is not known, that of the policy is believed.
func policyTakesLogs(text []byte, source string, w *Want) (bool, error) {
	if text == nil {
		return false, nil
	}
	doc, err := policy.ParseStored(text)
	if err != nil {
		return false, err
	}
	r := policy.Request{
		Action:    "s3:PutObject",
		Resource:  w.arn(w.LogBucket) + "/" + w.LogPrefix + "2026-01-01-00-00-00-0123456789ABCDEF",
		Principal: policy.Principal{Service: logService}, Context: policy.Context{},
	}
	r.Context.Set("aws:SourceArn", w.arn(source))
	r.Context.Set("aws:SecureTransport", "true")
	for _, account := range accountsOf(doc, w.Account) {
		r.Context.Set("aws:SourceAccount", account)
		if doc.Evaluate(r).Effect == policy.Allow {
			return true, nil
		}
	}
	return false, nil
}

// accountsOf is the account that is known, or else those that statements name as
// the source.
func accountsOf(doc *policy.Document, known string) []string {
	if known != "" {
		return []string{known}
	}
	accounts := []string{nobodysAccount}
	for _, s := range doc.Statements() {
		for _, keys := range s.Condition {
			for key, values := range keys {
				if strings.EqualFold(key, "aws:SourceAccount") {
					accounts = append(accounts, values...)
				}
			}
		}
	}
	return accounts
}
