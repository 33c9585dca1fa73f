package proxy

import "errors"

// errCrowd is a request of a network that has as many running as it may.
var errCrowd = errors.New("too many requests of this network are running")

// runs counts the request as running for its client's network until the exchange is
// finished; false says that there are too many.
func (x *exchange) runs() (ok bool) {
	if x.now.Client.trusts(x.client) {
		return true // a proxy that does not say for whom it asks
	}
	x.leave, ok = x.h.running.Take(x.client, x.now.MaxRunning)
	return ok
}
