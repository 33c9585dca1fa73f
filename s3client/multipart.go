package s3client

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The limits of multipart uploads (Amazon S3 User Guide, "Amazon S3 multipart
// upload limits"), sizes in bytes. The last part may be smaller than MinPart.
const (
	MinPart   = 5 << 20
	MaxPart   = 5 << 30
	MaxParts  = 10_000
	MaxObject = 5 << 40
)

// maxMultipart bounds the answers to requests of multipart uploads: a page of
// a thousand parts has some 300 KiB.
const maxMultipart = 1 << 20

// ErrMultipart is an answer to a request of a multipart upload that has the
// status of success and cannot be read. What was asked for may have been done.
var ErrMultipart = errors.New("unreadable answer to a multipart request from s3")

// NewUploadRequest returns the request that begins a multipart upload, which
// [ReadUploadID] reads the answer of (Amazon S3 API,
// "CreateMultipartUpload"). The header describes the object to be; the request
// takes ownership.
func NewUploadRequest(key string, header http.Header, agent string) *Request {
	return &Request{Method: http.MethodPost, Key: key, Query: url.Values{"uploads": {""}}, Header: header, Agent: agent}
}

// ReadUploadID reads the answer to [NewUploadRequest], whatever its status,
// and closes its body. Errors: [*Error], [ErrMultipart].
func ReadUploadID(resp *http.Response) (string, error) {
	if resp.StatusCode != http.StatusOK {
		return "", ReadError(resp)
	}
	var doc struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		UploadID string   `xml:"UploadId"`
	}
	if err := readDocument(resp, &doc); err != nil {
		return "", err
	}
	if doc.UploadID == "" {
		return "", fmt.Errorf("%w: no upload ID", ErrMultipart)
	}
	return doc.UploadID, nil
}

// Upload names a multipart upload that was begun. Its methods make requests
// for it.
type Upload struct {
	// Key is the key of the object to be.
	Key string
	// ID is what S3 calls the upload.
	ID string
	// Agent is as in [Request].
	Agent string
}

// Part is one part of a multipart upload.
type Part struct {
	// Number is 1 to [MaxParts].
	Number int `xml:"PartNumber"`
	// ETag is what S3 named the part's content, with its quotes.
	ETag string
	// Size is in bytes. It is known of parts that were listed.
	Size int64 `xml:"-"`
}

func (u *Upload) request(method string) *Request {
	return &Request{Method: method, Key: u.Key, Query: url.Values{"uploadId": {u.ID}}, Agent: u.Agent}
}

// PartRequest returns the request that sends a part of the size, which
// [ReadPart] reads the answer of (Amazon S3 API, "UploadPart"). A part that is
// sent again replaces the one with its number.
func (u *Upload) PartRequest(number int, body io.ReadCloser, size int64) *Request {
	r := u.request(http.MethodPut)
	r.Query.Set("partNumber", strconv.Itoa(number))
	r.Body, r.Size = body, size
	return r
}

// ReadPart reads the ETag of a part out of the answer to a PartRequest,
// whatever its status, and closes its body. Errors: [*Error], [ErrMultipart].
func ReadPart(resp *http.Response) (etag string, err error) {
	if resp.StatusCode != http.StatusOK {
		return "", ReadError(resp)
	}
	// The connection serves the next request if nothing is left on it.
	_, _ = io.CopyN(io.Discard, resp.Body, 1)
	resp.Body.Close()
	if etag = quoted(resp.Header.Get("Etag")); etag == "" {
		return "", fmt.Errorf("%w: a part without an ETag", ErrMultipart)
	}
	return etag, nil
}

// quoted gives an ETag the quotes that some stores leave out.
func quoted(etag string) string {
	if etag = strings.Trim(etag, `"`); etag == "" {
		return ""
	}
	return `"` + etag + `"`
}

// CompleteRequest returns the request that makes the parts an object, which
// [ReadCompleted] reads the answer of (Amazon S3 API,
// "CompleteMultipartUpload"). The parts are in the order of their numbers. The
// request takes ownership of the header, which may hold conditions.
func (u *Upload) CompleteRequest(parts []Part, header http.Header) *Request {
	doc, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUpload"`
		Parts   []Part   `xml:"Part"`
	}{Parts: parts})
	if err != nil {
		panic(err) // numbers and text always have a form
	}
	r := u.request(http.MethodPost)
	if r.Header = header; header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Content-Type", "application/xml")
	r.Body, r.Size = io.NopCloser(bytes.NewReader(doc)), int64(len(doc))
	return r
}

