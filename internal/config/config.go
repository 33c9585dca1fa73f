// Package config is the manual of s3gate's settings: one struct, whose
// comments say what each setting means, and one way to fill it. The table in
// docs/config.md is made of these comments: there the name of the field is left
// out, and a sentence at the end that begins with "Default" or "Required" is
// the column of defaults.
//
// Of the tags of a field, koanf is the setting's name, secret says that nobody
// may be shown its value, and reload that it can change while a gate runs; both
// hold for everything below the field.
//
// A setting comes from, in this order: a flag, the environment (S3GATE_ and
// the setting's path in upper case, dots as underscores), the YAML file, the
// default. Wherever a setting may stand, its name with _file at the end
// (_FILE in the environment) may stand instead, for a file that holds the
// value; one line end is cut off. A setting that does not exist is an error
// wherever it comes from. Durations are such as 90s, 1h30m or 30d.
package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"s3gate/auth"
)

// Config holds every setting of a gate.
type Config struct {
	// PublicURL is what links begin with, such as https://files.example.com.
	// Required.
	PublicURL string `koanf:"public_url"`
	// Contact tells people on pages whom to ask, such as a mail address.
	Contact string `koanf:"contact" reload:"true"`
	// Brand says whose pages people see.
	Brand Brand `koanf:"brand" reload:"true"`
	// Links is the listener that people reach.
	Links Listener `koanf:"links"`
	// API is the listener of the control plane. Keep it from the public.
	API API `koanf:"api"`
	// TLS says how listeners with a certificate speak.
	TLS TLS `koanf:"tls"`
	// ACME says where they get one from, unless it is in files.
	ACME ACME `koanf:"acme"`
	// Ops serves /metrics; addr "" turns it off, and the API's address puts
	// it on the API's listener.
	Ops Ops `koanf:"ops"`
	// TrustedProxies are the networks of proxies in front of the link
	// listener, such as 10.0.0.0/8. Only what they report of a client's address
	// is believed. Default: none.
	TrustedProxies []string `koanf:"trusted_proxies" reload:"true"`
	// ClientHeader is where they report it: X-Forwarded-For, Forwarded or
	// CloudFront-Viewer-Address; the others are ignored. Default X-Forwarded-For.
	ClientHeader string `koanf:"client_header" reload:"true"`
	// Origin is a secret that a CDN or proxy in front of the link listener sends.
	Origin Origin `koanf:"origin" reload:"true"`
	// Guesses limits requests for tokens that do not exist.
	Guesses Guesses `koanf:"guesses" reload:"true"`
	// Passcode limits wrong passcodes.
	Passcode Passcode `koanf:"passcode" reload:"true"`
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
	// Download bounds downloads through links.
	Download Download `koanf:"download"`
	// Upstream bounds connections to S3.
	Upstream Upstream `koanf:"upstream"`
	// DrainDelay is how long after SIGTERM everything still works but /readyz, so
	// that those who ask it stop sending requests here before the listeners close;
	// see docs/drain.md. Default 0s.
	DrainDelay time.Duration `koanf:"drain_delay" reload:"true"`
	// DrainTimeout is how long running transfers may go on after that.
	// Default 30s.
	DrainTimeout time.Duration `koanf:"drain_timeout" reload:"true"`
	// Log says what is logged, to stderr.
	Log Log `koanf:"log"`
	// AccessLog says where each link request gets a line.
	AccessLog AccessLog `koanf:"access_log"`
	// Audit says what is kept of each event.
	Audit Audit `koanf:"audit"`
	// Events says how events get to those who are told.
	Events Events `koanf:"events"`
	// Webhooks are endpoints that events are sent to, by name.
	Webhooks map[string]Webhook `koanf:"webhooks"`
	// Guard says how gates watch over their buckets.
	Guard Guard `koanf:"guard"`
	// SNS are topics for events, and for links, by the alias that callers use.
	SNS map[string]Topic `koanf:"sns"`
}

