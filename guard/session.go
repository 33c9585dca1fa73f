package guard

import (
	"bytes"
	"encoding/json"
	"fmt"

	"s3gate/policy"
)

// SessionPolicy is a policy under which credentials may do everything in a bucket
// but with presigned URLs and POST forms: what to hand to STS
// AssumeRole, which grants what both this and the role allow, or to attach to the
// user itself where a store applies bucket policies to anonymous callers only. It
// names no principal, has no NotAction, which MinIO cannot store, and is as short as
// it can be: AWS takes 2,048 characters.
func SessionPolicy(bucket string) ([]byte, error) {
	deny, err := policy.LockStatements(policy.LockOptions{Bucket: bucket})
	if err != nil {
		return nil, err
	}
	arn := "arn:aws:s3:::" + bucket
	all := append([]policy.Statement{{
		Sid: "S3GateAllowBucket", Effect: policy.Allow, Action: policy.Values{"s3:*"}, Resource: policy.Values{arn, arn + "/*"},
	}}, deny...)
	text, err := policy.IdentityPolicy(all)
	if err != nil {
		return nil, fmt.Errorf("writing a session policy: %w", err)
	}
	var short bytes.Buffer
	if err := json.Compact(&short, text); err != nil {
		return nil, fmt.Errorf("writing a session policy: %w", err)
	}
	return short.Bytes(), nil
}
