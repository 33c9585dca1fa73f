package devs3

import (
	"net/http"
	"strings"
	"time"

	"s3gate/internal/devs3/disk"
)

// conditionNames are the headers that carry conditions on an object to read.
type conditionNames struct {
	ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince string
}

var (
	readConditions = conditionNames{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}
	copyConditions = conditionNames{
		"X-Amz-Copy-Source-If-Match", "X-Amz-Copy-Source-If-None-Match",
		"X-Amz-Copy-Source-If-Modified-Since", "X-Amz-Copy-Source-If-Unmodified-Since",
	}
)

// check evaluates the conditions with S3's precedence ("GetObject", Amazon S3
// API Reference; RFC 9110, section 13.2.2): an If-Match that holds overrules
// If-Unmodified-Since, an If-None-Match that holds overrules If-Modified-Since.
// It takes the headers away: gofakes3 knows no "-N" entity tags.
func (n conditionNames) check(h http.Header, o *disk.Object) error {
	match, noneMatch := take(h, n.ifMatch), take(h, n.ifNoneMatch)
	modified, unmodified := take(h, n.ifModifiedSince), take(h, n.ifUnmodifiedSince)
	switch {
	case match != "":
		if !matches(match, o) {
			return errPrecondition.with("Condition", n.ifMatch)
		}
	case unmodified != "":
		if t, err := http.ParseTime(unmodified); err == nil && o.Modified.After(t) {
			return errPrecondition.with("Condition", n.ifUnmodifiedSince)
		}
	}
	switch {
	case noneMatch != "":
		if matches(noneMatch, o) {
			return errNotModified
		}
	case modified != "":
		if t, err := http.ParseTime(modified); err == nil && !o.Modified.After(t) {
			return errNotModified
		}
	}
	return nil
}

func take(h http.Header, name string) string {
	value := strings.Join(h.Values(name), ",")
	h.Del(name)
	return value
}

// matches compares a list of entity tags, or "*", with the object's. S3 also
// takes tags without quotes.
func matches(list string, o *disk.Object) bool {
	want := strings.Trim(o.ETag(), `"`)
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || strings.Trim(tag, `"`) == want {
			return true
		}
	}
	return false
}

// rangeStillHolds judges If-Range (RFC 9110, section 13.1.5): the range is only
// wanted of the version named by entity tag or date.
func rangeStillHolds(condition string, o *disk.Object) bool {
	if condition == "" {
		return true
	}
	if strings.HasPrefix(condition, `"`) {
		return condition == o.ETag()
	}
	t, err := http.ParseTime(condition)
	return err == nil && t.Equal(o.Modified.Truncate(time.Second))
}

// writeCondition is what must hold of the object that a write replaces, or a
// delete removes.
type writeCondition struct{ ifMatch, ifNoneMatch string }

// takeWriteCondition reads the headers of a write ("How to prevent object
// overwrites with conditional writes", Amazon S3 User Guide), and takes them
// away.
func takeWriteCondition(h http.Header) (writeCondition, error) {
	c := writeCondition{ifMatch: take(h, "If-Match"), ifNoneMatch: take(h, "If-None-Match")}
	if c.ifNoneMatch != "" && c.ifNoneMatch != "*" {
		return c, errNotImplemented.with("Header", "If-None-Match")
	}
	return c, nil
}

// check is a disk.Check.
func (c writeCondition) check(current *disk.Object) error {
	switch {
	case c.ifMatch != "" && current == nil:
		return errNoSuchKey
	case c.ifMatch != "" && !matches(c.ifMatch, current):
		return errPrecondition.with("Condition", "If-Match")
	case c.ifNoneMatch != "" && current != nil:
		return errPrecondition.with("Condition", "If-None-Match")
	}
	return nil
}
