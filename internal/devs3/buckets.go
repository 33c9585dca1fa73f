package devs3

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
)

// prepareBucket is for CreateBucket. Gofakes3 does not look at where the bucket
// is wanted, nor for whom.
func (x *exchange) prepareBucket() error {
	if err := x.checkACL(x.out.Header); err != nil {
		return err
	}
	if strings.EqualFold(x.out.Header.Get("X-Amz-Bucket-Object-Lock-Enabled"), "true") {
		return errNotImplemented.with("Header", "x-amz-bucket-object-lock-enabled")
	}
	if wanted := x.out.Header.Get(ownershipHeader); wanted != "" {
		x.ownership = newOwnership(wanted)
		if err := x.ownership.check(x); err != nil {
			return invalidArgument("x-amz-object-ownership", "Invalid x-amz-object-ownership header: "+wanted)
		}
	}
	text, err := x.readAll(64 << 10)
	if err != nil {
		return err
	}
	x.out.Body = io.NopCloser(bytes.NewReader(text))
	if len(text) == 0 {
		return nil
	}
	var in struct{ LocationConstraint string }
	if err := xml.Unmarshal(text, &in); err != nil {
		return errMalformedXML
	}
	if in.LocationConstraint != "" && in.LocationConstraint != x.server.region {
		return &apiError{code: "IllegalLocationConstraintException", message: "The specified location-constraint is not that of the region this request was sent to."}
	}
	return nil
}

// bucketLocation answers GetBucketLocation, which for gofakes3 is always
// us-east-1.
func (x *exchange) bucketLocation() error {
	type result struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}
	region := x.server.region
	if region == "us-east-1" {
		region = "" // the first region has no constraint
	}
	x.w.xml(http.StatusOK, result{Region: region})
	return nil
}

// nameRegion is for HeadBucket, which tells the region in a header.
func (x *exchange) nameRegion() error {
	x.w.Header().Set("X-Amz-Bucket-Region", x.server.region)
	return nil
}
