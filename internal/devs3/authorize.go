package devs3

import (
	"fmt"
	"slices"
	"strings"

	"s3gate/policy"
)

// authorize asks for all that the operation needs permission for.
func (x *exchange) authorize() error {
	if x.op.action == "" {
		return nil // asked once the body is known
	}
	if err := x.permit(x.versioned(x.op.action), x.bucket, x.key); err != nil {
		return err
	}
	if x.r.Header.Get("X-Amz-Tagging") != "" {
		if err := x.permit("s3:PutObjectTagging", x.bucket, x.key); err != nil {
			return err
		}
	}
	return x.authorizeSource()
}

// versioned returns the action on a version, which is another one, if the
// request names a version.
func (x *exchange) versioned(action string) string {
	if !x.query.Has("versionId") {
		return action
	}
	switch action {
	case "s3:GetObject", "s3:DeleteObject":
		return action + "Version"
	case "s3:GetObjectTagging", "s3:PutObjectTagging", "s3:DeleteObjectTagging", "s3:GetObjectAcl", "s3:PutObjectAcl":
		return strings.Replace(action, "Object", "ObjectVersion", 1)
	default:
		return action
	}
}

// authorizeSource asks for the reading half of a copy.
func (x *exchange) authorizeSource() error {
	header := x.r.Header.Get(copySourceHeader)
	if header == "" {
		return nil
	}
	source, err := parseCopySource(header)
	if err != nil {
		return err
	}
	if !x.server.store.HasBucket(source.bucket) {
		return errNoSuchBucket
	}
	action := "s3:GetObject"
	if source.version != "" {
		action = "s3:GetObjectVersion"
	}
	return x.permit(action, source.bucket, source.key)
}

// permit decides whether the caller may do one thing: what the bucket policy
// denies, nobody may; what it does not speak of, the users of the account may,
// admins more than others; anonymous callers may what it allows.
func (x *exchange) permit(action, bucket, key string) error {
	user := x.caller.user
	if slices.Contains(adminActions, action) && (user == nil || !user.Admin) {
		return x.denied(action, bucket, key, "because no identity-based policy allows the "+action+" action")
	}
	if strings.HasSuffix(action, "BucketPolicy") {
		return nil // an admin, whatever the policy says: nobody locks themselves out
	}
	doc, err := x.server.policies.of(bucket)
	if err != nil {
		x.server.log.Error("refusing requests to bucket", "bucket", bucket, "err", err)
		return errAccessDenied
	}
	request := policy.Request{
		Action:    action,
		Resource:  resource(bucket, key),
		Principal: x.caller.principal(),
		Context:   x.context(),
	}
	decision := doc.Evaluate(request)
	switch {
	case user != nil && user.Policy != nil && user.Policy.Evaluate(request).Effect != policy.Allow:
		return x.denied(action, bucket, key, "because no identity-based policy allows the "+action+" action")
	case decision.Effect == policy.Deny:
		return x.denied(action, bucket, key, "with an explicit deny in a resource-based policy")
	case user == nil && decision.Effect != policy.Allow:
		return errAccessDenied
	case user == nil:
		return x.restricted(bucket, doc)
	}
	return nil
}

// adminActions are those that no bucket policy can give to others.
var adminActions = []string{
	"s3:CreateBucket", "s3:DeleteBucket",
	"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:GetBucketPolicyStatus",
	"s3:GetBucketPublicAccessBlock", "s3:PutBucketPublicAccessBlock",
	"s3:GetBucketOwnershipControls", "s3:PutBucketOwnershipControls",
	"s3:GetEncryptionConfiguration", "s3:PutEncryptionConfiguration",
	"s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration",
	"s3:GetBucketLogging", "s3:PutBucketLogging", "s3:PutBucketVersioning",
	"s3:GetBucketAcl", "s3:PutBucketAcl",
}

func (x *exchange) denied(action, bucket, key, why string) error {
	if x.caller.user == nil {
		return errAccessDenied
	}
	return &apiError{code: errAccessDenied.code, message: fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %q %s",
		x.caller.principal().ARN, action, resource(bucket, key), why)}
}

// resource is the ARN that policies name a bucket or an object by.
func resource(bucket, key string) string {
	switch {
	case bucket == "":
		return "*"
	case key == "":
		return "arn:aws:s3:::" + bucket
	default:
		return "arn:aws:s3:::" + bucket + "/" + key
	}
}
