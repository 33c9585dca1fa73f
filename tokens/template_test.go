package tokens_test

import (
	"strings"
	"testing"
	"time"

	"s3gate/tokens"
)

// dropBox is a grant for uploads below a prefix, as the API completes it.
func dropBox(prefix, template string) tokens.Grant {
	g := putGrant()
	g.Key, g.Prefix, g.Upload.KeyTemplate = "", prefix, template
	g.FillDropBox()
	return g
}

func TestDropBoxIsCompletedAndChecked(t *testing.T) {
	const braces = "may have the placeholders {date}, {uuid} and {filename} and no other braces"
	long := strings.Repeat("x", 900)
	for _, test := range []struct {
		name             string
		prefix, template string
		wantPrefix       string
		wantTemplate     string
		wantError        string // "" if valid
	}{
		{"both", "in/", "in/{date}/{uuid}/{filename}", "in/", "in/{date}/{uuid}/{filename}", ""},
		{"only a prefix", "in/", "", "in/", "in/{uuid}/{filename}", ""},
		{"only a template", "", "in/box/{date}/{filename}", "in/box/", "in/box/{date}/{filename}", ""},
		{"its prefix ends with a folder", "", "in/box-{uuid}", "in/", "in/box-{uuid}", ""},
		{"prefix within a part", "in/bo", "in/box-{uuid}", "in/bo", "in/box-{uuid}", ""},
		{"file name only", "in/", "in/{filename}", "in/", "in/{filename}", ""},
		{"dates and UUIDs", "in/", "in/{date}/{date}-{uuid}/{uuid}", "in/", "in/{date}/{date}-{uuid}/{uuid}", ""},

		{"template without a folder", "", "{uuid}/{filename}", "", "{uuid}/{filename}",
			`upload.key_template: must begin with a folder such as incoming/, or prefix is required; got "{uuid}/{filename}"`},
		{"neither", "", "", "", "", "key: is required, or prefix"},
		{"another prefix", "in/", "out/{uuid}", "in/", "out/{uuid}", `upload.key_template: must begin with prefix, "in/", got "out/{uuid}"`},
		{"placeholder in the prefix", "in/{date}/", "", "in/{date}/", "in/{date}/{uuid}/{filename}",
			`prefix: must not have braces where files are uploaded, got "in/{date}/"; placeholders are for upload.key_template`},
		{"unknown placeholder", "in/", "in/{name}/{uuid}", "in/", "in/{name}/{uuid}", "upload.key_template: " + braces + `, got "in/{name}/{uuid}"`},
		{"open brace", "in/", "in/{uuid}/{filename", "in/", "in/{uuid}/{filename", "upload.key_template: " + braces + `, got "in/{uuid}/{filename"`},
		{"brace within a placeholder", "in/", "in/{uu{date}id}", "in/", "in/{uu{date}id}", "upload.key_template: " + braces + `, got "in/{uu{date}id}"`},
		{"one key for all", "in/", "in/{date}/upload", "in/", "in/{date}/upload",
			`upload.key_template: needs {uuid} or {filename}, or all uploads would have one key; got "in/{date}/upload"`},
		{"two names", "in/", "in/{filename}/{filename}", "in/", "in/{filename}/{filename}", "upload.key_template: has {filename} 2 times, once is allowed"},
		{"dots", "in/", "in/../{uuid}", "in/", "in/../{uuid}", `upload.key_template: has a part "..", which some would resolve`},
		{"NUL", "in/", "in/\x00{uuid}", "in/", "in/\x00{uuid}", "upload.key_template: contains a NUL byte"},
		{"not UTF-8", "in/", "in/\xff{uuid}", "in/", "in/\xff{uuid}", "upload.key_template: is not valid UTF-8"},
		{"no room", "in/", "in/" + long + "/{uuid}-{uuid}/{filename}", "in/", "in/" + long + "/{uuid}-{uuid}/{filename}",
			"upload.key_template: leaves 46 of a key's 1024 bytes for the file name, at least 64 are needed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := dropBox(test.prefix, test.template)
			if g.Prefix != test.wantPrefix || g.Upload.KeyTemplate != test.wantTemplate {
				t.Errorf("completed to %q and %q, want %q and %q", g.Prefix, g.Upload.KeyTemplate, test.wantPrefix, test.wantTemplate)
			}
			checkField(t, g.Validate(tokens.Limits{}, noon), test.wantError)
		})
	}
}

// What is for a drop box only is refused elsewhere, and FillDropBox leaves the
// rest alone.
func TestOnlyADropBoxHasATemplate(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*tokens.Grant)
		want   string
	}{
		{"key and template", func(g *tokens.Grant) { g.Upload.KeyTemplate = "in/{uuid}" }, "upload.key_template: and key exclude each other"},
		{"key, revealed", func(g *tokens.Grant) { g.Upload.RevealKey = true }, "upload.reveal_key: is for a prefix, or upload.key_template, only"},
		{"get with a template", func(g *tokens.Grant) {
			*g = getGrant()
			g.Key, g.Prefix = "", "in/"
			g.Upload.KeyTemplate = "in/{uuid}"
		},
			`upload: is for operation "put" only`},
		{"get, revealed", func(g *tokens.Grant) { *g = getGrant(); g.Upload.RevealKey = true }, `upload: is for operation "put" only`},
		{"get of a prefix", func(g *tokens.Grant) { *g = getGrant(); g.Key, g.Prefix = "", "in/" }, ""},
		{"listed", func(g *tokens.Grant) { *g = dropBox("in/", ""); g.List = true }, `list: is for operation "get" only`},
	} {
		g := putGrant()
		test.change(&g)
		before := g.Prefix + " " + g.Upload.KeyTemplate
		g.FillDropBox()
		if after := g.Prefix + " " + g.Upload.KeyTemplate; after != before {
			t.Errorf("%s: %q became %q", test.name, before, after)
		}
		checkField(t, g.Validate(tokens.Limits{}, noon), test.want)
	}
}

func TestDropKey(t *testing.T) {
	const uuid = "00112233-4455-4677-8899-aabbccddeeff"
	late := time.Date(2026, 12, 31, 23, 30, 0, 0, time.FixedZone("", -3600)) // the next year in UTC
	for _, test := range []struct{ template, name, want string }{
		{"in/{date}/{uuid}/{filename}", "a b.pdf", "in/2027-01-01/" + uuid + "/a b.pdf"},
		{"in/{uuid}-{uuid}", "unused", "in/" + uuid + "-" + uuid},
		{"in/{filename}.part", "{uuid}{date}{", "in/{uuid}{date}{.part"},
	} {
		g := dropBox("in/", test.template)
		if got := g.DropKey(late, uuid, test.name); got != test.want {
			t.Errorf("%s: %q, want %q", test.template, got, test.want)
		}
		name := strings.Repeat("n", g.NameRoom())
		if got := g.DropKey(late, uuid, name); len(got) != tokens.MaxKeyBytes && strings.Contains(test.template, "{filename}") {
			t.Errorf("%s: the longest name makes a key of %d bytes", test.template, len(got))
		}
	}
}
