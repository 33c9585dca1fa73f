package accesslog

import "regexp"

// secrets are the parts of a URL that make it work: signatures of version 4 and
// 2, and the session tokens of temporary credentials.
var secrets = regexp.MustCompile(`(?i)((?:X-Amz-Signature|X-Amz-Security-Token|Signature)(?:=|%3D))[^&\s"]*`)

// Redact returns a copy of a line, or a piece of one, in which no URL works: its
// signatures and session tokens are replaced. The rest stays as it is.
func Redact(line []byte) []byte { return secrets.ReplaceAll(line, []byte("${1}redacted")) }
