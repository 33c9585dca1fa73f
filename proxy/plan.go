package proxy

import (
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"s3gate/tokens"
)

// conditionals go to S3 as they came (RFC 9110, section 13.1), which then
// answers 304 or 412.
var conditionals = []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}

// plan is what to ask S3 for.
type plan struct {
	header http.Header
	query  url.Values
	// pinned says that the object must be the one with which the use was
	// begun, so that S3's 412 may mean that it is not.
	pinned bool
	// ifRange is the client's If-Range when a Range was sent under it; S3
	// does not know the header, so its condition travels as another one.
	ifRange string
}

var errTwoRanges = errors.New("more than one Range header")

// planFetch translates the client's conditions. A token whose use is one
// request is for the whole object, so its Range is not sent. What goes on with
// an open use gets that use's object or none.
func planFetch(r *http.Request, g *tokens.Grant, open *tokens.Open) (*plan, error) {
	p := &plan{header: http.Header{}}
	for _, name := range conditionals {
		if v := r.Header.Values(name); len(v) > 0 {
			p.header.Set(name, strings.Join(v, ", "))
		}
	}
	ranges := r.Header.Values("Range")
	if len(ranges) > 1 {
		return nil, errTwoRanges
	}
	if r.Method == http.MethodGet && !g.Strict() && len(ranges) > 0 && singleRange(ranges[0]) {
		// If the condition cannot hold: the whole object.
		if cond := r.Header.Get("If-Range"); cond == "" || p.addIfRange(cond) {
			p.header.Set("Range", ranges[0])
		}
	}
	if open == nil {
		return p, nil
	}
	return p, p.pin(&open.Object)
}

// pin holds the request to one object. The client's own If-Match is judged
// here, since its place is taken.
func (p *plan) pin(o *tokens.Object) error {
	p.pinned = true
	if o.VersionID != "" {
		p.query = url.Values{"versionId": {o.VersionID}}
	}
	if !strings.HasPrefix(o.ETag, `"`) {
		return nil // a weak one, or none: the version says which
	}
	if strings.HasPrefix(p.ifRange, `"`) && p.ifRange != o.ETag {
		*p = *p.whole()
	}
	p.ifRange = strings.TrimPrefix(p.ifRange, o.ETag) // it holds, or is a date
	if cond := p.header.Get("If-Match"); cond != "" && !matches(cond, o.ETag) {
		return errCondition
	}
	p.header.Set("If-Match", o.ETag)
	return nil
}

var errCondition = errors.New("condition does not hold")

// modifiedSince reports whether a client's If-Unmodified-Since does not hold.
// S3 leaves it aside where an If-Match holds (RFC 9110, section 13.2.2), and
// the gate has sent one of its own; where the client has, so does the gate.
func modifiedSince(asked, answered http.Header) bool {
	if asked.Get("If-Match") != "" {
		return false
	}
	since, err1 := http.ParseTime(asked.Get("If-Unmodified-Since"))
	modified, err2 := http.ParseTime(answered.Get("Last-Modified"))
	return err1 == nil && err2 == nil && modified.After(since)
}

// matches reports whether an If-Match names the ETag (RFC 9110, section
// 13.1.1): by strong comparison, or by "*".
func matches(cond, etag string) bool {
	for candidate := range strings.SplitSeq(cond, ",") {
		if c := textproto.TrimString(candidate); c == etag || c == "*" {
			return true
		}
	}
	return false
}

// addIfRange sends an If-Range as If-Match or If-Unmodified-Since. It reports
// whether the condition can hold at all: a weak validator never does (RFC
// 9110, section 13.1.5).
func (p *plan) addIfRange(cond string) bool {
	name := "If-Match"
	if !strings.HasPrefix(cond, `"`) {
		if _, err := http.ParseTime(cond); err != nil {
			return false
		}
		name = "If-Unmodified-Since"
	}
	if p.header.Get("If-Match") != "" || p.header.Get("If-Unmodified-Since") != "" {
		return false // a condition of the client's own has the place
	}
	p.header.Set(name, cond)
	p.ifRange = cond
	return true
}

// rangeIsStale reports whether S3's answer shows that the If-Range condition
// did not hold, so that the whole object is due.
func (p *plan) rangeIsStale(resp *http.Response) bool {
	if p.ifRange == "" {
		return false
	}
	if resp.StatusCode == http.StatusPreconditionFailed {
		return true
	}
	// If-Unmodified-Since also holds for an older object, If-Range does not.
	return resp.StatusCode == http.StatusPartialContent && !strings.HasPrefix(p.ifRange, `"`) &&
		resp.Header.Get("Last-Modified") != p.ifRange
}

// whole is the plan without Range and If-Range.
func (p *plan) whole() *plan {
	header := p.header.Clone()
	header.Del("Range")
	if strings.HasPrefix(p.ifRange, `"`) {
		header.Del("If-Match")
	} else {
		header.Del("If-Unmodified-Since")
	}
	return &plan{header: header, query: p.query, pinned: p.pinned}
}

// singleRange reports whether a Range header asks for one range of bytes.
// Others are ignored, as RFC 9110, section 14.2 permits: several ranges are
// answered by the whole object.
func singleRange(v string) bool {
	_, _, ok := parseRange(v)
	return ok
}

// parseRange reads "bytes=first-last" with last -1 if open, or a suffix
// "bytes=-n" as first -n.
func parseRange(v string) (first, last int64, ok bool) {
	spec, found := strings.CutPrefix(textproto.TrimString(v), "bytes=")
	from, to, dash := strings.Cut(spec, "-")
	if !found || !dash {
		return 0, 0, false
	}
	last = -1
	if to != "" {
		if last, ok = parseDigits(to); !ok {
			return 0, 0, false
		}
	}
	if from == "" {
		return -last, -1, last >= 0
	}
	first, ok = parseDigits(from)
	return first, last, ok && (last < 0 || first <= last)
}

func parseDigits(s string) (int64, bool) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// satisfiable reports whether a range, if v is one, has a byte in an object
// of the size. An unknown size satisfies all.
func satisfiable(v string, size int64) bool {
	first, _, ok := parseRange(v)
	if !ok || size < 0 {
		return true
	}
	if strings.HasPrefix(textproto.TrimString(v), "bytes=-") {
		return first < 0 && size > 0
	}
	return first < size
}

// contentRangeSize reads the size out of "bytes */size"; -1 if it is not
// there.
func contentRangeSize(v string) int64 {
	_, size, _ := strings.Cut(v, "/")
	if n, ok := parseDigits(size); ok && size != "" {
		return n
	}
	return -1
}
