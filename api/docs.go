package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"
)

//go:embed docs.html
var docsPage string

//go:embed docs.css
var docsStyle string

func serveDocument(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(documentText) // the client may be gone
}

// serveDocs answers with the document as a page. It loads nothing and runs no
// script.
func serveDocs(w http.ResponseWriter, _ *http.Request) {
	page := writeDocs()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", page.policy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(page.html)
}

// docs is the page, with the Content-Security-Policy to send with it.
type docs struct {
	html   []byte
	policy string
}

// writeDocs makes the page of the document, once.
var writeDocs = sync.OnceValue(func() docs {
	d := readDocument()
	page := template.Must(template.New("docs").Funcs(template.FuncMap{
		"prose": prose, "indented": indented, "inline": inline, "allowed": d.allowed,
		"ref": func(s *schema) string { return strings.TrimPrefix(s.Ref, schemaRef) },
	}).Parse(docsPage))
	view := struct {
		*document
		Style    template.CSS
		Sections []section
	}{d, template.CSS(docsStyle), d.sections()}
	var html bytes.Buffer
	if err := page.Execute(&html, view); err != nil {
		panic("api: docs.html: " + err.Error())
	}
	sum := sha256.Sum256([]byte(docsStyle))
	return docs{html.Bytes(), "default-src 'none'; img-src data:; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"}
})

// section has the calls of one tag.
type section struct {
	Name, Description string
	Calls             []shownCall
}

// shownCall is a call as the page shows it.
type shownCall struct {
	*operation
	Open    bool // to callers without a JWT
	Body    []field
	Samples ordered[string] // of the body
	Answers []answer
}

// field is one line of a table: a parameter, or a field of an object.
type field struct {
	Name, In             string
	Required             bool
	Kind, Allowed, Model string // Model is the object that it is, if that has a name
	Default, Description string
}

// answer is what a call may be answered.
type answer struct {
	Status, Description, Kind string
	Models, Headers           []string
	Samples                   ordered[string]
}

func (d *document) sections() (all []section) {
	for _, tag := range d.Tags {
		s := section{Name: tag.Name, Description: tag.Description}
		for _, op := range d.operations() {
			if slices.Contains(op.Tags, tag.Name) {
				s.Calls = append(s.Calls, d.show(op))
			}
		}
		all = append(all, s)
	}
	return all
}

func (d *document) show(op *operation) shownCall {
	c := shownCall{operation: op, Open: op.Security.Kind != 0}
	if body := d.body(op); body != nil {
		c.Body = d.fields(body, "")
		c.Samples = samples(op.RequestBody.Content)
	}
	for _, r := range op.Responses {
		about := d.response(r.Value)
		a := answer{Status: r.Name, Description: about.Description, Headers: about.Headers.names(), Samples: samples(about.Content)}
		for _, m := range about.Content {
			a.Kind = m.Name
			for _, s := range append(m.Value.Schema.OneOf, m.Value.Schema) {
				if name, ok := strings.CutPrefix(s.Ref, schemaRef); ok {
					a.Models = append(a.Models, name)
				}
			}
		}
		c.Answers = append(c.Answers, a)
	}
	return c
}

// samples are the examples of a body, by what they show.
func samples(content ordered[media]) (all ordered[string]) {
	for _, m := range content {
		for _, e := range m.Value.Examples {
			all = append(all, member[string]{e.Value.Summary, indented(&e.Value.Value)})
		}
	}
	return all
}

// Fields are the fields of an object of the document, for its table.
func (d *document) Fields(s *schema) []field { return d.fields(s, "") }

// ParameterFields are those of a call.
func (c shownCall) ParameterFields() (all []field) {
	d := readDocument()
	for _, p := range c.Parameters {
		f := d.field(p.Name, p.Schema)
		f.In, f.Required, f.Description = p.In, p.Required, p.Description
		if !p.Example.IsZero() && !strings.Contains(f.Allowed, " or ") {
			f.Allowed += ", such as " + inline(&p.Example)
		}
		all = append(all, f)
	}
	return all
}

// fields are those of an object, and with dots those of the objects in it that
// a caller may set.
func (d *document) fields(s *schema, prefix string) (all []field) {
	s = d.schema(s)
	for _, part := range s.AllOf {
		all = append(all, d.fields(part, prefix)...)
	}
	for _, p := range s.Properties {
		f := d.field(prefix+p.Name, p.Value)
		f.Required = slices.Contains(s.Required, p.Name)
		all = append(all, f)
	}
	return all
}

func (d *document) field(name string, s *schema) field {
	is := d.schema(s)
	f := field{Name: name, Kind: is.Type, Allowed: d.allowed(s), Description: is.Description}
	if ref, ok := strings.CutPrefix(s.Ref, schemaRef); ok && len(is.Properties)+len(is.AllOf) > 0 {
		f.Model, f.Allowed = ref, ""
	}
	if items := is.Items; items != nil {
		f.Model = strings.TrimPrefix(items.Ref, schemaRef)
	}
	if !is.Default.IsZero() {
		f.Default = inline(&is.Default)
	}
	return f
}

// prose turns paragraphs of text with `code` into HTML.
func prose(text string) template.HTML {
	var b strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		b.WriteString("<p>")
		for i, part := range strings.Split(paragraph, "`") {
			if i%2 == 1 {
				part = "<code>" + template.HTMLEscapeString(part) + "</code>"
			} else {
				part = template.HTMLEscapeString(part)
			}
			b.WriteString(part)
		}
		b.WriteString("</p>")
	}
	return template.HTML(b.String())
}
