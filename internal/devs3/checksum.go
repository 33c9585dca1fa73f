package devs3

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"

	"s3gate/internal/devs3/disk"
)

const checksumPrefix = "X-Amz-Checksum-"

// The types of a checksum: of the data, or of the parts' checksums.
const (
	fullObject = "FULL_OBJECT"
	composite  = "COMPOSITE"
)

// algorithms are the checksums S3 knows ("Checking object integrity", Amazon S3
// User Guide).
var algorithms = map[string]func() hash.Hash{
	"crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"crc64nvme": func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
	"sha1":      sha1.New,
	"sha256":    sha256.New,
}

// algorithmOf names the algorithm that a header, in canonical form, gives a
// value of; "" if it gives none.
func algorithmOf(header string) string {
	name, ok := strings.CutPrefix(header, checksumPrefix)
	if name = strings.ToLower(name); !ok || name == "type" || name == "mode" || name == "algorithm" {
		return ""
	}
	return name
}

// declaredChecksum returns the one checksum that the headers give, whether it is
// valid or not; the zero Checksum if they give none.
func declaredChecksum(h http.Header) (disk.Checksum, error) {
	var c disk.Checksum
	for name, values := range h {
		algorithm := algorithmOf(name)
		if algorithm == "" {
			continue
		}
		if c.Algorithm != "" || len(values) != 1 {
			return c, invalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		c = disk.Checksum{Algorithm: algorithm, Value: values[0], Type: fullObject}
	}
	return c, nil
}

// validChecksum refuses what cannot be the checksum of anything.
func validChecksum(c disk.Checksum) error {
	newHash, ok := algorithms[c.Algorithm]
	if !ok {
		return invalidRequest("The checksum algorithm " + c.Algorithm + " is not supported.")
	}
	sum, err := base64.StdEncoding.DecodeString(c.Value)
	if err != nil || len(sum) != newHash().Size() {
		return invalidRequest("Value for x-amz-checksum-" + c.Algorithm + " header is invalid.")
	}
	return nil
}

// setChecksum announces a checksum in the headers of an answer.
func setChecksum(h http.Header, c disk.Checksum) {
	if c.Value == "" {
		return
	}
	h.Set(checksumPrefix+c.Algorithm, c.Value)
	h.Set("X-Amz-Checksum-Type", c.Type)
}
