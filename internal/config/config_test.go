package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"s3gate/internal/config"
)

const minimal = `
public_url: https://files.example.com
api:
  jwt:
    hs256_key: 0123456789abcdef0123456789abcdef
buckets:
  docs:
    region: eu-central-1
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadMinimal(t *testing.T) {
	c, err := config.Load(write(t, "c.yaml", minimal), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.PublicURL = "https://files.example.com"
	want.API.JWT.HS256Key = "0123456789abcdef0123456789abcdef"
	want.Buckets = map[string]config.Bucket{"docs": {Name: "docs", Region: "eu-central-1", Verify: true}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("Load = %+v\nwant %+v", c, want)
	}
}

// A flag beats the environment, which beats the file, which beats the
// default.
func TestLoadLayers(t *testing.T) {
	path := write(t, "c.yaml", minimal+"drain_timeout: 1m\nredis:\n  addrs: [a:1, b:2]\n  cluster: true\n  replicas: 0\n  timeout: 3s\ntokens:\n  max_life: 30d\n")
	c, err := config.Load(path, []string{
		"S3GATE_DRAIN_TIMEOUT=2m", "S3GATE_REDIS_ADDRS=c:3,d:4", "S3GATE_REDIS_TLS=true",
		"S3GATE_API_MAX_BODY=100000", "S3GATE_API_CORS_ORIGINS=https://app.example.com,http://localhost:5173", "S3GATE_BUCKETS_DOCS_PATH_STYLE=true", "S3GATE_BUCKETS_NEW_NAME=new-bucket",
		"S3GATE_API_URL=ignored", "S3GATE_API_TOKEN=ignored", "HOME=/",
	}, map[string]any{"drain_timeout": "3m"})
	if err != nil {
		t.Fatal(err)
	}
	if c.DrainTimeout != 3*time.Minute || c.Redis.Timeout != 3*time.Second || c.Tokens.MaxLife != 30*24*time.Hour {
		t.Errorf("durations: %v %v %v", c.DrainTimeout, c.Redis.Timeout, c.Tokens.MaxLife)
	}
	if !reflect.DeepEqual(c.Redis.Addrs, []string{"c:3", "d:4"}) || !c.Redis.TLS || c.API.MaxBody != 100000 {
		t.Errorf("redis %+v, api %+v", c.Redis, c.API)
	}
	if !reflect.DeepEqual(c.API.CORSOrigins, []string{"https://app.example.com", "http://localhost:5173"}) {
		t.Errorf("origins %q", c.API.CORSOrigins)
	}
	if b := c.Buckets["docs"]; !b.PathStyle || b.Region != "eu-central-1" {
		t.Errorf("bucket docs: %+v", b)
	}
	if b := c.Buckets["new"]; b.Name != "new-bucket" {
		t.Errorf("bucket new: %+v", b)
	}
}

func TestLoadSecretsFromFiles(t *testing.T) {
	key := write(t, "key", "a key that was kept in a file, long enough\n")
	yaml := strings.Replace(minimal, "hs256_key: 0123456789abcdef0123456789abcdef", "hs256_key_file: "+key, 1)
	c, err := config.Load(write(t, "c.yaml", yaml), nil, nil)
	if err != nil || c.API.JWT.HS256Key != "a key that was kept in a file, long enough" {
		t.Errorf("from YAML: %v", err)
	}
	c, err = config.Load(write(t, "c.yaml", minimal), []string{"S3GATE_API_JWT_HS256_KEY_FILE=" + key}, nil)
	if err != nil || c.API.JWT.HS256Key != "a key that was kept in a file, long enough" {
		t.Errorf("from the environment: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct{ name, yaml, env, want string }{
		{"typo", minimal + "pubic_url: x\n", "", "pubic_url: is not a setting; did you mean public_url?"},
		{"typo below", minimal + "redis:\n  adrs: x\n", "", "redis.adrs: is not a setting; did you mean redis.addrs?"},
		{"typo in a bucket", minimal + "    endpont: x\n", "", "buckets.docs.endpont: is not a setting; did you mean buckets.docs.endpoint?"},
		{"far from all", minimal + "zzzzzzzz: 1\n", "", "zzzzzzzz: is not a setting"},
		{"typo in the environment", minimal, "S3GATE_REDIS_ADRS=x", "S3GATE_REDIS_ADRS: is not a setting; did you mean S3GATE_REDIS_ADDRS?"},
		{"no YAML", "a: [", "", "is not YAML: line 1"},
		{"bad duration", minimal + "drain_timeout: soon\n", "", `drain_timeout: must be a duration such as 90s, 1h30m or 30d, got "soon"`},
		{"number for a duration", minimal + "drain_timeout: 30\n", "", "must be a duration such as 90s, 1h30m or 30d, got 30"},
		{"text for a number", minimal + "tokens:\n  max_uses: many\n", "", `tokens.max_uses: must be a whole number, got "many"`},
		{"no public_url", strings.Replace(minimal, "public_url: https://files.example.com", "", 1), "", "public_url: is required"},
		{"public_url with a path", strings.Replace(minimal, ".com", ".com/x", 1), "", "public_url: must be a URL without path"},
		{"short key", minimal, "S3GATE_API_JWT_HS256_KEY=short", "api.jwt.hs256_key: must have at least 32 bytes, got 5"},
		{"key twice", minimal + "    secret_access_key: a\n    secret_access_key_file: b\n", "", "secret_access_key: is set together with"},
		{"no such file", minimal, "S3GATE_REDIS_PASSWORD_FILE=/nonexistent/x", "redis.password_file: open /nonexistent/x"},
		{"half a certificate", minimal + "links:\n  cert: a.pem\n", "", "links.cert: and links.key go together"},
		{"half credentials", minimal + "    access_key_id: a\n", "", "buckets.docs.access_key_id: and secret_access_key go together"},
		{"bad alias", minimal + "  Docs_2:\n    name: x\n", "", "buckets.Docs_2: an alias has"},
		{"leeway", minimal + "    leeway: 1h\n", "", "buckets.docs.leeway: is not a setting"},
		{"any origin", minimal, "S3GATE_API_CORS_ORIGINS=*", `api.cors_origins: must hold origins as browsers send them, such as https://app.example.com or http://localhost:5173, got "*"`},
		{"origin with a path", minimal, "S3GATE_API_CORS_ORIGINS=https://a.example,https://b.example/", `got "https://b.example/"`},
		{"origin in capitals", minimal, "S3GATE_API_CORS_ORIGINS=https://A.example", `got "https://A.example"`},
		{"origin with the default port", minimal, "S3GATE_API_CORS_ORIGINS=https://a.example:443", `got "https://a.example:443"`},
		{"origin with a wildcard", minimal, "S3GATE_API_CORS_ORIGINS=https://*.example", `got "https://*.example"`},
		{"origin of nothing", minimal, "S3GATE_API_CORS_ORIGINS=null", `got "null"`},
		{"origin of a file", minimal, "S3GATE_API_CORS_ORIGINS=file://", `got "file://"`},
		{"no network", minimal + "trusted_proxies: [10.0.0.0/8, lan]\n", "", `trusted_proxies: "lan" is not a network`},
		{"client header", minimal + "client_header: X-Real-IP\n", "", `client_header: must be X-Forwarded-For, Forwarded or CloudFront-Viewer-Address, got "X-Real-IP"`},
		{"a slow rate", minimal, "S3GATE_API_LIMITS_MINT_RATE=0.0001", "api.limits.mint_rate: must be 0 or 0.001 to 1000000, got 0.0001"},
		{"a rate that is none", minimal, "S3GATE_API_LIMITS_MINT_RATE=NaN", "api.limits.mint_rate: must be"},
		{"no burst", minimal, "S3GATE_API_LIMITS_MINT_BURST=0", "api.limits.mint_burst: must be 1 to 1000000, got 0"},
		{"less than no token", minimal, "S3GATE_API_LIMITS_OPEN_PER_CALLER=-1", "api.limits.open_per_caller: must not be less than 0, got -1"},
		{"less than none for somebody", minimal, "S3GATE_API_LIMITS_OPEN_PER_SUBJECT=-1", "api.limits.open_per_subject: must not be less than 0, got -1"},
		{"guesses", minimal + "guesses:\n  burst: -1\n", "", "guesses: burst and per_second must not be less than 0"},
		{"cache", minimal + "tokens:\n  cache_entries: -1\n", "", "tokens.cache_entries: must not be less than 0"},
		{"cache without memory", minimal + "tokens:\n  cache_bytes: 0\n", "", "tokens.cache_bytes: must be more than 0"},
		{"cache for no time", minimal + "tokens:\n  cache_age: 0s\n", "", "tokens.cache_age: must be more than 0"},
		{"servers of what", minimal, "S3GATE_REDIS_ADDRS=a:1,b:2", "redis.addrs: several are sentinels, with redis.master, or nodes of a Cluster, with redis.cluster"},
		{"part too small", minimal + "upload:\n  part_size: 5242879\n", "", "upload.part_size: must be 5242880 to 5368709120, got 5242879"},
		{"part too large", minimal + "upload:\n  part_size: 5368709121\n", "", "upload.part_size: must be 5242880 to 5368709120, got 5368709121"},
		{"memory for no part", minimal + "upload:\n  memory: 8388607\n", "", "upload.memory: must be at least upload.part_size, which is 8388608, got 8388607"},
		{"single upload too large", minimal + "upload:\n  single_max: 5368709121\n", "", "upload.single_max: must be at most 5368709120, got 5368709121"},
		{"single upload of nothing", minimal + "upload:\n  single_max: 0\n", "", "upload.single_max: must be more than 0"},
		{"no part at a time", minimal + "upload:\n  concurrency: 0\n", "", "upload.concurrency: must be more than 0"},
		{"no try", minimal + "upload:\n  tries: 0\n", "", "upload.tries: must be more than 0"},
		{"no backoff", minimal + "upload:\n  backoff: 0s\n", "", "upload.backoff: must be more than 0"},
		{"least rate", minimal + "upload:\n  min_rate: -1\n", "", "upload.min_rate: must not be less than 0, got -1"},
		{"no temporary prefix", minimal + "upload:\n  temp_prefix: ''\n", "", "upload.temp_prefix: must be 1 to 512 bytes of UTF-8, got 0 bytes"},
		{"storage class", minimal + "    storage_class: cold\n", "", `buckets.docs.storage_class: must be the name of a class such as STANDARD_IA, got "cold"`},
		{"encryption", minimal + "    sse: kms\n", "", `buckets.docs.sse: must be AES256, aws:kms or aws:kms:dsse, got "kms"`},
		{"key without KMS", minimal + "    sse: AES256\n    sse_kms_key_id: x\n", "", "buckets.docs.sse_kms_key_id: is for sse aws:kms or aws:kms:dsse only"},
		{"key with a line break", minimal + "    sse: aws:kms\n    sse_kms_key_id: \"a\\nb\"\n", "", "buckets.docs.sse_kms_key_id: must be printable ASCII"},
		{"bucket key without KMS", minimal + "    sse_bucket_key: true\n", "", "buckets.docs.sse_bucket_key: is for sse aws:kms only"},
		{"no_overwrite", minimal + "    no_overwrite: never\n", "", `buckets.docs.no_overwrite: must be auto, trust, check or refuse, got "never"`},
		{"signing", minimal + "    signing: url\n", "", `buckets.docs.signing: must be header or query, got "url"`},
		{"verify interval", minimal + "guard:\n  verify_interval: 59s\n", "", `guard.verify_interval: must be 0 or at least 1m0s, got 59s`},
		{"ready without verify", minimal + "guard:\n  verify_interval: 0s\n  ready: true\n", "", `guard.ready: needs guard.verify_interval`},
		{"verify key and prefix", minimal + "    verify_key: a\n    verify_prefix: b\n", "", `buckets.docs.verify_key: and verify_prefix exclude each other`},
		{"a role without a name", minimal + "    assume_role: {duration: 1h}\n", "", `buckets.docs.assume_role.role_arn: or endpoint is required`},
		{"a role that is none", minimal + "    assume_role: {role_arn: s3gate}\n", "", `buckets.docs.assume_role.role_arn: must be an ARN such as arn:aws:iam::123456789012:role/s3gate, got "s3gate"`},
		{"an STS that is none", minimal + "    assume_role: {endpoint: 'minio:9000'}\n", "", `buckets.docs.assume_role.endpoint: must be a URL such as https://sts.example.com, without user and query`},
		{"a short session", minimal + "    assume_role: {role_arn: 'arn:aws:iam::1:role/r', duration: 14m}\n", "", `buckets.docs.assume_role.duration: must be 15m to 12h, got 14m0s`},
		{"a lock against itself", minimal + "    signing: query\n    assume_role: {role_arn: 'arn:aws:iam::1:role/r', session_policy: lock}\n", "", `buckets.docs.assume_role.session_policy: lock refuses what signing: query makes`},
		{"no policy", minimal + "    assume_role: {role_arn: 'arn:aws:iam::1:role/r', session_policy: locked}\n", "", `buckets.docs.assume_role.session_policy: must be lock or a policy as JSON`},
		{"log level", minimal + "log:\n  level: loud\n", "", `log.level: must be debug, info, warn or error, got "loud"`},
		{"webhook without a secret", minimal + "webhooks:\n  ops:\n    url: https://a\n", "", "webhooks.ops.secret: is required"},
		{"webhook with a short secret", minimal + "webhooks:\n  ops:\n    url: https://a\n    secret: whsec_c2hvcnQ=\n", "", "webhooks.ops.secret: must be whsec_ and base64 of 24 to 64 bytes, got 5 bytes"},
		{"webhook over plain http", minimal + "webhooks:\n  ops:\n    url: http://a\n", "", "webhooks.ops.url: must be https"},
		{"webhook without URL", minimal + "webhooks:\n  ops:\n    tries: 3\n", "", "webhooks.ops.url: is required"},
		{"webhook with a password", minimal + "webhooks:\n  ops:\n    url: https://a:b@c\n", "", "webhooks.ops.url: must not hold a password"},
		{"webhook for what does not happen", minimal + "webhooks:\n  ops:\n    types: [x]\n", "", `webhooks.ops.types: must be types of events, or *, got "x"`},
		{"webhook of a bad name", minimal + "webhooks:\n  Ops:\n    url: https://a\n", "", "webhooks.Ops: an alias has"},
		{"webhook with no tries", minimal + "webhooks:\n  ops:\n    tries: -1\n", "", "webhooks.ops.tries: must not be less than 0, got -1"},
		{"typo in a webhook", minimal + "webhooks:\n  ops:\n    secrt: x\n", "", "webhooks.ops.secrt: is not a setting; did you mean webhooks.ops.secret?"},
		{"topic", minimal + "sns:\n  mail:\n    arn: links\n", "", `sns.mail.arn: must be that of a topic such as`},
		{"topic for nothing", minimal + "sns:\n  mail:\n    arn: arn:aws:sns:eu-central-1:1:x\n", "", "sns.mail.types: or notify is required"},
		{"half a topic's credentials", minimal + "sns:\n  mail:\n    access_key_id: x\n", "", "sns.mail.access_key_id: and secret_access_key go together"},
		{"no queue", minimal + "events:\n  queue: 0\n", "", "events.queue: must be more than 0, got 0"},
		{"less than no stream", minimal + "events:\n  stream:\n    max_len: -1\n", "", "events.stream.max_len: must not be less than 0, got -1"},
		{"fsync", minimal + "audit:\n  fsync: sometimes\n", "", `audit.fsync: must be never or always, got "sometimes"`},
		{"audit log that shrinks", minimal + "audit:\n  keep: -1\n", "", "audit.max_bytes: max_age and keep must not be less than 0"},
		{"log format", minimal + "log:\n  format: xml\n", "", `log.format: must be json or text, got "xml"`},
	}
	for _, tt := range tests {
		var env []string
		if tt.env != "" {
			env = []string{tt.env}
		}
		_, err := config.Load(write(t, "c.yaml", tt.yaml), env, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Load = %v\nwant %q", tt.name, err, tt.want)
		}
	}
}

