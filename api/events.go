package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"s3gate/auth"
	"s3gate/events"
	"s3gate/tokens"
)

// Events is what has happened; [events.Reader] is one. It must be safe for
// concurrent use.
type Events interface {
	Read(ctx context.Context, after string, most int) (events.Page, error)
	// Follow tells on a channel that there may be more, until end is called.
	Follow() (more <-chan struct{}, end func(), err error)
	// Stopped is closed when nothing follows.
	Stopped() <-chan struct{}
}

// DeadLetters are webhooks that were given up; [events.Hooks] has them. It must be
// safe for concurrent use.
type DeadLetters interface {
	Dead(ctx context.Context, most int) ([]events.Dead, error)
	Redeliver(ctx context.Context, id string) error
}

// routeEvents registers what the API says of events.
func (h *Handler) routeEvents() {
	h.route("GET /v1/events", auth.Caller.MayList, h.events)
	h.route("GET /v1/events/dead", auth.Caller.MayAdminister, h.dead)
	h.route("POST /v1/events/dead/{id}/redeliver", auth.Caller.MayAdminister, h.redeliver)
}

// eventQuery is what somebody wants to hear.
type eventQuery struct {
	after  string
	limit  int
	follow bool
	stream bool // as server-sent events
	kind   events.Type
	token  tokens.ID
	of     string // a request
}

const (
	eventPage     = 500
	defaultEvents = 1000
)

// events answers GET /v1/events, as lines of JSON or as server-sent events (HTML
// Living Standard, section 9.2).
func (h *Handler) events(c *call) (int, any, error) {
	if h.cfg.Events == nil {
		return 0, nil, errNoStream
	}
	q, err := readEventQuery(c.query, c.Header)
	if err != nil {
		return 0, nil, err
	}
	return answered, nil, h.tell(c, q)
}

func readEventQuery(values url.Values, header http.Header) (q eventQuery, err error) {
	for name := range values {
		if values.Get(name) == "" {
			return q, &tokens.FieldError{Field: name, Problem: "must not be empty; leave it out to see all"}
		}
	}
	q.stream = wantsEvents(header)
	q.follow = q.stream
	switch values.Get("follow") {
	case "":
	case "true":
		q.follow = true
	case "false":
		q.follow = false
	default:
		return q, &tokens.FieldError{Field: "follow", Problem: "must be true or false"}
	}
	q.kind, q.of = events.Type(values.Get("type")), values.Get("request")
	if q.kind != "" && !q.kind.Known() {
		return q, &tokens.FieldError{Field: "type", Problem: "is not a type of event"}
	}
	if id := values.Get("token"); id != "" {
		if q.token, err = tokens.ParseID(id); err != nil {
			return q, &tokens.FieldError{Field: "token", Problem: "must be an ID: tok_ and 26 characters"}
		}
	}
	return q, q.readPlace(values, header)
}

// readPlace reads from where on, and how much. What a browser gives when it comes
// back is later than what it was told at first.
func (q *eventQuery) readPlace(values url.Values, header http.Header) error {
	q.after = events.Start
	for field, text := range map[string]string{"after": values.Get("after"), "Last-Event-ID": header.Get("Last-Event-ID")} {
		if text == "" {
			continue
		}
		if events.ParsePosition(text) != nil {
			return &tokens.FieldError{Field: field, Problem: "must be a position that an event has, 0 or now"}
		}
		if field == "Last-Event-ID" || header.Get("Last-Event-ID") == "" {
			q.after = text
		}
	}
	q.limit = defaultEvents
	if q.follow {
		q.limit = math.MaxInt
	}
	if values.Has("limit") {
		n, err := strconv.Atoi(values.Get("limit"))
		if err != nil || n < 1 {
			return &tokens.FieldError{Field: "limit", Problem: "must be a number of at least 1"}
		}
		q.limit = n
	}
	return nil
}

// wants reports whether an event is asked for, and may be seen.
func (q *eventQuery) wants(c *call, e *events.Entry) bool {
	if q.kind != "" && e.Type != q.kind {
		return false
	}
	about := e.About()
	switch {
	case q.token != "" && about.Token != string(q.token), q.of != "" && about.Request != q.of:
		return false
	case c.caller.SeesAll():
		return true
	case about.Rule:
		return c.caller.SeesRule(about.Issuer, about.Bucket)
	}
	return c.caller.Sees(auth.Origin{Issuer: about.Issuer, Subject: about.IssuedBy, Bucket: about.Bucket})
}

// teller writes events to a caller.
type teller struct {
	*pusher
	q       eventQuery
	sent    string // the position that the caller knows
	written int
}

