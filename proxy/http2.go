package proxy

import "net/http"

// The windows of HTTP/2 (RFC 9113, section 5.2): what a client may send that
// nobody has read yet, in bytes.
const (
	streamWindow = 512 << 10
	maxStreams   = 100
)

// HTTP2 returns what a server for links needs. The streams of a connection
// share its window, and uploads that wait, for memory or for their bandwidth,
// must not take what another one needs to go on: then each would wait for the
// other. So the window of the connection is that of all its streams.
func HTTP2() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:          maxStreams,
		MaxReceiveBufferPerStream:     streamWindow,
		MaxReceiveBufferPerConnection: maxStreams * streamWindow,
	}
}
