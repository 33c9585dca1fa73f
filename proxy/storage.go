package proxy

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"s3gate/tokens"
	"s3gate/uploads"
)

// Storage says how a bucket keeps what is uploaded, and what can be relied on.
// The zero Storage leaves the first to the store and trusts it.
type Storage struct {
	// Class is the storage class of objects whose grant names none; "" leaves
	// it to the store.
	Class string
	// Encryption is AES256, aws:kms or aws:kms:dsse; "" leaves it to the bucket.
	Encryption string
	// KMSKeyID is the key for the latter two; "" means the account's.
	KMSKeyID string
	// BucketKey asks for an S3 Bucket Key, which spares requests to KMS.
	BucketKey bool
	// Plain says that the store is reached without TLS: then each part of an
	// upload carries a checksum.
	Plain bool
	// NoOverwrite says how uploads that may not replace an object don't.
	NoOverwrite NoOverwrite
}

// Encrypt sets the headers of a request by which an object is encrypted ("Protecting
// data with server-side encryption", Amazon S3 User Guide); it sets none of the zero
// Storage.
func (s *Storage) Encrypt(h http.Header) {
	const name = "X-Amz-Server-Side-Encryption"
	if s.Encryption != "" {
		h.Set(name, s.Encryption)
	}
	if s.KMSKeyID != "" {
		h.Set(name+"-Aws-Kms-Key-Id", s.KMSKeyID)
	}
	if s.BucketKey {
		h.Set(name+"-Bucket-Key-Enabled", "true")
	}
}

// storage is that of the grant's bucket.
func (x *exchange) storage() Storage { return x.h.Storage[x.grant().Bucket] }

// ofObject is what S3 is told of the object to be.
func (x *exchange) ofObject() http.Header {
	if x.described != nil {
		return x.described.Clone()
	}
	header := http.Header{}
	for _, name := range uploadHeaders {
		if v := x.r.Header.Values(name); len(v) > 0 {
			header.Set(name, strings.Join(v, ", "))
		}
	}
	for name, value := range x.metadata {
		header.Set(metadataPrefix+name, value)
	}
	header.Set(uploads.UseMark, x.use.Mark())
	storage := x.storage()
	storage.Encrypt(header)
	if class := cmp.Or(x.grant().Upload.StorageClass, storage.Class); class != "" {
		header.Set("X-Amz-Storage-Class", class)
	}
	return header
}

const metadataPrefix = "X-Amz-Meta-"

// What is wrong with metadata that a client sends and may send.
var (
	errMetadata     = errors.New("metadata is not US-ASCII")
	errMetadataSize = errors.New("too much metadata")
)

// uploadMetadata is that of the grant, and what the client sends and the grant
// lets it set. The rest is left out.
func uploadMetadata(h http.Header, limits *tokens.Upload) (map[string]string, error) {
	if len(limits.ClientMetadata) == 0 {
		return limits.Metadata, nil
	}
	metadata := map[string]string{}
	for header, values := range h {
		name, ok := strings.CutPrefix(header, metadataPrefix)
		name = strings.ToLower(name)
		may := slices.Contains(limits.ClientMetadata, name) || slices.Contains(limits.ClientMetadata, "*")
		if !ok || name == "" || name == tokens.UseMetadata || !may {
			continue
		}
		value := strings.Join(values, ",")
		if !tokens.ASCIIText(value) {
			return nil, errMetadata
		}
		metadata[name] = value
	}
	maps.Copy(metadata, limits.Metadata)
	if tokens.MetadataBytes(metadata) > tokens.MaxMetadataBytes {
		return nil, errMetadataSize
	}
	return metadata, nil
}
