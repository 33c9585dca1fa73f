package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"s3gate/tokens"
)

// openChargeCases are those of chargeCases for a token whose use may be
// resumed. Most begin with two of the 25 bytes.
var openChargeCases = []chargeCase{
	{"resumable: GET", resumable(10), nil, sends("GET", "")},
	{"resumable: GET of an empty object", resumable(10), storing(""), sends("GET", "")},
	{"resumable: GET of a range", resumable(10), nil, sends("GET", "", "Range", "bytes=0-1")},
	{"resumable: GET of a suffix", resumable(10), nil, sends("GET", "", "Range", "bytes=-3")},
	{"resumable: GET of an endless range", resumable(10), nil, sends("GET", "", "Range", "bytes=3-9223372036854775807")},
	{"resumable: GET of several ranges", resumable(10), nil, sends("GET", "", "Range", "bytes=0-1,3-4")},
	{"resumable: GET of a range outside", resumable(10), nil, sends("GET", "", "Range", "bytes=25-")},
	{"resumable: GET that a condition spares", resumable(10), nil, sends("GET", "", "If-None-Match", etag)},
	{"resumable: GET that a condition forbids", resumable(10), nil, sends("GET", "", "If-Match", `"old"`)},
	{"resumable: HEAD", resumable(10), nil, sends("HEAD", "")},
	{"resumable: GET, s3 answers 500", resumable(10), answering(refuse(500, "InternalError")), sends("GET", "")},
	{"resumable: GET, s3 hangs up before the first byte", resumable(10), answering(truncated(100, 0)), sends("GET", "")},
	{"resumable: GET, client leaves before the first byte", resumable(10), nil, leaveBeforeTheAnswer},
	{"resumable: GET, redis away before the charge", resumable(10), nil, loseRedisBeforeTheCharge},
	{"resumable: GET of unknown length", resumable(10), answering(unmeasured), then(sends("GET", ""), sends("GET", "", "Range", "bytes=2-"))},

	{"resumed: the rest", resumable(10), nil, begunThen("Range", "bytes=2-")},
	{"resumed: the rest, and more than there is", resumable(10), nil,
		then(begunThen("Range", "bytes=2-"), sends("GET", "", "Range", "bytes=-10"), sends("GET", "", "Range", "bytes=-1"))},
	{"resumed: the whole, which fits", resumable(10), nil, begunThen()},
	{"resumed: the whole, which does not fit", resumable(1), nil, begunThen()},
	{"resumed: the whole as a range, which does not fit", resumable(1), nil, begunThen("Range", "bytes=0-")},
	{"resumed: small, again and again", resumable(1 << 20), nil, then(sends("GET", ""), sends("GET", ""), sends("GET", ""), sends("GET", "", "Range", "bytes=0-0"))},
	{"resumed: HEAD", resumable(10), nil, then(begun, sends("HEAD", ""))},
	{"resumed: HEAD, where the whole does not fit", resumable(1), nil, then(begun, sends("HEAD", ""))},
	{"resumed: a range outside", resumable(10), nil, begunThen("Range", "bytes=25-")},
	{"resumed: two Range headers", resumable(10), nil, begunThen("Range", "bytes=2-3", "Range", "bytes=5-6")},
	{"resumed: If-Range holds", resumable(10), nil, begunThen("Range", "bytes=2-", "If-Range", etag)},
	{"resumed: If-Range holds by date", resumable(10), nil, begunThen("Range", "bytes=2-", "If-Range", modified)},
	{"resumed: If-Range does not hold", resumable(10), nil, begunThen("Range", "bytes=2-", "If-Range", `"old"`)},
	{"resumed: If-Range does not hold by date", resumable(10), nil, begunThen("Range", "bytes=2-", "If-Range", before)},
	{"resumed: If-Range does not hold nor the whole fit", resumable(1), nil, begunThen("Range", "bytes=2-", "If-Range", `"old"`)},
	{"resumed: If-Match holds", resumable(10), nil, begunThen("Range", "bytes=2-", "If-Match", `"old", `+etag)},
	{"resumed: If-Match does not hold", resumable(10), nil, begunThen("Range", "bytes=2-", "If-Match", `"old"`)},
	{"resumed: If-Unmodified-Since holds", resumable(10), nil, begunThen("Range", "bytes=2-", "If-Unmodified-Since", modified)},
	{"resumed: If-Unmodified-Since does not hold", resumable(10), nil, begunThen("Range", "bytes=2-", "If-Unmodified-Since", before)},
	{"resumed: If-Unmodified-Since behind an If-Match", resumable(10), nil,
		begunThen("Range", "bytes=2-", "If-Unmodified-Since", before, "If-Match", etag)},
	{"resumed: If-None-Match spares", resumable(10), nil, begunThen("Range", "bytes=2-", "If-None-Match", etag)},
	{"resumed: the object was replaced", resumable(10), nil, then(begun, swapped, sends("GET", "", "Range", "bytes=2-"))},
	{"resumed: the object was replaced, under If-Range", resumable(10), nil, then(begun, swapped, sends("GET", "", "Range", "bytes=2-", "If-Range", etag))},
	{"resumed: HEAD where the object was replaced", resumable(10), nil, then(begun, swapped, sends("HEAD", ""))},
	{"resumed: the object is gone", resumable(10), nil, then(begun, func(g *gate, _ tokens.Token) string { g.s3.clear(); return "-" }, sends("GET", "", "Range", "bytes=2-"))},
	{"resumed: after expiry", resumable(10), nil, then(begun, lateBy(61*time.Minute), sends("GET", "", "Range", "bytes=2-"))},
	{"resumed: after expiry, the whole, which does not fit", resumable(1), nil, then(begun, lateBy(61*time.Minute), sends("GET", ""))},
	{"resumed: after the window", resumable(10), nil, then(begun, lateBy(2*time.Hour+time.Second), sends("GET", "", "Range", "bytes=2-"))},
	{"resumed: after expiry, which cuts", cutting(resumable(10)), nil, then(begun, lateBy(61*time.Minute), sends("GET", "", "Range", "bytes=2-"))},
	{"resumed: after a revocation", resumable(10), nil, then(begun, func(g *gate, token tokens.Token) string { g.revoke(token); return "-" }, sends("GET", "", "Range", "bytes=2-"))},
}

