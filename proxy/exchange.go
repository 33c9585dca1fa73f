package proxy

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"s3gate/revocation"
	"s3gate/tokens"
	"s3gate/uploads"
)

// exchange is one request on its way through the handler.
type exchange struct {
	h     *Handler
	now   Adjustable // as of its beginning
	w     http.ResponseWriter
	r     *http.Request
	id    string // names the request to client and operator
	begin time.Time

	client   netip.Addr // zero if it is not known
	leave    func()     // ends its being counted; nil if it is not
	token    tokens.Token
	tail     string               // the path after the token, as it came
	object   string               // the key, once it was located
	use      *tokens.Use          // nil until the token was found
	slot     *tokens.Slot         // nil unless the token has a limit of transfers
	cleared  bool                 // passcode and confirmation are as they must be
	transfer *revocation.Transfer // nil for a request without a body

	digests  *digests          // what comes with an upload
	metadata map[string]string // what an upload is stored with
	parts    bool              // an upload is sent in parts

	status  int       // what was answered, 0 if nothing
	code    string    // of the problem that was answered, "" for none
	first   time.Time // when the headers of the answer left; zero if they did not
	in, out int64     // body bytes from and to the client
	maybe   int64     // bytes that may have left besides, in a write that failed
	err     error     // why it failed, for the log
	// returned says that the handler has come to its end, and not to that of a mistake.
	returned bool
	left     error // why parts of an upload may be left in the bucket
	held     *uploads.Held
	result   http.Header // what S3 said of an upload that it has stored
	hurried  sync.Once

	// described is what S3 is told of the object to be, if that does not stand in
	// the headers of this request.
	described http.Header
	name      string // of the upload that the request is about; "" for none
}

// errPanic is a mistake in s3gate.
var errPanic = errors.New("the handler has panicked")

func newExchange(h *Handler, w http.ResponseWriter, r *http.Request) *exchange {
	return &exchange{h: h, now: h.adjustable(), w: w, r: r, id: "req_" + ulid.Make().String(), begin: time.Now()}
}

// route takes the token out of the path: /{token} or /{token}/{tail}. The
// tail of a link to one object is only for the client to save under, below a
// prefix it is the rest of the key, and for a drop box it names the file. The path is read as it came, since a link
// has one form.
func (x *exchange) route() error {
	path := strings.TrimPrefix(x.r.URL.EscapedPath(), "/")
	first, _, _ := strings.Cut(path, "/")
	token, err := tokens.Parse(first)
	x.token, x.tail = token, path[len(first):]
	return err
}

// grant returns what the token permits, the zero Grant before that is known.
func (x *exchange) grant() *tokens.Grant {
	if x.use == nil {
		return &tokens.Grant{}
	}
	return &x.use.Grant
}

// register makes the transfer known before its permission is asked for.
func (x *exchange) register() {
	x.transfer = x.h.Transfers.Begin(x.id, x.token.ID(), x.w, x.r)
	x.transfer.Watch(x.now.DownloadIdle, x.now.DownloadMinRate)
}

// bodyGrace is how long a client may go on sending a body that was refused.
const bodyGrace = 5 * time.Second

// hurry bounds the time for what is left of the client's body. net/http reads
// a small rest before it answers, and the transport to S3 may still be in a
// read: a client that stalls must not hold them for ever, and one that still
// sends has until then to notice.
func (x *exchange) hurry() { x.hurryIn(bodyGrace) }

// hurryIn is hurry with another time.
func (x *exchange) hurryIn(grace time.Duration) {
	if x.r.ContentLength == 0 {
		return
	}
	x.hurried.Do(func() {
		_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(grace))
	})
}

// writeHeader sends the status and the headers. What is left of a body has some time yet.
func (x *exchange) writeHeader(status int) {
	if takesBody(x.r.Method) {
		x.hurry()
	}
	x.status, x.first = status, time.Now()
	x.w.WriteHeader(status)
}

// finish ends the transfer, counts, and writes the one line. It runs also
// when the request was aborted.
func (x *exchange) finish() {
	if !x.returned {
		x.err = errPanic
	}
	if x.transfer != nil {
		x.transfer.End()
		x.out += x.transfer.Bytes()
	}
	x.slot.Release(x.r.Context())
	if x.leave != nil {
		x.leave()
	}
	x.h.Metrics.observe(x)
	x.tellAnswered()
	if x.h.Logger == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("request", x.id),
		slog.String("method", knownMethod(x.r.Method)),
		slog.Int("status", x.status),
		slog.Int64("bytes_in", x.in),
		slog.Int64("bytes_out", x.out),
		slog.Float64("ms", float64(time.Since(x.begin).Microseconds())/1000),
	}
	if !x.token.IsZero() {
		attrs = append(attrs, slog.String("token", string(x.token.ID())))
	}
	if x.use != nil {
		attrs = append(attrs, slog.String("bucket", x.grant().Bucket))
	}
	level := slog.LevelInfo
	if x.left != nil {
		attrs = append(attrs, slog.String("parts_left", x.left.Error()))
		level = slog.LevelWarn
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("err", x.err.Error()))
		if x.status >= 500 || !x.returned {
			level = slog.LevelWarn
		}
	}
	x.h.Logger.LogAttrs(x.r.Context(), level, "link request", attrs...)
}

// knownMethod keeps what clients invent out of logs and metrics.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodOptions, http.MethodPost, http.MethodPatch, http.MethodDelete:
		return m
	}
	return "other"
}
