package disk

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"time"
)

// Object is what is known of one stored object. An Object that a [Store] has
// returned is shared and must not be changed.
type Object struct {
	Key  string `json:"key"`
	Size int64  `json:"size"`
	// VersionID is empty if the bucket kept no versions when the object was
	// stored; see Version.
	VersionID string `json:"version,omitempty"`
	// Marker: this is no object but says that it was deleted. Only Key,
	// VersionID and Modified are set.
	Marker bool `json:"delete_marker,omitempty"`
	// MD5 is the hex digest of the data or, of a multipart object, of the
	// parts' binary digests one after the other.
	MD5 string `json:"md5"`
	// Parts are the sizes of the parts it was assembled from; empty for an
	// object that came in one piece.
	Parts []int64 `json:"parts,omitempty"`
	// Header holds what was given with the object and returns with it, such
	// as Content-Type and user metadata, by canonical header name.
	Header   map[string]string `json:"header,omitempty"`
	Checksum Checksum          `json:"checksum,omitzero"`
	// Encryption is how the object was asked to be encrypted; the data is as it
	// came.
	Encryption Encrypted `json:"encryption,omitzero"`
	// Modified is when the object was committed, to the second.
	Modified time.Time `json:"modified"`
}

// Checksum is a digest that a client asked to be kept with an object or part.
// The zero Checksum is none.
type Checksum struct {
	Algorithm string `json:"algorithm,omitempty"` // as in x-amz-checksum-…: crc32, sha256
	Value     string `json:"value,omitempty"`     // base64, with "-N" when it is of N parts' digests
	Type      string `json:"type,omitempty"`      // FULL_OBJECT or COMPOSITE
}

// Encrypted says how an object is encrypted at rest. The zero Encrypted is of
// objects stored before that was kept.
type Encrypted struct {
	Algorithm string `json:"algorithm,omitempty"` // AES256, aws:kms or aws:kms:dsse
	KeyID     string `json:"key_id,omitempty"`    // of KMS
	BucketKey bool   `json:"bucket_key,omitempty"`
}

// ETag returns the object's quoted entity tag, with S3's "-N" when it was
// assembled from N parts.
func (o *Object) ETag() string {
	if len(o.Parts) > 0 {
		return fmt.Sprintf(`"%s-%d"`, o.MD5, len(o.Parts))
	}
	return `"` + o.MD5 + `"`
}

// Version returns the ID by which the version can be named, which is
// [NullVersion] for one without ID.
func (o *Object) Version() string { return cmp.Or(o.VersionID, NullVersion) }

// record is the document of an object, or of one of its versions.
type record struct {
	Object
	File string `json:"file,omitempty"` // under data/; empty for a marker
	// Sequence sorts the versions of a key. Documents of a time before there
	// were versions have none, and come first.
	Sequence int64 `json:"sequence,omitempty"`
}

// recordPath is where a document stands in a bucket's directory. That of the
// null version has no ID in its name, and was the only one before there were
// versions.
func recordPath(bucketDir string, o *Object) string {
	sum := sha256.Sum256([]byte(o.Key))
	name := hex.EncodeToString(sum[:])
	if v := o.Version(); v != NullVersion {
		name += "." + v
	}
	return filepath.Join(bucketDir, objectsDir, name+recordExt)
}

const (
	objectsDir = "objects"
	recordExt  = ".json"
)
