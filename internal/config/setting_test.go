package config_test

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"s3gate/internal/config"
)

// Everything that is wrong is told, with where it stands.
func TestProblemsSayWhere(t *testing.T) {
	path := write(t, "c.yaml", `public_url: https://files.example.com
redis:
  adrs: x
  db: many
  tls: 1
contact: 4711
guesses: {per_second: .nan}
tokens: {max_uses: 1.5}
buckets:
  docs:
    path_style: maybe
    secret_access_key: [top, secret]
  other: here
hs256_key: x
api: {max_body: }
`)
	_, err := config.Load(path, []string{"S3GATE_UPLOAD_MEMORY=64MiB", "S3GATE_BUCKETS_DOCS_REGIN=x", "S3GATE_LOG_LEVEL=loud", "S3GATE_REDIS_PASSWORD=a", "S3GATE_REDIS_PASSWORD_FILE=b"},
		map[string]any{"links.addr": ""})
	want := []string{
		"--links-addr: links.addr: is required",
		"S3GATE_BUCKETS_DOCS_REGIN: is not a setting; did you mean S3GATE_BUCKETS_DOCS_REGION?",
		"S3GATE_LOG_LEVEL: log.level: must be debug, info, warn or error, got \"loud\"",
		"S3GATE_REDIS_PASSWORD_FILE: is set together with S3GATE_REDIS_PASSWORD; set one of them",
		"S3GATE_UPLOAD_MEMORY: upload.memory: must be a whole number, got \"64MiB\"",
		"c.yaml:15: api.jwt.hs256_key: must have at least 32 bytes, got 0", // in what it is missing
		"c.yaml:3: redis.adrs: is not a setting; did you mean redis.addrs?",
		"c.yaml:4: redis.db: must be a whole number, got \"many\"",
		"c.yaml:5: redis.tls: must be true or false, got 1",
		"c.yaml:6: contact: must be a text, in quotes if it looks like something else, got 4711",
		"c.yaml:7: guesses.per_second: must be a number, got NaN",
		"c.yaml:8: tokens.max_uses: must be a whole number, got 1.5",
		"c.yaml:11: buckets.docs.path_style: must be true or false, got \"maybe\"",
		"c.yaml:12: buckets.docs.secret_access_key: must be a text, in quotes if it looks like something else, got a list",
		"c.yaml:13: buckets.other: must hold settings below it, got \"here\"",
		"c.yaml:14: hs256_key: is not a setting; did you mean api.jwt.hs256_key?",
	}
	var got []string
	for _, p := range config.Problems(err) {
		got = append(got, strings.TrimPrefix(p.Error(), strings.TrimSuffix(path, "c.yaml")))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What is no configuration at all is not quoted: it may be a secret's file.
func TestLoadDoesNotQuoteOtherFiles(t *testing.T) {
	for _, text := range []string{"c2VjcmV0LWtleS1vZi10aGUtZ2F0ZQ==\n", "- secret\n", "a: 1\na: secret-value-of-mine\n"} {
		_, err := config.Load(write(t, "c.yaml", text), nil, nil)
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "c2Vj") {
			t.Errorf("Load of %q = %v", text, err)
		}
	}
}

const everywhere = `
public_url: https://files.example.com
api:
  jwt: {hs256_key: canary-canary-canary-canary-canary-1}
  issuers:
    - issuer: https://id.example.com
      secret_file: %s
      audience: s3gate
      rules: [{when: {team: ops}, allow: {admin: true}}]
redis: {sentinel_password: canary-2}
buckets:
  docs:
    endpoint: https://user:canary-3@s3.example.com
    access_key_id: AKIA
    secret_access_key: canary-4
drain_timeout: 36h
`

func TestSettingsAndSources(t *testing.T) {
	secret := write(t, "secret", "canary-5-canary-5-canary-5-canary-5")
	path := write(t, "c.yaml", fmt.Sprintf(everywhere, secret))
	c, sources, err := config.Read(path, []string{"S3GATE_REDIS_PASSWORD_FILE=" + secret, "S3GATE_TRUSTED_PROXIES=10.0.0.0/8,::1"}, map[string]any{"log.level": "warn"})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]config.Setting{}
	for _, s := range c.Settings() {
		values[s.Name] = s
	}
	for _, tt := range []struct{ name, value, source string }{
		{"public_url", "https://files.example.com", "file c.yaml:2"},
		{"links.addr", ":8080", "default"},
		{"log.level", "warn", "flag --log-level"},
		{"trusted_proxies", "[10.0.0.0/8 ::1]", "env S3GATE_TRUSTED_PROXIES"},
		{"drain_timeout", "1d12h", "file c.yaml:16"},
		{"redis.password", "***", "env S3GATE_REDIS_PASSWORD_FILE, which names a file"},
		{"redis.sentinel_password", "***", "file c.yaml:10"},
		{"redis.username", "", "default"},
		{"api.jwt.hs256_key", "***", "file c.yaml:4"},
		{"api.jwt.previous_hs256_key", "", "default"},
		{"api.issuers[0].secret", "***", "file c.yaml:7, which names a file"},
		{"api.issuers[0].audience", "[s3gate]", "file c.yaml:8"},
		{"api.issuers[0].rules[0].when", "map[team:[ops]]", "file c.yaml:9"},
		{"buckets.docs.endpoint", "https://***@s3.example.com", "file c.yaml:13"},
		{"buckets.docs.access_key_id", "AKIA", "file c.yaml:14"},
		{"buckets.docs.secret_access_key", "***", "file c.yaml:15"},
		{"buckets.docs.name", "docs", "default"},
	} {
		s, ok := values[tt.name]
		source := strings.Replace(sources.Of(tt.name).String(), path, "c.yaml", 1)
		if value := fmt.Sprint(s.Value); !ok || value != tt.value || source != tt.source {
			t.Errorf("%s is %s from %s (%v), want %s from %s", tt.name, value, source, ok, tt.value, tt.source)
		}
	}
	var out bytes.Buffer
	if err := config.WriteYAML(&out, c.Settings(), func(s config.Setting) string { return sources.Of(s.Name).String() }); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, "canary") || strings.Count(text, "'***'") != 5 {
		t.Errorf("secrets are printed, or are not there:\n%s", text)
	}
}

