package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// endAfterChunks lets the connection end with a request whose body is chunked. One that
// also had a length, which net/http ignores as it should and forgets, was read otherwise
// by whoever believed that: then what follows must be no request (RFC 9112, section 6.3).
func endAfterChunks(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
	}
}

// maxNeedless is how many bytes are read of a body that a request has no use for.
const maxNeedless = 64 << 10

// errNeedless is a download, a preflight or a revocation with a body that does not end.
var errNeedless = fmt.Errorf("%w: the method has no use for it", errShortBody)

// skipBody reads a body that the method has no use for (RFC 9110, section 9.3.1), before
// anything is done: net/http would wait for it, without limit, when the answer leaves.
// Over HTTP/2 nobody waits.
func (x *exchange) skipBody() error {
	if x.r.ProtoMajor > 1 || x.r.ContentLength == 0 || takesBody(x.r.Method) {
		return nil
	}
	rc := http.NewResponseController(x.w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyGrace))
	if n, err := io.CopyN(io.Discard, x.r.Body, maxNeedless+1); err != io.EOF {
		return fmt.Errorf("%w: %d bytes, %w", errNeedless, n, cmp.Or(err, errors.New("and more")))
	}
	return rc.SetReadDeadline(time.Time{}) // else net/http would take the client for gone
}

func takesBody(method string) bool {
	return method == http.MethodPut || method == http.MethodPost || method == http.MethodPatch
}
