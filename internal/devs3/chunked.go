package devs3

import (
	"bufio"
	"crypto/sha256"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// chunked decodes a body of Content-Encoding aws-chunked ("Signature
// calculations for the Authorization header: transferring payload in multiple
// chunks", Amazon S3 API Reference) and checks the signatures of its chunks.
type chunked struct {
	br     *bufio.Reader
	left   int64        // bytes to come of the chunk being read
	total  int64        // bytes to come of all chunks
	signer *chunkSigner // nil: chunks are not signed
	// trailer names the checksum that follows the chunks, in canonical form,
	// and found gets its value; "" when none follows.
	trailer string
	found   func(value string) error

	signature string    // of the chunk being read
	data      hash.Hash // of its bytes so far; nil when not signed
	begun     bool
}

// maxTrailers bounds the lines behind the last chunk.
const maxTrailers = 16

var (
	errMalformedChunk   = invalidRequest("The aws-chunked body is malformed.")
	errMalformedTrailer = &apiError{code: "MalformedTrailerError", message: "The request contained trailing data that was not well-formed or did not conform to our published schema."}
	errChunkSignature   = &apiError{code: "SignatureDoesNotMatch", message: "The signature of a chunk does not match the one we calculated."}
)

func newChunked(body io.Reader, length int64) *chunked {
	return &chunked{br: bufio.NewReaderSize(body, 64<<10), total: length}
}

// Read returns decoded data, never more than the length declared.
func (c *chunked) Read(p []byte) (int, error) {
	if c.total == 0 {
		return 0, io.EOF
	}
	if c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
		if c.left == 0 || c.left > c.total {
			return 0, errMalformedChunk // the last chunk too early, or too much data
		}
	}
	n, err := c.br.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.total -= int64(n)
	if c.data != nil {
		c.data.Write(p[:n])
	}
	if err == nil && c.left == 0 {
		err = c.close()
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next reads the head of a chunk: size[;chunk-signature=…].
func (c *chunked) next() error {
	if c.begun {
		if line, err := c.line(); err != nil || line != "" {
			return errMalformedChunk
		}
	}
	c.begun = true
	line, err := c.line()
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	size, extension, _ := strings.Cut(line, ";")
	if c.left, err = strconv.ParseInt(size, 16, 64); err != nil || c.left < 0 {
		return errMalformedChunk
	}
	if c.signer != nil {
		var ok bool
		if c.signature, ok = strings.CutPrefix(extension, "chunk-signature="); !ok {
			return errMalformedChunk
		}
		c.data = sha256.New()
	}
	return nil
}

// close checks the signature of a chunk whose data has been read.
func (c *chunked) close() error {
	if c.signer != nil && !c.signer.accepts(c.signature, c.data.Sum(nil)) {
		return errChunkSignature
	}
	return nil
}

// finish reads the empty chunk and what follows it, to the end of the body.
func (c *chunked) finish() error {
	if err := c.next(); err != nil {
		return err
	}
	if c.left != 0 {
		return errMalformedChunk
	}
	if err := c.close(); err != nil {
		return err
	}
	return c.readTrailers()
}

func (c *chunked) readTrailers() error {
	var signed strings.Builder
	signature, found := "", false
	for range maxTrailers {
		line, err := c.line()
		if err == io.EOF && line == "" {
			return c.checkTrailers(found, signed.String(), signature)
		}
		if err != nil {
			return errMalformedTrailer
		}
		name, value, _ := strings.Cut(line, ":")
		switch http.CanonicalHeaderKey(name) {
		case "":
		case "X-Amz-Trailer-Signature":
			signature = value
		case c.trailer:
			if found {
				return errMalformedTrailer
			}
			found = true
			signed.WriteString(strings.ToLower(name) + ":" + strings.TrimSpace(value) + "\n")
			if err := c.found(strings.TrimSpace(value)); err != nil {
				return err
			}
		default:
			return errMalformedTrailer
		}
	}
	return errMalformedTrailer
}

func (c *chunked) checkTrailers(found bool, signed, signature string) error {
	if c.trailer == "" {
		return nil
	}
	if !found {
		return errMalformedTrailer
	}
	if c.signer != nil && !c.signer.acceptsTrailer(signature, signed) {
		return errChunkSignature
	}
	return nil
}

// line reads a line without its end. The reader's buffer bounds it.
func (c *chunked) line() (string, error) {
	line, err := c.br.ReadSlice('\n')
	return strings.TrimRight(string(line), "\r\n"), err
}