// Listener is an address and, for TLS, a certificate.
type Listener struct {
	// Addr is host:port. Default: :8080 for links, 127.0.0.1:8090 for the API.
	Addr string `koanf:"addr"`
	// Cert is a PEM file with the certificate and its chain. With it and its key
	// the listener speaks TLS with HTTP/1.1 and HTTP/2, without them plain
	// HTTP/1.1. Both are read again when they change; from plain to TLS needs a
	// restart.
	Cert string `koanf:"cert" reload:"true"`
	// Key is a PEM file with the certificate's key.
	Key string `koanf:"key" reload:"true"`
	// ACME gets the certificate from a certificate authority instead, as the
	// settings below acme say. Default false.
	ACME bool `koanf:"acme"`
	// H2C also speaks HTTP/2 without TLS, to a proxy in front that is told to do
	// so from the beginning (prior knowledge). Default false.
	H2C bool `koanf:"h2c"`
	// MaxHeader is the size of all request headers in bytes; more is 431.
	// Default 16384.
	MaxHeader int `koanf:"max_header"`
	// HeaderTimeout is how long to wait for a request's headers. Default 10s.
	HeaderTimeout time.Duration `koanf:"header_timeout"`
	// IdleTimeout is how long to wait for another request. Default 2m.
	IdleTimeout time.Duration `koanf:"idle_timeout"`

	ConnectionLimits `koanf:",squash"`
}

// API is the control plane's listener and its callers.
type API struct {
	Listener `koanf:",squash"` // default addr 127.0.0.1:8090
	// ClientCA is a PEM file with the authorities whose certificates callers
	// present, besides their JWT. Default: callers present none.
	ClientCA string `koanf:"client_ca" reload:"true"`
	// ClientAuth says who must present one, where api.client_ca is set: require,
	// everybody, or there is no connection; require-but-health, everybody who asks
	// for more than /healthz and /readyz; verify-if-given, nobody, but one that is
	// presented must be good. Default require.
	ClientAuth string `koanf:"client_auth" reload:"true"`
	// MaxBody is the size of a request body in bytes; more is 413. Default
	// 65536.
	MaxBody int64 `koanf:"max_body"`
	// CORSOrigins are web origins whose pages may call the API from a browser
	// with a JWT of theirs, exactly as browsers send them:
	// https://app.example.com, http://localhost:5173. Default: none.
	CORSOrigins []string `koanf:"cors_origins"`
	// BodyTimeout is how long a request body may take to come. Default 30s.
	BodyTimeout time.Duration `koanf:"body_timeout" reload:"true"`
	// WriteTimeout is how long a client may take nothing of an answer. Default 30s.
	WriteTimeout time.Duration `koanf:"write_timeout" reload:"true"`
	// MaxBatch is how many tokens one request may mint. Default 1000.
	MaxBatch int `koanf:"max_batch"`
	// MaxBatchBody is the size of its body in bytes; more is 413. Default
	// 4194304.
	MaxBatchBody int64 `koanf:"max_batch_body"`
	// IdempotencyWindow is how long a request with an Idempotency-Key is
	// remembered. Default 1d.
	IdempotencyWindow time.Duration `koanf:"idempotency_window"`
	// Limits bound what one caller may mint.
	Limits MintLimits `koanf:"limits" reload:"true"`
	// Console serves the page for operators at /console, for callers of the API.
	// Default true.
	Console bool `koanf:"console"`
	// Profiles serves profiles of the process below /debug/pprof/ to callers who are
	// administrators. Default true.
	Profiles bool `koanf:"profiles" reload:"true"`
	// ConsoleSession is how long somebody who has signed in there may go on, but
	// never longer than their JWT. Default 8h.
	ConsoleSession time.Duration `koanf:"console_session"`
	// JWT says which bearer tokens are accepted.
	JWT JWT `koanf:"jwt" reload:"true"`
	// Issuers are identity providers whose JWTs are accepted besides, and what
	// they are worth: a list, which can only stand in the YAML file. Default:
	// none.
	Issuers []auth.Issuer `koanf:"issuers" reload:"true"`
}

