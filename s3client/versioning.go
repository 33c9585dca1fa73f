package s3client

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// The states of a bucket's versions ("Retaining multiple versions of objects with
// S3 Versioning", Amazon S3 User Guide). A bucket that never had any is in
// neither.
const (
	VersioningEnabled   = "Enabled"
	VersioningSuspended = "Suspended"
)

// Versioning returns whether the bucket keeps versions: [VersioningEnabled],
// [VersioningSuspended], or "" if it never did. Errors wrap [ErrForbidden] or
// [ErrUnsupported] where that is why.
func (b *Bucket) Versioning(ctx context.Context) (string, error) {
	out, err := b.settings.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.cfg.Name})
	if err != nil {
		return "", settingsError("reading whether versions are kept", err)
	}
	return string(out.Status), nil
}

// EnableVersioning makes the bucket keep versions from now on. It cannot be
// undone, only suspended. Errors are as in [Bucket.Versioning].
func (b *Bucket) EnableVersioning(ctx context.Context) error {
	_, err := b.settings.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket:                  &b.cfg.Name,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	return settingsError("turning versions on", err)
}

// ObjectLock says whether objects can be kept from deletion ("Locking objects
// with Object Lock", Amazon S3 User Guide).
type ObjectLock struct {
	// Mode is GOVERNANCE or COMPLIANCE for objects whose upload does not say,
	// for Days or Years; "" is no default.
	Mode        string
	Days, Years int
}

// ObjectLock returns the bucket's object lock; nil means that it has none.
// Errors are as in [Bucket.Versioning].
func (b *Bucket) ObjectLock(ctx context.Context) (*ObjectLock, error) {
	const doing = "reading the object lock"
	out, err := b.settings.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &b.cfg.Name})
	switch {
	case errorCodeOf(err) == "ObjectLockConfigurationNotFoundError":
		return nil, nil
	case err != nil:
		return nil, settingsError(doing, err)
	case out.ObjectLockConfiguration == nil || out.ObjectLockConfiguration.ObjectLockEnabled == "":
		return nil, otherAnswer(doing)
	}
	lock := &ObjectLock{}
	if r := out.ObjectLockConfiguration.Rule; r != nil && r.DefaultRetention != nil {
		lock.Mode = string(r.DefaultRetention.Mode)
		lock.Days, lock.Years = int(aws.ToInt32(r.DefaultRetention.Days)), int(aws.ToInt32(r.DefaultRetention.Years))
	}
	return lock, nil
}
