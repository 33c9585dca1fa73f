package proxy

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"s3gate/uploads"
)

// What links speak of tus (https://tus.io/protocols/resumable-upload). A client
// begins an upload with a POST to the link, and goes on with it at the address
// that it is told, the link's with the upload's name in the query.
const (
	tusVersion    = "1.0.0"
	tusExtensions = "creation,creation-with-upload,checksum,termination,expiration"
	// uploadParam names the upload in the query.
	uploadParam = "upload"
	// patchType is the media type of a piece of an upload.
	patchType = "application/offset+octet-stream"
)

// tusError is what is wrong with a request of tus.
type tusError struct{ problem }

func (e *tusError) Error() string { return "tus: " + e.code }

// tusProblem is an error with an answer of its own.
func tusProblem(status int, code, message string, args ...any) *tusError {
	return &tusError{problem{status: status, code: code, message: message, args: args}}
}

// What is wrong with requests of tus.
var (
	errTusVersion = tusProblem(http.StatusPreconditionFailed, "UnsupportedVersion",
		"Resumable uploads work here by tus 1.0.0: send Tus-Resumable: 1.0.0.")
	errPatchType = tusProblem(http.StatusUnsupportedMediaType, "UnsupportedMediaType",
		"A piece of an upload has the Content-Type application/offset+octet-stream.")
	errOffsetForm = tusProblem(http.StatusBadRequest, "InvalidRequest",
		"Upload-Offset must say, in digits, where in the upload the piece begins.")
	errOffset = tusProblem(http.StatusConflict, "WrongOffset",
		"The upload does not go on there. Ask for its Upload-Offset with HEAD, and go on from it.")
	errBroken = tusProblem(http.StatusBadRequest, "IncompleteBody",
		"The piece broke off. What has arrived of it was kept: ask for the Upload-Offset with HEAD, and go on from there.")
	errBeyond = tusProblem(http.StatusRequestEntityTooLarge, "EntityTooLarge",
		"The piece has more bytes than the upload lacks. Its size was fixed when it was begun.")
	errComplete = tusProblem(http.StatusConflict, "UploadComplete",
		"The upload is complete and stored, so it cannot be ended any more.")
	errUploadLength = tusProblem(http.StatusBadRequest, "InvalidRequest",
		"Upload-Length must say, in digits, how many bytes the upload has.")
	errUploadDefer = tusProblem(http.StatusBadRequest, "InvalidRequest",
		"The size of an upload must be known when it is begun: Upload-Defer-Length is not offered.")
	errUploadConcat = tusProblem(http.StatusBadRequest, "InvalidRequest",
		"An upload is sent as one: Upload-Concat is not offered.")
	errPairs = tusProblem(http.StatusBadRequest, "InvalidRequest",
		"Upload-Metadata must be pairs of a key and a base64 value, separated by commas, and a media type in it printable.")
)

// tus returns what serves a request of tus, nil for another. The query decides
// where there is an upload in it, so that nothing that is meant for the upload is
// done to the link.
func (x *exchange) tus() func() error {
	if x.h.Journal == nil {
		return nil
	}
	named := strings.Contains(x.r.URL.RawQuery, uploadParam+"=")
	if named {
		query, _ := url.ParseQuery(x.r.URL.RawQuery)
		x.name = query.Get(uploadParam)
	}
	serve := map[string]func() error{
		http.MethodHead: x.tell, http.MethodPatch: x.patch, http.MethodDelete: x.terminate,
	}[x.tusMethod()]
	if x.name == "" {
		serve = nil
		switch {
		case x.r.Method == http.MethodPost && x.creates():
			serve = x.create
		case named && x.tusMethod() == http.MethodDelete:
			serve = func() error { return uploads.ErrGone }
		}
	}
	if serve == nil {
		return nil
	}
	return func() error { return x.speakTus(serve) }
}

// tusMethod is the method that is meant: some clients can send no other than
// POST.
func (x *exchange) tusMethod() string {
	if meant := x.r.Header.Get("X-HTTP-Method-Override"); meant != "" && x.r.Method == http.MethodPost {
		return strings.ToUpper(meant)
	}
	return x.r.Method
}

// creates reports whether a POST begins an upload. The other POST is the form of
// a page.
func (x *exchange) creates() bool {
	for _, name := range []string{"Tus-Resumable", "Upload-Length", "Upload-Defer-Length"} {
		if x.r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}

// speakTus serves a request if it is of the version that links speak.
func (x *exchange) speakTus(serve func() error) error {
	x.w.Header().Set("Tus-Resumable", tusVersion)
	if x.r.Header.Get("Tus-Resumable") != tusVersion {
		x.w.Header().Set("Tus-Version", tusVersion)
		return errTusVersion
	}
	x.digests = &digests{} // a piece's is not that of the object
	return serve()
}

// offerTus says in the answer to OPTIONS what links speak.
func (x *exchange) offerTus() {
	if x.h.Journal == nil {
		return
	}
	h := x.w.Header()
	h.Set("Tus-Resumable", tusVersion)
	h.Set("Tus-Version", tusVersion)
	h.Set("Tus-Extension", tusExtensions)
	h.Set("Tus-Checksum-Algorithm", tusAlgorithms)
}

// answerTus tells how far an upload has come. If it is stored the answer also says
// what S3 said.
func (t *resumable) answerTus(status int) {
	h := t.w.Header()
	h.Set("Upload-Offset", strconv.FormatInt(t.offset(), 10))
	if until := t.held.Until(); !until.IsZero() {
		h.Set("Upload-Expires", until.Format(http.TimeFormat))
	}
	t.showResult()
	t.writeHeader(status)
}
