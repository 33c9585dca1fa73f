package devs3

import (
	"encoding/xml"
	"net/http"
	"unicode/utf8"
)

const (
	maxDeleteXML  = 2 << 20 // bytes
	maxDeleteKeys = 1000
)

type deletion struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool
	Objects []struct {
		Key       string
		VersionID string `xml:"VersionId"`
		ETag      string
	} `xml:"Object"`
}

type deletionResult struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []deletedKey
	Error   []keptKey
}

type deletedKey struct {
	Key                   string
	VersionID             string `xml:"VersionId,omitempty"`
	DeleteMarker          bool   `xml:",omitempty"`
	DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
}

type keptKey struct {
	Key       string
	VersionID string `xml:"VersionId,omitempty"`
	Code      string
	Message   string
}

// deleteObjects answers DeleteObjects. Every key is a decision of its own: one
// that is denied, or does not meet its condition, is reported and does not keep
// the others.
func (x *exchange) deleteObjects() error {
	if !x.hasDigest() {
		return errMissingDigest
	}
	text, err := x.readAll(maxDeleteXML)
	if err != nil {
		return err
	}
	var in deletion
	if err := xml.Unmarshal(text, &in); err != nil || len(in.Objects) == 0 || len(in.Objects) > maxDeleteKeys {
		return errMalformedXML
	}
	var out deletionResult
	for _, o := range in.Objects {
		removed, err := x.deleteOne(o.Key, o.VersionID, o.ETag)
		x.batch = append(x.batch, batchDeletion{o.Key, o.VersionID, err})
		if err != nil {
			e := x.server.apiErrorOf(err)
			out.Error = append(out.Error, keptKey{o.Key, o.VersionID, e.code, e.message})
		} else if !in.Quiet {
			out.Deleted = append(out.Deleted, deleted(o.Key, o.VersionID, removed))
		}
	}
	x.w.xml(http.StatusOK, out)
	return nil
}

// hasDigest reports whether the body came with a digest that the signature
// covers, as S3 demands where it deletes.
func (x *exchange) hasDigest() bool {
	return x.r.Header.Get("Content-Md5") != "" || x.checksum.Algorithm != ""
}

// deleted tells of a marker that was made, or that was the version named.
func deleted(key, version string, r removal) deletedKey {
	d := deletedKey{Key: key, VersionID: version, DeleteMarker: r.marker}
	if r.marker {
		d.DeleteMarkerVersionID = r.version
	}
	return d
}

func (x *exchange) deleteOne(key, version, etag string) (removal, error) {
	if key == "" || !utf8.ValidString(key) {
		return removal{}, &apiError{code: "UserKeyMustBeSpecified", message: "The bucket POST must contain the specified field name. If it is specified, check the order of the fields."}
	}
	if err := checkKey(key); err != nil {
		return removal{}, err
	}
	action := "s3:DeleteObject"
	if version != "" {
		action = "s3:DeleteObjectVersion"
	}
	if err := x.permit(action, x.bucket, key); err != nil {
		return removal{}, err
	}
	return x.remove(key, version, writeCondition{ifMatch: etag}.check)
}
