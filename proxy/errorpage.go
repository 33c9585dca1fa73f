package proxy

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"s3gate/web"
)

// explanation is what a page says of a problem besides its message: for people,
// who have not read how links work.
type explanation struct {
	heading string
	advice  string // what else there is to know or do; "" if the message says it all
	icon    web.Icon
	again   bool // whether the same may succeed later
}

// explanations is the table from the codes of problems to what pages say. The
// tests know whether one is missing.
var explanations = map[string]explanation{
	// The way in.
	"OriginDenied": {heading: "This is not the way in", icon: web.Barred,
		advice: "Links lead through another server to this one. If you have not changed the link, tell whoever gave it to you."},

	// The link.
	"NotFound": {heading: "Nothing here", icon: web.Missing,
		advice: "Part of a link is easily lost when it is copied out of a message: copy it once more. The file may also have been removed; then ask whoever gave the link to you."},
	"LinkUsed": {heading: "This link has been used", icon: web.Over,
		advice: "Some links work only a few times, and a download that breaks off may count. Look among your browser's downloads whether the file is there already."},
	"LinkExpired": {heading: "This link has expired", icon: web.Over,
		advice: "Every link works until a certain time. The file itself may still be there."},
	"LinkRevoked": {heading: "This link was withdrawn", icon: web.Over,
		advice: "Somebody took it back before its time, as happens when a link has come into the wrong hands."},
	"LinkInUse": {heading: "This link is in use", icon: web.Waiting, again: true,
		advice: "Perhaps the download runs already, in another window or on another device."},
	"LinkNotYetValid": {heading: "This link does not work yet", icon: web.Waiting, again: true,
		advice: "It begins to work at a time that was set when it was made. Ask whoever gave it to you when that is."},
	"AccessDenied": {heading: "Not from this network", icon: web.Barred, again: true,
		advice: "It may work from the office, or with the VPN on."},
	"ConfirmationRequired": {heading: "Open this link in a browser", icon: web.Barred, again: true},
	"PasscodeRequired":     {heading: "This link needs a passcode", icon: web.Barred, again: true},
	"TooManyPasscodes": {heading: "Too many wrong passcodes", icon: web.Barred, again: true,
		advice: "Somebody has tried several wrong ones, so for a while none is taken. If it was not you, tell whoever gave you the link."},
	"TooManyTransfers": {heading: "Too many downloads at once", icon: web.Waiting, again: true},
	"MethodNotAllowed": {heading: "This link is for something else", icon: web.Barred,
		advice: "A link is either for downloading or for uploading. Ask whoever gave it to you for the right one."},

	// The file.
	"ObjectChanged": {heading: "This file has changed", icon: web.Changed},
	"InvalidObjectState": {heading: "This file is archived", icon: web.Storage,
		advice: "Ask whoever gave you the link to have it restored. That can take some hours; the link then works as before."},
	"PreconditionFailed": {heading: "This file is another one", icon: web.Changed,
		advice: "What was asked for depends on the file being a certain one, and it is not."},
	"InvalidRange": {heading: "No such part of the file", icon: web.Changed, again: true,
		advice: "The file may have changed since a download of it was begun. Begin anew."},
	"OperationAborted": {heading: "This file is being written", icon: web.Waiting, again: true},

	// The gate, and what is behind it.
	"SlowDown":           {heading: "Too busy right now", icon: web.Waiting, again: true},
	"ServiceUnavailable": {heading: "Not available right now", icon: web.Storage, again: true},
	"StorageError": {heading: "The file cannot be reached right now", icon: web.Storage, again: true,
		advice: "That has nothing to do with you or your browser. If it lasts, tell whoever gave you the link."},
	"InternalError": {heading: "Something went wrong", again: true,
		advice: "If it happens again, tell whoever runs this service the number below."},

	// What pages send.
	"InvalidArgument": {heading: "No such page of the listing", icon: web.Missing,
		advice: "Open the link of the folder again."},
	"InvalidRequest": {heading: "That could not be understood", again: true},
	"EntityTooLarge": {heading: "That is too large", icon: web.Over},

	// Uploads.
	"UnsupportedMediaType": {heading: "Not a file of the right type", icon: web.Over},
	"IncompleteBody":       {heading: "The upload did not arrive whole", icon: web.Storage, again: true},
	"RequestTimeout":       {heading: "The upload was too slow", icon: web.Waiting, again: true},
	"OutcomeUnknown": {heading: "It is not known whether the file was stored", icon: web.Storage,
		advice: "Do not send it again yet: ask whoever gave you the link whether it has arrived."},
	"OverwriteNotPrevented": {heading: "This upload could replace a file", icon: web.Storage},
	"NoSuchUpload":          {heading: "No such upload", icon: web.Missing},
	"UploadInUse":           {heading: "This upload goes on elsewhere", icon: web.Waiting, again: true},
	"UploadComplete":        {heading: "The upload is complete", icon: web.Changed},
	"WrongOffset":           {heading: "The upload goes on elsewhere in the file", icon: web.Changed},
	"UnsupportedVersion":    {heading: "Another version of resumable uploads", icon: web.Changed},
	"BadDigest":             {heading: "The upload was changed on its way", icon: web.Changed, again: true},
	"ChecksumMismatch":      {heading: "The upload was changed on its way", icon: web.Changed, again: true},
	"InvalidDigest":         {heading: "The checksum cannot be read"},
	"MissingChecksum":       {heading: "The upload needs a checksum"},
	"MissingContentLength":  {heading: "The upload must say how large it is"},
	"MetadataTooLarge":      {heading: "Too much metadata"},
}

// renderPage makes the page of a problem.
func (x *exchange) renderPage(p problem) []byte {
	look := x.appearance()
	l, e := look.Language, explanations[p.code]
	title := l.Say(cmp.Or(e.heading, http.StatusText(p.status)))
	page := web.Error(look, web.ErrorPage{
		Title: title, Message: besides(p.in(l), title), Advice: l.Say(e.advice), Icon: e.icon,
		Again: e.again, After: time.Duration(p.retry) * time.Second,
		Status: strconv.Itoa(p.status) + " " + http.StatusText(p.status), Request: x.id,
	})
	x.announce(page)
	return page.HTML
}

// besides is what a message says after what the heading says already.
func besides(message, heading string) string {
	if rest, ok := strings.CutPrefix(message, heading); ok && strings.HasPrefix(rest, ". ") {
		return rest[2:]
	}
	return strings.TrimPrefix(message, heading+"。")
}
