// Package config is the manual of s3gate's settings: one struct, whose
// comments say what each setting means, and one way to fill it.
//
// A setting comes from, in this order: a flag, the environment (S3GATE_ and
// the setting's path in upper case, dots as underscores), the YAML file, the
// default. Wherever a setting may stand, its name with _file at the end
// (_FILE in the environment) may stand instead, for a file that holds the
// value; one line end is cut off. A setting that does not exist is an error
// wherever it comes from. Durations are such as 90s, 1h30m or 30d.
package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"s3gate/auth"
)

// Config holds every setting of a gate.
type Config struct {
	// PublicURL begins links: https://files.example.com. Required.
	PublicURL string `koanf:"public_url"`
	// Contact tells people on pages whom to ask, such as a mail address.
	Contact string `koanf:"contact"`
	// Links is the listener that people reach.
	Links Listener `koanf:"links"`
	// API is the listener of the control plane. Keep it from the public.
	API API `koanf:"api"`
	// Ops serves /metrics; addr "" turns it off, and the API's address puts
	// it on the API's listener.
	Ops Ops `koanf:"ops"`
	// TrustedProxies are the networks of proxies in front of the link
	// listener, such as 10.0.0.0/8. Only what they report of a client's address
	// is believed. Default: none.
	TrustedProxies []string `koanf:"trusted_proxies"`
	// ClientHeader is where they report it: X-Forwarded-For or Forwarded.
	// Default X-Forwarded-For.
	ClientHeader string `koanf:"client_header"`
	// Guesses limits requests for tokens that do not exist.
	Guesses Guesses `koanf:"guesses"`
	// Passcode limits wrong passcodes.
	Passcode Passcode `koanf:"passcode"`
	// Redis holds tokens and their uses.
	Redis Redis `koanf:"redis"`
	// Buckets maps the aliases that callers use to buckets. Required.
	Buckets map[string]Bucket `koanf:"buckets"`
	// Tokens bounds what may be minted.
	Tokens Tokens `koanf:"tokens"`
	// Revocation says how gates agree on what was revoked.
	Revocation Revocation `koanf:"revocation"`
	// Upload bounds uploads through links.
	Upload Upload `koanf:"upload"`
	// Upstream bounds connections to S3.
	Upstream Upstream `koanf:"upstream"`
	// DrainTimeout is how long running transfers may go on after SIGTERM.
	// Default 30s.
	DrainTimeout time.Duration `koanf:"drain_timeout"`
	// Log says what is logged, to stderr.
	Log Log `koanf:"log"`
	// Audit says what is kept of each event.
	Audit Audit `koanf:"audit"`
	// Events says how events get to those who are told.
	Events Events `koanf:"events"`
	// Webhooks are endpoints that events are sent to, by name.
	Webhooks map[string]Webhook `koanf:"webhooks"`
	// SNS are topics for events, and for links, by the alias that callers use.
	SNS map[string]Topic `koanf:"sns"`
}

// Listener is an address and, for TLS, a certificate.
type Listener struct {
	// Addr is host:port. Default ":8080" for links.
	Addr string `koanf:"addr"`
	// Cert and Key are PEM files; both or none. With them the listener speaks
	// TLS with HTTP/1.1 and HTTP/2, without them plain HTTP/1.1.
	Cert string `koanf:"cert"`
	Key  string `koanf:"key"`
	// MaxHeader is the size of all request headers in bytes. Default 16384.
	MaxHeader int `koanf:"max_header"`
	// HeaderTimeout bounds the wait for a request's headers. Default 10s.
	HeaderTimeout time.Duration `koanf:"header_timeout"`
	// IdleTimeout bounds the wait for another request. Default 2m.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
}

// API is the control plane's listener and its callers.
type API struct {
	Listener `koanf:",squash"` // default addr 127.0.0.1:8090
	// MaxBody is the size of a request body in bytes. Default 65536.
	MaxBody int64 `koanf:"max_body"`
	// JWT says which bearer tokens are accepted.
	JWT JWT `koanf:"jwt"`
	// Issuers are identity providers whose tokens are accepted besides, and
	// what their claims are worth. They can only stand in the YAML file.
	Issuers []auth.Issuer `koanf:"issuers"`
}

