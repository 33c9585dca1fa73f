package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"s3gate/policy"
)

// Access is what a gate is to do with one bucket.
type Access struct {
	// Bucket is the bucket's name; required.
	Bucket string
	// Partition is the ARN partition; "" is "aws".
	Partition string
	// Prefix begins the keys that links are for; "" is all keys.
	Prefix string
	// TempPrefix begins the keys of the gate's own objects, for uploads; required
	// with Write.
	TempPrefix string
	// Read is for links to download and to folders, Write for uploads, and Verify
	// for trying real requests on canaries.
	Read, Write, Verify bool
	// VerifyPrefix begins the keys that are locked, and so those of the canaries; ""
	// is all. VerifyKey is the object that is tried where the gate may store none; ""
	// means canaries. VerifyPolicy is for a gate that signs in the query string, which
	// has to read the policy to know whether others may.
	VerifyPrefix, VerifyKey string
	VerifyPolicy            bool
	// KMSKey is the ARN of the key that objects are encrypted with; "" if they are
	// not by KMS.
	KMSKey string
	// Region is the bucket's, for the key; "" is any.
	Region string
}

// LogAccess is what the leak watch reads.
type LogAccess struct {
	// Bucket has the logs, with keys that begin with Prefix; "" is none.
	Bucket, Prefix string
	// Queue is the ARN of an Amazon SQS queue that hears of them; "" is none.
	Queue string
	// Partition is the ARN partition; "" is "aws".
	Partition string
}

// allow is an Allow statement of an identity policy.
func allow(sid string, actions []string, resources ...string) policy.Statement {
	return policy.Statement{Sid: sid, Effect: policy.Allow, Action: actions, Resource: resources}
}

// GatePolicy returns the statements of the identity policy for a gate's role or
// user: what it asks of its buckets, and nothing else. Errors wrap [ErrOptions].
//
//   - Links to download need s3:GetObject, s3:GetObjectVersion for those that are
//     pinned to a version or resumed in a bucket with versions, and s3:ListBucket
//     for folders, and for S3 to say 404 and not 403 of what is not there.
//   - Uploads need s3:PutObject; s3:AbortMultipartUpload and
//     s3:ListMultipartUploadParts for parts; s3:GetObject to recognize one whose
//     answer was lost; s3:ListBucketMultipartUploads to find one whose name was
//     lost; and reading, writing, listing and deleting of the gate's own objects.
//   - Verifying writes, reads and deletes canaries, by version where there are some.
//
// Under a Prefix without uploads listings are bound to it, so S3 says 403 of what is
// not there. With uploads they are not: the gate has to know that an object is not
// there to tell what became of one whose answer was lost, so it can list the names
// of other keys.
// ("Actions, resources, and condition keys for Amazon S3", Service Authorization
// Reference; "Multipart upload API and permissions", Amazon S3 User Guide.)
func GatePolicy(buckets []Access, logs []LogAccess) ([]policy.Statement, error) {
	var list []policy.Statement
	for i := range buckets {
		if err := buckets[i].check(); err != nil {
			return nil, fmt.Errorf("%w: access to bucket %q: %w", ErrOptions, buckets[i].Bucket, err)
		}
		list = append(list, buckets[i].statements()...)
	}
	for i := range logs {
		list = append(list, logs[i].statements()...)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: access to nothing", ErrOptions)
	}
	// IAM wants each Sid once.
	seen := map[string]int{}
	for i := range list {
		sid := list[i].Sid
		if seen[sid]++; seen[sid] > 1 {
			list[i].Sid = fmt.Sprintf("%s%d", sid, seen[sid])
		}
	}
	return list, nil
}