// MintLimits bound what one caller, which is iss and sub of a JWT, may mint.
// Administrators are callers too.
type MintLimits struct {
	// MintRate is how many tokens a second one caller may mint through one gate,
	// 0.001 to 1000000; more is 429. 0 sets no limit. Default 0.
	MintRate float64 `koanf:"mint_rate"`
	// MintBurst is how many of them at once, 1 to 1000000, and so the most that
	// one batch may hold where there is a rate. Default 100.
	MintBurst int `koanf:"mint_burst"`
	// OpenPerCaller is how many open tokens one caller may have, over all gates:
	// those not used up, revoked or expired; more is 429. 0 sets no limit, and
	// tokens that are minted meanwhile never count. Default 0.
	OpenPerCaller int64 `koanf:"open_per_caller"`
	// OpenPerSubject is the same for the tokens of one subject that callers of one
	// issuer have minted. Default 0.
	OpenPerSubject int64 `koanf:"open_per_subject"`
}

func (l *MintLimits) validate(bad func(name, format string, args ...any)) {
	const least, most = 0.001, 1_000_000
	if r := l.MintRate; r != 0 && !(r >= least && r <= most) { // nor NaN
		bad("api.limits.mint_rate", "must be 0 or %g to %d, got %g", least, most, r)
	}
	if l.MintBurst < 1 || l.MintBurst > most {
		bad("api.limits.mint_burst", "must be 1 to %d, got %d", most, l.MintBurst)
	}
	if l.OpenPerCaller < 0 {
		bad("api.limits.open_per_caller", "must not be less than 0, got %d", l.OpenPerCaller)
	}
	if l.OpenPerSubject < 0 {
		bad("api.limits.open_per_subject", "must not be less than 0, got %d", l.OpenPerSubject)
	}
}

// JWT says which bearer tokens are accepted.
type JWT struct {
	// HS256Key is what signs bearer JWTs: at least 32 bytes of text. Required,
	// or api.issuers.
	HS256Key string `koanf:"hs256_key" secret:"true"`
	// PreviousHS256Key is a key that is still accepted, so that the key can be
	// rotated.
	PreviousHS256Key string `koanf:"previous_hs256_key" secret:"true"`
	// Issuer is what iss must be in the JWT, if it is set.
	Issuer string `koanf:"issuer"`
	// Audience is what aud must have in the JWT, if it is set.
	Audience string `koanf:"audience"`
	// Leeway is how far clocks may differ, at most 30s. Default 10s.
	Leeway time.Duration `koanf:"leeway"`
}

// Ops is the listener for operators.
type Ops struct {
	// Addr is host:port for /metrics, and profiles below /debug/pprof/; empty turns
	// it off, and the API's address puts the metrics there. Default 127.0.0.1:8091.
	Addr string `koanf:"addr"`
	// ProfileLimit is the longest time that a profile, or a trace of the Go runtime,
	// may take, there and on the API's listener, 1s to 10m. Default 1m.
	ProfileLimit time.Duration `koanf:"profile_limit" reload:"true"`
	// BlockProfileRate is how many nanoseconds of waiting there are between two samples
	// of the profile "block"; 0 takes none. It costs some speed. Default 0.
	BlockProfileRate int `koanf:"block_profile_rate" reload:"true"`
	// MutexProfileFraction is of how many waits for a mutex one is in the profile
	// "mutex"; 0 takes none. Default 0.
	MutexProfileFraction int `koanf:"mutex_profile_fraction" reload:"true"`
}

func (o *Ops) validate(bad func(name, format string, args ...any)) {
	const least, most = time.Second, 10 * time.Minute
	if o.ProfileLimit < least || o.ProfileLimit > most {
		bad("ops.profile_limit", "must be %s to %s, got %s", least, most, o.ProfileLimit)
	}
	if o.BlockProfileRate < 0 {
		bad("ops.block_profile_rate", "must not be less than 0, got %d", o.BlockProfileRate)
	}
	if o.MutexProfileFraction < 0 {
		bad("ops.mutex_profile_fraction", "must not be less than 0, got %d", o.MutexProfileFraction)
	}
}

// Guesses limits how often one network, a /24 of IPv4 or a /64 of IPv6, may
// ask one gate for tokens that do not exist.
type Guesses struct {
	// Burst is how many tokens that do not exist one network (/24, /64) may ask
	// one gate for at once; 0 sets no limit. Default 60.
	Burst int `koanf:"burst"`
	// PerSecond is how many after that; more is 429. Default 1.
	PerSecond float64 `koanf:"per_second"`
}