// JWT says which bearer tokens are accepted.
type JWT struct {
	// HS256Key signs them: at least 32 bytes of text. Required, or issuers.
	HS256Key string `koanf:"hs256_key"`
	// PreviousHS256Key is still accepted, so that the key can be rotated.
	PreviousHS256Key string `koanf:"previous_hs256_key"`
	// Issuer and Audience must be in the token if they are set.
	Issuer   string `koanf:"issuer"`
	Audience string `koanf:"audience"`
	// Leeway is how far clocks may differ, at most 30s. Default 10s.
	Leeway time.Duration `koanf:"leeway"`
}

// Ops is the listener for operators.
type Ops struct {
	// Addr is host:port. Default 127.0.0.1:8091.
	Addr string `koanf:"addr"`
}

// Guesses limits how often one network, a /24 of IPv4 or a /64 of IPv6, may
// ask one gate for tokens that do not exist.
type Guesses struct {
	// Burst is how many at once. Default 60; 0 sets no limit.
	Burst int `koanf:"burst"`
	// PerSecond is how many after that. Default 1.
	PerSecond float64 `koanf:"per_second"`
}

// Passcode limits wrong passcodes of one token, over all gates.
type Passcode struct {
	// Tries is how many wrong ones are taken within Window. Default 10.
	Tries int `koanf:"tries"`
	// Window is how long a wrong one counts. Default 15m.
	Window time.Duration `koanf:"window"`
}

// Redis says how to reach Redis.
type Redis struct {
	// Addrs are host:port: one for a standalone server, the sentinels with
	// Master, or some nodes of a Cluster. Default 127.0.0.1:6379.
	Addrs []string `koanf:"addrs"`
	// Master is the name that the sentinels know the primary by.
	Master string `koanf:"master"`
	// Cluster says that Addrs belong to a Redis Cluster.
	Cluster bool `koanf:"cluster"`
	// Username and Password authenticate with the servers, and
	// SentinelUsername and SentinelPassword with the sentinels.
	Username         string `koanf:"username"`
	Password         string `koanf:"password"`
	SentinelUsername string `koanf:"sentinel_username"`
	SentinelPassword string `koanf:"sentinel_password"`
	// DB is the database's number, 0 to 15. Default 0.
	DB int `koanf:"db"`
	// TLS encrypts the connection and checks the server's certificate.
	TLS bool `koanf:"tls"`
	// Timeout bounds one command. Default 2s.
	Timeout time.Duration `koanf:"timeout"`
	// Replicas is how many replicas each primary should have. With Master and
	// Cluster it has to be said; else the default is 0.
	Replicas int `koanf:"replicas"`
	// MinAcks is how many of them must have acknowledged what must not be lost,
	// before it counts. Default: all.
	MinAcks int `koanf:"min_acks"`
	// AckTimeout is how long they may take. Default 1s.
	AckTimeout time.Duration `koanf:"ack_timeout"`
}

// Bucket is a bucket and how to reach it.
type Bucket struct {
	// Name is the bucket's real name. Default: the alias.
	Name string `koanf:"name"`
	// Region signs requests. Default: that of the AWS SDK's environment, or
	// us-east-1.
	Region string `koanf:"region"`
	// Endpoint is the URL of an S3-compatible store. Default: Amazon S3.
	Endpoint string `koanf:"endpoint"`
	// PathStyle puts the bucket's name into the path.
	PathStyle bool `koanf:"path_style"`
	// AccessKeyID and SecretAccessKey are static credentials. Default: the
	// AWS SDK's chain (environment, profile, container, instance role).
	AccessKeyID     string `koanf:"access_key_id"`
	SecretAccessKey string `koanf:"secret_access_key"`
	// Profile is a profile of the AWS SDK's shared configuration.
	Profile string `koanf:"profile"`
	// StorageClass is that of uploads whose grant names none. Default: the
	// store's.
	StorageClass string `koanf:"storage_class"`
	// SSE encrypts uploads: AES256, aws:kms or aws:kms:dsse. Default: as the
	// bucket is set up.
	SSE string `koanf:"sse"`
	// SSEKMSKeyID is the key for the latter two. Default: the account's.
	SSEKMSKeyID string `koanf:"sse_kms_key_id"`
	// SSEBucketKey asks for an S3 Bucket Key with aws:kms.
	SSEBucketKey bool `koanf:"sse_bucket_key"`
	// NoOverwrite is how an upload that may not replace an object doesn't: auto
	// tries once whether the store heeds If-None-Match, and refuses the upload
	// if not; trust does not try; check looks before the upload and right before
	// its end, between which there is a gap; refuse takes no such upload. Default
	// auto.
	NoOverwrite string `koanf:"no_overwrite"`
}

