package devs3

import (
	"encoding/xml"
	"net/http"
	"strings"
	"time"

	"s3gate/internal/devs3/disk"
)

type uploadsPage struct {
	XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
	Bucket             string
	KeyMarker          string
	UploadIDMarker     string `xml:"UploadIdMarker"`
	NextKeyMarker      string
	NextUploadIDMarker string `xml:"NextUploadIdMarker"`
	Prefix             string
	Delimiter          string `xml:",omitempty"`
	EncodingType       string `xml:",omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Uploads            []listedUpload `xml:"Upload"`
	CommonPrefixes     []commonPrefix
}

type listedUpload struct {
	Key               string
	UploadID          string `xml:"UploadId"`
	Initiated         string
	StorageClass      string
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

type commonPrefix struct{ Prefix string }

// listUploads answers ListMultipartUploads, of which gofakes3 knows other
// markers and no empty list.
func (x *exchange) listUploads() error {
	limit, err := x.limit("max-uploads")
	if err != nil {
		return err
	}
	escape, err := x.escape()
	if err != nil {
		return err
	}
	uploads, err := x.server.store.Uploads(x.bucket)
	if err != nil {
		return err
	}
	q := x.query
	page := uploadsPage{Bucket: x.bucket, MaxUploads: limit, EncodingType: q.Get("encoding-type"),
		KeyMarker: escape(q.Get("key-marker")), UploadIDMarker: q.Get("upload-id-marker"),
		Prefix: escape(q.Get("prefix")), Delimiter: escape(q.Get("delimiter"))}
	for last := ""; len(uploads) > 0; uploads = uploads[1:] {
		u := uploads[0]
		group := disk.RollUp(u.Key, q.Get("prefix"), q.Get("delimiter"))
		if !strings.HasPrefix(u.Key, q.Get("prefix")) || !x.behindMarker(u, group) || group != "" && group == last {
			continue
		}
		if len(page.Uploads)+len(page.CommonPrefixes) == limit {
			page.IsTruncated = limit > 0
			break
		}
		if last = group; group != "" {
			page.CommonPrefixes = append(page.CommonPrefixes, commonPrefix{escape(group)})
			page.NextKeyMarker, page.NextUploadIDMarker = escape(group), ""
			continue
		}
		page.NextKeyMarker, page.NextUploadIDMarker = escape(u.Key), u.ID
		page.Uploads = append(page.Uploads, listedUpload{Key: escape(u.Key), UploadID: u.ID,
			Initiated: u.Started.Format(time.RFC3339), StorageClass: "STANDARD",
			ChecksumAlgorithm: strings.ToUpper(u.Checksum.Algorithm), ChecksumType: u.Checksum.Type})
	}
	if !page.IsTruncated {
		page.NextKeyMarker, page.NextUploadIDMarker = "", ""
	}
	x.w.xml(http.StatusOK, page)
	return nil
}

// behindMarker reports whether the page that begins at the markers may show the
// upload, or the group it is rolled up into.
func (x *exchange) behindMarker(u disk.Upload, group string) bool {
	key, id := x.query.Get("key-marker"), x.query.Get("upload-id-marker")
	if group != "" && group == key {
		return false
	}
	return u.Key > key || u.Key == key && id != "" && u.ID > id
}
