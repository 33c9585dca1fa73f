package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LockOptions says what a locked bucket refuses. Only Bucket is required; the zero value of the others
// refuses URL-signed and form-signed requests for every object and every listing, from everybody.
type LockOptions struct {
	// Bucket is the bucket's name.
	Bucket string

	// Partition is the ARN partition; empty is "aws". Others are "aws-cn" and "aws-us-gov".
	Partition string

	// Prefix locks only keys that begin with it; empty locks the whole bucket. Wildcards and variables
	// cannot be written literally in a policy of every version and are refused.
	Prefix string

	// Actions are the S3 actions refused to presigned requests, such as "s3:GetObject" or "s3:Put*"; nil
	// is DefaultActions.
	Actions []string

	// ExemptUsers are the names of IAM users (aws:username) who may go on using presigned URLs. A name is
	// not an account: the same name in another account is exempt too, though it gains no permission.
	ExemptUsers []string

	// ExemptRoles are ARNs of IAM roles or users (aws:PrincipalArn) that may go on using presigned URLs.
	// The part after the account may hold wildcards. A caller that either list exempts is exempt.
	ExemptRoles []string

	// MaxURLAge refuses presigned requests, those of the exempt included, this long after they were
	// signed; 0 sets no limit, and less than a millisecond is an error.
	MaxURLAge time.Duration

	// RequireTLS refuses plain HTTP.
	RequireTLS bool

	// DenyOldSignatures refuses Signature Version 2.
	DenyOldSignatures bool

	// Accounts are the only accounts (twelve digits) whose principals may reach the bucket; others, and
	// anonymous callers, are refused, AWS services acting for themselves are not. Nil admits all accounts.
	Accounts []string
}

// The Sids of the statements that LockStatements makes.
const (
	SidPresigned     = "S3GateDenyPresigned"         // URL-signed and form-signed requests for objects
	SidPresignedList = "S3GateDenyPresignedListing"  // URL-signed requests for the bucket, such as listings
	SidStaleURL      = "S3GateDenyStaleURL"          // URL-signed requests older than MaxURLAge
	SidPlainHTTP     = "S3GateDenyInsecureTransport" // plain HTTP
	SidOldSignature  = "S3GateDenyOldSignature"      // Signature Version 2
	SidOutsider      = "S3GateDenyOutsider"          // other accounts and anonymous callers
)

// DefaultActions returns the actions a lock refuses unless told otherwise: all that act on objects, those
// S3 may add later included, and the three listings, which would give away the keys. Of "s3:*" only
// actions on objects are meant, see [LockStatements].
func DefaultActions() []string {
	return []string{"s3:*", "s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"}
}

// LockStatements returns the deny statements for o, in a fixed order. They hold no variables and mean the
// same in both versions of the policy language.
//
// S3 refuses a statement with an action that none of its resources can satisfy, so actions on objects and
// actions on the bucket go into two statements. An action with a wildcard is applied to objects when it
// matches any action on objects, and to the bucket otherwise; one that would deny reading, writing or
// deleting the bucket policy is an error. Under a Prefix there is no statement on the bucket: the
// default listings are left out, and actions on the bucket that were asked for are an error. The statements
// on transport, signature version and accounts cover everything but the bucket policy itself.
//
// ("Amazon S3 Signature Version 4 Authentication Specific Policy Keys", Amazon S3 API Reference; "Actions,
// resources, and condition keys for Amazon S3", Service Authorization Reference.)
func LockStatements(o LockOptions) ([]Statement, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("locking bucket %q: %w", o.Bucket, err)
	}
	onObjects, onBucket, err := o.actions()
	if err != nil {
		return nil, fmt.Errorf("locking bucket %q: %w", o.Bucket, err)
	}
	var list []Statement
	if len(onObjects) > 0 {
		list = append(list, deny(SidPresigned, onObjects, Values{o.objects()}, o.presigned()))
	}
	if len(onBucket) > 0 {
		list = append(list, deny(SidPresignedList, onBucket, Values{o.arn()}, o.presigned()))
	}
	if o.MaxURLAge > 0 {
		list = append(list, o.denyAll(SidStaleURL, Conditions{
			"StringEquals":       {"s3:authType": {"REST-QUERY-STRING"}},
			"NumericGreaterThan": {"s3:signatureAge": {strconv.FormatInt(o.MaxURLAge.Milliseconds(), 10)}},
		}))
	}
	if o.RequireTLS {
		list = append(list, o.denyAll(SidPlainHTTP, Conditions{"Bool": {"aws:SecureTransport": {"false"}}}))
	}
	if o.DenyOldSignatures {
		list = append(list, o.denyAll(SidOldSignature, Conditions{"StringEquals": {"s3:signatureversion": {"AWS"}}}))
	}
	if len(o.Accounts) > 0 {
		list = append(list, o.denyAll(SidOutsider, Conditions{
			"StringNotEquals": {"aws:PrincipalAccount": slices.Clone(o.Accounts)},
			"BoolIfExists":    {"aws:PrincipalIsAWSService": {"false"}},
		}))
	}
	return list, nil
}

