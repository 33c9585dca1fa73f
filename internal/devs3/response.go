package devs3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/rclone/gofakes3"
)

// response is the way of every answer to the client. It corrects what gofakes3
// cannot express and turns its errors into ours.
type response struct {
	http.ResponseWriter
	x *exchange

	// success, if not nil, has the last word on an answer that is no error:
	// its headers, its status, and its body if that is not nil.
	success func(h http.Header, status int) (int, []byte)
	// marker: a delete marker was found, made or removed.
	marker bool
	// cause is the first error that we, not gofakes3, have to explain.
	cause error

	status  int           // 0: nothing written yet
	code    string        // of the error answered, if any
	first   time.Time     // when the answer began
	sent    int64         // bytes of the body
	muted   bool          // the body was written, whatever else comes
	refused *bytes.Buffer // gofakes3's error document; nil when there is none
}

func newResponse(w http.ResponseWriter, x *exchange) *response {
	return &response{ResponseWriter: w, x: x}
}

// Unwrap lets http.ResponseController through.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// because remembers why gofakes3 is going to fail and hands the error on.
func (w *response) because(err error) error {
	if err != nil && w.cause == nil {
		w.cause = err
	}
	return err
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if status >= 400 {
		w.refused = new(bytes.Buffer) // finish answers
		return
	}
	h := w.Header()
	w.correct(h)
	if w.success == nil {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	status, body := w.success(h, status)
	w.status = status
	w.ResponseWriter.WriteHeader(status)
	if body != nil {
		w.muted = true
		w.write(body)
	}
}

func (w *response) write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.measured(int64(n))
	return n, err
}

// correct sets what every answer has, and removes what S3 does not send.
func (w *response) correct(h http.Header) {
	w.first = time.Now()
	h.Set("Server", "devs3")
	h.Set("X-Amz-Request-Id", w.x.id)
	h.Set("X-Amz-Id-2", "devs3")
	for _, name := range []string{"Allow-Origin", "Allow-Methods", "Allow-Headers", "Expose-Headers"} {
		h.Del("Access-Control-" + name)
	}
	h.Del(markerHeader)
	if w.marker {
		h.Set(markerHeader, "true")
	}
	// gofakes3 sets the type of XML after the first byte of it, too late.
	document := w.x.r.Method != http.MethodPut || w.x.read != nil // a copy answers with one
	if h.Get("Content-Type") == "" && w.status == http.StatusOK && document {
		h.Set("Content-Type", "application/xml")
	}
}

// Write implements io.Writer.
func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	switch {
	case w.refused != nil:
		return w.refused.Write(p)
	case w.muted:
		return len(p), nil
	default:
		return w.write(p)
	}
}

// ReadFrom lets net/http send files without copying them through here.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	w.WriteHeader(http.StatusOK)
	if w.refused != nil || w.muted {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	n, err := io.Copy(w.ResponseWriter, r)
	w.measured(n)
	return n, err
}

// fail answers with an error, if nothing else has been answered yet.
func (w *response) fail(err error) {
	if w.status != 0 && w.refused == nil {
		return
	}
	e := w.x.server.apiErrorOf(err)
	h := w.Header()
	w.status, w.code, w.refused = e.status(), e.code, nil
	w.correct(h)
	if w.status == http.StatusNotModified {
		h.Del("Content-Type")
		w.ResponseWriter.WriteHeader(w.status)
		return
	}
	body := e.document(w.x.r.URL.Path, w.x.id)
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if w.x.r.Method == http.MethodHead {
		h.Del("Content-Length")
		body = nil
	}
	w.ResponseWriter.WriteHeader(w.status)
	w.muted = true
	w.write(body)
}

// finish ends the answer: with the error that gofakes3 has found, or with an
// empty body.
func (w *response) finish() {
	if w.refused != nil {
		w.fail(w.explain())
	}
	w.WriteHeader(http.StatusOK)
	w.x.log(w.status)
}

// explain tells what went wrong: what we know of it, else what gofakes3 says.
func (w *response) explain() error {
	if w.cause != nil {
		return w.cause
	}
	if w.x.payload != nil && w.x.payload.err != nil {
		return w.x.payload.err
	}
	var doc struct{ Code, Message string }
	if err := xml.Unmarshal(w.refused.Bytes(), &doc); err != nil || doc.Code == "" {
		return w.bare(w.status)
	}
	if doc.Code == string(gofakes3.ErrInternal) {
		return errors.New("internal error of gofakes3")
	}
	if doc.Message == doc.Code {
		doc.Message = http.StatusText(w.status)
	}
	return &apiError{code: doc.Code, message: doc.Message}
}

// bare is the error of a status without document, as gofakes3 answers HEAD.
func (w *response) bare(status int) error {
	switch status {
	case http.StatusNotFound:
		return errNoSuchKey
	case http.StatusBadRequest:
		return invalidRequest("Bad Request")
	case http.StatusRequestedRangeNotSatisfiable:
		return &apiError{code: string(gofakes3.ErrInvalidRange), message: "The requested range is not satisfiable"}
	default:
		return errors.New("gofakes3 answered " + strconv.Itoa(status))
	}
}

// xml answers with a document.
func (w *response) xml(status int, v any) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	w.Write(document(v))
}

func document(v any) []byte {
	text, err := xml.Marshal(v)
	if err != nil {
		panic(err) // our own types
	}
	return append([]byte(xml.Header), text...)
}
