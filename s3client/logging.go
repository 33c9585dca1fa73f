package s3client

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Logging is where S3 writes its access log ("Logging requests with server access
// logging", Amazon S3 User Guide).
type Logging struct {
	// Bucket is the name of the bucket with the log, in the same region and
	// account; Prefix begins the keys.
	Bucket, Prefix string
}

// Logging returns where the bucket's access log goes; nil means that none is
// kept. Errors wrap [ErrForbidden] or [ErrUnsupported] where that is why.
func (b *Bucket) Logging(ctx context.Context) (*Logging, error) {
	out, err := b.settings.GetBucketLogging(ctx, &s3.GetBucketLoggingInput{Bucket: &b.cfg.Name})
	if err != nil {
		return nil, settingsError("reading the access logging", err)
	}
	if out.LoggingEnabled == nil || aws.ToString(out.LoggingEnabled.TargetBucket) == "" {
		return nil, nil
	}
	return &Logging{*out.LoggingEnabled.TargetBucket, aws.ToString(out.LoggingEnabled.TargetPrefix)}, nil
}

// PutLogging makes S3 write the bucket's access log; it may take hours to begin.
// The target has to permit it to logging.s3.amazonaws.com. Errors are as in
// [Bucket.Logging].
func (b *Bucket) PutLogging(ctx context.Context, l Logging) error {
	_, err := b.settings.PutBucketLogging(ctx, &s3.PutBucketLoggingInput{
		Bucket: &b.cfg.Name,
		BucketLoggingStatus: &types.BucketLoggingStatus{
			LoggingEnabled: &types.LoggingEnabled{TargetBucket: &l.Bucket, TargetPrefix: &l.Prefix},
		},
	})
	return settingsError("turning access logging on", err)
}
