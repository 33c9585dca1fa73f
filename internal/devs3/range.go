package devs3

import (
	"strconv"
	"strings"
)

// byteRange is a part of an object.
type byteRange struct{ start, length int64 }

func (b byteRange) header() string {
	return "bytes=" + strconv.FormatInt(b.start, 10) + "-" + strconv.FormatInt(b.start+b.length-1, 10)
}

func (b byteRange) contentRange(size int64) string {
	return "bytes " + strings.TrimPrefix(b.header(), "bytes=") + "/" + strconv.FormatInt(size, 10)
}

// parseRange reads a Range header for an object of that size. What is no single
// well-formed byte range asks for the whole object, as on S3: ok is false. A
// range outside of the object is an error.
func parseRange(header string, size int64) (r byteRange, ok bool, err error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !dash || strings.Contains(spec, ",") {
		return byteRange{}, false, nil
	}
	from, fromErr := strconv.ParseUint(first, 10, 63)
	to, toErr := strconv.ParseUint(last, 10, 63)
	switch {
	case first == "" && toErr == nil: // the last so many bytes
		n := min(int64(to), size)
		r = byteRange{size - n, n}
	case fromErr == nil && last == "":
		r = byteRange{int64(from), size - int64(from)}
	case fromErr == nil && toErr == nil && from <= to:
		r = byteRange{int64(from), min(int64(to), size-1) - int64(from) + 1}
	default:
		return byteRange{}, false, nil
	}
	if r.length <= 0 {
		return byteRange{}, false, (&apiError{code: "InvalidRange", message: "The requested range is not satisfiable"}).
			with("RangeRequested", header).with("ActualObjectSize", strconv.FormatInt(size, 10))
	}
	return r, true, nil
}
