package devs3

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/httpbinding"
)

// logEntry is a line of a server access log. An empty field is written as "-",
// the fields behind them are all there is ("Amazon S3 server access log format",
// Amazon S3 User Guide).
type logEntry struct {
	bucket, at, ip, requester, id, operation, key, request, status, code string
	sent, size, took, turned, referer, agent, version                    string
	signature, cipher, auth, host, tls, region                           string
}

// logEntry is what is to be said of the request.
func (x *exchange) logEntry() logEntry {
	e := logEntry{
		bucket: x.bucket, at: x.began.UTC().Format("[02/Jan/2006:15:04:05 +0000]"), ip: sourceIP(x.r),
		requester: x.caller.principal().ARN, id: x.id, operation: x.loggedOperation(), key: escapeKey(escapeKey(x.key)),
		request: x.r.Method + " " + redact(x.r.RequestURI) + " " + x.r.Proto,
		status:  strconv.Itoa(x.w.status), code: x.w.code, sent: count(x.w.sent), size: count(x.objectSize()),
		took: milliseconds(time.Since(x.began)), turned: milliseconds(x.w.first.Sub(x.began)),
		referer: x.r.Referer(), agent: x.r.UserAgent(), version: x.version, host: x.r.Host, region: x.server.region,
	}
	switch x.caller.authType {
	case authHeader:
		e.signature, e.auth = "SigV4", "AuthHeader"
	case authQuery:
		e.signature, e.auth = "SigV4", "QueryString"
	case authForm:
		e.signature = "SigV4" // for S3 a form has no type of its own
	}
	if x.r.TLS != nil {
		e.cipher, e.tls = tls.CipherSuiteName(x.r.TLS.CipherSuite), "TLSv"+tlsVersion(x.r)
	}
	return e
}

// objectSize is that of the object read or written, 0 if there is none.
func (x *exchange) objectSize() int64 {
	switch {
	case x.stored != nil:
		return x.stored.Size
	case x.read != nil && x.read.Object != nil:
		return x.read.Size
	default:
		return 0
	}
}

func (e logEntry) line() []byte {
	var b strings.Builder
	for i, field := range []string{
		owner, e.bucket, e.at, e.ip, e.requester, e.id, e.operation, e.key, quoted(e.request), e.status, e.code,
		e.sent, e.size, e.took, e.turned, quoted(e.referer), quoted(e.agent), bare(e.version), "devs3",
		e.signature, e.cipher, e.auth, bare(e.host), e.tls, "", "", e.region,
	} {
		if i > 0 {
			b.WriteByte(' ')
		}
		if field == "" {
			field = "-"
		}
		b.WriteString(field)
	}
	b.WriteByte('\n')
	return []byte(b.String())
}

// quoted stands in quotes, without any inside.
func quoted(s string) string {
	if s == "" {
		s = "-"
	}
	return `"` + strings.ReplaceAll(s, `"`, "%22") + `"`
}

// bare stands without quotes: whatever would end the field, or the line, is escaped.
func bare(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r >= 0x7f }) {
		return url.QueryEscape(s)
	}
	return s
}

func count(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(max(0, d.Milliseconds()), 10)
}

// escapeKey is the key in the spelling of a URL's path. S3 does that twice in its
// logs, so a reader has to undo it twice.
func escapeKey(key string) string { return httpbinding.EscapePath(key, false) }

var secretParameters = regexp.MustCompile(`(?i)([?&](?:x-amz-signature|x-amz-security-token|signature)=)[^&]*`)

// redact hides what would let a reader of the log repeat the request.
func redact(uri string) string { return secretParameters.ReplaceAllString(uri, "${1}REDACTED") }

// measured counts what goes out, for the log.
func (w *response) measured(n int64) {
	if w.x.r.Method != http.MethodHead {
		w.sent += n
	}
}
