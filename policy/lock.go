package policy

import (
	"fmt"
	"slices"
	"strconv"
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

	// ExemptEndpoints are the IDs of VPC endpoints (aws:SourceVpce) through which presigned requests of
	// everybody may come. A request that comes another way has no such key and stays refused.
	ExemptEndpoints []string

	// ExemptNetworks are IPv4 and IPv6 networks (aws:SourceIp), such as "192.0.2.0/24", from which presigned
	// requests of everybody may come. What comes through a VPC endpoint has no source address in the eyes
	// of S3 and stays refused, whatever the network it comes from.
	ExemptNetworks []string

	// QuerySigner is the ARN of the role or user with which the gate signs in the query string, where it
	// has to; empty for a gate that signs in headers. It is exempt, but for forms, and for URLs that are
	// older than [QuerySignerAge].
	QuerySigner string

	// MaxURLAge refuses presigned requests, those of the exempt included, this long after they were
	// signed; 0 sets no limit, and less than a millisecond is an error.
	MaxURLAge time.Duration

	// RequireTLS refuses plain HTTP.
	RequireTLS bool

	// DenyOldSignatures refuses Signature Version 2.
	DenyOldSignatures bool

	// OnlyPrincipals, OnlyEndpoints and Accounts say who is no outsider: ARNs of roles and users, which
	// may hold wildcards after the account, and of accounts' root users (aws:PrincipalArn); IDs of VPC
	// endpoints (aws:SourceVpce), whoever comes through them; and accounts of twelve digits, with all
	// their principals (aws:PrincipalAccount). One of the three is enough. All others are refused, anonymous
	// callers included, but not AWS services acting for themselves. All three empty refuses nobody.
	OnlyPrincipals, OnlyEndpoints, Accounts []string
}

// The Sids of the statements that LockStatements makes.
const (
	SidPresigned     = "S3GateDenyPresigned"         // URL-signed and form-signed requests for objects
	SidPresignedList = "S3GateDenyPresignedListing"  // URL-signed requests for the bucket, such as listings
	SidStaleURL      = "S3GateDenyStaleURL"          // URL-signed requests older than MaxURLAge
	SidGateForm      = "S3GateDenyGateForm"          // form-signed requests of QuerySigner
	SidGateStaleURL  = "S3GateDenyGateStaleURL"      // URL-signed requests of QuerySigner older than QuerySignerAge
	SidPlainHTTP     = "S3GateDenyInsecureTransport" // plain HTTP
	SidOldSignature  = "S3GateDenyOldSignature"      // Signature Version 2
	SidOutsider      = "S3GateDenyOutsider"          // who is none of OnlyPrincipals, OnlyEndpoints and Accounts
)

// QuerySignerAge is how long after it was signed a request of [LockOptions.QuerySigner] is refused. It
// only has to get from the gate to the store.
const QuerySignerAge = time.Minute

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
			"NumericGreaterThan": {"s3:signatureAge": milliseconds(o.MaxURLAge)},
		}))
	}
	if o.QuerySigner != "" {
		list = append(list, o.boundQuerySigner()...)
	}
	if o.RequireTLS {
		list = append(list, o.denyAll(SidPlainHTTP, Conditions{"Bool": {"aws:SecureTransport": {"false"}}}))
	}
	if o.DenyOldSignatures {
		list = append(list, o.denyAll(SidOldSignature, Conditions{"StringEquals": {"s3:signatureversion": {"AWS"}}}))
	}
	if outsiders := o.outsiders(); outsiders != nil {
		list = append(list, o.denyAll(SidOutsider, outsiders))
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
// whom one list exempts escapes. A negated condition holds for a request without the key: neither a role,
// which has no user name, nor what comes past every VPC endpoint, nor what has no source address escapes by
// that.
func (o *LockOptions) presigned() Conditions {
	c := Conditions{"StringEquals": {"s3:authType": {"REST-QUERY-STRING", "POST"}}}
	c.exclude("StringNotEquals", "aws:username", o.ExemptUsers)
	c.exclude("StringNotEquals", "aws:SourceVpce", o.ExemptEndpoints)
	c.exclude("NotIpAddress", "aws:SourceIp", o.ExemptNetworks)
	principals := slices.Clone(o.ExemptRoles)
	if o.QuerySigner != "" && !slices.Contains(principals, o.QuerySigner) {
		principals = append(principals, o.QuerySigner)
	}
	c.exclude("ArnNotLike", "aws:PrincipalArn", principals)
	return c
}

// outsiders matches callers who are in none of the three lists; nil if all are empty. Anonymous callers carry no
// aws:PrincipalIsAWSService, hence IfExists: without it they would escape.
func (o *LockOptions) outsiders() Conditions {
	if len(o.OnlyPrincipals)+len(o.OnlyEndpoints)+len(o.Accounts) == 0 {
		return nil
	}
	c := Conditions{"BoolIfExists": {"aws:PrincipalIsAWSService": {"false"}}}
	c.exclude("ArnNotLike", "aws:PrincipalArn", o.OnlyPrincipals)
	c.exclude("StringNotEquals", "aws:SourceVpce", o.OnlyEndpoints)
	c.exclude("StringNotEquals", "aws:PrincipalAccount", o.Accounts)
	return c
}

// boundQuerySigner refuses what the gate has no need of where it is exempt.
func (o *LockOptions) boundQuerySigner() []Statement {
	of := func(authType string) Conditions {
		return Conditions{
			"StringEquals": {"s3:authType": {authType}},
			"ArnEquals":    {"aws:PrincipalArn": {o.QuerySigner}},
		}
	}
	stale := of("REST-QUERY-STRING")
	stale["NumericGreaterThan"] = map[string]Values{"s3:signatureAge": milliseconds(QuerySignerAge)}
	return []Statement{o.denyAll(SidGateForm, of("POST")), o.denyAll(SidGateStaleURL, stale)}
}

// exclude adds a negated operator on a key, if there are values.
func (c Conditions) exclude(operator, key string, values []string) {
	if len(values) == 0 {
		return
	}
	if c[operator] == nil {
		c[operator] = map[string]Values{}
	}
	c[operator][key] = slices.Clone(values)
}

func milliseconds(d time.Duration) Values { return Values{strconv.FormatInt(d.Milliseconds(), 10)} }

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
		case actsOnObjects(a):
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
