package proxy

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
)

// tusAlgorithms are those of which a piece of an upload may have a checksum.
const tusAlgorithms = "md5,sha1,sha256,crc32"

// statusMismatch is the status of tus for a piece that does not match its checksum.
const statusMismatch = 460

// What is wrong with the checksum of a piece.
var (
	errChecksum = tusProblem(statusMismatch, "ChecksumMismatch",
		"The piece does not match its Upload-Checksum, and was not taken. Send it again.")
	errChecksumForm = tusProblem(http.StatusBadRequest, "InvalidRequest",
		"Upload-Checksum must be an algorithm ({0}) and a checksum of its length in base64.", tusAlgorithms)
	errChecksumLength = tusProblem(http.StatusLengthRequired, "MissingContentLength",
		"A piece with an Upload-Checksum must say its Content-Length.")
)

// checksum is what a client says of a piece.
type checksum struct {
	hash.Hash
	want []byte
}

// readChecksum reads the checksum of the body; nil if there is none.
func readChecksum(r *http.Request) (*checksum, error) {
	values := r.Header.Values("Upload-Checksum")
	if len(values) == 0 {
		return nil, nil
	}
	algorithm, encoded, _ := strings.Cut(strings.Join(values, ","), " ")
	c := &checksum{}
	switch algorithm {
	case "md5":
		c.Hash = md5.New()
	case "sha1":
		c.Hash = sha1.New()
	case "sha256":
		c.Hash = sha256.New()
	case "crc32":
		c.Hash = crc32.NewIEEE()
	default:
		return nil, errChecksumForm
	}
	var err error
	if c.want, err = base64.StdEncoding.DecodeString(encoded); err != nil || len(c.want) != c.Size() {
		return nil, errChecksumForm
	}
	if r.ContentLength < 0 {
		return nil, errChecksumLength
	}
	return c, nil
}

// check reads the whole piece into memory and holds it against its checksum:
// nothing counts before that. The caller releases the buffer. It is taken together
// with the memory for one part, which the parts of the upload then share, so that
// no upload waits for memory while it has some.
func (t *resumable) check(ctx context.Context, body *partBody, sum *checksum) (*buffer, error) {
	size, room := t.r.ContentLength, (t.part+t.memory.block-1)/t.memory.block*t.memory.block
	if most := max(0, t.memory.size-room); size > most {
		return nil, tusProblem(http.StatusRequestEntityTooLarge, "EntityTooLarge",
			"The piece has {0} bytes; one with an Upload-Checksum may have at most {1} here. Send smaller ones.", size, most)
	}
	b, err := t.memory.take(ctx, size+room)
	if err != nil {
		return nil, context.Cause(ctx)
	}
	err = b.fill(body, size)
	if err == nil {
		err = body.end()
	}
	if err == nil || err == io.EOF {
		_, err = io.Copy(sum, b.reader())
	}
	if err == nil && !bytes.Equal(sum.Sum(nil), sum.want) {
		err = errChecksum
	}
	body.rest()
	if err != nil {
		b.release()
		return nil, err
	}
	t.memory = newMemory(room, t.memory.block)
	return b, nil
}