// What is printed can be read again.
func TestWriteYAMLRoundTrip(t *testing.T) {
	want := config.Default()
	want.PublicURL = "https://files.example.com"
	want.TrustedProxies = []string{"10.0.0.0/8"}
	read, err := config.Load(write(t, "c.yaml", withIssuer), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want.API.Issuers = read.API.Issuers
	want.Buckets = map[string]config.Bucket{"docs": {Name: "real", Region: "x"}, "logs": {Name: "logs"}}
	var out bytes.Buffer
	if err := config.WriteYAML(&out, want.Settings(), nil); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(write(t, "again.yaml", strings.ReplaceAll(out.String(), "-1\n", "0\n")), nil, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	want.Redis.Replicas, want.Redis.MinAcks = 0, 0
	if changes := config.Diff(want, got); len(changes) > 0 {
		t.Errorf("after writing and reading: %v\n%s", changes, out.String())
	}
}

// A setting whose name sounds like a secret is marked as one, or nothing hides
// it. Here stand those that are none.
func TestSecretsAreMarked(t *testing.T) {
	harmless := []string{"api.issuers[].token_use", "api.issuers[].public_keys", "buckets.*.access_key_id", "sns.*.access_key_id", "guard.leaks.sources.*.access_key_id", "buckets.*.sse_kms_key_id", "buckets.*.sse_bucket_key", "buckets.*.verify_key", "links.key", "api.key", "acme.eab_key_id"}
	sounds := regexp.MustCompile(`secret|password|passcode|token|key|jwks$|private`)
	var walk func(typ reflect.Type, path string, secret bool)
	walk = func(typ reflect.Type, path string, secret bool) {
		for f := range typ.Fields() {
			name, inner := path+f.Tag.Get("koanf"), f.Type
			hidden := secret || f.Tag.Get("secret") == "true"
			switch {
			case f.Anonymous:
				walk(inner, path, hidden)
			case inner.Kind() == reflect.Struct:
				walk(inner, name+".", hidden)
			case inner.Kind() == reflect.Map && inner.Elem().Kind() == reflect.Struct:
				walk(inner.Elem(), name+".*.", hidden)
			case inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct:
				walk(inner.Elem(), name+"[].", hidden)
			case inner.Kind() == reflect.String && sounds.MatchString(f.Tag.Get("koanf")) && !hidden && !slices.Contains(harmless, name):
				t.Errorf("%s: tag it secret, or say here that it is none", name)
			}
		}
	}
	walk(reflect.TypeFor[config.Config](), "", false)
}

func TestReload(t *testing.T) {
	load := func(more string) *config.Config {
		t.Helper()
		c, err := config.Load(write(t, "c.yaml", minimal+more), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	running := load("log: {level: info}\ntokens: {max_life: 30d, receipts: 5}\n")
	next := load("    endpoint: https://s3.example.com\n  more: {}\nlog: {level: debug, format: text}\ntokens: {max_life: 1d, receipts: 6}\ntrusted_proxies: []\n")
	next.API.JWT.HS256Key += "2"
	next.Links.Cert, next.Links.Key = "a.pem", "b.pem"
	merged, changed, restart := running.Reload(next)
	if got, want := fmt.Sprint(changed), "[api.jwt.hs256_key changed tokens.max_life: 30d → 1d log.level: info → debug]"; got != want {
		t.Errorf("changed %s\nwant %s", got, want)
	}
	if got, want := fmt.Sprint(restart), "[links.cert: nothing → a.pem links.key: nothing → b.pem buckets.docs.endpoint: nothing → https://s3.example.com "+
		"buckets.more.name: nothing → more "; !strings.HasPrefix(got, want) || !strings.Contains(got, "tokens.receipts: 5 → 6 log.format: json → text]") {
		t.Errorf("restart %s\nwant %s…", got, want)
	}
	if merged.Log.Level != "debug" || merged.Log.Format != "json" || merged.Links.Cert != "" || len(merged.Buckets) != 1 {
		t.Errorf("merged %+v", merged)
	}
	if running.Log.Level != "info" {
		t.Error("the running configuration was changed")
	}
	if _, again, _ := merged.Reload(next); len(again) > 0 {
		t.Errorf("a second time changes %v", again)
	}
}

// Files that settings name are looked at.
func TestCheckFiles(t *testing.T) {
	path := write(t, "c.yaml", minimal+"links:\n  cert: /nonexistent/a.pem\n  key: /nonexistent/b.pem\naudit: {file: /nonexistent/audit.log}\n")
	_, found := config.Check(path, nil, nil)
	if len(found) != 2 || found[0].Where != path+":10" || !strings.Contains(found[0].Text, "a.pem: no such file") ||
		found[1].Setting != "audit.file" {
		t.Errorf("Check = %v", found)
	}
	log := write(t, "audit.log", "")
	if _, found := config.Check(write(t, "c.yaml", minimal+"audit: {file: "+log+"}\n"), nil, nil); len(found) != 0 {
		t.Errorf("Check = %v, want nothing", found)
	}
	if raw, err := os.ReadFile(log); err != nil || len(raw) > 0 {
		t.Errorf("the audit log holds %q, %v", raw, err)
	}
}
