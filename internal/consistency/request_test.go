package consistency_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// transport never sends a request twice: net/http does so by itself on a
// connection that was used before.
var transport = &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: dialSmall}

// dialSmall connects with a small receive buffer, so that a gate notices when
// its client has gone.
func dialSmall(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return c, c.(*net.TCPConn).SetReadBuffer(16 << 10)
}

// patience is how long a client waits for an answer.
const patience = 5 * time.Second

// outcome is what a client got for a request for the link.
type outcome struct {
	status int
	code   string
	bytes  int
	err    error
}

func (o outcome) String() string {
	text := fmt.Sprintf("%d %s", o.status, o.code)
	if o.status == 0 {
		text = "no answer"
	}
	if o.bytes > 0 {
		text += fmt.Sprintf(", %d bytes", o.bytes)
	}
	if o.err != nil {
		text += ", " + o.err.Error()
	}
	return text
}

// errContent is a body that is neither the object nor the beginning of it.
var errContent = errors.New("another object")

// reasons are the codes of 410.
var reasons = map[string]kind{"LinkUsed": used, "LinkRevoked": revoked, "LinkExpired": expired}

var methods = map[verb]string{redeem: "GET", glimpse: "GET", head: "HEAD", validate: "GET"}

// request asks for the object.
func (s *subject) request(ctx context.Context, c int, t task, at *addresses) {
	begin := s.now()
	o := s.fetch(ctx, t.verb, at)
	end := s.now()
	note := fmt.Sprintf("%s %s: %s", s.w.gates[t.gate].name, methods[t.verb], o)
	asked := t.verb != head
	enter := func(k kind, n int) {
		until, row := end, c
		if k == opens {
			until, row = begin, clients // as early as it can be: later is never better
		}
		s.record(row, begin, until, note, step{k, n})
	}
	var dial *net.OpError
	switch {
	case errors.As(o.err, &dial) && dial.Op == "dial":
		// There is no gate, and nothing has happened.
	case errors.Is(o.err, errContent):
		enter(odd, 0)
	case o.bytes > 0 && asked && o.status == http.StatusOK && s.plan.window != "":
		enter(charges, o.bytes)
	case o.bytes > 0 && asked && o.status == http.StatusOK:
		enter(admits, 0)
		enter(charges, 1)
	case !asked && o.status == http.StatusOK, o.status == http.StatusNotModified:
		if s.plan.window == "" {
			enter(looks, 0)
		}
	case o.status == http.StatusGone:
		if t.verb == head {
			return // it does not say why
		}
		k, ok := reasons[o.code]
		if !ok {
			k = odd
		}
		if k == used && s.plan.window != "" {
			k = hears
		}
		enter(k, 0)
		if asked && k == revoked {
			enter(opens, 0) // it may have held a use until it was cut
		}
	case o.status == 0, o.status == http.StatusOK, o.status >= 500:
		if asked {
			enter(opens, 0)
		}
	case o.status == http.StatusConflict:
	default:
		enter(odd, 0)
	}
}

func (s *subject) fetch(ctx context.Context, v verb, at *addresses) (o outcome) {
	req, err := http.NewRequestWithContext(ctx, methods[v], at.Links+"/"+s.token.Token, nil)
	if err != nil {
		return outcome{err: err}
	}
	req.Header.Set("Accept", "application/problem+json")
	if v == validate {
		req.Header.Set("If-None-Match", "*")
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return outcome{err: err}
	}
	defer resp.Body.Close()
	o.status = resp.StatusCode
	var body []byte
	if v == glimpse && o.status == http.StatusOK {
		o.bytes, o.err = io.ReadFull(resp.Body, make([]byte, 1))
		return o
	}
	body, o.err = io.ReadAll(resp.Body)
	if o.status == http.StatusOK {
		o.bytes = len(body)
		if !bytes.HasPrefix(objects[s.plan.key], body) || o.err == nil && v == redeem && len(body) != len(objects[s.plan.key]) {
			o.err = errContent
		}
		return o
	}
	var problem struct{ Code string }
	_ = json.Unmarshal(body, &problem)
	o.code = problem.Code
	return o
}
