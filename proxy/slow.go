package proxy

import (
	"net/http"
	"time"
)

// limitAnswer bounds how long a client of HTTP/2 may keep the gate waiting with an
// answer of its own, by not opening the window of its stream. One of HTTP/1.1 is under
// the pace of its connection.
func (x *exchange) limitAnswer() {
	if idle := x.now.DownloadIdle; idle > 0 && x.r.ProtoMajor > 1 {
		_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(idle))
	}
}
