package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"
)

// check is what the bytes of a file must add up to. The zero check stands for
// nothing that is known.
type check struct {
	Algorithm string `json:"algorithm,omitempty"` // one of algorithms, or md5
	Sum       []byte `json:"sum,omitempty"`
	// Unsure is set when Sum may not be a sum of the bytes at all: it proves a
	// file right, and not wrong.
	Unsure bool `json:"unsure,omitempty"`
}

// nvme is the polynomial of CRC-64/NVME (NVM Express NVM Command Set
// Specification), reversed as hash/crc64 wants it; S3 calls it CRC64NVME.
const nvme = 0x9a6c9329ac4bc9b5

// algorithms are S3's checksums, the one that finds most first.
var algorithms = []string{"sha256", "sha1", "crc64nvme", "crc32c", "crc32"}

// newHash returns the hash of an algorithm, nil for one that is not known.
func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "sha256":
		return sha256.New()
	case "sha1":
		return sha1.New()
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(nvme))
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc32":
		return crc32.NewIEEE()
	case "md5":
		return md5.New()
	}
	return nil
}

// checkOf reads from an answer with the whole object what can be checked: a
// checksum of the full object, else an ETag that is an MD5 (Amazon S3 User
// Guide, "Checking object integrity"; API Reference, "Object").
func checkOf(h http.Header) check {
	if kind := h.Get("X-Amz-Checksum-Type"); kind == "" || kind == "FULL_OBJECT" {
		for _, name := range algorithms {
			sum, err := base64.StdEncoding.DecodeString(h.Get("X-Amz-Checksum-" + name))
			if err == nil && len(sum) == newHash(name).Size() {
				return check{Algorithm: name, Sum: sum}
			}
		}
	}
	sum, err := hex.DecodeString(strings.Trim(h.Get("ETag"), `"`))
	if err != nil || len(sum) != md5.Size || h.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != "" {
		return check{}
	}
	switch h.Get("X-Amz-Server-Side-Encryption") {
	case "AES256":
		return check{Algorithm: "md5", Sum: sum}
	case "":
		// The store does not say how the object is encrypted, and the ETag of
		// one that KMS encrypts looks like an MD5 without being one.
		return check{Algorithm: "md5", Sum: sum, Unsure: true}
	}
	return check{}
}

var errCorrupt = errors.New("the file is not what it should be")

// verify compares what h has taken in with the check, and returns by what the
// file is verified besides its length, "" for nothing.
func (c check) verify(h hash.Hash) (string, error) {
	if h == nil {
		return "", nil
	}
	got := h.Sum(nil)
	switch {
	case bytes.Equal(got, c.Sum):
		return c.Algorithm, nil
	case c.Unsure:
		return "", nil
	}
	return "", fmt.Errorf("%w: its %s is %x, want %x", errCorrupt, c.Algorithm, got, c.Sum)
}
