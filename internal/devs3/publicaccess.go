package devs3

import (
	"encoding/xml"
	"fmt"
	"net/http"

	"s3gate/internal/devs3/disk"
	"s3gate/policy"
)

// publicAccess is a bucket's ?publicAccessBlock ("Blocking public access to
// your Amazon S3 storage", Amazon S3 User Guide). There are no ACLs here, so
// the two settings about them have nothing to act on.
type publicAccess struct {
	BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets bool
}

func (*publicAccess) check(*exchange) error { return nil }

var publicAccessBlock = setting{
	root: "PublicAccessBlockConfiguration", file: disk.PublicAccessBlock,
	blank:   func() settingDocument { return new(publicAccess) },
	missing: &apiError{code: "NoSuchPublicAccessBlockConfiguration", message: "The public access block configuration was not found"},
}

// publicAccess returns the bucket's block, which blocks nothing if there is none.
func (s *Server) publicAccess(bucket string) (publicAccess, error) {
	var block publicAccess
	_, err := s.stored(bucket, disk.PublicAccessBlock, &block)
	return block, err
}

// blockPublicPolicy refuses a public policy where the bucket blocks them.
func (x *exchange) blockPublicPolicy(doc *policy.Document) error {
	block, err := x.server.publicAccess(x.bucket)
	if err != nil || !block.BlockPublicPolicy || !isPublic(doc) {
		return err
	}
	return x.denied("s3:PutBucketPolicy", x.bucket, "", "because public policies are blocked by the BlockPublicPolicy block public access setting.")
}

// policyStatus answers GetBucketPolicyStatus.
func (x *exchange) policyStatus() error {
	doc, err := x.server.policies.of(x.bucket)
	if err != nil {
		return err
	}
	if doc == nil {
		return errNoPolicy
	}
	x.w.xml(http.StatusOK, struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ PolicyStatus"`
		IsPublic bool
	}{IsPublic: isPublic(doc)})
	return nil
}

// restricted refuses a caller from outside the account whom only a public
// policy lets in, where the bucket restricts those.
func (x *exchange) restricted(bucket string, doc *policy.Document) error {
	block, err := x.server.publicAccess(bucket)
	if err != nil {
		return fmt.Errorf("asking for public access: %w", err)
	}
	if block.RestrictPublicBuckets && isPublic(doc) {
		return errAccessDenied
	}
	return nil
}
