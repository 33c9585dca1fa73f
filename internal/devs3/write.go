package devs3

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"s3gate/internal/devs3/disk"
)

const (
	maxSingle       = 5 << 30 // bytes in one PUT, part or copy
	maxUserMetadata = 2 << 10 // bytes of names and values
	maxPartNumber   = 10_000
)

// preparePut is for a PUT of an object: its data, or a copy.
func (x *exchange) preparePut() error {
	if x.query.Has("partNumber") {
		return invalidArgument("partNumber", "This operation does not accept a partNumber without an uploadId.")
	}
	isCopy, err := x.prepareCopy()
	if err != nil {
		return err
	}
	if !isCopy {
		if err := x.requireLength(); err != nil {
			return err
		}
	}
	return x.prepareWrite()
}

// prepareWrite is for all that makes an object out of the request.
func (x *exchange) prepareWrite() error {
	if err := x.prepareMetadata(); err != nil {
		return err
	}
	if err := x.prepareEncryption(); err != nil {
		return err
	}
	var err error
	if x.condition, err = takeWriteCondition(x.out.Header); err != nil {
		return err
	}
	x.announce()
	// Asked here to spare the client the upload, and again in the commit,
	// where it counts.
	current, err := x.server.store.Stat(x.bucket, x.key, "")
	if err != nil {
		current = nil
	}
	return x.condition.check(current)
}

// preparePart is for a PUT of a part.
func (x *exchange) preparePart() error {
	n, err := strconv.Atoi(x.query.Get("partNumber"))
	if err != nil || n < 1 || n > maxPartNumber {
		return invalidArgument("partNumber", "Part number must be an integer between 1 and 10000, inclusive")
	}
	upload, err := x.server.store.Upload(x.bucket, x.key, x.query.Get("uploadId"))
	if err != nil {
		return err
	}
	isCopy, err := x.prepareCopy()
	if err != nil {
		return err
	}
	if isCopy && upload.Checksum.Algorithm != "" {
		return errNotImplemented // the part's checksum would have to be computed
	}
	if !isCopy {
		if err := x.requireLength(); err != nil {
			return err
		}
	}
	if want := upload.Checksum.Algorithm; want != "" && x.checksum.Algorithm != want {
		return invalidRequest("Checksum Type mismatch occurred, expected checksum Type: " + want + ", actual checksum Type: " + orNull(x.checksum.Algorithm))
	}
	x.encryption = upload.Encryption
	x.announce()
	return nil
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

// prepareUpload is for the start of a multipart upload.
func (x *exchange) prepareUpload() error {
	h := x.out.Header
	x.checksum = disk.Checksum{
		Algorithm: strings.ToLower(h.Get("X-Amz-Checksum-Algorithm")),
		Type:      strings.ToUpper(h.Get("X-Amz-Checksum-Type")),
	}
	if err := checkUploadChecksum(&x.checksum); err != nil {
		return err
	}
	x.w.success = func(h http.Header, status int) (int, []byte) {
		if x.checksum.Algorithm != "" {
			h.Set("X-Amz-Checksum-Algorithm", strings.ToUpper(x.checksum.Algorithm))
			h.Set("X-Amz-Checksum-Type", x.checksum.Type)
		}
		setEncryption(h, x.encryption)
		return status, document(x.uploadResult())
	}
	if err := x.prepareEncryption(); err != nil {
		return err
	}
	return x.prepareMetadata()
}

// uploadResult is the answer to CreateMultipartUpload, for which gofakes3 has
// another name.
func (x *exchange) uploadResult() any {
	return struct {
		XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket, Key string
		UploadID    string `xml:"UploadId"`
	}{Bucket: x.bucket, Key: x.key, UploadID: x.uploadID}
}

// announce says in the answer what becomes of the data. A trailer's checksum is
// only known by then.
func (x *exchange) announce() {
	x.w.success = func(h http.Header, status int) (int, []byte) {
		setChecksum(h, x.checksum)
		setEncryption(h, x.encryption)
		if x.stored != nil {
			x.setVersion(h, versionHeader, x.bucket, x.stored)
		}
		if x.read != nil {
			x.setVersion(h, sourceVersionHeader, x.read.bucket, x.read.Object)
		}
		return status, nil
	}
}

// requireLength wants to know beforehand how much data comes, as S3 does.
func (x *exchange) requireLength() error {
	switch {
	case x.payload.left > maxSingle:
		return errEntityTooLarge
	case x.payload.left >= 0 || x.payload.done:
		return nil
	case slices.Contains(x.r.TransferEncoding, "chunked"):
		return errNotImplemented.with("Header", "Transfer-Encoding")
	default:
		return errMissingLength
	}
}

// prepareMetadata checks what will be kept with the object.
func (x *exchange) prepareMetadata() error {
	h := x.out.Header
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "binary/octet-stream")
	}
	size := 0
	for name, values := range h {
		if !utf8.ValidString(strings.Join(values, "")) {
			return invalidArgument(name, "Header values that are not UTF-8 are not supported.")
		}
		if meta, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			h.Set(name, strings.Join(values, ","))
			size += len(meta) + len(h.Get(name))
		}
	}
	if size > maxUserMetadata {
		return &apiError{code: "MetadataTooLarge", message: "Your metadata headers exceed the maximum allowed metadata size"}
	}
	return x.checkACL(h)
}
