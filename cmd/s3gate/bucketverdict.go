package main

import (
	"fmt"
	"strings"

	"s3gate/guard"
)

// verdict is the last line: what real requests have shown, and how far it goes. A
// lock with exemptions is never called by the name of one without, nor one on a
// part of the bucket by that of the whole, and a bucket whose gate signs in the
// query string is never called locked. Bounds is what is not locked beside that;
// others says that credentials of others were tried.
func verdict(r guard.Report, exempt []string, bounds string, others bool) string {
	if bounds == "" && r.Prefix != "" {
		bounds = fmt.Sprintf("only keys that begin with %q", r.Prefix)
	}
	text, opens := "locked", "open nothing"
	switch {
	case !r.OK() && r.Open():
		return "NOT locked"
	case !r.OK():
		return "NOT proven to be locked: something else failed"
	case r.Limited:
		text = "limited"
	case r.ReadsOnly:
		text, opens = "locked for reading", "read nothing"
	}
	if len(exempt) > 0 {
		text += " for everybody but " + strings.Join(exempt, ", ")
	}
	if bounds != "" {
		text, opens = text+", "+bounds, strings.Replace(opens, "nothing", "nothing of that", 1)
	}
	switch {
	case r.Limited:
		text += ": a URL that the gate has signed opens the bucket for a minute; those of others " + opens
		if !others {
			text += ", by the bucket's policy"
		}
	case len(exempt) > 0:
		text += ": presigned URLs of others " + opens
	default:
		text += ": presigned URLs " + opens
	}
	if r.ReadsOnly {
		text += "; writing was not tried"
	}
	return text
}
