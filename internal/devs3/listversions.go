package devs3

import (
	"encoding/xml"
	"net/http"
	"time"

	"s3gate/internal/devs3/disk"
)

type versionsPage struct {
	XMLName             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
	Name                string
	Prefix              string
	KeyMarker           string
	VersionIDMarker     string `xml:"VersionIdMarker"`
	NextKeyMarker       string `xml:",omitempty"`
	NextVersionIDMarker string `xml:"NextVersionIdMarker,omitempty"`
	MaxKeys             int
	Delimiter           string `xml:",omitempty"`
	EncodingType        string `xml:",omitempty"`
	IsTruncated         bool
	Versions            []listedVersion
	CommonPrefixes      []commonPrefix
}

type listedVersion struct {
	element      string // Version or DeleteMarker
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified string
	ETag         string `xml:",omitempty"`
	Size         *int64
	StorageClass string `xml:",omitempty"`
	OwnerID      string `xml:"Owner>ID"`
}

// MarshalXML gives the element its name; a field for that would also take it out
// of the document's namespace.
func (l listedVersion) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	type bare listedVersion
	return e.EncodeElement(bare(l), xml.StartElement{Name: xml.Name{Local: l.element}})
}

// listVersions answers ListObjectVersions.
func (x *exchange) listVersions() error {
	limit, err := x.limit("max-keys")
	if err != nil {
		return err
	}
	escape, err := x.escape()
	if err != nil {
		return err
	}
	q := x.query
	after := disk.Place{Key: q.Get("key-marker"), Version: q.Get("version-id-marker")}
	if q.Has("version-id-marker") && after.Key == "" {
		return invalidArgument("version-id-marker", "A version-id marker cannot be specified without a key marker.")
	}
	found, err := x.server.store.ListVersions(x.bucket, q.Get("prefix"), q.Get("delimiter"), after, limit)
	if err != nil {
		return err
	}
	page := versionsPage{Name: x.bucket, Prefix: escape(q.Get("prefix")), KeyMarker: escape(after.Key), VersionIDMarker: after.Version,
		NextKeyMarker: escape(found.Next.Key), NextVersionIDMarker: found.Next.Version, IsTruncated: found.Next.Key != "",
		MaxKeys: limit, Delimiter: escape(q.Get("delimiter")), EncodingType: q.Get("encoding-type")}
	for _, v := range found.Versions {
		page.Versions = append(page.Versions, listed(v, escape(v.Key)))
	}
	for _, p := range found.Prefixes {
		page.CommonPrefixes = append(page.CommonPrefixes, commonPrefix{escape(p)})
	}
	x.w.xml(http.StatusOK, page)
	return nil
}

func listed(v disk.Version, key string) listedVersion {
	l := listedVersion{element: "DeleteMarker", Key: key, VersionID: v.Version(), IsLatest: v.Latest,
		LastModified: v.Modified.Format(time.RFC3339), OwnerID: owner}
	if !v.Marker {
		l.element, l.ETag, l.Size, l.StorageClass = "Version", v.ETag(), &v.Size, "STANDARD"
	}
	return l
}
