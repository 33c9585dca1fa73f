package proxy

import (
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"s3gate/tokens"
)

// errChanged is an object that is not the one that the grant pins.
var errChanged = errors.New("object is not the one that was granted")

// pin makes the plan one for the version and the ETag that the grant names.
// S3 takes one If-Match, which is the grant's, and does not look at
// If-Unmodified-Since beside it. So the gate judges those of the client.
func (p *plan) pin(g *tokens.Grant) {
	if g.VersionID != "" {
		p.query = url.Values{"versionId": {g.VersionID}}
	}
	if g.IfMatch == "" {
		return
	}
	switch {
	case strings.HasPrefix(p.ifRange, `"`): // it was sent as If-Match
		if p.ifRange != g.IfMatch {
			p.header.Del("Range")
		}
		p.ifRange = ""
	case p.ifRange != "": // as If-Unmodified-Since; rangeIsStale judges the answer
	default:
		p.match, p.unmodified = p.header.Get("If-Match"), p.header.Get("If-Unmodified-Since")
	}
	p.header.Del("If-Unmodified-Since")
	p.header.Set("If-Match", g.IfMatch)
	p.pinned = g.IfMatch
}

// askChecksum asks S3 for the checksum that it keeps, which is one of the
// whole object.
func (p *plan) askChecksum() {
	if p.header.Get("Range") == "" {
		p.header.Set("X-Amz-Checksum-Mode", "ENABLED")
	}
}

// judge compares S3's answer with the grant's pin, and with the conditions of
// the client that S3 was not sent.
func (p *plan) judge(resp *http.Response) error {
	if p.pinned == "" {
		return nil
	}
	switch resp.StatusCode {
	case http.StatusPreconditionFailed:
		return errChanged
	case http.StatusOK, http.StatusPartialContent:
		// A store that does not know If-Match gives out what is there.
		if strings.Trim(resp.Header.Get("Etag"), `"`) != strings.Trim(p.pinned, `"`) {
			return errChanged
		}
	case http.StatusNotModified:
	default:
		return nil
	}
	// An If-Match decides alone (RFC 9110, section 13.2.2).
	if p.match != "" {
		if !matchesTag(p.match, p.pinned) {
			return errCondition
		}
		return nil
	}
	since, err := http.ParseTime(p.unmodified)
	modified, unknown := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err == nil && unknown == nil && modified.Truncate(time.Second).After(since) {
		return errCondition
	}
	return nil
}

// errCondition is a condition of the client's that does not hold.
var errCondition = errors.New("condition of the request does not hold")

// matchesTag compares an If-Match with an ETag, strongly: a weak tag matches
// nothing (RFC 9110, section 13.1.1).
func matchesTag(list, etag string) bool {
	if textproto.TrimString(list) == "*" {
		return true
	}
	for list != "" {
		list = strings.TrimLeft(list, ", \t")
		weak := strings.HasPrefix(list, "W/")
		opaque, quoted := strings.CutPrefix(strings.TrimPrefix(list, "W/"), `"`)
		if !quoted { // not a tag: the next one
			_, list, _ = strings.Cut(list, ",")
			continue
		}
		tag, rest, closed := strings.Cut(opaque, `"`)
		if closed && !weak && `"`+tag+`"` == etag {
			return true
		}
		list = rest
	}
	return false
}
