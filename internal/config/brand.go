package config

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"unicode"
	"unicode/utf8"
)

// Brand says whose pages people see.
type Brand struct {
	// Name stands at the head of each page and in its title, at most 100 characters.
	Name string `koanf:"name"`
	// Logo is a file with the image beside the name: PNG, JPEG, WebP or SVG of at
	// most 16384 bytes, which becomes a part of each page. SIGHUP reads it again.
	Logo string `koanf:"logo"`
	// Colour is that of buttons and links, such as #0b5cad. Where it could not be
	// read, a darker or lighter shade of it stands for it. Default: a blue.
	Colour string `koanf:"colour"`
	// Contact tells people on these pages whom to ask. Default: contact.
	Contact string `koanf:"contact"`
}

const (
	maxBrandName = 100 // characters
	maxLogo      = 16 << 10
)

var colourForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// BrandOf is how the pages of links into a bucket look, by its alias; "", and any
// that is not there, is for pages of which that is not known. What the bucket does
// not set it has from the brand of the gate; a name and its logo go together.
func (c *Config) BrandOf(alias string) Brand {
	b := c.Buckets[alias].Brand
	if b.Name == "" {
		b.Name, b.Logo = c.Brand.Name, c.Brand.Logo
	}
	b.Colour = cmp.Or(b.Colour, c.Brand.Colour)
	b.Contact = cmp.Or(b.Contact, c.Brand.Contact, c.Contact)
	return b
}

func (b *Brand) validate(name string, bad func(name, format string, args ...any)) {
	for field, text := range map[string]string{"name": b.Name, "contact": b.Contact} {
		for _, r := range text {
			if unicode.IsControl(r) || r == utf8.RuneError {
				bad(name+"."+field, "must be text in one line")
				break
			}
		}
	}
	if n := utf8.RuneCountInString(b.Name); n > maxBrandName {
		bad(name+".name", "must have at most %d characters, got %d", maxBrandName, n)
	}
	if b.Logo != "" && b.Name == "" {
		bad(name+".logo", "needs %s.name, which is read out where the logo is not seen", name)
	}
	if b.Colour != "" && !colourForm.MatchString(b.Colour) {
		bad(name+".colour", "must be a colour such as #0b5cad, got %q", b.Colour)
	}
}

// ReadLogo reads the logo and returns it as a data: URI, "" if there is none.
func (b *Brand) ReadLogo() (string, error) {
	if b.Logo == "" {
		return "", nil
	}
	f, err := os.Open(b.Logo)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLogo+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxLogo {
		return "", fmt.Errorf("%s has more than %d bytes", b.Logo, maxLogo)
	}
	media, err := imageType(data)
	if err != nil {
		return "", fmt.Errorf("%s: %w", b.Logo, err)
	}
	return "data:" + media + ";base64," + base64.StdEncoding.EncodeToString(data), nil
}

var errImage = errors.New("must be a PNG, JPEG, WebP or SVG image")

// imageType tells by what an image begins with, whatever its file is called. A
// script in an SVG does nothing, since pages have it as an image.
func imageType(data []byte) (string, error) {
	switch media := http.DetectContentType(data); media {
	case "image/png", "image/jpeg", "image/webp":
		return media, nil
	}
	for d := xml.NewDecoder(bytes.NewReader(data)); ; {
		token, err := d.Token()
		if err != nil {
			return "", errImage
		}
		if root, ok := token.(xml.StartElement); ok {
			if root.Name != (xml.Name{Space: "http://www.w3.org/2000/svg", Local: "svg"}) {
				return "", errImage
			}
			return "image/svg+xml", nil
		}
	}
}
