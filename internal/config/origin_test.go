package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"s3gate/internal/config"
)

func TestOrigin(t *testing.T) {
	const secret = "0123456789abcdef"
	tests := []struct{ name, yaml, want string }{
		{"both", "origin: {secret: " + secret + ", previous_secret: fedcba9876543210}\n", ""},
		{"another header", "origin: {header: x-front, secret: " + secret + "}\n", ""},
		{"short", "origin: {secret: 123456789abcdef}\n", "origin.secret: must have 16 to 1024 bytes, got 15"},
		{"long", "origin: {secret: " + strings.Repeat("k", 1025) + "}\n", "origin.secret: must have 16 to 1024 bytes, got 1025"},
		{"blank", "origin: {secret: 01234567 89abcdef}\n", "origin.secret: must be printable ASCII without blanks"},
		{"only the one before", "origin: {previous_secret: " + secret + "}\n", "origin.previous_secret: needs origin.secret"},
		{"no X-", "origin: {header: Range}\n", `origin.header: must be X- and up to 62`},
		{"the gate's own", "origin: {header: X-S3gate-Passcode}\n", `got "X-S3gate-Passcode"`},
		{"a client's address", "origin: {header: X-Forwarded-For}\n", `got "X-Forwarded-For"`},
		{"no header", "origin: {header: 'X-a b'}\n", `got "X-a b"`},
	}
	for _, tt := range tests {
		_, err := config.Load(write(t, "c.yaml", minimal+tt.yaml), nil, nil)
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "89abcdef"):
			t.Errorf("%s: the error says what the secret is: %v", tt.name, err)
		}
	}
}

// Secrets come from files too, and nobody is shown them.
func TestOriginSecretFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "origin")
	if err := os.WriteFile(file, []byte("secret-of-the-origin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(write(t, "c.yaml", minimal), []string{"S3GATE_ORIGIN_SECRET_FILE=" + file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Origin.Secrets(); !slices.Equal(got, []string{"secret-of-the-origin"}) {
		t.Errorf("secrets %q", got)
	}
	for _, s := range c.Settings() {
		if s.Name == "origin.secret" && s.Value != config.Hidden {
			t.Errorf("it is shown as %v", s.Value)
		}
	}
}
