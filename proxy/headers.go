package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"s3gate/tokens"
)

// setSafeHeaders sets what every answer carries: it may not be cached, its
// address may not travel on, and it may run nothing in the gate's origin.
func (x *exchange) setSafeHeaders() {
	h := x.w.Header()
	h.Set("Cache-Control", "private, no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Content-Security-Policy", lockedPolicy)
	h.Set("X-Request-Id", x.id)
	if x.r.Header.Get("Origin") != "" {
		x.allowOrigin()
	}
}

// allowOrigin lets scripts of any origin use a link that they hold: the
// token in it is the whole permission, cookies play no part.
func (x *exchange) allowOrigin() {
	h := x.w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers",
		"Accept-Ranges, Allow, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified, Location, Retry-After, X-Request-Id, "+
			"X-Amz-Version-Id, X-Amz-Server-Side-Encryption, "+
			"X-Amz-Checksum-Type, X-Amz-Checksum-Crc32, X-Amz-Checksum-Crc32c, X-Amz-Checksum-Crc64nvme, X-Amz-Checksum-Sha1, X-Amz-Checksum-Sha256, "+
			keyHeader+", "+
			"Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, "+
			"Upload-Offset, Upload-Length, Upload-Defer-Length, Upload-Metadata, Upload-Expires")
}

// askedHeaders are what a script may send. S3's and those of tus
// (https://tus.io/protocols/resumable-upload) are what libraries that upload
// send by themselves: a browser refuses the whole request for one that is not
// here.
const askedHeaders = "Authorization, X-S3gate-Passcode, Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range, " +
	"Content-Type, Content-Encoding, Content-Language, Content-MD5, Repr-Digest, " +
	"X-Amz-Checksum-Algorithm, X-Amz-Checksum-Crc32, X-Amz-Checksum-Crc32c, X-Amz-Checksum-Crc64nvme, X-Amz-Checksum-Sha1, X-Amz-Checksum-Sha256, " +
	"X-Amz-Checksum-Type, X-Amz-Sdk-Checksum-Algorithm, X-Amz-Content-Sha256, " +
	"Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Upload-Defer-Length, Upload-Checksum, Upload-Concat, " +
	"X-HTTP-Method-Override, X-Request-ID, X-Requested-With"

// anyMethod is what links answer, each some of it.
const anyMethod = "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS"

// options answers OPTIONS, also a CORS preflight (Fetch standard, "CORS
// protocol"), without asking anybody.
func (x *exchange) options() {
	h := x.w.Header()
	h.Set("Allow", anyMethod)
	if x.r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, PUT, POST, PATCH, DELETE")
		h.Set("Access-Control-Allow-Headers", askedHeaders)
		h.Set("Access-Control-Max-Age", "600")
	}
	x.offerTus()
	x.writeHeader(http.StatusNoContent)
}

// objectHeaders are what a client learns of an object.
var objectHeaders = []string{
	"Content-Type", "Content-Range", "Content-Encoding", "Content-Language", "Etag", "Last-Modified", "X-Amz-Version-Id",
	// Whether the ETag is the MD5 depends on it.
	"X-Amz-Server-Side-Encryption",
}

// copyHeaders takes the allowed headers of S3's answer and adds what the
// grant says.
func (x *exchange) copyHeaders(resp *http.Response) {
	h, g := x.w.Header(), x.grant()
	for _, name := range objectHeaders {
		if v := resp.Header.Get(name); v != "" {
			h[asSent(name)] = []string{v}
		}
	}
	if resp.StatusCode == http.StatusOK {
		copyChecksums(h, resp.Header)
	}
	if resp.ContentLength >= 0 {
		h.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	if g.Response.ContentType != "" {
		h.Set("Content-Type", g.Response.ContentType)
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/octet-stream")
	}
	h.Set("Accept-Ranges", acceptRanges(g))
	h.Set("Content-Disposition", contentDisposition(&g.Response, x.key()))
	h.Set("Content-Security-Policy", filePolicy(&g.Response, h.Get("Content-Type")))
}

// copyChecksums takes S3's checksums, which are those of the whole object.
func copyChecksums(to, from http.Header) {
	for name, values := range from {
		if strings.HasPrefix(name, "X-Amz-Checksum-") {
			to[name] = values
		}
	}
}

// asSent spells a header as S3 and RFC 9110 do, for those who compare letter
// by letter; net/http would write Etag.
func asSent(name string) string {
	if name == "Etag" {
		return "ETag"
	}
	return name
}

// acceptRanges is none for a token whose use is one request for the whole.
func acceptRanges(g *tokens.Grant) string {
	if g.Strict() {
		return "none"
	}
	return "bytes"
}
