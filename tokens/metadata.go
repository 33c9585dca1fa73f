package tokens

import (
	"maps"
	"slices"
	"strings"
)

// UseMetadata is the name of the metadata by which the gate recognizes what it
// has stored; nobody else sets it.
const UseMetadata = "s3gate-use"

// MaxMetadataBytes is how many bytes the names and values of an upload's
// metadata may have together: what S3 takes (Amazon S3 User Guide, "Working
// with object metadata") less what the gate adds, [UseMetadata] and its value.
const MaxMetadataBytes = 2<<10 - 64

// MetadataBytes is what counts against [MaxMetadataBytes].
func MetadataBytes(metadata map[string]string) (n int) {
	for name, value := range metadata {
		n += len(name) + len(value)
	}
	return n
}

func (u *Upload) validateMetadata(l Limits) error {
	for _, name := range slices.Sorted(maps.Keys(u.Metadata)) {
		if err := validateMetadataName("upload.metadata", name); err != nil {
			return err
		}
		if v := u.Metadata[name]; v == "" || !ASCIIText(v) || strings.TrimSpace(v) != v {
			return fieldErrorf("upload.metadata."+clip(name), "must be printable US-ASCII without blanks at its ends, and not empty, got %q", clip(v))
		}
	}
	if n := MetadataBytes(u.Metadata); n > MaxMetadataBytes {
		return fieldErrorf("upload.metadata", "has %d bytes of names and values, at most %d are allowed", n, MaxMetadataBytes)
	}
	if len(u.ClientMetadata) > l.MaxLabels {
		return limitErrorf(entries(l.MaxLabels), "upload.client_metadata", "has %d entries, at most %d are allowed", len(u.ClientMetadata), l.MaxLabels)
	}
	for _, name := range u.ClientMetadata {
		if name == "*" {
			continue
		}
		if err := validateMetadataName("upload.client_metadata", name); err != nil {
			return err
		}
	}
	return nil
}

// validateMetadataName wants the end of a header's name (RFC 9110, 5.6.2), in
// lower case as S3 keeps it.
func validateMetadataName(field, name string) error {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
	switch {
	case name == "" || name == "*" || strings.Trim(name, token) != "":
		return fieldErrorf(field, "must have names of a-z, 0-9 and !#$%%&'*+-.^_`|~, got %q", clip(name))
	case name == UseMetadata:
		return fieldErrorf(field, "must not have the name %s, which is the gate's", UseMetadata)
	}
	return nil
}

// ASCIIText reports whether a value is printable US-ASCII, which is what S3
// keeps as it is.
func ASCIIText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