func deny(sid string, actions, resources Values, c Conditions) Statement {
	return Statement{
		Sid:       sid,
		Effect:    Deny,
		Principal: Principals{Everyone: true},
		Action:    actions,
		Resource:  resources,
		Condition: c,
	}
}

// denyAll denies everything in scope except the bucket policy, so that whoever may change it always can.
func (o *LockOptions) denyAll(sid string, c Conditions) Statement {
	resources := Values{o.objects()}
	if o.Prefix == "" {
		resources = Values{o.arn(), o.objects()}
	}
	s := deny(sid, nil, resources, c)
	s.NotAction = Values{"s3:*BucketPolicy"}
	return s
}

// presigned matches requests signed in the URL or in a form. Its conditions all have to hold, so a caller
// whom one list exempts escapes; a caller without the key escapes neither.
func (o *LockOptions) presigned() Conditions {
	c := Conditions{"StringEquals": {"s3:authType": {"REST-QUERY-STRING", "POST"}}}
	if len(o.ExemptUsers) > 0 {
		c["StringNotEquals"] = map[string]Values{"aws:username": slices.Clone(o.ExemptUsers)}
	}
	if len(o.ExemptRoles) > 0 {
		c["ArnNotLike"] = map[string]Values{"aws:PrincipalArn": slices.Clone(o.ExemptRoles)}
	}
	return c
}

func (o *LockOptions) arn() string {
	partition := o.Partition
	if partition == "" {
		partition = "aws"
	}
	return "arn:" + partition + ":s3:::" + o.Bucket
}

func (o *LockOptions) objects() string { return o.arn() + "/" + o.Prefix + "*" }

// actions sorts the actions by what they act on.
func (o *LockOptions) actions() (onObjects, onBucket Values, err error) {
	wanted := o.Actions
	if wanted == nil {
		wanted = DefaultActions()
	}
	for _, a := range wanted {
		switch {
		case !actionName.MatchString(a):
			return nil, nil, fmt.Errorf("%q is no action of S3", a)
		case OnObjects(a):
			onObjects = append(onObjects, a)
		case coversBucketPolicy(a):
			return nil, nil, fmt.Errorf("%q would lock the bucket policy itself", a)
		case o.Prefix == "":
			onBucket = append(onBucket, a)
		case o.Actions != nil:
			return nil, nil, fmt.Errorf("%q acts on the bucket and cannot be limited to a prefix", a)
		}
	}
	return onObjects, onBucket, nil
}

var (
	bucketName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$`)
	partitionName = regexp.MustCompile(`^(aws(-[a-z]+)*)?$`)
	userName      = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	exemptARN     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/*?-]+$`)
)

// check refuses options that would make a statement mean something else than they say.
func (o *LockOptions) check() error {
	switch {
	case !bucketName.MatchString(o.Bucket):
		return errors.New("not a bucket name")
	case !partitionName.MatchString(o.Partition):
		return fmt.Errorf("partition: %q is none", o.Partition)
	case strings.ContainsAny(o.Prefix, "*?") || strings.Contains(o.Prefix, "${"):
		return fmt.Errorf("prefix: %q holds a wildcard or a variable", o.Prefix)
	case len(o.Prefix) > 1024:
		return errors.New("prefix: longer than a key can be")
	case o.Actions != nil && len(o.Actions) == 0:
		return errors.New("actions: empty list")
	case o.MaxURLAge != 0 && o.MaxURLAge < time.Millisecond:
		return fmt.Errorf("maximum URL age: %v is less than a millisecond", o.MaxURLAge)
	}
	for _, list := range []struct {
		name   string
		values []string
		valid  *regexp.Regexp
	}{
		{"exempt users", o.ExemptUsers, userName},
		{"exempt roles", o.ExemptRoles, exemptARN},
		{"accounts", o.Accounts, accountID},
	} {
		for _, s := range list.values {
			if !list.valid.MatchString(s) {
				return fmt.Errorf("%s: %q is not of the form %s", list.name, s, list.valid)
			}
		}
	}
	return nil
}
