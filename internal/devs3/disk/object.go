package disk

import (
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

// record is the document of an object.
type record struct {
	Object
	File string `json:"file"` // under data/
}

// recordPath is where the document of key stands in a bucket's directory.
func recordPath(bucketDir, key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(bucketDir, objectsDir, hex.EncodeToString(sum[:])+recordExt)
}

const (
	objectsDir = "objects"
	recordExt  = ".json"
)
