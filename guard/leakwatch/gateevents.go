package leakwatch

import (
	"container/list"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"s3gate/events"
)

// EventLog is what the gates tell; [events.Reader] is one.
type EventLog interface {
	// Read returns up to most events after a position.
	Read(ctx context.Context, after string, most int) (events.Page, error)
}

// GateEvents reads what the gates tell: a link that is used from many networks, and
// canary tokens that somebody has touched. Use one from one goroutine.
type GateEvents struct {
	// Log is the stream of events. Required.
	Log EventLog
	// Networks is from how many networks one link may be used within Window; 0
	// means 5 and an hour. How much gates keep of an address may be less than a
	// network: then nothing is found.
	Networks int
	Window   time.Duration
	// NoNetworks looks at canaries only.
	NoNetworks bool
	// Tokens is how many links are watched at a time, those that were used last; 0
	// means 100,000.
	Tokens int
	// Every is how long [GateEvents.Run] waits when there is nothing new; 0 means
	// 2 s.
	Every time.Duration

	after string
	uses  map[string]*list.Element // of [*used], by token
	order list.List                // the one that was used last in front
}

// used is where a link was used lately.
type used struct {
	token    string
	networks map[string]time.Time // when last
}

// eventsSource names the place in the stream.
const eventsSource = "events"

// Run reads until ctx is done.
func (e *GateEvents) Run(ctx context.Context, w *Watch) error {
	every := e.Every
	if every == 0 {
		every = 2 * time.Second
	}
	for ctx.Err() == nil {
		n, err := e.Once(ctx, w)
		if err != nil && ctx.Err() == nil {
			w.logger().Warn("reading events of the gates", "err", err)
		}
		if n == 0 || err != nil {
			pause(ctx, every)
		}
	}
	return ctx.Err()
}

// Once reads up to a thousand events and returns how many there were. At first it
// goes back by a window, since what was in memory is lost.
func (e *GateEvents) Once(ctx context.Context, w *Watch) (int, error) {
	first := e.after == ""
	if first {
		at, err := w.Store.Position(ctx, eventsSource)
		if err != nil {
			return 0, err
		}
		e.after, e.uses = before(at, e.window()), map[string]*list.Element{}
		e.order.Init()
	}
	page, err := e.Log.Read(ctx, e.after, 1000)
	if err != nil {
		return 0, fmt.Errorf("reading events of the gates: %w", err)
	}
	if page.Missed != nil && !first {
		w.logger().Warn("events of the gates were dropped before they were read", "after", page.Missed.After)
	}
	for _, entry := range page.Entries {
		if err := e.take(ctx, w, &entry); err != nil {
			e.after = "" // read again from what was saved
			return 0, err
		}
	}
	if page.Next == e.after && len(page.Entries) == 0 {
		return 0, nil
	}
	e.after = page.Next
	return len(page.Entries), w.Store.SavePosition(ctx, eventsSource, e.after)
}

func (e *GateEvents) window() time.Duration {
	if e.Window == 0 {
		return time.Hour
	}
	return e.Window
}

// before is a position so much earlier: positions begin with milliseconds.
func before(position string, d time.Duration) string {
	text, _, _ := strings.Cut(position, "-")
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms <= d.Milliseconds() {
		return events.Start
	}
	return fmt.Sprintf("%d-0", ms-d.Milliseconds())
}

// take looks at one event.
func (e *GateEvents) take(ctx context.Context, w *Watch, entry *events.Entry) error {
	if entry.Type != events.TokenRedeemed && entry.Type != events.TokenRefused {
		return nil
	}
	if entry.Type == events.TokenRedeemed && !e.shared(entry) {
		return nil
	}
	var event struct {
		ID   string
		Time time.Time
		Data events.Refused // what both have, and more
	}
	if json.Unmarshal(entry.Raw, &event) != nil {
		return nil // of a later version
	}
	d := &event.Data
	f := Finding{
		Outcome: Refused, Bucket: d.Bucket, Key: d.Key, Token: d.Token, Subject: d.Subject, Client: d.Client, Network: NetworkOf(d.Client),
		Method: d.Method, Status: d.Status, Code: d.Reason, Request: d.Request, Log: eventsSource,
		First: event.Time, Last: event.Time, Count: max(1, d.Count),
	}
	switch {
	case d.Canary:
		f.Kind = Canary
	case entry.Type == events.TokenRedeemed:
		f.Kind, f.Outcome, f.Network, f.Networks = Shared, Allowed, "", e.networks(f.Token)
	default:
		return nil
	}
	window := w.window()
	if f.Kind == Shared {
		window = e.window()
	}
	f.name(window)
	return w.report(ctx, f, event.ID)
}

// shared notes a use, and reports whether it is the first from one network more
// than there may be. There is one such event for each download, so it is not decoded.
func (e *GateEvents) shared(entry *events.Entry) bool {
	token, _ := entry.Text("token")
	client, _ := entry.Text("client")
	text, _ := entry.Text("time")
	at, err := time.Parse(time.RFC3339, text)
	network := NetworkOf(client)
	if e.NoNetworks || token == "" || network == "" || err != nil {
		return false
	}
	u := e.of(token)
	maps.DeleteFunc(u.networks, func(_ string, last time.Time) bool { return at.Sub(last) > e.window() })
	_, known := u.networks[network]
	most := e.Networks
	if most == 0 {
		most = 5
	}
	// Beyond twice as many it is known well enough.
	if known || len(u.networks) < 2*most+1 {
		u.networks[network] = at
	}
	return !known && len(u.networks) > most
}

// networks are those from which a token was used lately.
func (e *GateEvents) networks(token string) []string {
	return slices.Sorted(maps.Keys(e.of(token).networks))
}

// of returns what is known of a token, and forgets the one that was used longest
// ago where there are too many.
func (e *GateEvents) of(token string) *used {
	if at := e.uses[token]; at != nil {
		e.order.MoveToFront(at)
		return at.Value.(*used)
	}
	most := e.Tokens
	if most == 0 {
		most = 100_000
	}
	if len(e.uses) >= most {
		last := e.order.Back()
		delete(e.uses, e.order.Remove(last).(*used).token)
	}
	u := &used{token, map[string]time.Time{}}
	e.uses[token] = e.order.PushFront(u)
	return u
}
