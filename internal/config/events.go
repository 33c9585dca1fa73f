package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"s3gate/events"
)

// Events says how events get to those who are told.
type Events struct {
	// Queue is how many events wait in a gate's memory for one sink; more are
	// dropped and counted. Default 10000.
	Queue int `koanf:"queue"`
	// Stream is what the API reads.
	Stream EventStream `koanf:"stream"`
	// Followers is how many may follow the events of one gate at a time. Default
	// 100.
	Followers int `koanf:"followers"`
	// RefusalWindow is for how long refusals for one reason, of one token and from
	// one client are told together. Default 10s.
	RefusalWindow time.Duration `koanf:"refusal_window"`
	// RefusalKinds is how many kinds of them are told apart in that time. Default
	// 100.
	RefusalKinds int `koanf:"refusal_kinds"`
	// MaxDead is how many deliveries to webhooks that were given up are kept.
	// Default 10000.
	MaxDead int `koanf:"max_dead"`
}

// EventStream is the stream in Redis.
type EventStream struct {
	// MaxLen is about how many events it keeps, of all gates; 0 keeps no stream,
	// and then the API has no events. Default 100000.
	MaxLen int64 `koanf:"max_len"`
}

// Webhook is an endpoint that events are sent to.
type Webhook struct {
	// URL is where it is: https, or also http with allow_private. Required.
	URL string `koanf:"url"`
	// Secret signs what is sent: whsec_ and base64 of 24 to 64 bytes. Required.
	Secret string `koanf:"secret" secret:"true"`
	// PreviousSecret signs it besides, so that the secret can be rotated.
	PreviousSecret string `koanf:"previous_secret" secret:"true"`
	// Types are those of the events that are sent, * for all. Default: all.
	Types []string `koanf:"types"`
	// AllowPrivate lets the URL lead to addresses that are not public.
	AllowPrivate bool `koanf:"allow_private"`
	// Timeout bounds one try. Default: 10s.
	Timeout time.Duration `koanf:"timeout"`
	// Tries is how often an event is sent before it is given up. Default: 15.
	Tries int `koanf:"tries"`
	// GiveUpAfter is for how long it is tried. Default: 24h.
	GiveUpAfter time.Duration `koanf:"give_up_after"`
	// Backoff is the wait before the second try; it doubles with each. Default: 5s.
	Backoff time.Duration `koanf:"backoff"`
	// MaxBackoff is the longest wait. Default: 1h.
	MaxBackoff time.Duration `koanf:"max_backoff"`
	// MaxPending is how many events wait for it in Redis at most. Default: 100000.
	MaxPending int `koanf:"max_pending"`
}

// Topic is a topic of Amazon SNS.
type Topic struct {
	// ARN is its name. Required.
	ARN string `koanf:"arn"`
	// Region signs requests. Default: that in the ARN.
	Region string `koanf:"region"`
	// Endpoint is the URL of a service that speaks like SNS. Default: Amazon SNS.
	Endpoint string `koanf:"endpoint"`
	// AccessKeyID is that of static credentials. Default: the AWS SDK's chain
	// (environment, profile, container, instance role).
	AccessKeyID string `koanf:"access_key_id"`
	// SecretAccessKey goes with it.
	SecretAccessKey string `koanf:"secret_access_key" secret:"true"`
	// Profile is a profile of the AWS SDK's shared configuration.
	Profile string `koanf:"profile"`
	// Types are those of the events that are published, * for all. Default: none.
	Types []string `koanf:"types"`
	// Notify lets whoever may mint have links sent through it. Who subscribes to it
	// can use them.
	Notify bool `koanf:"notify"`
}

// everyType stands for all types of events.
const everyType = "*"

// EventTypes reads a list of types. All is true if it holds "*".
func EventTypes(list []string) (types []events.Type, all bool) {
	for _, text := range list {
		types = append(types, events.Type(text))
	}
	return types, slices.Contains(list, everyType)
}

func checkTypes(list []string, name string, bad func(name, format string, args ...any)) {
	for _, text := range list {
		if text != everyType && !slices.Contains(events.Types(), events.Type(text)) {
			bad(name+".types", "must be types of events, or *, got %q", text)
		}
	}
}

