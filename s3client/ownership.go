package s3client

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// OwnerEnforced is the object ownership under which ACLs do not count
// ("Controlling ownership of objects and disabling ACLs for your bucket", Amazon
// S3 User Guide). The others are BucketOwnerPreferred and ObjectWriter.
const OwnerEnforced = "BucketOwnerEnforced"

// Ownership returns who owns the bucket's objects, such as [OwnerEnforced]; ""
// means that it is not set, as with buckets from before 2023, and that ACLs
// count. Errors wrap [ErrForbidden] or [ErrUnsupported] where that is why.
func (b *Bucket) Ownership(ctx context.Context) (string, error) {
	const doing = "reading the object ownership"
	out, err := b.settings.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: &b.cfg.Name})
	switch {
	case errorCodeOf(err) == "OwnershipControlsNotFoundError":
		return "", nil
	case err != nil:
		return "", settingsError(doing, err)
	case out.OwnershipControls == nil || len(out.OwnershipControls.Rules) == 0:
		return "", otherAnswer(doing)
	}
	return string(out.OwnershipControls.Rules[0].ObjectOwnership), nil
}

// PutOwnership sets who owns the bucket's objects. S3 refuses [OwnerEnforced]
// with InvalidBucketAclWithObjectOwnership while the bucket's ACL grants
// something to others, see [Bucket.Grants]. Errors are as in [Bucket.Ownership].
func (b *Bucket) PutOwnership(ctx context.Context, ownership string) error {
	_, err := b.settings.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{
		Bucket: &b.cfg.Name,
		OwnershipControls: &types.OwnershipControls{
			Rules: []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnership(ownership)}},
		},
	})
	return settingsError("writing the object ownership", err)
}

// IsGrantsConflict reports whether S3 has refused [OwnerEnforced] because of grants.
func IsGrantsConflict(err error) bool {
	return errorCodeOf(err) == "InvalidBucketAclWithObjectOwnership"
}

// Grant is what the bucket's ACL gives to somebody.
type Grant struct {
	// Grantee is a canonical user ID, or the URI of a group such as
	// http://acs.amazonaws.com/groups/global/AllUsers.
	Grantee string
	// Permission is FULL_CONTROL, READ, WRITE, READ_ACP or WRITE_ACP.
	Permission string
}

// Grants returns what the bucket's ACL gives to others than its owner. Errors
// are as in [Bucket.Ownership].
func (b *Bucket) Grants(ctx context.Context) ([]Grant, error) {
	out, err := b.settings.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: &b.cfg.Name})
	if err != nil {
		return nil, settingsError("reading the bucket's ACL", err)
	}
	var owner string
	if out.Owner != nil {
		owner = aws.ToString(out.Owner.ID)
	}
	var grants []Grant
	for _, g := range out.Grants {
		if g.Grantee == nil {
			continue
		}
		who := aws.ToString(g.Grantee.ID)
		if g.Grantee.URI != nil {
			who = *g.Grantee.URI
		}
		if who != owner {
			grants = append(grants, Grant{who, string(g.Permission)})
		}
	}
	return grants, nil
}
