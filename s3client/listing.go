package s3client

import (
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

// MaxListed is the most that S3 lists at once.
const MaxListed = 1000

// maxListing bounds the answer to a listing: the most that S3 lists at once,
// of the longest keys, with room for what is said of each.
const maxListing = 8 << 20

// ListQuery asks for one level of what is below a prefix.
type ListQuery struct {
	// Prefix is what all keys begin with. What follows it up to the next "/"
	// is one folder.
	Prefix string
	// Flat lists every object below the prefix, and no folders.
	Flat bool
	// After is the key after which to begin; "" means with the first.
	After string
	// Max is the number of keys and folders together; 0 means [MaxListed].
	Max int
	// Agent is as in [Request].
	Agent string
}

// NewListRequest returns the request for a page of a listing, which
// [ReadListing] reads the answer of (Amazon S3 API, "ListObjectsV2"). It needs
// the permission s3:ListBucket.
func NewListRequest(q ListQuery) *Request {
	max := q.Max
	if max <= 0 || max > MaxListed {
		max = MaxListed
	}
	query := url.Values{
		"list-type": {"2"}, "prefix": {q.Prefix},
		"max-keys": {strconv.Itoa(max)},
		// Keys may hold characters that XML cannot.
		"encoding-type": {"url"},
	}
	if !q.Flat {
		query.Set("delimiter", "/")
	}
	if q.After != "" {
		query.Set("start-after", q.After)
	}
	return &Request{Method: http.MethodGet, Query: query, Agent: q.Agent}
}

// Listing is one page.
type Listing struct {
	// Objects are those of this level, in the order of their keys.
	Objects []ListedObject
	// Prefixes are the folders: the keys' beginnings up to and with the "/".
	Prefixes []string
	// More says that there is another page.
	More bool
}

// ListedObject is what a listing says of one object.
type ListedObject struct {
	Key          string
	Size         int64
	ETag         string // with its quotes
	LastModified time.Time
}

// ErrListing is an answer to a listing that cannot be read.
var ErrListing = errors.New("unreadable listing from s3")

// ReadListing reads the answer to a listing that has the status 200, up to 8
// MiB, and closes its body. Errors: [ErrListing].
func ReadListing(resp *http.Response) (*Listing, error) {
	defer resp.Body.Close()
	var doc struct {
		XMLName     xml.Name `xml:"ListBucketResult"`
		Encoding    string   `xml:"EncodingType"`
		IsTruncated bool
		Contents    []struct {
			Key, LastModified, ETag string
			Size                    int64
		}
		CommonPrefixes []struct{ Prefix string }
	}
	if err := xml.NewDecoder(io.LimitReader(resp.Body, maxListing)).Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrListing, err)
	}
	if len(doc.Contents)+len(doc.CommonPrefixes) > MaxListed {
		return nil, fmt.Errorf("%w: more than %d entries", ErrListing, MaxListed)
	}
	// Not every store encodes because it was asked to.
	decode := func(s string) (string, error) { return s, nil }
	if strings.EqualFold(doc.Encoding, "url") {
		decode = url.QueryUnescape
	}
	l := &Listing{More: doc.IsTruncated}
	var failed error
	text := func(s string) string {
		s, err := decode(s)
		failed = errors.Join(failed, err)
		return s
	}
	for _, c := range doc.Contents {
		at, err := time.Parse(time.RFC3339, c.LastModified)
		failed = errors.Join(failed, err)
		l.Objects = append(l.Objects, ListedObject{Key: text(c.Key), Size: c.Size, ETag: c.ETag, LastModified: at.UTC()})
	}
	for _, p := range doc.CommonPrefixes {
		l.Prefixes = append(l.Prefixes, text(p.Prefix))
	}
	if failed != nil {
		return nil, fmt.Errorf("%w: %w", ErrListing, failed)
	}
	return l, nil
}
