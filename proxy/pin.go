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

// pin makes the plan one for the version and the ETag that the grant names, or
// for those of the object with which the open use was begun. S3 takes one
// If-Match, which is then this one, and does not look at If-Unmodified-Since
// beside it. So the gate judges those of the client.
func (p *plan) pin(g *tokens.Grant, open *tokens.Open) {
	version, etag := g.VersionID, g.IfMatch
	if open != nil {
		version, etag = open.Object.VersionID, open.Object.ETag
	}
	if version != "" {
		p.query = url.Values{"versionId": {version}}
	}
	if !strings.HasPrefix(etag, `"`) {
		return // a weak one, or none: the version says which
	}
	switch {
	case strings.HasPrefix(p.ifRange, `"`): // it was sent as If-Match
		if p.ifRange != etag {
			p.header.Del("Range")
		}
		p.ifRange = ""
	case p.ifRange != "": // as If-Unmodified-Since; rangeIsStale judges the answer
	default:
		p.match, p.unmodified = p.header.Get("If-Match"), p.header.Get("If-Unmodified-Since")
	}
	p.header.Del("If-Unmodified-Since")
	p.header.Set("If-Match", etag)
	p.pinned = etag
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
		return tokens.ErrChanged
	case http.StatusOK, http.StatusPartialContent:
		// A store that does not know If-Match gives out what is there.
		if strings.Trim(resp.Header.Get("Etag"), `"`) != strings.Trim(p.pinned, `"`) {
			return tokens.ErrChanged
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
