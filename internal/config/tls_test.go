package config_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"s3gate/internal/config"
)

// base are settings that work, as a file.
const base = `
public_url: https://files.example.com
api: {jwt: {hs256_key: "a key for the tests of the settings, long enough"}}
buckets: {docs: {}}
`

// fromEnviron is what Load makes of the base and of variables.
func fromEnviron(t *testing.T, environ ...string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s3gate.yaml")
	if err := os.WriteFile(path, []byte(base), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path, environ, nil)
}

func TestTLSSettings(t *testing.T) {
	acme := []string{"S3GATE_LINKS_ACME=true", "S3GATE_ACME_AGREE=true", "S3GATE_ACME_STORAGE=/var/lib/s3gate/acme"}
	tests := []struct {
		name string
		set  []string
		want string // in the error; "" means none
	}{
		{"nothing", nil, ""},
		{"ACME", acme, ""},
		{"ACME without the rest", []string{"S3GATE_LINKS_ACME=true"}, "acme.agree: must be true"},
		{"no storage", []string{"S3GATE_LINKS_ACME=true"}, "acme.storage: is required"},
		{"both", append(acme, "S3GATE_LINKS_CERT=a", "S3GATE_LINKS_KEY=b"), "links.acme: and links.cert exclude each other"},
		{"files for the other listener", append(acme, "S3GATE_API_CERT=a", "S3GATE_API_KEY=b"), ""},
		{"a wildcard", append(acme, "S3GATE_ACME_DOMAINS=*.example.com"), `acme.domains: must be names such as files.example.com, in lower case and without *, got "*.example.com"`},
		{"an address", append(acme, "S3GATE_ACME_DOMAINS=192.0.2.1"), "acme.domains"},
		{"an address in public_url", append(acme, "S3GATE_PUBLIC_URL=https://192.0.2.1"), `got "192.0.2.1" (the host of public_url)`},
		{"a name without dots", append(acme, "S3GATE_ACME_DOMAINS=files"), "acme.domains"},
		{"plain directory", append(acme, "S3GATE_ACME_DIRECTORY=http://ca.example.com"), `acme.directory: must be a URL that begins with https://, got "http://ca.example.com"`},
		{"a mail address that is none", append(acme, "S3GATE_ACME_EMAIL=ops"), `acme.email: must be a mail address, got "ops"`},
		{"half of an account", append(acme, "S3GATE_ACME_EAB_KEY_ID=k"), "acme.eab_key_id: and acme.eab_key go together"},
		{"an account", append(acme, "S3GATE_ACME_EAB_KEY_ID=k", "S3GATE_ACME_EAB_KEY=c2VjcmV0"), ""},
		{"no challenge", append(acme, "S3GATE_ACME_HTTP_ADDR=", "S3GATE_ACME_TLS_ALPN=false"), "acme.tls_alpn: must be true where acme.http_addr is empty"},
		{"TLS-ALPN-01 alone", append(acme, "S3GATE_ACME_HTTP_ADDR="), ""},
		{"another host", append(acme, "S3GATE_ACME_HTTP_ADDR=192.0.2.1:80"), `acme.http_addr: must have the same host as ":8080"`},
		{"another host, and one challenge", append(acme, "S3GATE_ACME_HTTP_ADDR=192.0.2.1:80", "S3GATE_ACME_TLS_ALPN=false"), ""},
		{"all addresses, twice", append(acme, "S3GATE_ACME_HTTP_ADDR=0.0.0.0:80"), ""},
		{"no port", append(acme, "S3GATE_ACME_HTTP_ADDR=80"), `acme.http_addr: must be host:port or :port, got "80"`},
		{"check interval", append(acme, "S3GATE_ACME_CHECK_INTERVAL=0s"), "acme.check_interval: must be more than 0"},
		{"old version", []string{"S3GATE_TLS_MIN_VERSION=1.1"}, "tls.min_version: must be 1.2 or 1.3, got 1.1"},
		{"new version", []string{"S3GATE_TLS_MIN_VERSION=1.3"}, ""},
		{"half a second", []string{"S3GATE_TLS_HSTS_MAX_AGE=500ms"}, "tls.hsts_max_age: must be whole seconds"},
		{"less than nothing", []string{"S3GATE_TLS_RELOAD_INTERVAL=-5s"}, "tls.reload_interval"},
		{"h2c beside TLS", []string{"S3GATE_LINKS_H2C=true", "S3GATE_LINKS_CERT=a", "S3GATE_LINKS_KEY=b"}, "links.h2c: is for a listener without TLS"},
		{"h2c", []string{"S3GATE_LINKS_H2C=true"}, ""},
		{"client certificates without TLS", []string{"S3GATE_API_CLIENT_CA=ca"}, "api.client_ca: needs TLS on that listener"},
		{"another mode", []string{"S3GATE_API_CLIENT_AUTH=request"}, `api.client_auth: must be require, require-but-health, verify-if-given, got "request"`},
		{"what the command line reads", []string{"S3GATE_API_CLIENT_CERT=a", "S3GATE_API_CLIENT_KEY=b", "S3GATE_API_SERVER_CA=c"}, ""},
	}
	for _, tt := range tests {
		_, err := fromEnviron(t, tt.set...)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: the error holds a key", tt.name)
		}
	}
}

func TestACMEDomains(t *testing.T) {
	c, err := fromEnviron(t, "S3GATE_PUBLIC_URL=https://Files.Example.com:8443")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ACMEDomains(); len(got) != 1 || got[0] != "files.example.com" {
		t.Errorf("the domains are %q", got)
	}
	c.ACME.Domains = []string{"a.example.com", "b.example.com"}
	if got := c.ACMEDomains(); len(got) != 2 {
		t.Errorf("the domains are %q", got)
	}
}

// What can be read is tried before a gate starts.
func TestCheckReadsAuthorities(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	settings := file("s3gate.yaml", []byte(base))
	text := file("text", []byte("hello"))
	broken := file("broken", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	tls := []string{"S3GATE_API_ACME=true", "S3GATE_API_ADDR=:8090", "S3GATE_ACME_AGREE=true"}
	for _, tt := range []struct {
		set  []string
		want string
	}{
		{[]string{"S3GATE_ACME_STORAGE=" + dir + "/a/b"}, ""},
		{[]string{"S3GATE_ACME_STORAGE=" + text}, "acme.storage: " + text + " is no directory"},
		{[]string{"S3GATE_ACME_STORAGE=" + text + "/a"}, "acme.storage"},
		{[]string{"S3GATE_ACME_STORAGE=" + dir, "S3GATE_API_CLIENT_CA=" + text}, "api.client_ca: " + text + ": there is no PEM block"},
		{[]string{"S3GATE_ACME_STORAGE=" + dir, "S3GATE_API_CLIENT_CA=" + broken}, "certificate 1 of the file"},
		{[]string{"S3GATE_ACME_STORAGE=" + dir, "S3GATE_ACME_CA=" + dir + "/none"}, "acme.ca"},
	} {
		_, found := config.Check(settings, append(tt.set, tls...), nil)
		var all []string
		for _, p := range found {
			all = append(all, p.Setting+": "+p.Text)
		}
		got := strings.Join(all, "\n")
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%v: %q, want %q", tt.set, got, tt.want)
		}
	}
}
