package devs3

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rclone/gofakes3"

	"s3gate/internal/devs3/disk"
)

const pageSize = 1000 // the most that any listing returns at once

// prepareList keeps the two versions of ListObjects apart, which gofakes3 takes
// together.
func (x *exchange) prepareList() error {
	if _, err := x.limit("max-keys"); err != nil {
		return err
	}
	switch x.query.Get("list-type") {
	case "2":
		x.query.Del("marker")
	case "":
		x.query.Del("continuation-token")
		x.query.Del("start-after")
	default:
		return invalidArgument("list-type", "Invalid List Type specified in Request")
	}
	if token, ok := x.query["continuation-token"]; ok {
		if _, err := base64.URLEncoding.DecodeString(token[0]); err != nil || token[0] == "" {
			return invalidArgument("continuation-token", "The continuation token provided is incorrect")
		}
	}
	return nil
}

// limit reads a parameter that bounds a page.
func (x *exchange) limit(name string) (int, error) {
	if x.query.Get(name) == "" {
		return pageSize, nil
	}
	n, err := strconv.ParseInt(x.query.Get(name), 10, 32)
	if err != nil || n < 0 {
		return 0, invalidArgument(name, "Argument "+name+" must be an integer between 0 and 2147483647")
	}
	return int(min(n, pageSize)), nil
}

// escape returns how the request wants keys in the answer.
func (x *exchange) escape() (func(string) string, error) {
	switch x.query.Get("encoding-type") {
	case "url":
		return gofakes3.URLEncode, nil
	case "":
		return func(s string) string { return s }, nil
	default:
		return nil, invalidArgument("encoding-type", "Invalid Encoding Method specified in Request")
	}
}

type partsPage struct {
	XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
	Bucket               string
	Key                  string
	UploadID             string `xml:"UploadId"`
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	StorageClass         string
	ChecksumAlgorithm    string       `xml:",omitempty"`
	ChecksumType         string       `xml:",omitempty"`
	Parts                []listedPart `xml:"Part"`
}

type listedPart struct {
	PartNumber   int
	LastModified string
	ETag         string
	Size         int64
	Checksum     []detail
}

// listParts answers ListParts, whose markers gofakes3 takes for inclusive.
func (x *exchange) listParts() error {
	limit, err := x.limit("max-parts")
	if err != nil {
		return err
	}
	marker := 0
	if text := x.query.Get("part-number-marker"); text != "" {
		if marker, err = strconv.Atoi(text); err != nil || marker < 0 {
			return invalidArgument("part-number-marker", "Argument part-number-marker must be an integer between 0 and 2147483647")
		}
	}
	id := x.query.Get("uploadId")
	upload, err := x.server.store.Upload(x.bucket, x.key, id)
	if err != nil {
		return err
	}
	parts, err := x.server.store.Parts(x.bucket, x.key, id)
	if err != nil {
		return err
	}
	first, _ := slices.BinarySearchFunc(parts, marker+1, func(p disk.Part, n int) int { return p.Number - n })
	parts = parts[first:]
	page := partsPage{Bucket: x.bucket, Key: x.key, UploadID: id, PartNumberMarker: marker, MaxParts: limit,
		StorageClass: "STANDARD", ChecksumAlgorithm: strings.ToUpper(upload.Checksum.Algorithm), ChecksumType: upload.Checksum.Type}
	if page.IsTruncated = len(parts) > limit; page.IsTruncated {
		parts = parts[:limit]
	}
	for _, p := range parts {
		listed := listedPart{PartNumber: p.Number, LastModified: p.Modified.Format(time.RFC3339), ETag: p.ETag(), Size: p.Size}
		if p.Checksum.Value != "" {
			listed.Checksum = []detail{{xml.Name{Local: "Checksum" + strings.ToUpper(p.Checksum.Algorithm)}, p.Checksum.Value}}
		}
		page.Parts = append(page.Parts, listed)
		page.NextPartNumberMarker = p.Number
	}
	x.w.xml(http.StatusOK, page)
	return nil
}
