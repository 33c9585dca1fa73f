package s3client

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// PublicAccessBlock says which ways of making a bucket public are shut ("Blocking
// public access to your Amazon S3 storage", Amazon S3 User Guide). The
// account's own block, which counts besides, is not in it.
type PublicAccessBlock struct {
	// BlockACLs refuses new ACLs that are public, IgnoreACLs does not apply
	// those that are there.
	BlockACLs, IgnoreACLs bool
	// BlockPolicy refuses a bucket policy that is public, RestrictPolicy
	// limits one that is there to AWS services and the bucket's own account.
	BlockPolicy, RestrictPolicy bool
}

// PublicAccessBlock returns the bucket's own block; nil means that it has none.
// Errors wrap [ErrForbidden] or [ErrUnsupported] where that is why.
func (b *Bucket) PublicAccessBlock(ctx context.Context) (*PublicAccessBlock, error) {
	const doing = "reading the public access block"
	out, err := b.settings.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &b.cfg.Name})
	if errorCodeOf(err) == "NoSuchPublicAccessBlockConfiguration" {
		return nil, nil
	}
	if err != nil {
		return nil, settingsError(doing, err)
	}
	c := out.PublicAccessBlockConfiguration
	// S3 always gives all four. A store that does not know the setting may
	// answer with a listing.
	if c == nil || c.BlockPublicAcls == nil && c.IgnorePublicAcls == nil && c.BlockPublicPolicy == nil && c.RestrictPublicBuckets == nil {
		return nil, otherAnswer(doing)
	}
	return &PublicAccessBlock{
		BlockACLs: aws.ToBool(c.BlockPublicAcls), IgnoreACLs: aws.ToBool(c.IgnorePublicAcls),
		BlockPolicy: aws.ToBool(c.BlockPublicPolicy), RestrictPolicy: aws.ToBool(c.RestrictPublicBuckets),
	}, nil
}

// PutPublicAccessBlock replaces the bucket's own block. Errors are as in
// [Bucket.PublicAccessBlock].
func (b *Bucket) PutPublicAccessBlock(ctx context.Context, p PublicAccessBlock) error {
	_, err := b.settings.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{
		Bucket: &b.cfg.Name,
		PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
			BlockPublicAcls: &p.BlockACLs, IgnorePublicAcls: &p.IgnoreACLs,
			BlockPublicPolicy: &p.BlockPolicy, RestrictPublicBuckets: &p.RestrictPolicy,
		},
	})
	return settingsError("writing the public access block", err)
}

// PolicyIsPublic is what S3 says itself of the bucket's policy ("The meaning of
// 'public'", Amazon S3 User Guide). A bucket without a policy is not public by
// it. Errors are as in [Bucket.PublicAccessBlock].
func (b *Bucket) PolicyIsPublic(ctx context.Context) (bool, error) {
	const doing = "reading the policy's status"
	out, err := b.settings.GetBucketPolicyStatus(ctx, &s3.GetBucketPolicyStatusInput{Bucket: &b.cfg.Name})
	switch {
	case errorCodeOf(err) == "NoSuchBucketPolicy":
		return false, nil
	case err != nil:
		return false, settingsError(doing, err)
	case out.PolicyStatus == nil || out.PolicyStatus.IsPublic == nil:
		return false, otherAnswer(doing)
	}
	return *out.PolicyStatus.IsPublic, nil
}

// otherAnswer is the error for an answer that is a success and not of the kind
// that was asked for.
func otherAnswer(doing string) error {
	return fmt.Errorf("%s: %w: it answers something else", doing, ErrUnsupported)
}
