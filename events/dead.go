package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrNoDead: there is no delivery of that ID that was given up.
var ErrNoDead = errors.New("no such dead delivery")

// Dead is a delivery that was given up.
type Dead struct {
	// ID names it: the endpoint's name, a dot, and the event's ID.
	ID string `json:"id"`
	// Endpoint is the webhook's name.
	Endpoint string `json:"endpoint"`
	// Tries were made, of which the last got Status, 0 for none; Error says what
	// was wrong.
	Tries  int    `json:"tries"`
	Status int    `json:"status,omitempty"`
	Error  string `json:"error"`
	// At is when it was given up, by Redis time.
	At time.Time `json:"at"`
	// Event is what was to be sent.
	Event json.RawMessage `json:"event"`
}

type deadInfo struct {
	Endpoint string `json:"endpoint"`
	Tries    int    `json:"tries"`
	Status   int    `json:"status,omitempty"`
	Error    string `json:"error"`
}

func deadName(endpoint, event string) string { return endpoint + "." + event }

// Dead returns up to most deliveries that were given up, the latest first.
func (h *Hooks) Dead(ctx context.Context, most int) ([]Dead, error) {
	names, err := h.RDB.ZRevRangeWithScores(ctx, deadKey, 0, int64(most)-1).Result()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStream, err)
	}
	all := []Dead{}
	if len(names) == 0 {
		return all, nil
	}
	var fields []string
	for _, n := range names {
		fields = append(fields, n.Member.(string), n.Member.(string)+":i")
	}
	values, err := h.RDB.HMGet(ctx, deadInfoKey, fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStream, err)
	}
	for i, n := range names {
		if d, ok := readDead(n, values[2*i:2*i+2]); ok {
			all = append(all, d)
		}
	}
	return all, nil
}

// readDead reads one; ok is false if it was taken up again in between.
func readDead(n redis.Z, values []any) (d Dead, ok bool) {
	event, ok1 := values[0].(string)
	text, ok2 := values[1].(string)
	var info deadInfo
	if !ok1 || !ok2 || json.Unmarshal([]byte(text), &info) != nil {
		return d, false
	}
	return Dead{
		ID: n.Member.(string), Endpoint: info.Endpoint, Tries: info.Tries, Status: info.Status, Error: info.Error,
		At: time.UnixMilli(int64(n.Score)).UTC(), Event: json.RawMessage(event),
	}, true
}

// Redeliver takes a delivery up again that was given up, with all its tries, and
// ends the pause of its endpoint. Errors: [ErrNoDead], also if no endpoint has the
// name any more.
func (h *Hooks) Redeliver(ctx context.Context, id string) error {
	endpoint, event, ok := strings.Cut(id, ".")
	var hook *Hook
	for _, known := range h.hooks {
		if known.Endpoint.Name == endpoint {
			hook = known
		}
	}
	if !ok || hook == nil {
		return ErrNoDead
	}
	k := hook.keys
	found, err := redeliverScript.Run(ctx, h.RDB, []string{deadKey, deadInfoKey, k.queue, k.deliveries, k.pause}, id, event).Int()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStream, err)
	}
	if found == 0 {
		return ErrNoDead
	}
	select {
	case hook.more <- struct{}{}:
	default:
	}
	return nil
}
