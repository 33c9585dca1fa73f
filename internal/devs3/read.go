package devs3

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"s3gate/internal/devs3/disk"
)

// prepareRead opens the object of a GET or HEAD and settles conditions and
// range, which gofakes3 judges in another order and without "-N" entity tags.
func (x *exchange) prepareRead() error {
	h := x.out.Header
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-Server-Side-Encryption-Customer-") {
			return invalidRequest("The encryption parameters are not applicable to this object.")
		}
	}
	if x.caller.user == nil && overridesHeaders(x.query) {
		return invalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
	}
	if err := x.open(x.bucket, x.key, x.version, x.r.Method == http.MethodGet); err != nil {
		return err
	}
	if err := readConditions.check(h, x.read.Object); err != nil {
		x.w.Header().Set("Last-Modified", x.read.Modified.Format(http.TimeFormat))
		x.w.Header().Set("ETag", x.read.ETag())
		return err
	}
	if err := x.checkPartNumber(); err != nil {
		return err
	}
	part, ranged, err := x.settleRange()
	if err != nil {
		x.w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(x.read.Size, 10))
		return err
	}
	whole := !ranged && !x.query.Has("partNumber")
	x.w.success = func(h http.Header, status int) (int, []byte) {
		h.Set("ETag", x.read.ETag())
		setEncryption(h, x.read.Encryption)
		x.setVersion(h, versionHeader, x.bucket, x.read.Object)
		if whole && strings.EqualFold(x.r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
			setChecksum(h, x.read.Checksum)
		}
		if ranged && x.r.Method == http.MethodHead {
			h.Set("Content-Range", part.contentRange(x.read.Size))
			h.Set("Content-Length", strconv.FormatInt(part.length, 10))
			status = http.StatusPartialContent
		}
		return status, nil
	}
	return nil
}

// open takes the snapshot that the rest of the request reads: of the version
// named, or of the current one.
func (x *exchange) open(bucket, key, version string, withData bool) error {
	s := &snapshot{bucket: bucket}
	var err error
	if withData {
		s.Object, s.file, err = x.server.store.Open(bucket, key, version)
	} else {
		s.Object, err = x.server.store.Stat(bucket, key, version)
	}
	if errors.Is(err, disk.ErrNoKey) || errors.Is(err, disk.ErrNoVersion) {
		// Who may not list must not learn what is there ("GetObject", Amazon
		// S3 API Reference).
		if x.permit("s3:ListBucket", bucket, "") != nil {
			return errAccessDenied
		}
	}
	var hidden *disk.MarkerError
	if errors.As(err, &hidden) {
		return x.gone(hidden.Marker, version != "")
	}
	if errors.Is(err, disk.ErrNoKey) {
		return errNoSuchKey.with("Key", key)
	}
	if err != nil {
		return err
	}
	x.read = s
	return nil
}

// settleRange replaces the Range header by one that gofakes3 understands, or
// drops it.
func (x *exchange) settleRange() (byteRange, bool, error) {
	h := x.out.Header
	want, condition := h.Get("Range"), h.Get("If-Range")
	h.Del("If-Range")
	if want == "" || x.query.Has("partNumber") {
		return byteRange{}, false, nil // both together: gofakes3 refuses
	}
	h.Del("Range")
	if !rangeStillHolds(condition, x.read.Object) {
		return byteRange{}, false, nil
	}
	part, ok, err := parseRange(want, x.read.Size)
	if ok {
		h.Set("Range", part.header())
	}
	return part, ok, err
}

// checkPartNumber is for reading one part of an object, which is all of it if it
// came in one piece.
func (x *exchange) checkPartNumber() error {
	if !x.query.Has("partNumber") {
		return nil
	}
	n, err := strconv.Atoi(x.query.Get("partNumber"))
	if err != nil || n < 1 || n > maxPartNumber {
		return invalidArgument("partNumber", "Part number must be an integer between 1 and 10000, inclusive")
	}
	if n > max(1, len(x.read.Parts)) {
		return &apiError{code: "InvalidPartNumber", message: "The requested partnumber is not satisfiable"}
	}
	return nil
}

func overridesHeaders(query map[string][]string) bool {
	for name := range query {
		if strings.HasPrefix(name, "response-") {
			return true
		}
	}
	return false
}
