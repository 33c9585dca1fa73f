package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"s3gate/events"
	"s3gate/revocation"
)

// follows reports whether the caller wants to hear of what changes, too.
func (c *call) follows() bool { return c.Method == http.MethodGet && wantsEvents(c.Header) }

// Stop ends the answers that go on, for a gate that shuts down. It may be called
// more than once.
func (h *Handler) Stop() { h.stopOnce.Do(func() { close(h.stopped) }) }

// push answers with what say makes of each look of a feed, until the caller goes or
// is too slow, or the gate stops. What is nil is not sent.
func push[T any](h *Handler, c *call, f *feed[T], name string, say func(T) (any, error)) error {
	select {
	case <-h.stopped:
		return events.ErrClosed
	default:
	}
	one, err := f.follow()
	if err != nil {
		return err
	}
	defer f.leave(one)
	p := newPusher(c.w)
	defer p.end()
	p.begin(eventStream, true)
	for err == nil {
		beat := time.NewTimer(max(0, heartbeat-time.Since(p.at)))
		select {
		case <-one.fresh:
			var data any
			if data, err = say(f.take(one)); data != nil {
				err = p.pushEvent(name, data)
			}
		case <-beat.C:
			err = p.push([]byte(":\n\n"))
		case <-c.Context().Done():
			err = c.Context().Err()
		case <-h.stopped:
			err = events.ErrClosed
		}
		beat.Stop()
	}
	return nil // the answer has begun
}

// pushEvent sends a server-sent event.
func (p *pusher) pushEvent(name string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return p.push(fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, text))
}

// moved is what changes of a transfer while it runs.
type moved struct {
	ID         string `json:"id"`
	Bytes      int64  `json:"bytes"`
	Size       int64  `json:"size,omitempty"`
	Committing bool   `json:"committing,omitempty"`
}

// transferChange is what has changed since the one before.
type transferChange struct {
	// At is when the gates were asked, by the clock of the one that tells.
	At    time.Time            `json:"at"`
	Began []revocation.Running `json:"began,omitempty"`
	Moved []moved              `json:"moved,omitempty"`
	Ended []string             `json:"ended,omitempty"`
	// Silent and Complete are those of transferList.
	Silent   []string `json:"silent,omitempty"`
	Complete bool     `json:"complete"`
}

// followTransfers tells what runs, and then what changes.
func (h *Handler) followTransfers(c *call) error {
	known, told := sight{}, map[string]moved{}
	return push(h, c, h.fleet, "transfers", func(all revocation.Overview) (any, error) {
		list, err := h.overview(c, all, known)
		if err != nil {
			return nil, nil // Redis may come back
		}
		return list.since(told), nil
	})
}

// since says what has changed, and brings what was told up to date.
func (l *transferList) since(told map[string]moved) transferChange {
	change := transferChange{At: time.Now().UTC(), Silent: l.Silent, Complete: l.Complete}
	run := make(map[string]struct{}, len(l.Transfers))
	for i := range l.Transfers {
		t := &l.Transfers[i]
		run[t.ID] = struct{}{}
		now := moved{t.ID, t.Bytes, t.Size, t.Committing}
		before, known := told[t.ID]
		switch {
		case !known:
			change.Began = append(change.Began, *t)
		case before != now:
			change.Moved = append(change.Moved, now)
		default:
			continue
		}
		told[t.ID] = now
	}
	for id := range told {
		if _, runs := run[id]; !runs {
			change.Ended = append(change.Ended, id)
			delete(told, id)
		}
	}
	slices.Sort(change.Ended)
	return change
}

// followGates tells all of the gates whenever something has changed.
func (h *Handler) followGates(c *call) error {
	var told []byte
	return push(h, c, h.members, "gates", func(all []revocation.GateStatus) (any, error) {
		text, err := json.Marshal(gateList{all})
		if err != nil || bytes.Equal(text, told) {
			return nil, err
		}
		told = text
		return json.RawMessage(text), nil
	})
}
