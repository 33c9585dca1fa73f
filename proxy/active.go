package proxy

import (
	"mime"
	"strings"

	"s3gate/tokens"
)

// The Content-Security-Policies of answers that are a file. A document has an
// origin of its own in a sandbox, and nothing runs or is loaded in it.
const (
	// lockedPolicy is for all that is not known to be harmless.
	lockedPolicy = "default-src 'none'; sandbox"
	// mediaPolicy is for what a browser shows in a document that it makes
	// itself, with the file in it and styles of its own.
	mediaPolicy = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
	// viewerPolicy has no sandbox, in which not every browser starts its PDF
	// viewer. The viewer runs what is in a PDF outside the gate's origin.
	viewerPolicy = "default-src 'none'; img-src 'self'; object-src 'self'; style-src 'unsafe-inline'"
)

// filePolicy returns the Content-Security-Policy for a file. What is saved
// and not shown gets the strictest.
func filePolicy(r *tokens.Response, contentType string) string {
	if r.Disposition != tokens.Inline {
		return lockedPolicy
	}
	// Browsers take a comma for the end of one type and go by the last.
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || strings.Contains(contentType, ",") {
		return lockedPolicy
	}
	kind, subtype, _ := strings.Cut(media, "/")
	switch {
	case media == "application/pdf":
		return viewerPolicy
	case strings.HasSuffix(subtype, "xml"): // SVG is a document that can run
		return lockedPolicy
	case kind == "image" || kind == "audio" || kind == "video" || media == "text/plain":
		return mediaPolicy
	}
	return lockedPolicy
}
