package s3client

import "strings"

// maxCanonicalQuery is how long a query may be, in bytes, for anybody to look
// whether it is canonical. One of a part of an upload has a fifth.
const maxCanonicalQuery = 1 << 10

// isCanonicalQuery reports whether query stands as it is signed ("Create a
// canonical request", AWS IAM User Guide): pairs of name and value, all escaped
// that has to be and nothing else, in order.
func isCanonicalQuery(query string) bool {
	if query == "" {
		return true
	}
	if len(query) > maxCanonicalQuery {
		return false
	}
	var name, value string // of the pair before
	for pair := range strings.SplitSeq(query, "&") {
		n, v, ok := strings.Cut(pair, "=")
		if !ok || n == "" || !isCanonicalEscape(n) || !isCanonicalEscape(v) || n < name || n == name && v < value {
			return false
		}
		name, value = n, v
	}
	return true
}

// isCanonicalEscape reports whether text consists of unreserved characters (RFC
// 3986) and of others in upper case hexadecimal.
func isCanonicalEscape(text string) bool {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(text); i++ {
		if isUnreserved(text[i]) {
			continue
		}
		if text[i] != '%' || len(text) < i+3 {
			return false
		}
		high, low := strings.IndexByte(digits, text[i+1]), strings.IndexByte(digits, text[i+2])
		if high < 0 || low < 0 || isUnreserved(byte(high<<4|low)) {
			return false
		}
		i += 2
	}
	return true
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
