package guard

import (
	"bytes"
	"encoding/json"
	"fmt"

	"s3gate/policy"
)

// SessionPolicy is a policy under which credentials may do everything in a bucket
// but with presigned URLs, POST forms and Signature Version 2: what to hand to STS
// AssumeRole, which grants what both this and the role allow. It is as short as it
// can be: AWS takes 2,048 characters.
//
// The partition is that of ARNs; "" is "aws". With kms it also allows the use of
// keys of AWS KMS through S3, without which no object that one encrypts is read.
func SessionPolicy(bucket, partition string, kms bool) ([]byte, error) {
	arn := bucketARN(partition, bucket)
	allowed := []policy.Statement{allow("S3GateAllowBucket", []string{"s3:*"}, arn, arn+"/*")}
	if kms {
		keys := allow("S3GateAllowKeys", []string{"kms:Decrypt", "kms:GenerateDataKey"}, "*")
		keys.Condition = policy.Conditions{"StringLike": {"kms:ViaService": {"s3.*.amazonaws.com*"}}}
		allowed = append(allowed, keys)
	}
	return identityForm(policy.LockOptions{Bucket: bucket, Partition: partition, DenyOldSignatures: true}, allowed...)
}

// IdentityLock is a lock as a policy to attach to a user, for stores that apply
// bucket policies to anonymous callers only, as MinIO does. It only denies: what
// the user may do stands in another policy.
func IdentityLock(o policy.LockOptions) ([]byte, error) { return identityForm(o) }

// identityForm puts the statements of a lock after others. They name no principal,
// and no action that they leave out, which MinIO cannot store: an identity that is
// locked has no business with the bucket's policy.
func identityForm(o policy.LockOptions, list ...policy.Statement) ([]byte, error) {
	lock, err := policy.LockStatements(o)
	if err != nil {
		return nil, err
	}
	for _, s := range lock {
		if s.NotAction != nil {
			s.NotAction, s.Action = nil, policy.Values{"s3:*"}
		}
		list = append(list, s)
	}
	text, err := policy.IdentityPolicy(list)
	if err != nil {
		return nil, fmt.Errorf("writing a policy without principals: %w", err)
	}
	var short bytes.Buffer
	if err := json.Compact(&short, text); err != nil {
		return nil, fmt.Errorf("writing a policy without principals: %w", err)
	}
	return short.Bytes(), nil
}
