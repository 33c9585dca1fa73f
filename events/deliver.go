package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// claimMost is how many deliveries to one endpoint a gate has under way.
	claimMost = 8
	// claimGrace is how long after its time-out a delivery is another gate's.
	claimGrace = 20 * time.Second
	// hookPoll is how often a gate looks for what others have left.
	hookPoll = 500 * time.Millisecond
	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 4 << 10
	// maxRetryAfter bounds how long an endpoint may put a delivery off.
	maxRetryAfter = 24 * time.Hour
	// gonePause is how long an endpoint is left alone that says it is gone.
	gonePause = time.Hour
)

// Run sends what is due, for all endpoints, until ctx is done; what is under way
// then is finished or tried again by another gate.
func (h *Hooks) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, hook := range h.hooks {
		running.Go(func() { hook.run(ctx) })
	}
	running.Wait()
}

func (h *Hook) run(ctx context.Context) {
	defer h.client.CloseIdleConnections()
	h.hooks.Metrics.add(h.sends())
	h.hooks.Metrics.dead.WithLabelValues(h.sends())
	for ctx.Err() == nil {
		due, waiting, err := h.claim(ctx)
		if err == nil {
			h.hooks.Metrics.pending(h.sends(), waiting)
		}
		var sending sync.WaitGroup
		for _, d := range due {
			sending.Go(func() { h.settle(ctx, d, h.send(ctx, d)) })
		}
		sending.Wait()
		if len(due) == claimMost {
			continue
		}
		select {
		case <-h.more:
		case <-time.After(hookPoll):
		case <-ctx.Done():
		}
	}
}

// delivery is an event that is due.
type delivery struct {
	id    string
	event []byte
	try   int
	age   time.Duration
}

func (h *Hook) claim(ctx context.Context) (due []delivery, waiting int, err error) {
	keys := []string{h.keys.queue, h.keys.deliveries, h.keys.pause}
	raw, err := claimScript.Run(ctx, h.hooks.RDB, keys, (h.Timeout + claimGrace).Milliseconds(), claimMost).Slice()
	if err != nil || len(raw) == 0 {
		return nil, 0, err
	}
	n, _ := raw[0].(int64)
	for _, item := range raw[1:] {
		fields, _ := item.([]any)
		if len(fields) != 4 {
			continue
		}
		id, _ := fields[0].(string)
		event, _ := fields[1].(string)
		try, _ := fields[2].(int64)
		age, _ := fields[3].(int64)
		due = append(due, delivery{id, []byte(event), int(try), time.Duration(age) * time.Millisecond})
	}
	return due, int(n), nil
}

// outcome is what an endpoint said.
type outcome struct {
	status int // 0 if it did not answer
	err    error
	retry  time.Duration // that it asked to wait
}

func (o outcome) ok() bool { return o.status/100 == 2 }

// text is for lists and logs: nothing that the endpoint has written.
func (o outcome) text() string {
	if o.err != nil {
		return o.err.Error()
	}
	return fmt.Sprintf("the endpoint answered %d", o.status)
}

// send makes one try. Whatever the endpoint answers but 2xx is a failure, and a
// redirect is not followed.
func (h *Hook) send(ctx context.Context, d delivery) outcome {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(d.event))
	if err != nil {
		return outcome{err: errors.New("the URL cannot be used")}
	}
	if err := h.sign(req, d); err != nil {
		return outcome{err: err}
	}
	resp, err := h.client.Do(req)
	if err != nil {
		var about *url.Error
		if errors.As(err, &about) {
			err = about.Err // without the URL, which may hold a secret
		}
		return outcome{err: err}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	resp.Body.Close()
	return outcome{status: resp.StatusCode, retry: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
}

// sign sets the headers, with a signature for each secret.
func (h *Hook) sign(req *http.Request, d delivery) error {
	now := time.Now()
	var signatures []string
	for _, s := range h.signers {
		text, err := s.Sign(d.id, now, d.event)
		if err != nil {
			return fmt.Errorf("signing: %w", err)
		}
		signatures = append(signatures, text)
	}
	req.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	req.Header.Set("User-Agent", h.hooks.Agent)
	req.Header.Set("Webhook-Id", d.id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", strings.Join(signatures, " "))
	return nil
}

// retryAfter reads the header (RFC 9110, section 10.2.3); 0 if it says nothing.
func retryAfter(text string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		wait = time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// settle notes what became of a try. If Redis cannot be told, the event is sent
// once more.
func (h *Hook) settle(ctx context.Context, d delivery, o outcome) {
	if ctx.Err() != nil && !o.ok() {
		return // it was broken off here; the next gate tries it when its time is over
	}
	m, name := h.hooks.Metrics, h.sends()
	what, wait, pause := "again", h.wait(d.try, o.retry), time.Duration(0)
	switch {
	case o.ok():
		what = "done"
		m.delivered.WithLabelValues(name).Inc()
		m.lag.WithLabelValues(name).Set(d.age.Seconds())
	case o.status == http.StatusGone:
		what, pause = "dead", gonePause
	case d.try >= h.Tries || d.age+wait > h.GiveUp:
		what = "dead"
	}
	if !o.ok() {
		m.failed.WithLabelValues(name).Inc()
	}
	h.finish(d, o, what, wait, pause)
}

// wait is how long it takes to the next try: exponential, half of it by chance,
// and no less than the endpoint has asked for.
func (h *Hook) wait(try int, asked time.Duration) time.Duration {
	wait := h.MaxBackoff
	if shift := try - 1; shift < 30 {
		wait = min(h.Backoff<<shift, h.MaxBackoff)
	}
	wait = wait/2 + rand.N(wait/2+1)
	return max(wait, asked)
}

// finish outlives the gate's stopping: what was delivered is to be noted.
func (h *Hook) finish(d delivery, o outcome, what string, wait, pause time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	info, _ := json.Marshal(deadInfo{Endpoint: h.Endpoint.Name, Tries: d.try, Status: o.status, Error: o.text()})
	most := h.hooks.MaxDead
	if most == 0 {
		most = 10_000
	}
	keys := []string{h.keys.queue, h.keys.deliveries, h.keys.pause, deadKey, deadInfoKey}
	forgotten, err := finishScript.Run(ctx, h.hooks.RDB, keys,
		d.id, what, wait.Milliseconds(), pause.Milliseconds(), deadName(h.Endpoint.Name, d.id), info, most).Int()
	if what == "dead" {
		h.hooks.Metrics.dead.WithLabelValues(h.sends()).Inc()
	}
	if forgotten > 0 {
		h.hooks.Metrics.dropped.WithLabelValues(h.sends(), "forgotten").Add(float64(forgotten))
	}
	if log := h.hooks.Logger; log != nil {
		if what == "dead" {
			log.Warn("a webhook was given up", "endpoint", h.Endpoint.Name, "event", d.id, "tries", d.try, "reason", o.text())
		}
		if err != nil {
			log.Warn("what became of a webhook is not noted; it will come again", "endpoint", h.Endpoint.Name, "event", d.id, "err", err)
		}
	}
}
