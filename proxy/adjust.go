package proxy

import (
	"time"

	"s3gate/web"
)

// Adjustable is what of a [Handler] may change while it serves; its fields are
// those of the Handler.
type Adjustable struct {
	Client          ClientAddress
	Guesses         *Guesses
	Origin          Origin
	UploadIdle      time.Duration
	UploadMinRate   int64
	DownloadIdle    time.Duration
	DownloadMinRate int64
	MaxRunning      int
	Look            web.Look
	Looks           map[string]web.Look
}

// Adjust replaces what may change, for requests that come from now on; those
// under way keep what they began with. It is safe for concurrent use.
func (h *Handler) Adjust(a Adjustable) { h.adjusted.Store(&a) }

// adjustable returns what a request begins with.
func (h *Handler) adjustable() Adjustable {
	if a := h.adjusted.Load(); a != nil {
		return *a
	}
	return Adjustable{h.Client, h.Guesses, h.Origin, h.UploadIdle, h.UploadMinRate, h.DownloadIdle, h.DownloadMinRate, h.MaxRunning, h.Look, h.Looks}
}
