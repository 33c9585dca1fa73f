package devs3

import (
	"net/http"
	"strings"

	"s3gate/internal/devs3/disk"
)

// ownership is a bucket's ?ownershipControls ("Controlling ownership of objects
// and disabling ACLs for your bucket", Amazon S3 User Guide).
type ownership struct {
	Rules []ownershipRule `xml:"Rule"`
}

type ownershipRule struct{ ObjectOwnership string }

const (
	ownerEnforced   = "BucketOwnerEnforced"
	ownershipHeader = "X-Amz-Object-Ownership" // of CreateBucket
)

func newOwnership(wanted string) *ownership {
	return &ownership{Rules: []ownershipRule{{wanted}}}
}

func (o *ownership) check(*exchange) error {
	if len(o.Rules) != 1 {
		return errMalformedXML
	}
	switch o.Rules[0].ObjectOwnership {
	case ownerEnforced, "BucketOwnerPreferred", "ObjectWriter":
		return nil
	default:
		return errMalformedXML
	}
}

var ownershipControls = setting{
	root: "OwnershipControls", file: disk.Ownership,
	blank:   func() settingDocument { return new(ownership) },
	missing: &apiError{code: "OwnershipControlsNotFoundError", message: "The bucket ownership controls were not found"},
}

// checkACL lets only those be asked for that everything here has anyway, and
// where ACLs are off only the one that S3 tolerates.
func (x *exchange) checkACL(h http.Header) error {
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-Grant-") {
			return errNoACLs
		}
	}
	switch h.Get("X-Amz-Acl") {
	case "", "bucket-owner-full-control":
		return nil
	case "private":
		return x.checkPrivateACL()
	default:
		return errNoACLs
	}
}

func (x *exchange) checkPrivateACL() error {
	if x.op.name == opCreateBucket {
		return nil
	}
	var o ownership
	found, err := x.server.stored(x.bucket, disk.Ownership, &o)
	if err != nil {
		return err
	}
	if found && o.Rules[0].ObjectOwnership == ownerEnforced {
		return errNoACLs
	}
	return nil
}

var errNoACLs = &apiError{code: "AccessControlListNotSupported", message: "The bucket does not allow ACLs"}
