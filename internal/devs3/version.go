package devs3

import (
	"net/http"

	"s3gate/internal/devs3/disk"
)

const (
	versionHeader       = "X-Amz-Version-Id"
	sourceVersionHeader = "X-Amz-Copy-Source-Version-Id"
	markerHeader        = "X-Amz-Delete-Marker"
)

// setVersion names an object's version in an answer, unless its bucket has never
// had any.
func (x *exchange) setVersion(h http.Header, name, bucket string, o *disk.Object) {
	if o.VersionID == "" {
		state, err := x.server.store.Versioning(bucket)
		if err != nil || state == disk.Unversioned {
			return
		}
	}
	h.Set(name, o.Version())
}

// gone explains a delete marker: who names none asks for the object, which is not
// there; who names one asks for something that has no content ("Working with
// delete markers", Amazon S3 User Guide).
func (x *exchange) gone(marker *disk.Object, named bool) error {
	h := x.w.Header()
	x.w.marker = true
	h.Set(versionHeader, marker.Version())
	if !named {
		return errNoSuchKey.with("Key", marker.Key)
	}
	h.Set("Allow", http.MethodDelete)
	h.Set("Last-Modified", marker.Modified.Format(http.TimeFormat))
	return errMethodNotAllowed
}

// deleteObject answers DeleteObject.
func (x *exchange) deleteObject() error {
	for _, name := range []string{"X-Amz-If-Match-Last-Modified-Time", "X-Amz-If-Match-Size"} {
		if x.r.Header.Get(name) != "" {
			return errNotImplemented.with("Header", name) // only directory buckets have them
		}
	}
	removed, err := x.remove(x.key, x.version, writeCondition{ifMatch: take(x.out.Header, "If-Match")}.check)
	if err != nil {
		return err
	}
	x.w.marker = removed.marker
	if removed.version != "" {
		x.w.Header().Set(versionHeader, removed.version)
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

// removal is what a deletion has done.
type removal struct {
	marker  bool   // a delete marker was made or, if a version was named, removed
	version string // which; empty where there are none
}

// remove deletes an object, or the version of it that is named.
func (x *exchange) remove(key, version string, check disk.Check) (removal, error) {
	if version == "" {
		marker, err := x.server.store.Delete(x.bucket, key, check)
		if err != nil || marker == nil {
			return removal{}, err
		}
		return removal{true, marker.Version()}, nil
	}
	was, err := x.server.store.DeleteVersion(x.bucket, key, version, check)
	return removal{was != nil && was.Marker, version}, err
}

// prepareTagging opens the version whose tags are meant.
func (x *exchange) prepareTagging() error {
	if err := x.open(x.bucket, x.key, x.version, false); err != nil {
		return err
	}
	x.w.success = func(h http.Header, status int) (int, []byte) {
		x.setVersion(h, versionHeader, x.bucket, x.read.Object)
		return status, nil
	}
	return nil
}
