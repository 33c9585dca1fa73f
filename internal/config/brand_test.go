package config_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"s3gate/internal/config"
)

const svg = `<?xml version="1.0"?><!-- made by hand --><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>`

// A logo is what it holds, whatever its file is called, and small.
func TestLogo(t *testing.T) {
	var asPNG, asJPEG bytes.Buffer
	dot := image.NewGray(image.Rect(0, 0, 1, 1))
	if err := png.Encode(&asPNG, dot); err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(&asJPEG, dot, nil); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		data string
		want string // "" if it is refused
	}{
		"logo.png": {asPNG.String(), "data:image/png;base64,"}, "logo.gif": {asJPEG.String(), "data:image/jpeg;base64,"},
		"logo.webp": {"RIFF\x1a\x00\x00\x00WEBPVP8L", "data:image/webp;base64,"}, "logo.svg": {svg, "data:image/svg+xml;base64,"},
		"largest.svg": {svg + strings.Repeat(" ", 16<<10-len(svg)), "data:image/svg+xml;base64,"}, "larger.svg": {svg + strings.Repeat(" ", 16<<10-len(svg)+1), ""},
		"page.svg": {"<!doctype html><html></html>", ""}, "other.svg": {`<svg viewBox="0 0 1 1"/>`, ""}, "a.gif": {"GIF89a", ""}, "empty.png": {"", ""}, "text.svg": {"hello", ""},
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(tt.data), 0o600); err != nil {
			t.Fatal(err)
		}
		b := config.Brand{Name: "A", Logo: path}
		got, err := b.ReadLogo()
		if (err == nil) != (tt.want != "") || !strings.HasPrefix(got, tt.want) || err != nil && got != "" {
			t.Errorf("%s: %.40q, %v; want %q", name, got, err, tt.want)
		}
	}
	if got, err := new(config.Brand).ReadLogo(); got != "" || err != nil {
		t.Errorf("none: %q, %v", got, err)
	}
	if _, err := (&config.Brand{Logo: filepath.Join(t.TempDir(), "nowhere")}).ReadLogo(); err == nil {
		t.Error("a file that is not there was taken")
	}
}

// branded is a configuration with brands.
func branded(t *testing.T, brands string) (*config.Config, []*config.Problem) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s3gate.yaml")
	text := "public_url: https://files.example.com\ncontact: gate@example.com\napi: {jwt: {hs256_key: a key of the tests that is long enough}}\n" + brands
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Check(path, nil, nil)
}

// A bucket has from the gate's brand what it does not set itself; a name and its
// logo go together.
func TestBrandOf(t *testing.T) {
	logo := filepath.Join(t.TempDir(), "logo.svg")
	if err := os.WriteFile(logo, []byte(svg), 0o600); err != nil {
		t.Fatal(err)
	}
	c, found := branded(t, `
brand: {name: The gate, logo: `+logo+`, colour: "#112233"}
buckets:
  plain:
  named: {brand: {name: The bucket}}
  green: {brand: {colour: "#00aa00", contact: green@example.com}}
`)
	if len(found) > 0 {
		t.Fatal(found[0])
	}
	whole := config.Brand{Name: "The gate", Logo: logo, Colour: "#112233", Contact: "gate@example.com"}
	for alias, want := range map[string]config.Brand{
		"": whole, "plain": whole, "unknown": whole,
		"named": {Name: "The bucket", Colour: "#112233", Contact: "gate@example.com"},
		"green": {Name: "The gate", Logo: logo, Colour: "#00aa00", Contact: "green@example.com"},
	} {
		if got := c.BrandOf(alias); got != want {
			t.Errorf("%q: %+v, want %+v", alias, got, want)
		}
	}
}

// What cannot be shown is refused, by the line that says it.
func TestBrandRefused(t *testing.T) {
	for brands, want := range map[string]string{
		`brand: {colour: blue}`:                                `brand.colour: must be a colour such as #0b5cad, got "blue"`,
		`brand: {name: "a\nb"}`:                                "brand.name: must be text in one line",
		`brand: {contact: "\x9b"}`:                             "brand.contact: must be text in one line",
		`brand: {name: ` + strings.Repeat("ü", 101) + `}`:      "brand.name: must have at most 100 characters, got 101",
		`brand: {logo: logo.png}`:                              "brand.logo: needs brand.name",
		`brand: {name: A, logo: /nowhere/logo.png}`:            "brand.logo: open /nowhere/logo.png",
		`buckets: {docs: {brand: {colour: "#12345"}}}`:         `buckets.docs.brand.colour: must be a colour such as #0b5cad, got "#12345"`,
		`buckets: {docs: {brand: {name: A, logo: /dev/null}}}`: "buckets.docs.brand.logo: /dev/null: must be a PNG, JPEG, WebP or SVG image",
	} {
		if !strings.Contains(brands, "buckets") {
			brands += "\nbuckets: {docs: }"
		}
		_, found := branded(t, brands)
		if len(found) != 1 || !strings.Contains(found[0].Error(), want) || found[0].Where == "" {
			t.Errorf("%s: %v, want %s", brands, found, want)
		}
	}
}

// Brands can change while a gate runs, those of its buckets too; what else there
// is of a bucket needs a restart.
func TestBrandReloads(t *testing.T) {
	before, _ := branded(t, `buckets: {docs: {name: a, brand: {name: Old}}, gone: {brand: {name: Gone}}}`)
	next, _ := branded(t, "brand: {name: Gate}\n"+`buckets: {docs: {name: b, brand: {name: New}}, more: {brand: {name: More}}}`)
	merged, changed, restart := before.Reload(next)
	if merged.Brand.Name != "Gate" || merged.Buckets["docs"].Brand.Name != "New" || merged.Buckets["docs"].Name != "a" || merged.Buckets["gone"].Brand.Name != "Gone" || len(merged.Buckets) != 2 {
		t.Errorf("%+v", merged.Buckets)
	}
	if before.Buckets["docs"].Brand.Name != "Old" {
		t.Error("the configuration before was changed")
	}
	if len(changed) != 2 {
		t.Errorf("changed: %v", changed)
	}
	found := false
	for _, c := range restart {
		found = found || c.Setting == "buckets.docs.name"
	}
	if !found {
		t.Errorf("needs a restart: %v", restart)
	}
}