// Passcode limits wrong passcodes of one token, over all gates.
type Passcode struct {
	// Tries is how many wrong passcodes one token takes within the window, over
	// all gates; then 429. Default 10.
	Tries int `koanf:"tries"`
	// Window is how long a wrong passcode counts. Default 15m.
	Window time.Duration `koanf:"window"`
}

// Redis says how to reach Redis.
type Redis struct {
	// Addrs are host:port: one server, or with redis.master the sentinels, or
	// with redis.cluster some nodes of a Cluster. Default 127.0.0.1:6379.
	Addrs []string `koanf:"addrs"`
	// Master is the name that the sentinels know the primary by.
	Master string `koanf:"master"`
	// Cluster says that the addresses belong to a Redis Cluster. Default false.
	Cluster bool `koanf:"cluster"`
	// Username is who to be for the servers.
	Username string `koanf:"username"`
	// Password goes with it.
	Password string `koanf:"password" secret:"true"`
	// SentinelUsername is who to be for the sentinels.
	SentinelUsername string `koanf:"sentinel_username"`
	// SentinelPassword goes with it.
	SentinelPassword string `koanf:"sentinel_password" secret:"true"`
	// DB is the database's number, 0 to 15. Default 0.
	DB int `koanf:"db"`
	// TLS encrypts the connection and checks the server's certificate. Default
	// false.
	TLS bool `koanf:"tls"`
	// Timeout is how long one command may take. Default 2s.
	Timeout time.Duration `koanf:"timeout"`
	// Replicas is how many replicas each primary should have; has to be said with
	// sentinels and in a Cluster. Default: 0.
	Replicas int `koanf:"replicas"`
	// MinAcks is how many of them must have acknowledged what must not be lost,
	// before it counts; see docs/durability.md. Default: all.
	MinAcks int `koanf:"min_acks"`
	// AckTimeout is how long they may take; less than redis.timeout. Default 1s.
	AckTimeout time.Duration `koanf:"ack_timeout"`
}

// Bucket is a bucket and how to reach it.
type Bucket struct {
	// Name is the bucket's real name; the alias is what callers use. Default:
	// the alias.
	Name string `koanf:"name"`
	// Region is what requests are signed for. Default: the AWS SDK's, or
	// us-east-1.
	Region string `koanf:"region"`
	// Endpoint is the URL of an S3-compatible store. Default: Amazon S3.
	Endpoint string `koanf:"endpoint"`
	// PathStyle puts the bucket's name into the path. Default false.
	PathStyle bool `koanf:"path_style"`
	// AccessKeyID is that of static credentials. Default: the AWS SDK's chain
	// (environment, profile, container, instance role).
	AccessKeyID string `koanf:"access_key_id"`
	// SecretAccessKey goes with it.
	SecretAccessKey string `koanf:"secret_access_key" secret:"true"`
	// Profile is a profile of the AWS SDK's shared configuration.
	Profile string `koanf:"profile"`
	// Signing is how the gate signs: header, in the Authorization header of each
	// request; or query, in its URL, which is good for a minute and goes only from
	// the gate to the store; see The bucket lock. Default: header.
	Signing string `koanf:"signing"`
	// Brand says whose pages people see at links into this bucket, where that is not
	// the same for all.
	Brand Brand `koanf:"brand" reload:"true"`
	// Principal is the ARN of the role or user that the gate's credentials belong
	// to, such as arn:aws:iam::123456789012:role/s3gate; for "s3gate bucket".
	Principal string `koanf:"principal"`
	// AssumeRole exchanges the credentials for those of a role.
	AssumeRole AssumeRole `koanf:"assume_role"`
	// Verify tries every guard.verify_interval whether the bucket still refuses
	// presigned URLs. Default: true.
	Verify bool `koanf:"verify"`
	// VerifyPrefix is what the locked keys begin with, where "s3gate bucket lock
	// --prefix" has locked a part of the bucket. Default: all of it is.
	VerifyPrefix string `koanf:"verify_prefix"`
	// VerifyKey is an object that is there, for a gate that may not write: it is only
	// read, and of writing nothing is proven. The leak watch knows its own tries by
	// principal, assume_role.role_arn or access_key_id. Default: an object below
	// .s3gate-canary/ is stored and deleted.
	VerifyKey string `koanf:"verify_key"`
	// StorageClass is that of uploads whose token names none, such as
	// STANDARD_IA. Default: the store's.
	StorageClass string `koanf:"storage_class"`
	// SSE is how uploads are encrypted: AES256, aws:kms or aws:kms:dsse.
	// Default: as the bucket is set up.
	SSE string `koanf:"sse"`
	// SSEKMSKeyID is the key for the latter two. Default: the account's.
	SSEKMSKeyID string `koanf:"sse_kms_key_id"`
	// SSEBucketKey asks for an S3 Bucket Key, with aws:kms. Default false.
	SSEBucketKey bool `koanf:"sse_bucket_key"`
	// NoOverwrite is how an upload that may not replace an object doesn't: auto
	// tries once whether the store heeds If-None-Match, and refuses the upload
	// if not; trust does not try; check looks before the upload and right before
	// its end, between which there is a gap; refuse takes no such upload; see
	// Stores that ignore conditions. Default: auto.
	NoOverwrite string `koanf:"no_overwrite"`
}