// Secrets of webhooks may be in files, and a rule may name topics that carry links.
func TestLoadEvents(t *testing.T) {
	const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	file := write(t, "secret", secret+"\n")
	yaml := minimal + "webhooks:\n  ops:\n    url: https://a\n    secret_file: " + file + "\n    types: [s3gate.token.receipt.v1]\n    max_backoff: 2m\n" +
		"sns:\n  mail:\n    arn: arn:aws:sns:eu-central-1:1:x\n    notify: true\n"
	c, err := config.Load(write(t, "c.yaml", yaml), []string{"S3GATE_EVENTS_STREAM_MAX_LEN=5", "S3GATE_WEBHOOKS_OPS_PREVIOUS_SECRET_FILE=" + file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Webhook{URL: "https://a", Secret: secret, PreviousSecret: secret, Types: []string{"s3gate.token.receipt.v1"}, MaxBackoff: 2 * time.Minute}
	if got := c.Webhooks["ops"]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	topic := c.SNS["mail"]
	if !topic.Notify || topic.SigningRegion() != "eu-central-1" || c.Events.Stream.MaxLen != 5 || c.Events.Queue != 10_000 {
		t.Errorf("%+v, %+v", topic, c.Events)
	}
	types, all := config.EventTypes([]string{"a", "*"})
	if len(types) != 2 || !all {
		t.Errorf("%v %v", types, all)
	}
	rule := strings.Replace(yaml, "buckets:\n", "  issuers:\n    - issuer: https://id\n      secret: "+strings.Repeat("x", 32)+"\n      audience: a\n      rules:\n"+
		"        - when: {role: a}\n          allow: {operations: get, buckets: {docs: ''}, notify: TOPIC}\nbuckets:\n", 1)
	if _, err := config.Load(write(t, "c.yaml", strings.Replace(rule, "TOPIC", "mail", 1)), nil, nil); err != nil {
		t.Errorf("a topic that there is: %v", err)
	}
	_, err = config.Load(write(t, "c.yaml", strings.Replace(rule, "TOPIC", "other", 1)), nil, nil)
	if err == nil || !strings.Contains(err.Error(), `api.issuers[0].rules[0].allow.notify: "other" is not an alias in sns with notify`) {
		t.Errorf("a topic that there is not: %v", err)
	}
}

// A file that is not YAML may be so because of a secret without quotes.
func TestLoadShowsNoValues(t *testing.T) {
	for _, text := range []string{
		"redis:\n  password: *canary\n", "redis: {password: *canary'canary}\n", "api:\n  'canary: 1': 2\n  'canary: 1': 3\n",
	} {
		path := filepath.Join(t.TempDir(), "s3gate.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(path, nil, nil)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
