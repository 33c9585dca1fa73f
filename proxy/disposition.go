package proxy

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"s3gate/tokens"
)

// maxFilename is what common file systems take, in bytes.
const maxFilename = 255

// contentDisposition returns the header for the object of a key, with the
// file name in both forms (RFC 6266, section 4.3): an ASCII one for old
// clients and the exact one in UTF-8 (RFC 8187).
func contentDisposition(r *tokens.Response, key string) string {
	kind := r.Disposition
	if kind == "" {
		kind = tokens.Attachment
	}
	name := filename(r, key)
	return kind + `; filename="` + asciiFilename(name) + `"; filename*=UTF-8''` + extValue(name)
}

// filename returns the name under which an object is saved.
func filename(r *tokens.Response, key string) string {
	name := r.Filename
	if name == "" {
		name = key[strings.LastIndexByte(key, '/')+1:]
	}
	return safeFilename(name)
}

// safeFilename makes a name that cannot leave its folder, hide its ending or
// break the header: separators, control and bidirectional formatting
// characters are replaced, and the length is bounded at a whole character,
// keeping the ending.
func safeFilename(name string) string {
	name = shorten(cleanName(name), maxFilename)
	if strings.Trim(name, ".") == "" {
		return "download"
	}
	return name
}

// cleanName replaces the characters that are in no file name, and drops those
// that are not seen.
func cleanName(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r == '/' || r == '\\' || r == utf8.RuneError || unicode.IsControl(r):
			return '_'
		case unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
			return -1
		}
		return r
	}, name), " ")
}

// shorten keeps a name to most bytes, with its ending if that is short.
func shorten(name string, most int) string {
	if len(name) <= most {
		return name
	}
	ending := ""
	if i := strings.LastIndexByte(name, '.'); i > 0 && len(name)-i <= 16 {
		ending = name[i:]
	}
	stem := name[:most-len(ending)]
	for !utf8.ValidString(stem) {
		stem = stem[:len(stem)-1]
	}
	return stem + ending
}

// asciiFilename replaces what a quoted string cannot carry, or what old
// clients would decode: percent signs are taken for an encoding by some.
func asciiFilename(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' || r == '%' {
			return '_'
		}
		return r
	}, name)
}

// extValue percent-encodes all but the attr-char of RFC 8187, section 3.2.1.
func extValue(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