// Tokens bounds what may be minted.
type Tokens struct {
	// MaxLife is the longest life of a token. Default 3650d.
	MaxLife time.Duration `koanf:"max_life"`
	// MaxUses is the largest number of uses but 0, which means without limit.
	// Default 1000000.
	MaxUses int64 `koanf:"max_uses"`
	// MaxLabels is the number of labels of one token. Default 16.
	MaxLabels int `koanf:"max_labels"`
	// MaxText is the length of a subject, label or file name in bytes.
	// Default 255.
	MaxText int `koanf:"max_text"`
	// Retention is how long a token that has expired answers 410 and not 404.
	// Default 30d.
	Retention time.Duration `koanf:"retention"`
	// ReserveTimeout is how long a download may hold a use without charging
	// it, as one does whose gate has died; longer than S3 may take to answer.
	// Default 2m.
	ReserveTimeout time.Duration `koanf:"reserve_timeout"`
	// BusyWait is how long a request waits for a use that another request has
	// begun and not yet charged. Default 1s.
	BusyWait time.Duration `koanf:"busy_wait"`
	// Receipts is how many receipts of a token's uses are kept with it.
	// Default 100.
	Receipts int64 `koanf:"receipts"`
	// CacheEntries is how many grants of tokens without limit a gate keeps in
	// memory, so that requests for them do not ask Redis. Default 100000; 0
	// keeps none.
	CacheEntries int `koanf:"cache_entries"`
	// CacheBytes is how much memory they may take in bytes, where one takes 1
	// to 2 KiB. Default 67108864.
	CacheBytes int64 `koanf:"cache_bytes"`
	// CacheAge is how long after it was asked for a grant Redis is asked again.
	// Revocations do not wait for it. Default 1m.
	CacheAge time.Duration `koanf:"cache_age"`
}

// Revocation says how gates agree on what was revoked.
type Revocation struct {
	// Lease is how long a gate may serve after Redis has told it that it knows
	// everything: a revocation waits so long at most for a gate that is
	// silent. All gates on one Redis have the same. Default 1s.
	Lease time.Duration `koanf:"lease"`
	// StallTimeout is how long a transfer waits when the lease is lost, before
	// it is cut. Default 60s.
	StallTimeout time.Duration `koanf:"stall_timeout"`
}

// Upload bounds uploads through links.
type Upload struct {
	// IdleTimeout is how long a client may send nothing of its body. Default
	// 20s, after which S3 gives up too.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
	// MinRate is how many bytes a second a client must send of its body, on
	// average over IdleTimeout. Default 1024; 0 lets it be slow.
	MinRate int64 `koanf:"min_rate"`
	// SingleMax is the size in bytes of the largest upload of known length that
	// goes to S3 as one request; others go in parts. At most 5 GiB, which is
	// S3's limit and the default.
	SingleMax int64 `koanf:"single_max"`
	// Memory is how many bytes the parts of all uploads take at most. One part
	// is no larger, and an upload has 10,000 parts at most. Default 268435456.
	Memory int64 `koanf:"memory"`
	// PartSize is the size in bytes of the smallest part but the last, 5 MiB to
	// 5 GiB. Large uploads have larger ones. Default 8388608.
	PartSize int64 `koanf:"part_size"`
	// Concurrency is how many parts of one upload are sent at a time. Default
	// 4.
	Concurrency int `koanf:"concurrency"`
	// Tries is how often a part is sent until S3 takes it. Default 4.
	Tries int `koanf:"tries"`
	// Backoff is the wait before the second try, and doubles with each. Default
	// 200ms.
	Backoff time.Duration `koanf:"backoff"`
	// ResumeWindow is how long after it was last worked on an upload that can be
	// resumed is kept. Default 24h.
	ResumeWindow time.Duration `koanf:"resume_window"`
	// SweepAfter is how long after its gate was last heard of another gate ends
	// an upload. Default 15m.
	SweepAfter time.Duration `koanf:"sweep_after"`
	// TempPrefix begins the keys of objects that are the gate's own. Default
	// ".s3gate/".
	TempPrefix string `koanf:"temp_prefix"`
}

