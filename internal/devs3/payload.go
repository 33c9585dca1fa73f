package devs3

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"s3gate/internal/devs3/disk"
)

const (
	unsignedPayload        = "UNSIGNED-PAYLOAD"
	unsignedTrailer        = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedChunks           = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedChunksAndTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
)

// payload is the plain data of a request's body. Reading it ends in io.EOF only
// if all of it came and it has every digest that was declared; the first error
// stays.
type payload struct {
	src    io.Reader
	left   int64 // bytes to come; -1 when nobody said
	got    int64
	bounds *sizeRange // of all that comes; nil when only left bounds it
	checks []check
	chunks *chunked // src, if that has an end of its own to be read
	done   bool
	err    error
}

// sizeRange bounds a size in bytes, inclusively.
type sizeRange struct{ min, max int64 }

// check is a digest that the data must have.
type check struct {
	hash hash.Hash
	want []byte
	fail error
}

// Read implements io.Reader. The digests are compared along with the last byte:
// gofakes3 asks for no more once it has the declared length.
func (p *payload) Read(b []byte) (int, error) {
	if p.done {
		return 0, p.outcome()
	}
	n, err := p.src.Read(b)
	p.got += int64(n)
	for _, c := range p.checks {
		c.hash.Write(b[:n])
	}
	if p.left >= 0 {
		p.left -= int64(n)
	}
	switch {
	case p.bounds != nil && p.got > p.bounds.max:
		p.finish(errEntityTooLarge)
	case err == io.EOF || p.left == 0:
		p.finish(p.verify())
	case err != nil:
		p.finish(shortBody(err))
	}
	if p.done && p.err != nil {
		return n, p.err
	}
	return n, nil
}

// end returns nil if the payload was read to its good end.
func (p *payload) end() error {
	if !p.done {
		return errIncompleteBody
	}
	return p.err
}

func (p *payload) finish(err error) { p.done, p.err = true, err }

func (p *payload) outcome() error {
	if p.err != nil {
		return p.err
	}
	return io.EOF
}

// verify judges the data once all of it is there.
func (p *payload) verify() error {
	switch {
	case p.left > 0:
		return errIncompleteBody
	case p.bounds != nil && p.got < p.bounds.min:
		return errEntityTooSmall
	}
	if p.chunks != nil {
		if err := p.chunks.finish(); err != nil {
			return shortBody(err)
		}
	}
	for _, c := range p.checks {
		if c.want != nil && !bytes.Equal(c.hash.Sum(nil), c.want) {
			return c.fail
		}
	}
	return nil
}

// readPayload makes x.payload of the body and leaves in x.out only what is left
// to do: plain data with its length.
func (x *exchange) readPayload() error {
	h := x.out.Header
	declared := h.Get("X-Amz-Content-Sha256")
	p := &payload{src: x.r.Body, left: x.r.ContentLength}
	switch declared {
	case "", unsignedPayload:
	case unsignedTrailer, signedChunks, signedChunksAndTrailer:
		if err := x.decodeChunks(p, declared); err != nil {
			return err
		}
	default:
		sum, err := hex.DecodeString(declared)
		if err != nil || len(sum) != sha256.Size {
			return invalidArgument("x-amz-content-sha256", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, or a valid sha256 value.")
		}
		p.checks = append(p.checks, check{sha256.New(), sum, &apiError{code: "XAmzContentSHA256Mismatch", message: "The provided 'x-amz-content-sha256' header does not match what was computed."}})
	}
	if err := x.declaredDigests(p); err != nil {
		return err
	}
	h.Set("X-Amz-Content-Sha256", unsignedPayload)
	if p.left == 0 {
		p.finish(p.verify())
		if p.err != nil {
			return p.err
		}
	}
	x.payload = p
	x.out.Body = io.NopCloser(p)
	x.out.ContentLength = p.left
	if p.left >= 0 {
		h.Set("Content-Length", strconv.FormatInt(p.left, 10))
	}
	return nil
}

// declaredDigests takes Content-MD5 and x-amz-checksum-* out of the headers.
func (x *exchange) declaredDigests(p *payload) error {
	h := x.out.Header
	if md5s, ok := h["Content-Md5"]; ok {
		sum, err := base64.StdEncoding.DecodeString(strings.Join(md5s, ","))
		if err != nil || len(sum) != md5.Size {
			return errInvalidDigest
		}
		p.checks = append(p.checks, check{md5.New(), sum, errBadDigest})
		h.Del("Content-Md5")
	}
	c, err := declaredChecksum(h)
	if err != nil {
		return err
	}
	dropChecksums(h)
	if c.Algorithm == "" {
		return nil
	}
	if x.op.describes {
		c.Value, _, _ = strings.Cut(c.Value, "-") // a composite one says of how many parts
	}
	if err := validChecksum(c); err != nil {
		return err
	}
	if x.checksum.Algorithm != "" {
		return invalidRequest("Expecting a single x-amz-checksum- header or trailer.")
	}
	x.checksum = c
	if !x.op.describes {
		sum, _ := base64.StdEncoding.DecodeString(c.Value) // validChecksum has tried
		p.checks = append(p.checks, check{algorithms[c.Algorithm](), sum, errBadDigest})
	}
	return nil
}

func dropChecksums(h http.Header) {
	for name := range h {
		if algorithmOf(name) != "" {
			h.Del(name)
		}
	}
}

// decodeChunks puts the decoding of aws-chunked under the payload.
func (x *exchange) decodeChunks(p *payload, declared string) error {
	h := x.out.Header
	length, err := strconv.ParseInt(h.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil || length < 0 {
		return &apiError{code: "MissingContentLength", message: "You must provide the x-amz-decoded-content-length HTTP header."}
	}
	c := newChunked(x.r.Body, length)
	if declared != unsignedTrailer {
		if x.caller.authType != authHeader {
			return invalidArgument("x-amz-content-sha256", "Signed chunks need a signature in the Authorization header.")
		}
		c.signer = &chunkSigner{
			key:      signingKey(x.caller.user.Secret, x.caller.credential),
			signed:   x.caller.signed,
			scope:    x.caller.credential.String(),
			previous: x.caller.signature,
		}
	}
	if declared != signedChunks {
		algorithm := algorithmOf(http.CanonicalHeaderKey(h.Get("X-Amz-Trailer")))
		newHash, ok := algorithms[algorithm]
		if !ok {
			return invalidRequest("The value specified in the x-amz-trailer header is not supported")
		}
		c.trailer = http.CanonicalHeaderKey(h.Get("X-Amz-Trailer"))
		x.checksum = disk.Checksum{Algorithm: algorithm, Type: fullObject}
		at := len(p.checks)
		p.checks = append(p.checks, check{newHash(), nil, errBadDigest})
		c.found = func(value string) error {
			x.checksum.Value = value
			if err := validChecksum(x.checksum); err != nil {
				return err
			}
			p.checks[at].want, _ = base64.StdEncoding.DecodeString(value)
			return nil
		}
	}
	p.src, p.left, p.chunks = c, length, c
	h.Del("X-Amz-Decoded-Content-Length")
	h.Del("X-Amz-Trailer")
	return nil
}

// shortBody explains a body that ended or broke off too early.
func shortBody(err error) error {
	var known *apiError
	if errors.As(err, &known) {
		return err
	}
	return errIncompleteBody
}