// tell answers a query. It returns an error only while nothing has been sent.
func (h *Handler) tell(c *call, q eventQuery) error {
	var more <-chan struct{}
	if q.follow && c.Method != http.MethodHead {
		wake, end, err := h.cfg.Events.Follow()
		if err != nil {
			return err
		}
		defer end()
		more = wake
	}
	page, err := h.cfg.Events.Read(c.Context(), q.after, eventPage)
	if err != nil {
		return err
	}
	t := &teller{pusher: newPusher(c.w), q: q, sent: q.after}
	defer t.end()
	t.begin()
	if c.Method == http.MethodHead {
		return nil
	}
	for t.tellPage(c, &page) == nil {
		if len(page.Entries) == 0 && !h.await(c, t, page.Next, more) {
			return nil
		}
		next, err := h.cfg.Events.Read(c.Context(), page.Next, eventPage)
		switch {
		case err == nil:
			page = next
		case more == nil:
			panic(http.ErrAbortHandler) // the answer must not look whole
		default: // Redis may come back
			page = events.Page{Next: page.Next}
		}
	}
	return nil
}

// await waits until there may be more; false ends the answer.
func (h *Handler) await(c *call, t *teller, position string, more <-chan struct{}) bool {
	if more == nil {
		return false
	}
	beat := time.NewTimer(max(0, heartbeat-time.Since(t.at)))
	defer beat.Stop()
	select {
	case <-more:
		return true
	case <-beat.C:
		return t.beat(position) == nil
	case <-c.Context().Done():
	case <-h.cfg.Events.Stopped():
	}
	return false
}

func (t *teller) begin() {
	kind := "application/x-ndjson"
	if t.q.stream {
		kind = eventStream
	}
	t.pusher.begin(kind, t.q.follow)
}

// errEnough ends an answer that has all that was asked for.
var errEnough = errors.New("limit reached")

// tellPage writes what the caller may see of a page.
func (t *teller) tellPage(c *call, page *events.Page) error {
	var text bytes.Buffer
	if page.Missed != nil {
		gap := events.New(events.Gap, "", "", page.Missed)
		gap.Source = "/events"
		raw, err := json.Marshal(gap)
		if err != nil {
			return err
		}
		t.format(&text, &events.Entry{Raw: raw, Type: events.Gap})
	}
	for i := range page.Entries {
		if e := &page.Entries[i]; t.q.wants(c, e) {
			t.format(&text, e)
			t.sent = e.Position
			if t.written++; t.written == t.q.limit {
				break
			}
		}
	}
	if err := t.send(text.Bytes()); err != nil {
		return err
	}
	if t.written == t.q.limit {
		return errEnough
	}
	return nil
}

// format writes one event with its position, which a gap has none of.
func (t *teller) format(text *bytes.Buffer, e *events.Entry) {
	line := e.Raw
	if e.Position != "" {
		line = slices.Concat(bytes.TrimSuffix(e.Raw, []byte("}")), fmt.Appendf(nil, `,"position":%q}`, e.Position))
	}
	if !t.q.stream {
		text.Write(append(line, '\n'))
		return
	}
	if e.Position != "" {
		fmt.Fprintf(text, "id: %s\n", e.Position)
	}
	fmt.Fprintf(text, "event: %s\ndata: %s\n\n", e.Type, line)
}

// beat shows that the answer goes on. Server-sent events also hear how far it has
// come, so that who saw nothing for long can resume from there.
func (t *teller) beat(position string) error {
	if !t.q.stream {
		return t.send([]byte("\n"))
	}
	text := ":\n\n"
	if position != t.sent && position != events.Start {
		t.sent = position
		text = "id: " + position + "\n\n"
	}
	return t.send([]byte(text))
}

// send writes what a client that is not too slow takes.
func (t *teller) send(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if !t.q.follow {
		return t.write(text)
	}
	return t.push(text)
}

// deadList is the answer to GET /v1/events/dead.
type deadList struct {
	Dead []events.Dead `json:"dead"`
}

func (h *Handler) dead(c *call) (int, any, error) {
	if h.cfg.DeadLetters == nil {
		return 0, nil, errNoWebhooks
	}
	limit, err := readLimit(c.query)
	if err != nil {
		return 0, nil, err
	}
	if limit == 0 {
		limit = defaultPage
	}
	dead, err := h.cfg.DeadLetters.Dead(c.Context(), limit)
	return http.StatusOK, deadList{dead}, err
}

// redelivered is the answer to a request to redeliver.
type redelivered struct {
	ID string `json:"id"`
}

func (h *Handler) redeliver(c *call) (int, any, error) {
	if h.cfg.DeadLetters == nil {
		return 0, nil, errNoWebhooks
	}
	id := c.PathValue("id")
	return http.StatusAccepted, redelivered{id}, h.cfg.DeadLetters.Redeliver(c.Context(), id)
}