// before is a day before the object was modified.
const before = "Sun, 01 Mar 2026 10:00:00 GMT"

var begun = sends("GET", "", "Range", "bytes=0-1")

// resumable is a grant for one use, which may be resumed for two hours.
func resumable(slack int64) tokens.Grant {
	g := get()
	g.ResumeWindow, g.ResumeSlack = tokens.Duration(2*time.Hour), slack
	return g
}

func cutting(g tokens.Grant) tokens.Grant {
	g.CutAtExpiry = true
	return g
}

// then does one thing after the other.
func then(acts ...func(*gate, tokens.Token) string) func(*gate, tokens.Token) string {
	return func(g *gate, token tokens.Token) string {
		var saw []string
		for _, act := range acts {
			saw = append(saw, act(g, token))
			eventually(g.t, "no transfer is left", func() bool { return g.transfers.Len() == 0 })
		}
		return strings.Join(saw, " ")
	}
}

func begunThen(header ...string) func(*gate, tokens.Token) string {
	return then(begun, sends("GET", "", header...))
}

// swapped replaces the object by one of the same size.
func swapped(g *gate, _ tokens.Token) string {
	g.s3.storeAs(canaryKey, strings.ToUpper(content), `"new"`)
	return "-"
}

func lateBy(d time.Duration) func(*gate, tokens.Token) string {
	return func(g *gate, _ tokens.Token) string {
		g.redis.SetTime(time.Now().Add(d))
		return "-"
	}
}

// account is the charge, with the bytes of a use that may be resumed.
func (g *gate) account(token tokens.Token) string {
	g.t.Helper()
	status, err := g.store.Show(g.t.Context(), token.ID())
	if err != nil {
		g.t.Fatal(err)
	}
	text := g.charge(token)
	for _, o := range status.Open {
		text += fmt.Sprintf(", %d of %d bytes", o.Bytes, o.Budget)
	}
	return text
}

// unmeasured answers without a length.
func unmeasured(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", etag)
	io.WriteString(w, content)
	w.(http.Flusher).Flush()
	io.WriteString(w, content)
}
