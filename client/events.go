package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Event is something that has happened: a CloudEvent.
type Event struct {
	ID      string    `json:"id"`
	Source  string    `json:"source"` // /gates/ and the gate's name
	Type    string    `json:"type"`   // such as s3gate.token.receipt.v1
	Time    time.Time `json:"time"`
	Subject string    `json:"subject,omitempty"` // the ID of a token
	// Data is an object that depends on Type.
	Data json.RawMessage `json:"data"`
	// Position is its place in the stream, after which to go on; a notice of a gap
	// has none.
	Position string `json:"position,omitempty"`
	// Raw is the whole event as it came.
	Raw json.RawMessage `json:"-"`
}

// GapEvent is the type of a notice that events are missing, which were dropped
// before they were asked for.
const GapEvent = "s3gate.events.gap.v1"

// EventQuery selects events. Zero fields select all.
type EventQuery struct {
	Type, Token, Request string
	// After is the position after which to begin, "now" for what is still to come;
	// "" is the oldest that there is.
	After  string
	Limit  int  // 0 means 1000, or no limit with Follow
	Follow bool // wait for more, until ctx is done
}

// maxEvent bounds one event, in bytes.
const maxEvent = 4 << 20

// Events calls each with every event, in order, until there are no more or each
// returns an error, which Events returns. An answer that breaks off is an error:
// go on after the last position.
func (c *Client) Events(ctx context.Context, q EventQuery, each func(Event) error) error {
	resp, err := c.openEvents(ctx, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue // a sign of life
		}
		e := Event{Raw: bytes.Clone(line)}
		if err := json.Unmarshal(e.Raw, &e); err != nil {
			return fmt.Errorf("reading events: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading events: %w", err)
	}
	return nil
}

func (c *Client) openEvents(ctx context.Context, q EventQuery) (*http.Response, error) {
	v := url.Values{}
	for name, value := range map[string]string{"type": q.Type, "token": q.Token, "request": q.Request, "after": q.After} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	unbounded := *c.HTTP
	if q.Follow {
		v.Set("follow", "true")
		unbounded.Timeout = 0
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/events?"+v.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("calling the API: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.bearer)
	resp, err := unbounded.Do(req)
	if err != nil {
		return nil, fmt.Errorf("calling the API: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		raw, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return nil, readError(resp, raw)
	}
	return resp, nil
}

// DeadEvent is a delivery to a webhook that was given up.
type DeadEvent struct {
	ID       string    `json:"id"`
	Endpoint string    `json:"endpoint"`
	Tries    int       `json:"tries"`
	Status   int       `json:"status,omitempty"` // of the last try, 0 for no answer
	Error    string    `json:"error"`
	At       time.Time `json:"at"`
	// Event is what was to be sent.
	Event json.RawMessage `json:"event"`
}

// DeadEvents returns the deliveries that were given up last, the latest first; a
// limit of 0 means the gate's default.
func (c *Client) DeadEvents(ctx context.Context, limit int) ([]DeadEvent, error) {
	path := "/v1/events/dead"
	if limit > 0 {
		path += "?limit=" + strconv.Itoa(limit)
	}
	list, err := do[struct {
		Dead []DeadEvent `json:"dead"`
	}](ctx, c, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return list.Dead, nil
}

// Redeliver has a delivery tried again that was given up.
func (c *Client) Redeliver(ctx context.Context, id string) error {
	_, err := do[struct{}](ctx, c, http.MethodPost, "/v1/events/dead/"+url.PathEscape(id)+"/redeliver", nil)
	return err
}
