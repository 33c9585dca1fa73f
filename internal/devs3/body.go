package devs3

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"

	"s3gate/internal/devs3/disk"
)

// What x-amz-content-sha256 may say in the place of a hash ("Authenticating
// requests: using the Authorization header", Amazon S3 API Reference).
const (
	unsignedPayload        = "UNSIGNED-PAYLOAD"
	unsignedTrailer        = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedChunks           = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedChunksAndTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
)

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
	h.Del("X-Amz-Decoded-Content-Length")
	h.Del("X-Amz-Trailer")
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
	promised := strings.ToLower(h.Get("X-Amz-Sdk-Checksum-Algorithm"))
	if found := c.Algorithm + x.checksum.Algorithm; promised != "" && promised != found {
		return invalidRequest("x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	}
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
	if declared != signedChunks && x.op.describes {
		return errNotImplemented.with("Header", "x-amz-trailer") // of the body, or of the object?
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
	return nil
}
