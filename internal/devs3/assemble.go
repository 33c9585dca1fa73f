package devs3

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"s3gate/internal/devs3/disk"
)

// maxPartsXML bounds the XML that lists the parts: 10,000 of some 500 bytes.
const maxPartsXML = 5 << 20

// completion is the body of CompleteMultipartUpload.
type completion struct {
	Parts []completedPart `xml:"Part"`
}

type completedPart struct {
	PartNumber        int
	ETag              string
	ChecksumCRC32     string
	ChecksumCRC32C    string
	ChecksumCRC64NVME string
	ChecksumSHA1      string
	ChecksumSHA256    string
}

// checksum is the part's value by an algorithm, or "".
func (p completedPart) checksum(algorithm string) string {
	switch algorithm {
	case "crc32":
		return p.ChecksumCRC32
	case "crc32c":
		return p.ChecksumCRC32C
	case "crc64nvme":
		return p.ChecksumCRC64NVME
	case "sha1":
		return p.ChecksumSHA1
	default:
		return p.ChecksumSHA256
	}
}

// prepareComplete reads the list of parts, of which gofakes3 keeps no
// checksums.
func (x *exchange) prepareComplete() error {
	var err error
	if x.condition, err = takeWriteCondition(x.out.Header); err != nil {
		return err
	}
	text, err := x.readAll(maxPartsXML)
	if err != nil {
		return err
	}
	if err := xml.Unmarshal(text, &x.completion); err != nil || len(x.completion.Parts) == 0 {
		return errMalformedXML
	}
	x.out.Body = io.NopCloser(bytes.NewReader(text))
	x.w.success = func(h http.Header, status int) (int, []byte) {
		if x.stored == nil {
			return status, nil // completed before: gofakes3 remembers
		}
		setEncryption(h, x.stored.Encryption)
		x.setVersion(h, versionHeader, x.bucket, x.stored)
		return status, document(x.completeResult())
	}
	return nil
}

// assembly says how the upload becomes an object.
func (x *exchange) assembly(u disk.Upload) (disk.Assembly, error) {
	a := disk.Assembly{Check: x.condition.check}
	for _, p := range x.completion.Parts {
		a.Parts = append(a.Parts, disk.Part{Number: p.PartNumber, MD5: strings.Trim(p.ETag, `"`)})
	}
	if x.checksum.Algorithm != "" && x.checksum.Algorithm != u.Checksum.Algorithm {
		return a, invalidRequest("Checksum Type mismatch occurred, expected checksum Type: " + orNull(u.Checksum.Algorithm) + ", actual checksum Type: " + x.checksum.Algorithm)
	}
	if u.Checksum.Algorithm == "" {
		return a, nil
	}
	sum := algorithms[u.Checksum.Algorithm]()
	if u.Checksum.Type == fullObject {
		a.Hash = sum
	}
	a.Seal = func(o *disk.Object, parts []disk.Part) error {
		return x.seal(o, parts, u.Checksum, sum)
	}
	return a, nil
}

// seal gives the object its checksum ("Checking object integrity", Amazon S3
// User Guide): that of all data, which sum has seen, or that of the parts'.
func (x *exchange) seal(o *disk.Object, parts []disk.Part, c disk.Checksum, sum hash.Hash) error {
	suffix := ""
	for i, p := range parts {
		named := x.completion.Parts[i].checksum(c.Algorithm)
		if named == "" && c.Type == composite {
			return invalidRequest("The upload was created using a " + c.Algorithm + " checksum. The complete request must include the checksum for each part. It was missing for part " + strconv.Itoa(p.Number) + " in the request.")
		}
		if named != "" && named != p.Checksum.Value {
			return errInvalidPart
		}
		if c.Type == composite {
			raw, err := base64.StdEncoding.DecodeString(p.Checksum.Value)
			if err != nil {
				return err
			}
			sum.Write(raw)
			suffix = "-" + strconv.Itoa(len(parts))
		}
	}
	c.Value = base64.StdEncoding.EncodeToString(sum.Sum(nil))
	if x.checksum.Value != "" && x.checksum.Value != c.Value {
		return errBadDigest
	}
	c.Value += suffix
	o.Checksum = c
	return nil
}

// checkUploadChecksum fills in the type and refuses combinations that S3 does
// not have.
func checkUploadChecksum(c *disk.Checksum) error {
	linear := strings.HasPrefix(c.Algorithm, "crc")
	switch {
	case c.Algorithm == "" && c.Type == "":
		return nil
	case algorithms[c.Algorithm] == nil:
		return invalidRequest("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
	case c.Type == "" && c.Algorithm == "crc64nvme":
		c.Type = fullObject
	case c.Type == "":
		c.Type = composite
	case c.Type != fullObject && c.Type != composite,
		c.Type == fullObject && !linear,
		c.Type == composite && c.Algorithm == "crc64nvme":
		return invalidRequest("The " + c.Type + " checksum type cannot be used with the " + c.Algorithm + " checksum algorithm.")
	}
	return nil
}

// completeResult is the answer to CompleteMultipartUpload.
func (x *exchange) completeResult() any {
	type result struct {
		XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location     string
		Bucket       string
		Key          string
		ETag         string
		Checksum     []detail
		ChecksumType string `xml:",omitempty"`
	}
	r := result{Location: x.url(), Bucket: x.bucket, Key: x.key, ETag: x.stored.ETag()}
	if c := x.stored.Checksum; c.Value != "" {
		r.Checksum = []detail{{xml.Name{Local: "Checksum" + strings.ToUpper(c.Algorithm)}, c.Value}}
		r.ChecksumType = c.Type
	}
	return r
}