// maxTempPrefix leaves room in a key for what is put after it.
const maxTempPrefix = 512

func (u *Upload) validate(bad func(name, format string, args ...any)) {
	const least, most = 5 << 20, 5 << 30 // of a part, and of one request
	if u.SingleMax > most {
		bad("upload.single_max", "must be at most %d, got %d", int64(most), u.SingleMax)
	}
	if u.PartSize < least || u.PartSize > most {
		bad("upload.part_size", "must be %d to %d, got %d", int64(least), int64(most), u.PartSize)
	}
	if u.MinRate < 0 {
		bad("upload.min_rate", "must not be less than 0, got %d", u.MinRate)
	}
	if n := len(u.TempPrefix); n == 0 || n > maxTempPrefix || !utf8.ValidString(u.TempPrefix) {
		bad("upload.temp_prefix", "must be 1 to %d bytes of UTF-8, got %d bytes", maxTempPrefix, n)
	}
	if u.Memory < u.PartSize {
		bad("upload.memory", "must be at least upload.part_size, which is %d, got %d", u.PartSize, u.Memory)
	}
}

// Upstream bounds connections to S3.
type Upstream struct {
	// DialTimeout bounds connecting. Default 10s.
	DialTimeout time.Duration `koanf:"dial_timeout"`
	// ResponseTimeout bounds the wait for S3's answer. Default 60s.
	ResponseTimeout time.Duration `koanf:"response_timeout"`
	// MaxIdle is the number of idle connections kept. Default 256.
	MaxIdle int `koanf:"max_idle"`
}

// Log says what is logged.
type Log struct {
	// Level is debug, info, warn or error. Default info.
	Level string `koanf:"level"`
	// Format is json or text. Default json.
	Format string `koanf:"format"`
}

// Audit says what is kept of each event.
type Audit struct {
	// File gets a line of JSON for each event, - is stdout. Default: events go
	// to the log.
	File string `koanf:"file"`
	// ClientAddress is how much of a client's address is kept: full, prefix
	// (the /24 of IPv4, the /64 of IPv6) or none. Default full.
	ClientAddress string `koanf:"client_address"`
	// MaxBytes is the size in bytes, and MaxAge the age, at which another file is
	// begun; the one that is complete gets the time as an ending. Default 0: never.
	MaxBytes int64         `koanf:"max_bytes"`
	MaxAge   time.Duration `koanf:"max_age"`
	// Keep is how many of those are kept. Default 0: all.
	Keep int `koanf:"keep"`
	// Fsync waits for the disk after each batch of events: never or always. Default
	// never.
	Fsync string `koanf:"fsync"`
}

// Default returns the settings that nobody has changed. Limits that are zero
// here have their defaults where they apply.
func Default() *Config {
	c := &Config{
		Links:        Listener{Addr: ":8080"},
		API:          API{Listener: Listener{Addr: "127.0.0.1:8090"}, MaxBody: 64 << 10},
		Ops:          Ops{Addr: "127.0.0.1:8091"},
		ClientHeader: "X-Forwarded-For",
		Guesses:      Guesses{Burst: 60, PerSecond: 1},
		Passcode:     Passcode{Tries: 10, Window: 15 * time.Minute},
		Redis:        Redis{Addrs: []string{"127.0.0.1:6379"}, Timeout: 2 * time.Second, Replicas: -1, MinAcks: -1, AckTimeout: time.Second},
		Tokens: Tokens{
			MaxLife: 3650 * 24 * time.Hour, MaxUses: 1_000_000, MaxLabels: 16, MaxText: 255,
			Retention: 30 * 24 * time.Hour, BusyWait: time.Second, ReserveTimeout: 2 * time.Minute, Receipts: 100,
			CacheEntries: 100_000, CacheBytes: 64 << 20, CacheAge: time.Minute,
		},
		Revocation: Revocation{Lease: time.Second, StallTimeout: time.Minute},
		Upload: Upload{
			IdleTimeout: 20 * time.Second, MinRate: 1 << 10, SingleMax: 5 << 30, Memory: 256 << 20, PartSize: 8 << 20,
			Concurrency: 4, Tries: 4, Backoff: 200 * time.Millisecond,
			ResumeWindow: 24 * time.Hour, SweepAfter: 15 * time.Minute, TempPrefix: ".s3gate/",
		},
		Upstream:     Upstream{DialTimeout: 10 * time.Second, ResponseTimeout: time.Minute, MaxIdle: 256},
		DrainTimeout: 30 * time.Second,
		Log:          Log{Level: "info", Format: "json"},
		Audit:        Audit{ClientAddress: "full", Fsync: "never"},
		Events: Events{
			Queue: 10_000, Stream: EventStream{MaxLen: 100_000}, Followers: 100,
			RefusalWindow: 10 * time.Second, RefusalKinds: 100, MaxDead: 10_000,
		},
	}
	c.API.JWT.Leeway = 10 * time.Second
	for _, l := range []*Listener{&c.Links, &c.API.Listener} {
		l.MaxHeader, l.HeaderTimeout, l.IdleTimeout = 16<<10, 10*time.Second, 2*time.Minute
	}
	return c
}

var aliasForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Validate reports every setting that cannot work, by its name.
func (c *Config) Validate() error {
	var errs []error
	bad := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
	}
	if u, err := url.Parse(c.PublicURL); c.PublicURL == "" {
		bad("public_url", "is required, such as https://files.example.com")
	} else if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/") || u.Path != "" {
		bad("public_url", "must be a URL without path such as https://files.example.com, got %q", c.PublicURL)
	}
	c.Links.validate("links", bad)
	c.API.Listener.validate("api", bad)
	c.validateCallers(bad)
	c.Redis.validate(bad)
	if _, err := c.Proxies(); err != nil {
		bad("trusted_proxies", "%v", err)
	}
	if h := c.ClientHeader; !strings.EqualFold(h, "X-Forwarded-For") && !strings.EqualFold(h, "Forwarded") {
		bad("client_header", "must be X-Forwarded-For or Forwarded, got %q", h)
	}
	if g := c.Guesses; g.Burst < 0 || g.PerSecond < 0 {
		bad("guesses", "burst and per_second must not be less than 0")
	}
	if c.Tokens.CacheEntries < 0 {
		bad("tokens.cache_entries", "must not be less than 0")
	}
	c.Upload.validate(bad)
	if c.Upload.SweepAfter < c.Revocation.StallTimeout {
		// Its own gate could still go on with the upload.
		bad("upload.sweep_after", "must be at least revocation.stall_timeout, which is %s, got %s", c.Revocation.StallTimeout, c.Upload.SweepAfter)
	}
	c.validateBuckets(bad)
	c.validateEvents(bad)
	if c.Log.Format != "json" && c.Log.Format != "text" {
		bad("log.format", "must be json or text, got %q", c.Log.Format)
	}
	for name, n := range map[string]int64{
		"api.max_body": c.API.MaxBody, "tokens.max_uses": c.Tokens.MaxUses, "tokens.max_labels": int64(c.Tokens.MaxLabels),
		"tokens.max_text": int64(c.Tokens.MaxText), "tokens.max_life": int64(c.Tokens.MaxLife),
		"tokens.retention": int64(c.Tokens.Retention), "tokens.reserve_timeout": int64(c.Tokens.ReserveTimeout), "redis.timeout": int64(c.Redis.Timeout), "redis.ack_timeout": int64(c.Redis.AckTimeout), "tokens.receipts": c.Tokens.Receipts,
		"tokens.cache_bytes": c.Tokens.CacheBytes, "tokens.cache_age": int64(c.Tokens.CacheAge),
		"revocation.lease": int64(c.Revocation.Lease), "revocation.stall_timeout": int64(c.Revocation.StallTimeout),
		"passcode.tries": int64(c.Passcode.Tries), "passcode.window": int64(c.Passcode.Window),
		"upload.idle_timeout": int64(c.Upload.IdleTimeout), "upload.concurrency": int64(c.Upload.Concurrency),
		"upload.tries": int64(c.Upload.Tries), "upload.backoff": int64(c.Upload.Backoff), "upload.single_max": c.Upload.SingleMax,
		"upload.resume_window": int64(c.Upload.ResumeWindow), "upload.sweep_after": int64(c.Upload.SweepAfter),
		"upstream.dial_timeout":     int64(c.Upstream.DialTimeout),
		"upstream.response_timeout": int64(c.Upstream.ResponseTimeout), "upstream.max_idle": int64(c.Upstream.MaxIdle),
	} {
		if n <= 0 {
			bad(name, "must be more than 0")
		}
	}
	return errors.Join(errs...)
}

