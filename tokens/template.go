package tokens

import (
	"strings"
	"time"
)

// The placeholders of a key template.
const (
	dateField     = "{date}"     // the day, in UTC
	uuidField     = "{uuid}"     // random, another one for each upload
	filenameField = "{filename}" // what the client calls the file
)

const (
	dateLayout = "2006-01-02"
	uuidBytes  = len("00000000-0000-4000-8000-000000000000")
	// minNameRoom is what a template must leave of a key for the file name, in
	// bytes: enough to know the file by.
	minNameRoom = 64
)

// DropBox reports whether the token permits uploads below a prefix, under keys
// that the gate makes.
func (g *Grant) DropBox() bool { return g.Operation == Put && g.Prefix != "" }

// FillDropBox completes a grant for uploads that has a prefix and no key
// template, or a template and no prefix: the prefix are then the folders before
// the first placeholder. It changes no other grant.
func (g *Grant) FillDropBox() {
	text := &g.Upload.KeyTemplate
	switch {
	case g.Operation != Put || g.Key != "":
	case g.Prefix == "":
		fixed, _, _ := strings.Cut(*text, "{")
		g.Prefix = fixed[:strings.LastIndexByte(fixed, '/')+1]
	case *text == "":
		*text = g.Prefix + uuidField + "/" + filenameField
	}
}

// NameRoom is how many bytes of a key the template of a drop box leaves for the
// file name.
func (g *Grant) NameRoom() int {
	return MaxKeyBytes - len(g.DropKey(time.Time{}, strings.Repeat("0", uuidBytes), ""))
}

// DropKey is the key of one upload into a drop box: its template with the day
// of now in UTC, the UUID and the file name. The name is taken as it is: it has
// no slash, and at most NameRoom bytes.
func (g *Grant) DropKey(now time.Time, uuid, filename string) string {
	return strings.NewReplacer(dateField, now.UTC().Format(dateLayout), uuidField, uuid, filenameField, filename).Replace(g.Upload.KeyTemplate)
}

// validateDrop checks how a drop box makes its keys.
func (g *Grant) validateDrop() error {
	const field = "upload.key_template"
	text := g.Upload.KeyTemplate
	switch {
	case !g.DropBox() && g.Upload.RevealKey:
		return fieldErrorf("upload.reveal_key", "is for a prefix, or upload.key_template, only")
	case !g.DropBox():
		return nil // validateTarget knows of a template without a prefix
	case strings.ContainsAny(g.Prefix, "{}"):
		return fieldErrorf("prefix", "must not have braces where files are uploaded, got %q; placeholders are for %s", clip(g.Prefix), field)
	case text == "":
		return fieldErrorf(field, "is required with a prefix where files are uploaded")
	case !strings.HasPrefix(text, g.Prefix):
		return fieldErrorf(field, "must begin with prefix, %q, got %q", clip(g.Prefix), clip(text))
	}
	if err := validateKey(field, text); err != nil {
		return err
	}
	if err := validatePlaceholders(field, text); err != nil {
		return err
	}
	if room := g.NameRoom(); room < minNameRoom {
		return fieldErrorf(field, "leaves %d of a key's %d bytes for the file name, at least %d are needed", room, MaxKeyBytes, minNameRoom)
	}
	return nil
}

// validatePlaceholders allows each of the known ones, the file name once.
func validatePlaceholders(field, text string) error {
	rest := strings.NewReplacer(dateField, "", uuidField, "", filenameField, "").Replace(text)
	switch names := strings.Count(text, filenameField); {
	case strings.ContainsAny(rest, "{}"):
		return fieldErrorf(field, "may have the placeholders %s, %s and %s and no other braces, got %q", dateField, uuidField, filenameField, clip(text))
	case names > 1:
		return fieldErrorf(field, "has %s %d times, once is allowed", filenameField, names)
	case names == 0 && !strings.Contains(text, uuidField):
		return fieldErrorf(field, "needs %s or %s, or all uploads would have one key; got %q", uuidField, filenameField, clip(text))
	}
	for segment := range strings.SplitSeq(text, "/") {
		if segment == "." || segment == ".." {
			return fieldErrorf(field, "has a part %q, which some would resolve", segment)
		}
	}
	return nil
}
