package proxy

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"slices"
	"strings"

	"s3gate/tokens"
)

// What is wrong with the checksums that come with an upload.
var (
	errDigest         = errors.New("upload does not match its checksum")
	errDigestBad      = errors.New("malformed checksum")
	errDigestUnknown  = errors.New("checksum of a kind that is not known")
	errDigestSeveral  = errors.New("several x-amz-checksum headers")
	errDigestPromised = errors.New("x-amz-sdk-checksum-algorithm without that checksum")
)

// missingError is an upload without the checksum that the grant wants.
type missingError struct{ checksum string }

func (e *missingError) Error() string { return "upload without a checksum: " + e.checksum }

const checksumPrefix = "X-Amz-Checksum-"

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	nvme       = crc64.MakeTable(0x9a6c9329ac4bc9b5)
)

// newHash returns the hash of that name, nil if there is none. All but md5 and
// sha512 are those of S3 ("Checking object integrity", Amazon S3 User Guide).
func newHash(name string) hash.Hash {
	switch name {
	case "md5":
		return md5.New()
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(castagnoli)
	case "crc64nvme":
		return crc64.New(nvme)
	case "sha1":
		return sha1.New()
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// digests compares what is written to it with checksums. The zero digests has
// none, and matches everything. It is not for concurrent use.
type digests struct{ sums []digest }

// digest is one checksum of a body.
type digest struct {
	name string
	hash hash.Hash
	want []byte
}

// add takes a checksum in base64; the error is errDigestUnknown or
// errDigestBad.
func (d *digests) add(name, value string) error {
	h := newHash(name)
	if h == nil {
		return errDigestUnknown
	}
	want, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(want) != h.Size() {
		return errDigestBad
	}
	d.sums = append(d.sums, digest{name, h, want})
	return nil
}

// Write never fails.
func (d *digests) Write(p []byte) (int, error) {
	for _, s := range d.sums {
		s.hash.Write(p)
	}
	return len(p), nil
}

// verify compares; the error is errDigest.
func (d *digests) verify() error {
	for _, s := range d.sums {
		if !bytes.Equal(s.hash.Sum(nil), s.want) {
			return errDigest
		}
	}
	return nil
}

// any reports whether there is something to compare with.
func (d *digests) any() bool { return len(d.sums) > 0 }

// demand refuses what comes without the checksum that a grant wants.
func (d *digests) demand(name string) error {
	met := func(s digest) bool { return s.name == name || name == tokens.AnyChecksum }
	if name != "" && !slices.ContainsFunc(d.sums, met) {
		return &missingError{name}
	}
	return nil
}

// uploadDigests reads the checksums out of the headers of an upload:
// Content-MD5, one of S3's x-amz-checksum-*, and Repr-Digest and Content-Digest
// (RFC 9530), which are the same for a body that is the whole representation.
func uploadDigests(h http.Header) (*digests, error) {
	d := &digests{}
	if sums := h.Values("Content-Md5"); len(sums) > 0 {
		if err := d.add("md5", strings.Join(sums, ", ")); err != nil {
			return nil, err
		}
	}
	if err := d.addAmz(h); err != nil {
		return nil, err
	}
	for _, name := range []string{"Repr-Digest", "Content-Digest"} {
		if err := d.addField(h.Values(name)); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// addAmz takes the one x-amz-checksum-* that S3 permits.
func (d *digests) addAmz(h http.Header) error {
	found := ""
	for name, values := range h {
		kind := amzChecksum(name)
		if kind == "" {
			continue
		}
		if found != "" || len(values) != 1 {
			return errDigestSeveral
		}
		if found = kind; kind == "md5" || kind == "sha512" {
			return errDigestUnknown
		}
		if err := d.add(kind, values[0]); err != nil {
			return err
		}
	}
	if promised := h.Get("X-Amz-Sdk-Checksum-Algorithm"); promised != "" && !strings.EqualFold(promised, found) {
		return errDigestPromised
	}
	return nil
}

// amzChecksum names the checksum that is the value of a header, in canonical
// form; "" if none is.
func amzChecksum(header string) string {
	kind, ok := strings.CutPrefix(header, checksumPrefix)
	if kind = strings.ToLower(kind); !ok || kind == "type" || kind == "mode" || kind == "algorithm" {
		return ""
	}
	return kind
}

// addField takes the checksums of a header of RFC 9530, a dictionary such as
// sha-256=:…:, sha-512=:…:. Algorithms that are not secure, or not known, are
// left out, as the RFC has it.
func (d *digests) addField(values []string) error {
	for member := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(member), "=")
		kind, ok := map[string]string{"sha-256": "sha256", "sha-512": "sha512"}[name]
		if !ok {
			continue
		}
		value, _, _ = strings.Cut(value, ";") // parameters
		value = strings.TrimSpace(value)
		if len(value) < 2 || value[0] != ':' || value[len(value)-1] != ':' {
			return errDigestBad
		}
		if err := d.add(kind, value[1:len(value)-1]); err != nil {
			return err
		}
	}
	return nil
}

// forS3 sets the headers by which S3 checks and keeps the checksums of a body
// that is sent as one request. S3 takes one besides Content-MD5, and does not
// know sha512.
func (d *digests) forS3(h http.Header) {
	kept := false
	for _, s := range d.sums {
		switch value := base64.StdEncoding.EncodeToString(s.want); {
		case s.name == "md5":
			h.Set("Content-Md5", value)
		case s.name != "sha512" && !kept:
			h.Set(checksumPrefix+s.name, value)
			kept = true
		}
	}
}

// checksumHeader says where a checksum may stand.
func checksumHeader(name string) string {
	switch name {
	case tokens.AnyChecksum:
		return "Content-MD5, x-amz-checksum-… or Repr-Digest"
	case "md5":
		return "Content-MD5"
	case "sha256":
		return "x-amz-checksum-sha256 or Repr-Digest"
	}
	return "x-amz-checksum-" + name
}