// Tokens bounds what may be minted.
type Tokens struct {
	// MaxLife is the longest life of a token. Default 3650d.
	MaxLife time.Duration `koanf:"max_life" reload:"true"`
	// MaxUses is the largest number of uses but 0, which means without limit.
	// Default 1000000.
	MaxUses int64 `koanf:"max_uses" reload:"true"`
	// MaxLabels is the number of labels of one token, and of media types of one
	// upload. Default 16.
	MaxLabels int `koanf:"max_labels" reload:"true"`
	// MaxText is the length of a subject, label, file name or media type in
	// bytes. Default 255.
	MaxText int `koanf:"max_text" reload:"true"`
	// Retention is how long a token that has expired answers 410 and not 404.
	// Default 30d.
	Retention time.Duration `koanf:"retention"`
	// ReserveTimeout is how long a download may hold a use without charging
	// it, as one does whose gate has died; longer than
	// upstream.response_timeout. Default 2m.
	ReserveTimeout time.Duration `koanf:"reserve_timeout"`
	// BusyWait is how long a request waits for a use that another has begun and
	// not yet charged, or for a transfer to end where their number is limited.
	// Default 1s.
	BusyWait time.Duration `koanf:"busy_wait" reload:"true"`
	// Receipts is how many receipts of a token's uses are kept with it.
	// Default 100.
	Receipts int64 `koanf:"receipts"`
	// MintSecret is what the tokens of requests with an Idempotency-Key are
	// derived from: at least 32 bytes of text, the same on all gates. Without it
	// such requests are 400.
	MintSecret string `koanf:"mint_secret" secret:"true"`
	// PreviousMintSecret answers such requests again that began under it, so that
	// the secret can be rotated, in two steps: first every gate gets the new one
	// here, and when all have it the two change places. Then keep the old one here
	// for api.idempotency_window.
	PreviousMintSecret string `koanf:"previous_mint_secret" secret:"true"`
	// CacheEntries is how many grants of tokens without limit of uses a gate
	// keeps in memory, so that requests for them do not ask Redis; 0 keeps none.
	// Default 100000.
	CacheEntries int `koanf:"cache_entries"`
	// CacheBytes is how much memory they may take in bytes; one takes 1 to 2 KiB
	// as a rule. Default 67108864.
	CacheBytes int64 `koanf:"cache_bytes"`
	// CacheAge is how long after it was asked for a grant Redis is asked again;
	// revocations do not wait for it. Default 1m.
	CacheAge time.Duration `koanf:"cache_age"`
}

// MintSecrets are MintSecret and PreviousMintSecret, as far as they are set.
func (t *Tokens) MintSecrets() (secrets [][]byte) {
	for _, secret := range []string{t.MintSecret, t.PreviousMintSecret} {
		if secret != "" {
			secrets = append(secrets, []byte(secret))
		}
	}
	return secrets
}