// ReadCompleted reads the answer to a CompleteRequest, whatever its status, to
// its end, which S3 may hold back for minutes, and closes its body. It returns
// the headers with which S3 answers a PUT: ETag, version and checksums.
//
// S3 may say 200 before it has finished; then an error comes in the body, and
// is an [*Error] of status 200. Errors: [*Error], [ErrMultipart].
func ReadCompleted(resp *http.Response) (http.Header, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, ReadError(resp)
	}
	var doc struct {
		XMLName xml.Name
		Code    string
		ETag    string
		Fields  []struct {
			XMLName xml.Name
			Value   string `xml:",chardata"`
		} `xml:",any"`
	}
	if err := readDocument(resp, &doc); err != nil {
		return nil, err
	}
	switch doc.XMLName.Local {
	case "Error":
		e := &Error{Status: resp.StatusCode}
		if isPlain(doc.Code, ".") {
			e.Code = doc.Code
		}
		if id := resp.Header.Get("X-Amz-Request-Id"); isPlain(id, "+-./=_") {
			e.RequestID = id
		}
		return nil, e
	case "CompleteMultipartUploadResult":
	default:
		return nil, fmt.Errorf("%w: another document", ErrMultipart)
	}
	header := http.Header{}
	if etag := quoted(doc.ETag); etag != "" {
		header.Set("Etag", etag)
	}
	if v := resp.Header.Get("X-Amz-Version-Id"); v != "" {
		header.Set("X-Amz-Version-Id", v)
	}
	for _, f := range doc.Fields {
		if name, ok := strings.CutPrefix(f.XMLName.Local, "Checksum"); ok && isPlain(name, "") && isPlain(f.Value, "+-/=_") {
			header.Set("X-Amz-Checksum-"+name, f.Value)
		}
	}
	return header, nil
}

// AbortRequest returns the request that ends the upload and drops its parts
// (Amazon S3 API, "AbortMultipartUpload"). A part that is on its way then may
// stay: see [Upload.ListRequest].
func (u *Upload) AbortRequest() *Request { return u.request(http.MethodDelete) }

// ListRequest returns the request for the parts with numbers above after,
// which [ReadParts] reads the answer of (Amazon S3 API, "ListParts"). S3
// answers 404 NoSuchUpload when an upload was aborted and nothing is left.
func (u *Upload) ListRequest(after int) *Request {
	r := u.request(http.MethodGet)
	if after > 0 {
		r.Query.Set("part-number-marker", strconv.Itoa(after))
	}
	return r
}

// ReadParts reads the answer to a ListRequest, whatever its status, and closes
// its body; more says that there is another page, after the last part of this
// one. Errors: [*Error], [ErrMultipart].
func ReadParts(resp *http.Response) (parts []Part, more bool, err error) {
	if resp.StatusCode != http.StatusOK {
		return nil, false, ReadError(resp)
	}
	var doc struct {
		XMLName     xml.Name `xml:"ListPartsResult"`
		IsTruncated bool
		Parts       []struct {
			Number int `xml:"PartNumber"`
			ETag   string
			Size   int64
		} `xml:"Part"`
	}
	if err := readDocument(resp, &doc); err != nil {
		return nil, false, err
	}
	last := 0
	for _, p := range doc.Parts {
		if p.Number <= last || p.Number > MaxParts || p.Size < 0 || p.Size > MaxPart {
			return nil, false, fmt.Errorf("%w: part %d of %d bytes", ErrMultipart, p.Number, p.Size)
		}
		last = p.Number
		parts = append(parts, Part{Number: p.Number, ETag: quoted(p.ETag), Size: p.Size})
	}
	return parts, doc.IsTruncated && len(parts) > 0, nil
}

// readDocument reads the XML document that is the whole of an answer, and
// closes its body. S3 may send white space before it, to keep the connection.
func readDocument(resp *http.Response, to any) error {
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxMultipart+1))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrMultipart, err)
	case len(raw) > maxMultipart:
		return fmt.Errorf("%w: more than %d bytes", ErrMultipart, maxMultipart)
	}
	if err := xml.Unmarshal(bytes.TrimSpace(raw), to); err != nil {
		return fmt.Errorf("%w: %w", ErrMultipart, err)
	}
	return nil
}

// ListedUpload is a multipart upload that was begun, and neither completed nor
// aborted.
type ListedUpload struct {
	Upload
	// Initiated is when it was begun, by S3's clock.
	Initiated time.Time
}

// NewListUploadsRequest returns the request for the multipart uploads of keys
// that begin with prefix, up to a thousand, of which [ReadUploads] reads the
// answer (Amazon S3 API, "ListMultipartUploads"). It needs the permission
// s3:ListBucketMultipartUploads.
func NewListUploadsRequest(prefix, agent string) *Request {
	query := url.Values{"uploads": {""}, "prefix": {prefix}, "encoding-type": {"url"}}
	return &Request{Method: http.MethodGet, Query: query, Agent: agent}
}

// ReadUploads reads the answer to [NewListUploadsRequest], whatever its status,
// and closes its body. Errors: [*Error], [ErrMultipart].
func ReadUploads(resp *http.Response) ([]ListedUpload, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, ReadError(resp)
	}
	var doc struct {
		XMLName      xml.Name `xml:"ListMultipartUploadsResult"`
		EncodingType string
		Uploads      []struct {
			Key       string
			UploadID  string `xml:"UploadId"`
			Initiated time.Time
		} `xml:"Upload"`
	}
	if err := readDocument(resp, &doc); err != nil {
		return nil, err
	}
	var uploads []ListedUpload
	for _, u := range doc.Uploads {
		if doc.EncodingType == "url" {
			var err error
			if u.Key, err = url.QueryUnescape(u.Key); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrMultipart, err)
			}
		}
		uploads = append(uploads, ListedUpload{Upload: Upload{Key: u.Key, ID: u.UploadID}, Initiated: u.Initiated})
	}
	return uploads, nil
}
