package accesslog

import "regexp"

// secrets are the parts of a URL that make it work: signatures of version 4 and
// 2, and the session tokens of temporary credentials.
var secrets = regexp.MustCompile(`(?i)((?:X-Amz-Signature|X-Amz-Security-Token|Signature)(?:=|%3D))[^&\s"]*`)

// tokens are those of the gate's links, also if they were cut short.
var tokens = regexp.MustCompile(`(?i)(s3g(?:_|%5F))[0-9A-Z]{8,}`)

// Redact returns a copy of a line, or a piece of one, in which no URL works: its
// signatures and session tokens are replaced, and so are the tokens of the gate's
// links, which come along as referers. The rest stays as it is.
func Redact(line []byte) []byte {
	line = secrets.ReplaceAll(line, []byte("${1}redacted"))
	return tokens.ReplaceAll(line, []byte("${1}redacted"))
}