// minSecret is the length of the shortest mint secret in bytes.
const minSecret = 32

func (t *Tokens) validateSecrets(bad func(name, format string, args ...any)) {
	for name, secret := range map[string]string{"tokens.mint_secret": t.MintSecret, "tokens.previous_mint_secret": t.PreviousMintSecret} {
		if n := len(secret); n > 0 && n < minSecret {
			bad(name, "must have at least %d bytes, got %d", minSecret, n)
		}
	}
	if t.PreviousMintSecret != "" && t.MintSecret == "" {
		bad("tokens.previous_mint_secret", "needs tokens.mint_secret")
	}
}

// Revocation says how gates agree on what was revoked.
type Revocation struct {
	// Lease is how long a gate may serve after Redis has told it that it knows
	// every revocation: one waits so long at most for a gate that is silent. All
	// gates on one Redis have the same. Default 1s.
	Lease time.Duration `koanf:"lease"`
	// StallTimeout is how long a transfer waits for a lease that is lost before
	// it is cut. Default 1m.
	StallTimeout time.Duration `koanf:"stall_timeout"`
}

// Upload bounds uploads through links.
type Upload struct {
	// IdleTimeout is how long a client may send nothing of an upload; time in
	// which the gate does not read does not count. Default 20s.
	IdleTimeout time.Duration `koanf:"idle_timeout" reload:"true"`
	// MinRate is how many bytes a second a client must send of an upload, on
	// average over upload.idle_timeout; 0 lets it be slow. Default 1024.
	MinRate int64 `koanf:"min_rate" reload:"true"`
	// SingleMax is the size in bytes of the largest upload of known length that
	// goes to S3 as one request, at most 5 GiB; larger ones, and those of
	// unknown length, go in parts. Default 5368709120.
	SingleMax int64 `koanf:"single_max"`
	// Memory is how many bytes the parts of all uploads may take together, and
	// one part at most; uploads wait when there is none left. Default 268435456.
	Memory int64 `koanf:"memory"`
	// PartSize is the size in bytes of the smallest part but the last, 5 MiB to
	// 5 GiB. Large uploads have larger ones. Default 8388608.
	PartSize int64 `koanf:"part_size"`
	// Concurrency is how many parts of one upload are sent at a time; one more
	// is read meanwhile. Default 4.
	Concurrency int `koanf:"concurrency"`
	// Tries is how often a part is sent until S3 takes it, or another request of
	// an upload in parts. Default 4.
	Tries int `koanf:"tries"`
	// Backoff is how long to wait before the second try; it doubles with each.
	// Default 200ms.
	Backoff time.Duration `koanf:"backoff"`
	// ResumeWindow is how long after it was last worked on an upload that can be
	// resumed is kept. Default 1d.
	ResumeWindow time.Duration `koanf:"resume_window"`
	// SweepAfter is how long after its gate was last heard of another gate ends
	// an upload: drops its parts, asks S3 what became of it and charges its use
	// or hands it back; at least revocation.stall_timeout. Default 15m.
	SweepAfter time.Duration `koanf:"sweep_after"`
	// TempPrefix is what the keys of the gate's own objects begin with, in every
	// bucket: what uploads that can be resumed leave while they are interrupted,
	// and a probe. Default .s3gate/.
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
	// DialTimeout is how long connecting to S3 may take. Default 10s.
	DialTimeout time.Duration `koanf:"dial_timeout"`
	// ResponseTimeout is how long S3 may take to answer. Default 1m.
	ResponseTimeout time.Duration `koanf:"response_timeout"`
	// MaxIdle is how many idle connections to S3 are kept. Default 256.
	MaxIdle int `koanf:"max_idle"`
}

// Log says what is logged.
type Log struct {
	// Level is debug, info, warn or error. Default info.
	Level string `koanf:"level" reload:"true"`
	// Format is json or text, to stderr. Default json.
	Format string `koanf:"format"`
}