func (r *Redis) validate(bad func(name, format string, args ...any)) {
	if len(r.Addrs) == 0 {
		bad("redis.addrs", "is required")
	}
	if len(r.Addrs) > 1 && !r.Cluster && r.Master == "" {
		// The client would take them for a Cluster, of which nobody has said
		// what must be acknowledged.
		bad("redis.addrs", "several are sentinels, with redis.master, or nodes of a Cluster, with redis.cluster")
	}
	if r.Cluster && r.Master != "" {
		bad("redis.master", "and redis.cluster exclude each other")
	}
	if r.Replicas < 0 && (r.Cluster || r.Master != "") {
		bad("redis.replicas", "is required with sentinels and in a Cluster: how many replicas each primary has")
	}
	if n := r.ReplicaCount(); r.MinAcks > n {
		bad("redis.min_acks", "must not be more than redis.replicas, which is %d, got %d", n, r.MinAcks)
	}
	if r.Acks() > 0 && r.AckTimeout >= r.Timeout {
		bad("redis.ack_timeout", "must be less than redis.timeout, which is %s, got %s", r.Timeout, r.AckTimeout)
	}
}

// ReplicaCount is Replicas, or 0 where it was not said.
func (r *Redis) ReplicaCount() int { return max(r.Replicas, 0) }

// Acks is MinAcks, or all replicas where it was not said.
func (r *Redis) Acks() int {
	if r.MinAcks < 0 {
		return r.ReplicaCount()
	}
	return r.MinAcks
}

// Proxies returns TrustedProxies as networks. A single address is a network
// of its own.
func (c *Config) Proxies() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range c.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a network such as 10.0.0.0/8", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

func (l *Listener) validate(name string, bad func(name, format string, args ...any)) {
	if l.Addr == "" {
		bad(name+".addr", "is required")
	}
	if (l.Cert == "") != (l.Key == "") {
		bad(name+".cert", "and %s.key go together: set both or none", name)
	}
	if l.MaxHeader <= 0 || l.HeaderTimeout <= 0 || l.IdleTimeout <= 0 {
		bad(name, "max_header, header_timeout and idle_timeout must be more than 0")
	}
}

func (c *Config) validateBuckets(bad func(name, format string, args ...any)) {
	if len(c.Buckets) == 0 {
		bad("buckets", "is required: an alias and its bucket")
	}
	for alias, b := range c.Buckets {
		name := "buckets." + alias
		if !aliasForm.MatchString(alias) {
			bad(name, "an alias has 1 to 63 of a-z, 0-9 and -, and does not begin with -")
		}
		if (b.AccessKeyID == "") != (b.SecretAccessKey == "") {
			bad(name+".access_key_id", "and secret_access_key go together: set both or none")
		}
		if b.AccessKeyID != "" && b.Profile != "" {
			bad(name+".profile", "and access_key_id exclude each other")
		}
		b.validateUploads(name, bad)
	}
}

// classForm is that of S3's storage classes. Other stores have other ones.
var classForm = regexp.MustCompile(`^[A-Z][A-Z0-9_-]{0,63}$`)

func (b *Bucket) validateUploads(name string, bad func(name, format string, args ...any)) {
	if b.StorageClass != "" && !classForm.MatchString(b.StorageClass) {
		bad(name+".storage_class", "must be the name of a class such as STANDARD_IA, got %q", b.StorageClass)
	}
	kms := b.SSE == "aws:kms" || b.SSE == "aws:kms:dsse"
	if !kms && b.SSE != "" && b.SSE != "AES256" {
		bad(name+".sse", "must be AES256, aws:kms or aws:kms:dsse, got %q", b.SSE)
	}
	if b.SSEKMSKeyID != "" && !kms {
		bad(name+".sse_kms_key_id", "is for sse aws:kms or aws:kms:dsse only")
	}
	if strings.ContainsFunc(b.SSEKMSKeyID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		bad(name+".sse_kms_key_id", "must be printable ASCII without blanks")
	}
	if b.SSEBucketKey && b.SSE != "aws:kms" {
		bad(name+".sse_bucket_key", "is for sse aws:kms only")
	}
	switch b.NoOverwrite {
	case "", "auto", "trust", "check", "refuse":
	default:
		bad(name+".no_overwrite", "must be auto, trust, check or refuse, got %q", b.NoOverwrite)
	}
}
