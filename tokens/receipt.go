package tokens

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"s3gate/internal/script"
)

// Receipt says what became of one use. It is one event: a use that is resumed
// has one receipt for all its requests.
type Receipt struct {
	// Use names the use, as Use.Mark does: a receipt that comes twice is known
	// by it.
	Use string `json:"use"`
	// Token, Operation, Bucket and Subject are the grant's, and so is Key, or
	// its prefix, but for what was stored in a drop box.
	Token     ID        `json:"token"`
	Operation Operation `json:"operation"`
	Bucket    string    `json:"bucket"`
	Key       string    `json:"key"`
	Subject   string    `json:"subject,omitempty"`
	// Issuer and IssuedBy are the grant's too. They are not in its JSON form.
	Issuer   string `json:"-"`
	IssuedBy string `json:"-"`
	// Request names the first request, and Requests is how many there were.
	Request  string `json:"request,omitempty"`
	Requests int64  `json:"requests"`
	// Client is the address from which the use was begun, as far as it may be
	// kept.
	Client string `json:"client,omitempty"`
	// Size, ETag and VersionID are the object's.
	Size      int64  `json:"size"`
	ETag      string `json:"etag,omitempty"`
	VersionID string `json:"version_id,omitempty"`
	// Bytes were given out, or stored, and Ranges are what they cover: first
	// byte and the byte after the last, ascending.
	Bytes  int64      `json:"bytes"`
	Ranges [][2]int64 `json:"ranges,omitempty"`
	// Outcome is complete or aborted.
	Outcome Outcome `json:"outcome"`
	// Began and Ended are when, by Redis time as far as the gate knows it.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	// DurationMS is the time between them in milliseconds.
	DurationMS int64 `json:"duration_ms"`
}

// Outcome is how a use ended.
type Outcome string

// The outcomes. Complete means that every byte that was asked for was given
// out by the gate; whether it arrived only the client knows.
const (
	Complete Outcome = "complete"
	Aborted  Outcome = "aborted"
)

// receipt is that of this one request.
func (u *Use) receipt(bytes int64) Receipt {
	r := receiptOf(&u.Grant)
	r.Use, r.Request, r.Requests, r.Client = u.Mark(), u.ask.Request, 1, u.ask.Client
	r.Size, r.ETag, r.VersionID, r.Bytes = u.of.Size, u.of.ETag, u.of.VersionID, bytes
	if bytes > 0 {
		r.Ranges = [][2]int64{{u.span.From, u.span.From + bytes}}
	}
	r.Key = cmp.Or(u.of.Key, r.Key)
	r.Outcome = Aborted
	if bytes >= u.span.To-u.span.From {
		r.Outcome = Complete
	}
	r.Began = millis(u.now)
	r.Ended = millis(u.now.Add(time.Since(u.begun)))
	r.DurationMS = r.Ended.Sub(r.Began).Milliseconds()
	return r
}

func receiptOf(g *Grant) Receipt {
	return Receipt{
		Token: g.ID, Operation: g.Operation, Bucket: g.Bucket, Key: g.Key + g.Prefix, Subject: g.Subject,
		Issuer: g.Issuer, IssuedBy: g.IssuedBy,
	}
}

// closedReceipt is that of an open use, from the fields that Redis kept.
func closedReceipt(g *Grant, use string, fields []script.Reply, now time.Time) Receipt {
	r := receiptOf(g)
	r.Use, r.Ended = mark(use), now
	last := int64(0)
	for i := 0; i+1 < len(fields); i += 2 {
		name, value := fields[i].Text(0), fields[i+1].Text(0)
		number, _ := strconv.ParseInt(value, 10, 64)
		switch {
		case name == "s":
			r.Size = number
		case name == "e":
			r.ETag = value
		case name == "v":
			r.VersionID = value
		case name == "n":
			r.Bytes = number
		case name == "f":
			r.Began = time.UnixMilli(number).UTC()
		case name == "q":
			r.Request = value
		case name == "p":
			r.Client = value
		case name == "j":
			r.Requests = number
		case name == "t":
			last = number
		case len(name) > 1 && name[0] == 'z':
			r.Ranges = append(r.Ranges, readRange(value))
		}
	}
	if last > 0 {
		r.Ended = time.UnixMilli(last).UTC()
	}
	r.DurationMS = r.Ended.Sub(r.Began).Milliseconds()
	r.Ranges = union(r.Ranges)
	r.Outcome = Aborted
	if len(r.Ranges) == 1 && r.Ranges[0] == [2]int64{0, r.Size} || r.Size == 0 {
		r.Outcome = Complete
	}
	return r
}

// readRange reads "first:bytes".
func readRange(text string) [2]int64 {
	first, bytes, _ := strings.Cut(text, ":")
	from, _ := strconv.ParseInt(first, 10, 64)
	n, _ := strconv.ParseInt(bytes, 10, 64)
	return [2]int64{from, from + n}
}

// maxRanges bounds the ranges of a receipt.
const maxRanges = 100

// union sorts ranges and joins those that touch.
func union(ranges [][2]int64) [][2]int64 {
	slices.SortFunc(ranges, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	var out [][2]int64
	for _, r := range ranges {
		switch n := len(out); {
		case r[0] == r[1]:
		case n > 0 && r[0] <= out[n-1][1]:
			out[n-1][1] = max(out[n-1][1], r[1])
		default:
			out = append(out, r)
		}
	}
	return out[:min(len(out), maxRanges)]
}

// encode is the form in which Redis keeps it, without what the token's record
// says already.
func (r Receipt) encode(g *Grant) string {
	r.Token, r.Operation, r.Bucket, r.Subject = "", "", "", ""
	if r.Key == g.Key+g.Prefix {
		r.Key = ""
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}

// decodeReceipt reads what encode wrote; ok is false if it cannot.
func decodeReceipt(text string, g *Grant) (Receipt, bool) {
	r := receiptOf(g)
	kept := r
	if json.Unmarshal([]byte(text), &r) != nil {
		return Receipt{}, false
	}
	r.Token, r.Operation, r.Bucket, r.Subject = kept.Token, kept.Operation, kept.Bucket, kept.Subject
	r.Key = cmp.Or(r.Key, kept.Key)
	return r, true
}