// Audit says what is kept of each event.
type Audit struct {
	// File gets a line of JSON for each use that has ended, each revocation, lift
	// and cut; - is stdout. Default: they go to the log.
	File string `koanf:"file"`
	// ClientAddress is how much of a client's address receipts keep: full,
	// prefix (the /24 of IPv4, the /64 of IPv6) or none. Default full.
	ClientAddress string `koanf:"client_address"`
	// MaxBytes is the size in bytes at which another file is begun; the one that is
	// complete gets the time as an ending. 0 sets no limit. Default 0.
	MaxBytes int64 `koanf:"max_bytes"`
	// MaxAge is the age at which another file is begun; 0 sets no limit. Default 0s.
	MaxAge time.Duration `koanf:"max_age"`
	// Keep is how many of those that are complete are kept; 0 keeps all. Default 0.
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
		API:          API{Listener: Listener{Addr: "127.0.0.1:8090"}, MaxBody: 64 << 10, MaxBatch: 1000, MaxBatchBody: 4 << 20, IdempotencyWindow: 24 * time.Hour, Limits: MintLimits{MintBurst: 100}, Console: true, Profiles: true, ConsoleSession: 8 * time.Hour, ClientAuth: ClientAuthRequire},
		TLS:          TLS{MinVersion: 1.2, ReloadInterval: 5 * time.Second, HSTSMaxAge: 365 * 24 * time.Hour},
		ACME:         ACME{Directory: LetsEncrypt, HTTPAddr: ":80", TLSALPN: true, CheckInterval: 10 * time.Minute},
		Ops:          Ops{Addr: "127.0.0.1:8091", ProfileLimit: time.Minute},
		ClientHeader: "X-Forwarded-For", Origin: Origin{Header: "X-Origin-Secret"},
		Guesses:  Guesses{Burst: 60, PerSecond: 1},
		Passcode: Passcode{Tries: 10, Window: 15 * time.Minute},
		Redis:    Redis{Addrs: []string{"127.0.0.1:6379"}, Timeout: 2 * time.Second, Replicas: -1, MinAcks: -1, AckTimeout: time.Second},
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
		Download:     Download{IdleTimeout: time.Minute, MinRate: 1 << 10},
		Upstream:     Upstream{DialTimeout: 10 * time.Second, ResponseTimeout: time.Minute, MaxIdle: 256},
		DrainTimeout: 30 * time.Second,
		Guard:        Guard{VerifyInterval: time.Hour, Leaks: defaultLeaks()},
		Log:          Log{Level: "info", Format: "json"},
		AccessLog:    AccessLog{Refusals: 100, MaxAgent: 200, Queue: 10_000},
		Audit:        Audit{ClientAddress: "full", Fsync: "never"},
		Events: Events{
			Queue: 10_000, Stream: EventStream{MaxLen: 100_000}, Followers: 100,
			RefusalWindow: 10 * time.Second, RefusalKinds: 100, MaxDead: 10_000,
		},
	}
	c.API.JWT.Leeway = 10 * time.Second
	c.API.BodyTimeout, c.API.WriteTimeout = 30*time.Second, 30*time.Second
	for _, l := range []*Listener{&c.Links, &c.API.Listener} {
		l.MaxHeader, l.HeaderTimeout, l.IdleTimeout = 16<<10, 10*time.Second, 2*time.Minute
		l.ProxyProtocol = "off"
	}
	return c
}

// isOrigin reports whether a browser could send a text as Origin (RFC 6454,
// section 6.2): in lower case, without a path and without the default port.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return false
	}
	port := u.Port()
	if port == "80" && u.Scheme == "http" || port == "443" && u.Scheme == "https" || strings.HasSuffix(u.Host, ":") {
		return false
	}
	return text == u.Scheme+"://"+strings.ToLower(u.Host) && !strings.Contains(u.Host, "*")
}

var aliasForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Validate reports every setting that cannot work, by its name; [Problems] takes
// the error apart.
func (c *Config) Validate() error {
	var found problems
	bad := found.add
	if u, err := url.Parse(c.PublicURL); c.PublicURL == "" {
		bad("public_url", "is required, such as https://files.example.com")
	} else if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/") || u.Path != "" {
		bad("public_url", "must be a URL without path such as https://files.example.com, got %q", c.PublicURL)
	}
	c.Links.validate("links", bad)
	c.API.Listener.validate("api", bad)
	c.validateTLS(bad)
	for _, origin := range c.API.CORSOrigins {
		if !isOrigin(origin) {
			bad("api.cors_origins", "must hold origins as browsers send them, such as https://app.example.com or http://localhost:5173, got %q", origin)
		}
	}
	c.API.Limits.validate(bad)
	c.validateCallers(bad)
	c.Redis.validate(bad)
	if _, err := c.Proxies(); err != nil {
		bad("trusted_proxies", "%v", err)
	}
	if h := c.ClientHeader; !slices.ContainsFunc(clientHeaders, func(known string) bool { return strings.EqualFold(h, known) }) {
		bad("client_header", "must be X-Forwarded-For, Forwarded or CloudFront-Viewer-Address, got %q", h)
	}
	c.Origin.validate(bad)
	if c.DrainDelay < 0 || c.DrainTimeout < 0 {
		bad("drain_delay", "and drain_timeout must not be less than 0, got %s and %s", c.DrainDelay, c.DrainTimeout)
	}
	if g := c.Guesses; g.Burst < 0 || g.PerSecond < 0 {
		bad("guesses", "burst and per_second must not be less than 0")
	}
	c.Tokens.validateSecrets(bad)
	if c.Tokens.CacheEntries < 0 {
		bad("tokens.cache_entries", "must not be less than 0")
	}
	c.Upload.validate(bad)
	c.Download.validate(bad)
	if c.Upload.SweepAfter < c.Revocation.StallTimeout {
		// Its own gate could still go on with the upload.
		bad("upload.sweep_after", "must be at least revocation.stall_timeout, which is %s, got %s", c.Revocation.StallTimeout, c.Upload.SweepAfter)
	}
	c.Brand.validate("brand", bad)
	c.validateBuckets(bad)
	if err := new(slog.Level).UnmarshalText([]byte(c.Log.Level)); err != nil {
		bad("log.level", "must be debug, info, warn or error, got %q", c.Log.Level)
	}
	c.validateEvents(bad)
	c.AccessLog.validate(bad)
	c.Ops.validate(bad)
	c.Guard.validate(bad)
	c.validateNames(bad)
	c.validateGateEvents(bad)
	if c.Log.Format != "json" && c.Log.Format != "text" {
		bad("log.format", "must be json or text, got %q", c.Log.Format)
	}
	for name, n := range map[string]int64{
		"api.max_batch": int64(c.API.MaxBatch), "api.max_batch_body": c.API.MaxBatchBody, "api.idempotency_window": int64(c.API.IdempotencyWindow), "api.console_session": int64(c.API.ConsoleSession),
		"api.max_body": c.API.MaxBody, "api.body_timeout": int64(c.API.BodyTimeout), "api.write_timeout": int64(c.API.WriteTimeout), "tokens.max_uses": c.Tokens.MaxUses, "tokens.max_labels": int64(c.Tokens.MaxLabels),
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
	return found.err()
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
	l.ConnectionLimits.validate(name, bad)
}

func (c *Config) validateBuckets(bad func(name, format string, args ...any)) {
	if len(c.Buckets) == 0 {
		bad("buckets", "is required: an alias and its bucket")
	}
	for alias, b := range c.Buckets {
		name := "buckets." + alias
		b.Brand.validate(name+".brand", bad)
		if !aliasForm.MatchString(alias) {
			bad(name, "an alias has 1 to 63 of a-z, 0-9 and -, and does not begin with -")
		}
		if (b.AccessKeyID == "") != (b.SecretAccessKey == "") {
			bad(name+".access_key_id", "and secret_access_key go together: set both or none")
		}
		if b.AccessKeyID != "" && b.Profile != "" {
			bad(name+".profile", "and access_key_id exclude each other")
		}
		if b.Signing != "" && b.Signing != "header" && b.Signing != "query" {
			bad(name+".signing", "must be header or query, got %q", b.Signing)
		}
		b.AssumeRole.validate(name+".assume_role", b.Signing, bad)
		if b.VerifyKey != "" && b.VerifyPrefix != "" {
			bad(name+".verify_key", "and verify_prefix exclude each other")
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
