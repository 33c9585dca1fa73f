package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"s3gate/tokens"
	"s3gate/web"
)

// opensUpload reports whether a person opens the link of an upload in a browser.
// What only fetches links gets what it got for any other token: an error.
func (x *exchange) opensUpload() bool {
	return x.navigates() && !previews(x.r) && !speculative(x.r)
}

// offerUpload shows the page that takes files, or that which asks for the
// passcode first. Neither takes a use. A link of which every use is taken has
// the page too: an upload that was interrupted holds one, and goes on from there.
func (x *exchange) offerUpload(ctx context.Context) error {
	use, err := x.h.Tokens.Look(ctx, x.token, x.wants(tokens.Put))
	x.use = use
	if err != nil && !errors.Is(err, tokens.ErrInUse) {
		return err
	}
	if q := questionOf(x.clear(ctx)); q != nil {
		return x.ask(ctx, q)
	}
	if _, err := x.admit(); err != nil {
		return err
	}
	left, limited, err := x.usesLeft(ctx)
	if err != nil {
		return err
	}
	g := x.grant()
	page := web.UploadPage{
		Link: string(g.ID), Many: g.DropBox(), Limited: limited, Left: left,
		MaxBytes: g.Upload.MaxBytes, Types: g.Upload.ContentTypes, Passcode: !g.Passcode.IsZero(),
		Sharing: sharing(g), Until: g.ExpiresAt, Open: time.Until(g.ExpiresAt),
	}
	switch g.Upload.Checksum {
	case "":
	case tokens.AnyChecksum, "sha256":
		page.SHA256 = true
	default:
		page.Checksum = checksumHeader(g.Upload.Checksum)
	}
	x.sendPage(http.StatusOK, web.Upload(x.appearance(), page))
	return nil
}