var keyARN = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$`)

func (a *Access) check() error {
	switch {
	case a.Bucket == "":
		return errors.New("bucket: is required")
	case !a.Read && !a.Write && !a.Verify:
		return errors.New("neither reading nor writing nor verifying")
	case strings.ContainsAny(a.Prefix+a.TempPrefix+a.VerifyPrefix, "*?") || strings.Contains(a.Prefix+a.TempPrefix+a.VerifyPrefix, "${"):
		return fmt.Errorf("prefix: %q holds a wildcard or a variable", a.Prefix+a.TempPrefix+a.VerifyPrefix)
	case strings.ContainsAny(a.VerifyKey, "*?") || strings.Contains(a.VerifyKey, "${"):
		return fmt.Errorf("key to verify: %q holds a wildcard or a variable", a.VerifyKey)
	case a.Write && a.TempPrefix == "":
		return errors.New("prefix of the gate's own objects: is required for uploads")
	case a.KMSKey != "" && !keyARN.MatchString(a.KMSKey):
		return fmt.Errorf("KMS key: %q is not the ARN of a key, which policies need", a.KMSKey)
	}
	return nil
}

func (a *Access) arn(rest string) string { return bucketARN(a.Partition, a.Bucket) + rest }

func bucketARN(partition, bucket string) string {
	if partition == "" {
		partition = "aws"
	}
	return "arn:" + partition + ":s3:::" + bucket
}

func (a *Access) statements() (list []policy.Statement) {
	objects := a.onObjects()
	if len(objects) > 0 {
		list = append(list, allow("Objects", objects, a.arn("/"+a.Prefix+"*")))
	}
	if a.Write {
		list = a.own(list, "OwnObjects", []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}, a.TempPrefix)
	}
	if a.Verify {
		list = append(list, a.verifying()...)
	}
	if a.Read || a.Write {
		list = append(list, a.listing())
	}
	if a.Write {
		// It has no condition on the prefix.
		list = append(list, allow("LostUploads", []string{"s3:ListBucketMultipartUploads"}, a.arn("")))
	}
	if a.KMSKey != "" {
		s := allow("Key", a.onKey(), a.KMSKey)
		s.Condition = a.viaS3()
		list = append(list, s)
	}
	return list
}

// verifying permits what verification does.
func (a *Access) verifying() (list []policy.Statement) {
	switch {
	case a.VerifyKey == "":
		list = a.own(nil, "Canaries", []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"}, a.VerifyPrefix+CanaryPrefix)
	case !a.Read && !a.Write || !strings.HasPrefix(a.VerifyKey, a.Prefix):
		list = append(list, allow("Canary", []string{"s3:GetObject"}, a.arn("/"+a.VerifyKey)))
	}
	if a.VerifyPolicy {
		list = append(list, allow("OwnPolicy", []string{"s3:GetBucketPolicy"}, a.arn("")))
	}
	return list
}

// onObjects are the actions on what links are for.
func (a *Access) onObjects() (actions []string) {
	if a.Read || a.Write {
		actions = append(actions, "s3:GetObject")
	}
	if a.Read {
		actions = append(actions, "s3:GetObjectVersion")
	}
	if a.Write {
		actions = append(actions, "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
	}
	return actions
}

// own adds a statement for objects under a prefix of the gate's own, with the
// actions that the one for all objects does not permit already.
func (a *Access) own(list []policy.Statement, sid string, actions []string, prefix string) []policy.Statement {
	if strings.HasPrefix(prefix, a.Prefix) {
		had := a.onObjects()
		actions = slices.DeleteFunc(actions, func(action string) bool { return slices.Contains(had, action) })
	}
	return append(list, allow(sid, actions, a.arn("/"+prefix+"*")))
}

// listing permits listings: of all, or below the prefix.
func (a *Access) listing() policy.Statement {
	s := allow("Listings", []string{"s3:ListBucket"}, a.arn(""))
	if a.Prefix != "" && !a.Write {
		s.Condition = policy.Conditions{"StringLike": {"s3:prefix": {a.Prefix + "*"}}}
	}
	return s
}

// onKey are the actions on the key. S3 decrypts the parts of an upload to put them
// together.
func (a *Access) onKey() []string {
	if a.Write || a.Verify && a.VerifyKey == "" {
		return []string{"kms:Decrypt", "kms:GenerateDataKey"}
	}
	return []string{"kms:Decrypt"}
}

// viaS3 binds the use of a key to requests that S3 makes for the gate.
func (a *Access) viaS3() policy.Conditions {
	operator, region := "StringEquals", a.Region
	if region == "" {
		operator, region = "StringLike", "*"
	}
	return policy.Conditions{operator: {"kms:ViaService": {"s3." + region + ".amazonaws.com"}}}
}

func (l *LogAccess) statements() (list []policy.Statement) {
	if l.Bucket != "" {
		arn := bucketARN(l.Partition, l.Bucket)
		list = append(list, allow("Logs", []string{"s3:GetObject"}, arn+"/"+l.Prefix+"*"))
		listing := allow("LogListings", []string{"s3:ListBucket"}, arn)
		if l.Prefix != "" {
			listing.Condition = policy.Conditions{"StringLike": {"s3:prefix": {l.Prefix + "*"}}}
		}
		list = append(list, listing)
	}
	if l.Queue != "" {
		list = append(list, allow("LogQueue", []string{"sqs:ReceiveMessage", "sqs:DeleteMessage"}, l.Queue))
	}
	return list
}

// KeyPolicy returns the statements that the policies of KMS keys need for the gate,
// by the key's ARN. A key whose policy leaves it to IAM, as that of a new key does,
// does not need them in the gate's own account. Principal is the ARN of the gate's
// role or user. Errors wrap [ErrOptions]. ("Key policies in AWS KMS", AWS KMS
// Developer Guide.)
func KeyPolicy(principal string, buckets []Access) (map[string][]policy.Statement, error) {
	if !strings.HasPrefix(principal, "arn:") {
		return nil, fmt.Errorf("%w: principal: %q is not the ARN of a role or user", ErrOptions, principal)
	}
	keys := map[string][]policy.Statement{}
	for i := range buckets {
		a := &buckets[i]
		if err := a.check(); err != nil {
			return nil, fmt.Errorf("%w: access to bucket %q: %w", ErrOptions, a.Bucket, err)
		}
		if a.KMSKey == "" {
			continue
		}
		s := allow("", a.onKey(), "*") // the key itself
		s.Principal = policy.Principals{AWS: policy.Values{principal}}
		s.Condition = a.viaS3()
		keys[a.KMSKey] = addOnce(keys[a.KMSKey], s)
	}
	return keys, nil
}

// addOnce adds a statement under the next Sid, if none says the same.
func addOnce(list []policy.Statement, s policy.Statement) []policy.Statement {
	for _, has := range list {
		if s.Sid = has.Sid; reflect.DeepEqual(s, has) {
			return list
		}
	}
	s.Sid = "Gate" + strconv.Itoa(len(list)+1)
	return append(list, s)
}

// MaxManagedPolicy is how many characters a managed policy of IAM may have, white
// space not counted ("IAM and AWS STS quotas", IAM User Guide).
const MaxManagedPolicy = 6144

// PolicySize counts the characters of a policy as IAM does.
func PolicySize(list []policy.Statement) int {
	text, err := json.Marshal(struct {
		Version   string
		Statement []policy.Statement
	}{"2012-10-17", list})
	if err != nil {
		return 0 // our own types always have a form
	}
	return len(text)
}