func (c *Config) validateEvents(bad func(name, format string, args ...any)) {
	for name, n := range map[string]int64{
		"events.queue": int64(c.Events.Queue), "events.followers": int64(c.Events.Followers),
		"events.refusal_window": int64(c.Events.RefusalWindow), "events.refusal_kinds": int64(c.Events.RefusalKinds), "events.max_dead": int64(c.Events.MaxDead),
	} {
		if n <= 0 {
			bad(name, "must be more than 0, got %d", n)
		}
	}
	if n := c.Events.Stream.MaxLen; n < 0 {
		bad("events.stream.max_len", "must not be less than 0, got %d", n)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Webhooks)) {
		w := c.Webhooks[name]
		w.validate("webhooks."+name, bad)
		checkAlias("webhooks."+name, name, bad)
	}
	for _, alias := range slices.Sorted(maps.Keys(c.SNS)) {
		t := c.SNS[alias]
		t.validate("sns."+alias, bad)
		checkAlias("sns."+alias, alias, bad)
	}
	c.Audit.validate(bad)
	for i, issuer := range c.API.Issuers {
		for r, rule := range issuer.Rules {
			for _, alias := range rule.Allow.Notify {
				if !c.SNS[alias].Notify {
					bad(fmt.Sprintf("api.issuers[%d].rules[%d].allow.notify", i, r), "%q is not an alias in sns with notify", alias)
				}
			}
		}
	}
}

func checkAlias(name, alias string, bad func(name, format string, args ...any)) {
	if !aliasForm.MatchString(alias) {
		bad(name, "an alias has 1 to 63 of a-z, 0-9 and -, and does not begin with -")
	}
}

func (w *Webhook) validate(name string, bad func(name, format string, args ...any)) {
	u, err := url.Parse(w.URL)
	switch {
	case w.URL == "":
		bad(name+".url", "is required")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		bad(name+".url", "must be a URL such as https://hooks.example.com/s3gate")
	case u.Scheme == "http" && !w.AllowPrivate:
		bad(name+".url", "must be https; http is for private addresses, with allow_private")
	case u.User != nil:
		bad(name+".url", "must not hold a password")
	}
	if w.Secret == "" {
		bad(name+".secret", "is required")
	}
	for field, secret := range map[string]string{".secret": w.Secret, ".previous_secret": w.PreviousSecret} {
		if secret == "" {
			continue
		}
		if err := events.CheckSecret(secret); err != nil {
			bad(name+field, "%v", err)
		}
	}
	for field, n := range map[string]int64{
		".timeout": int64(w.Timeout), ".tries": int64(w.Tries), ".give_up_after": int64(w.GiveUpAfter), ".backoff": int64(w.Backoff),
		".max_backoff": int64(w.MaxBackoff), ".max_pending": int64(w.MaxPending),
	} {
		if n < 0 {
			bad(name+field, "must not be less than 0, got %d", n)
		}
	}
	checkTypes(w.Types, name, bad)
}

func (t *Topic) validate(name string, bad func(name, format string, args ...any)) {
	parts := strings.SplitN(t.ARN, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sns" || parts[3] == "" || parts[5] == "" {
		bad(name+".arn", "must be that of a topic such as arn:aws:sns:eu-central-1:123456789012:links, got %q", t.ARN)
	}
	if (t.AccessKeyID == "") != (t.SecretAccessKey == "") {
		bad(name+".access_key_id", "and secret_access_key go together: set both or none")
	}
	if t.AccessKeyID != "" && t.Profile != "" {
		bad(name+".profile", "and access_key_id exclude each other")
	}
	if len(t.Types) == 0 && !t.Notify {
		bad(name+".types", "or notify is required: the topic would get nothing")
	}
	checkTypes(t.Types, name, bad)
}

// SigningRegion is Region, or that in the ARN.
func (t *Topic) SigningRegion() string {
	if parts := strings.SplitN(t.ARN, ":", 6); t.Region == "" && len(parts) == 6 {
		return parts[3]
	}
	return t.Region
}

func (a *Audit) validate(bad func(name, format string, args ...any)) {
	if a.ClientAddress != "full" && a.ClientAddress != "prefix" && a.ClientAddress != "none" {
		bad("audit.client_address", "must be full, prefix or none, got %q", a.ClientAddress)
	}
	if a.Fsync != "never" && a.Fsync != "always" {
		bad("audit.fsync", "must be never or always, got %q", a.Fsync)
	}
	if a.MaxBytes < 0 || a.MaxAge < 0 || a.Keep < 0 {
		bad("audit.max_bytes", "max_age and keep must not be less than 0")
	}
}
