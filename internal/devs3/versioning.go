package devs3

import (
	"net/http"

	"s3gate/internal/devs3/disk"
)

// versioning is a bucket's ?versioning ("Using versioning in S3 buckets",
// Amazon S3 User Guide).
type versioning struct {
	Status    disk.Versioning `xml:",omitempty"`
	MFADelete string          `xml:"MfaDelete,omitempty"`
}

var errBadVersioning = &apiError{code: "IllegalVersioningConfigurationException", message: "The Versioning element must be specified"}

func (v *versioning) check(*exchange) error {
	switch {
	case v.MFADelete == "Enabled":
		return errNotImplemented.with("Element", "MfaDelete")
	case v.MFADelete != "" && v.MFADelete != "Disabled":
		return errMalformedXML
	case v.Status == disk.Unversioned:
		return errBadVersioning
	case v.Status != disk.Enabled && v.Status != disk.Suspended:
		return errMalformedXML
	}
	return nil
}

// versioningShape parses and renders; the state itself is the store's.
var versioningShape = setting{root: "VersioningConfiguration"}

func (x *exchange) getVersioning() error {
	state, err := x.server.store.Versioning(x.bucket)
	if err != nil {
		return err
	}
	x.w.Header().Set("Content-Type", "application/xml")
	x.w.WriteHeader(http.StatusOK)
	x.w.Write(versioningShape.render(&versioning{Status: state}))
	return nil
}

func (x *exchange) putVersioning() error {
	text, err := x.readAll(maxSettingXML)
	if err != nil {
		return err
	}
	var v versioning
	if err := versioningShape.parse(text, &v); err != nil {
		return err
	}
	if err := v.check(x); err != nil {
		return err
	}
	return x.server.store.SetVersioning(x.bucket, v.Status)
}
