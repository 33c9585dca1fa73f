package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Endpoint is a webhook: where events are sent, and how. Zero fields have their
// defaults.
type Endpoint struct {
	// Name is what lists and metrics call it: a-z, 0-9 and -.
	Name string
	// URL is where it is; https, or also http with AllowPrivate.
	URL string
	// Secret signs what is sent (Standard Webhooks: "whsec_" and base64).
	// PreviousSecret signs it besides, while receivers change theirs; "" does not.
	Secret, PreviousSecret string
	// Types are those that are sent; empty sends all.
	Types []Type
	// AllowPrivate lets the URL lead to loopback, private and link-local addresses.
	AllowPrivate bool
	// Timeout is how long one try may take; 0 means 10 s.
	Timeout time.Duration
	// Tries is how often an event is sent before it is given up, and GiveUp for how
	// long; 0 means 15, and 24 h.
	Tries  int
	GiveUp time.Duration
	// Backoff is the wait after the first try, half of it by chance; it doubles with
	// each, up to MaxBackoff. 0 means 5 s, and 1 h.
	Backoff, MaxBackoff time.Duration
	// MaxPending is how many events wait for it at most; 0 means 100,000.
	MaxPending int
}

func (e *Endpoint) setDefaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&e.Timeout, 10*time.Second)
	set(&e.GiveUp, 24*time.Hour)
	set(&e.Backoff, 5*time.Second)
	set(&e.MaxBackoff, time.Hour)
	if e.Tries == 0 {
		e.Tries = 15
	}
	if e.MaxPending == 0 {
		e.MaxPending = 100_000
	}
}

// minSecret and maxSecret bound a secret in bytes (Standard Webhooks, "Signature
// scheme").
const minSecret, maxSecret = 24, 64

// CheckSecret says what is wrong with the text of a webhook's secret, and does not
// repeat it.
func CheckSecret(text string) error {
	key, err := secretBytes(text)
	if err != nil {
		return err
	}
	if n := len(key); n < minSecret || n > maxSecret {
		return fmt.Errorf("must be whsec_ and base64 of %d to %d bytes, got %d bytes", minSecret, maxSecret, n)
	}
	return nil
}

// signers are those of the secrets that there are.
func (e *Endpoint) signers() (all []*standardwebhooks.Webhook, err error) {
	for _, text := range []string{e.Secret, e.PreviousSecret} {
		if text == "" {
			continue
		}
		if err := CheckSecret(text); err != nil {
			return nil, fmt.Errorf("webhook %s: secret: %w", e.Name, err)
		}
		s, err := standardwebhooks.NewWebhook(text)
		if err != nil {
			return nil, fmt.Errorf("webhook %s: secret: %w", e.Name, errSecret)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("webhook %s: a secret is required", e.Name)
	}
	return all, nil
}

var errSecret = errors.New("must be whsec_ and base64")

// hookKeys are the names in Redis of what belongs to an endpoint.
type hookKeys struct{ queue, deliveries, pause string }

func keysOf(endpoint string) hookKeys {
	return hookKeys{"s3g:{hooks}:q:" + endpoint, "s3g:{hooks}:d:" + endpoint, "s3g:{hooks}:off:" + endpoint}
}

const (
	deadKey     = "s3g:{hooks}:dead"
	deadInfoKey = "s3g:{hooks}:was"
)

var (
	enqueueScript   = load("enqueue")
	claimScript     = load("claim")
	finishScript    = load("finish")
	redeliverScript = load("redeliver")
)

// Hooks sends events to webhooks. What is to be sent stands in Redis, where any
// gate takes it: a gate that dies loses nothing that its [Hook] has taken. Every
// event arrives at least once, in no particular order. It is safe for concurrent
// use.
type Hooks struct {
	// RDB is the Redis that gates share. Required.
	RDB redis.UniversalClient
	// MaxDead is how many deliveries that were given up are kept; 0 means 10,000.
	MaxDead int
	// Metrics counts. Required.
	Metrics *Metrics
	// Agent is the User-Agent of what is sent.
	Agent string
	// Logger hears of what is given up; nil discards.
	Logger *slog.Logger

	hooks []*Hook
}

// Hook is the queue of one endpoint. It is a [Sink], whose Write returns when the
// events stand in Redis.
type Hook struct {
	Endpoint
	hooks   *Hooks
	keys    hookKeys
	signers []*standardwebhooks.Webhook
	client  *http.Client
	more    chan struct{}
}

// Add adds an endpoint, before Run.
func (h *Hooks) Add(e Endpoint) (*Hook, error) {
	e.setDefaults()
	signers, err := e.signers()
	if err != nil {
		return nil, err
	}
	hook := &Hook{Endpoint: e, hooks: h, keys: keysOf(e.Name), signers: signers, client: newHookClient(&e), more: make(chan struct{}, 1)}
	h.hooks = append(h.hooks, hook)
	return hook, nil
}

// Name is "webhook-queue:" and the endpoint's name.
func (h *Hook) Name() string { return "webhook-queue:" + h.Endpoint.Name }

// sends is the name under which its deliveries are counted.
func (h *Hook) sends() string { return "webhook:" + h.Endpoint.Name }

// Wants takes the types of the endpoint.
func (h *Hook) Wants(t Type) bool { return len(h.Types) == 0 || slices.Contains(h.Types, t) }

// Write puts the batch into the queue in Redis. What finds that full is dropped
// and counted.
func (h *Hook) Write(ctx context.Context, batch []*Record) error {
	args := []any{h.MaxPending}
	for _, r := range batch {
		raw, _ := r.JSON() // the bus has tried
		args = append(args, r.ID, raw)
	}
	full, err := enqueueScript.Run(ctx, h.hooks.RDB, []string{h.keys.queue, h.keys.deliveries}, args...).Int()
	if err != nil {
		return fmt.Errorf("queueing for the webhook %s: %w", h.Endpoint.Name, err)
	}
	if full > 0 {
		h.hooks.Metrics.dropped.WithLabelValues(h.Name(), reasonFull).Add(float64(full))
	}
	select {
	case h.more <- struct{}{}:
	default:
	}
	return nil
}

// Close does nothing: what is in Redis stays there.
func (h *Hook) Close() error { return nil }
