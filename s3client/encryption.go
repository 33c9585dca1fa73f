package s3client

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Encryption is how objects are encrypted whose upload does not say ("Setting
// default server-side encryption behavior for Amazon S3 buckets", Amazon S3
// User Guide).
type Encryption struct {
	// Algorithm is AES256 (SSE-S3), aws:kms or aws:kms:dsse.
	Algorithm string
	// KMSKey is the ID or ARN of the key for the latter two; "" is the
	// account's own for S3.
	KMSKey string
	// BucketKey spares calls to KMS by a key of the bucket.
	BucketKey bool
	// Blocked are the kinds of encryption that uploads may not use, such as
	// SSE-C; nil says nothing of them.
	Blocked []string
}

// Encryption returns the bucket's default; nil means that it has none. Errors
// wrap [ErrForbidden] or [ErrUnsupported] where that is why.
func (b *Bucket) Encryption(ctx context.Context) (*Encryption, error) {
	const doing = "reading the default encryption"
	out, err := b.settings.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &b.cfg.Name})
	switch {
	case errorCodeOf(err) == "ServerSideEncryptionConfigurationNotFoundError":
		return nil, nil
	case err != nil:
		return nil, settingsError(doing, err)
	case out.ServerSideEncryptionConfiguration == nil || len(out.ServerSideEncryptionConfiguration.Rules) == 0:
		return nil, otherAnswer(doing)
	}
	rule := out.ServerSideEncryptionConfiguration.Rules[0]
	e := &Encryption{BucketKey: aws.ToBool(rule.BucketKeyEnabled)}
	if d := rule.ApplyServerSideEncryptionByDefault; d != nil {
		e.Algorithm, e.KMSKey = string(d.SSEAlgorithm), aws.ToString(d.KMSMasterKeyID)
	}
	if rule.BlockedEncryptionTypes != nil {
		for _, kind := range rule.BlockedEncryptionTypes.EncryptionType {
			e.Blocked = append(e.Blocked, string(kind))
		}
	}
	return e, nil
}

// PutEncryption replaces the bucket's default. Errors are as in
// [Bucket.Encryption].
func (b *Bucket) PutEncryption(ctx context.Context, e Encryption) error {
	rule := types.ServerSideEncryptionRule{
		ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{
			SSEAlgorithm: types.ServerSideEncryption(e.Algorithm),
		},
	}
	if e.KMSKey != "" {
		rule.ApplyServerSideEncryptionByDefault.KMSMasterKeyID = &e.KMSKey
	}
	if e.BucketKey {
		rule.BucketKeyEnabled = &e.BucketKey
	}
	if e.Blocked != nil {
		rule.BlockedEncryptionTypes = &types.BlockedEncryptionTypes{}
		for _, kind := range e.Blocked {
			rule.BlockedEncryptionTypes.EncryptionType = append(rule.BlockedEncryptionTypes.EncryptionType, types.EncryptionType(kind))
		}
	}
	_, err := b.settings.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{
		Bucket: &b.cfg.Name,
		ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
			Rules: []types.ServerSideEncryptionRule{rule},
		},
	})
	return settingsError("writing the default encryption", err)
}
