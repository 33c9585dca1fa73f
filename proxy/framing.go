package proxy

import "net/http"

// endAfterChunks lets the connection end with a request whose body is chunked. One that
// also had a length, which net/http ignores as it should and forgets, was read otherwise
// by whoever believed that: then what follows must be no request (RFC 9112, section 6.3).
func endAfterChunks(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
	}
}
