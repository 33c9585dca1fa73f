package api

import (
	_ "embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:generate go run ../internal/apigen codegen.yaml

// documentText is the source of the API: routes take their parameters from it,
// errors what is allowed, and the types of requests are generated from it.
//
//go:embed openapi.yaml
var documentText []byte

// document is openapi.yaml, as far as the gate itself reads it (OpenAPI
// Specification 3.1).
type document struct {
	Info struct{ Title, Version, Summary, Description string }
	Tags []struct{ Name, Description string }
	// Paths are in the order of the file, which is that of the page.
	Paths      ordered[pathItem]
	Components struct {
		Parameters map[string]*parameter
		Responses  map[string]*response
		Schemas    ordered[*schema]
	}
}

type pathItem struct {
	Parameters                    []*parameter
	Get, Put, Post, Patch, Delete *operation
}

// operation is one call.
type operation struct {
	Method      string    `yaml:"-"`
	Path        string    `yaml:"-"`
	OperationID string    `yaml:"operationId"`
	Tags        []string  // one
	Summary     string    // without a full stop
	Description string    // paragraphs of text with `code`
	Security    yaml.Node // an empty list for a call without JWT
	Parameters  []*parameter
	RequestBody struct{ Content ordered[media] } `yaml:"requestBody"`
	Responses   ordered[*response]
}

type parameter struct {
	Ref         string `yaml:"$ref"`
	Name, In    string
	Description string
	Required    bool
	Schema      *schema
	Example     yaml.Node
}

type response struct {
	Ref         string `yaml:"$ref"`
	Description string
	Headers     ordered[yaml.Node]
	Content     ordered[media]
}

type media struct {
	Schema   *schema
	Examples ordered[struct {
		Summary string
		Value   yaml.Node
	}]
}

// schema is what a value may be (JSON Schema 2020-12).
type schema struct {
	Ref           string `yaml:"$ref"`
	Type          string
	Description   string
	Format        string
	Enum          []string
	Default       yaml.Node
	Minimum       *int64
	Maximum       *int64
	MinLength     *int64 `yaml:"minLength"`
	MaxLength     *int64 `yaml:"maxLength"`
	MaxItems      *int64 `yaml:"maxItems"`
	MaxProperties *int64 `yaml:"maxProperties"`
	WriteOnly     bool   `yaml:"writeOnly"`
	Required      []string
	Properties    ordered[*schema]
	// Additional is what members without a name in Properties are; nil if there
	// may be none, or if nothing is said of them.
	Additional additional `yaml:"additionalProperties"`
	Items      *schema
	AllOf      []*schema `yaml:"allOf"`
	OneOf      []*schema `yaml:"oneOf"`
	Examples   []yaml.Node
}

// additional is a schema, or nil for true and false.
type additional struct{ *schema }

// UnmarshalYAML reads either.
func (a *additional) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return nil
	}
	return node.Decode(&a.schema)
}

// ordered is a mapping that keeps its order.
type ordered[T any] []member[T]

type member[T any] struct {
	Name  string
	Value T
}

// UnmarshalYAML reads a mapping.
func (o *ordered[T]) UnmarshalYAML(node *yaml.Node) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		m := member[T]{Name: node.Content[i].Value}
		if err := node.Content[i+1].Decode(&m.Value); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		*o = append(*o, m)
	}
	return nil
}

// named returns the member of a name, the zero T if there is none.
func (o ordered[T]) named(name string) (value T) {
	for _, m := range o {
		if m.Name == name {
			return m.Value
		}
	}
	return value
}

// names are those of all members.
func (o ordered[T]) names() []string {
	names := make([]string, len(o))
	for i, m := range o {
		names[i] = m.Name
	}
	return names
}

// readDocument reads the document, which is a part of the program and so can be
// read, once.
var readDocument = sync.OnceValue(func() *document {
	d := new(document)
	if err := yaml.Unmarshal(documentText, d); err != nil {
		panic("api: openapi.yaml: " + err.Error())
	}
	return d
})

// operations are all calls, in the order of the file.
func (d *document) operations() (all []*operation) {
	for _, path := range d.Paths {
		item := path.Value
		for _, m := range []struct {
			method string
			op     *operation
		}{
			{http.MethodPost, item.Post}, {http.MethodGet, item.Get}, {http.MethodPut, item.Put},
			{http.MethodPatch, item.Patch}, {http.MethodDelete, item.Delete},
		} {
			if m.op == nil {
				continue
			}
			op := *m.op
			op.Method, op.Path = m.method, path.Name
			op.Parameters = nil
			for _, p := range slices.Concat(item.Parameters, m.op.Parameters) {
				op.Parameters = append(op.Parameters, d.parameter(p))
			}
			all = append(all, &op)
		}
	}
	return all
}

// operation finds a call by the pattern of its route, such as "GET /v1/tokens".
// A route that is not in the document is a mistake in the program.
func (d *document) operation(pattern string) *operation {
	for _, op := range d.operations() {
		if op.Method+" "+op.Path == pattern {
			return op
		}
	}
	panic("api: openapi.yaml does not describe the route " + pattern)
}

func (d *document) parameter(p *parameter) *parameter {
	if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
		return d.Components.Parameters[name]
	}
	return p
}

func (d *document) response(r *response) *response {
	if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
		return d.Components.Responses[name]
	}
	return r
}

const schemaRef = "#/components/schemas/"

// schema is what s is or refers to; nil if s is.
func (d *document) schema(s *schema) *schema {
	if s == nil {
		return nil
	}
	if name, ok := strings.CutPrefix(s.Ref, schemaRef); ok {
		return d.Components.Schemas.named(name)
	}
	return s
}

// body is what a call takes; nil if it takes none.
func (d *document) body(op *operation) *schema {
	return d.schema(op.RequestBody.Content.named("application/json").Schema)
}

// query are the names of the query parameters that a call knows.
func (op *operation) query() (names []string) {
	for _, p := range op.Parameters {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	return names
}

// parameter returns the query parameter of a name; nil if there is none.
func (op *operation) parameter(name string) *parameter {
	for _, p := range op.Parameters {
		if p.In == "query" && p.Name == name {
			return p
		}
	}
	return nil
}

// repeats reports whether a query parameter may be given more than once: it is a
// list.
func (op *operation) repeats(name string) bool {
	p := op.parameter(name)
	return p != nil && p.Schema.Type == "array"
}

// limited reports whether a call may be refused because its caller has done too
// much.
func (op *operation) limited() bool { return op.Responses.named("429") != nil }

// allowed says in words what a value may be; "" for anything.
func (d *document) allowed(s *schema) string {
	if s = d.schema(s); s == nil {
		return ""
	}
	var words string
	switch {
	case len(s.Enum) > 0:
		return enumerate(s.Enum)
	case s.Type == "boolean":
		return "true or false"
	case s.Format == "date-time":
		words = "a time (RFC 3339)"
	case s.Type == "integer":
		words = between(s.Minimum, s.Maximum, "a whole number", "")
	case s.Type == "string":
		words = "text" + between(s.MinLength, s.MaxLength, "", " characters")
	case s.Type == "array":
		words = "a list" + between(nil, s.MaxItems, "", " entries")
	case s.Additional.schema != nil:
		words = "an object" + between(nil, s.MaxProperties, "", " members")
	case len(s.Properties) > 0:
		return "an object with the fields " + strings.Join(s.Properties.names(), ", ")
	}
	if len(s.Examples) > 0 && words != "" {
		words += ", such as " + inline(&s.Examples[0])
	}
	return words
}

// between says which numbers of something are allowed; open if all are.
func between(least, most *int64, open, of string) string {
	words := ""
	switch {
	case least == nil && most == nil:
		return open
	case least == nil:
		words = "at most " + strconv.FormatInt(*most, 10)
	case most == nil:
		words = "at least " + strconv.FormatInt(*least, 10)
	default:
		words = strconv.FormatInt(*least, 10) + " to " + strconv.FormatInt(*most, 10)
	}
	if of != "" {
		words = " of " + words + of
	}
	return words
}

// enumerate joins the values of which one is allowed.
func enumerate(values []string) string {
	last := len(values) - 1
	if last < 1 {
		return strings.Join(values, "")
	}
	return strings.Join(values[:last], ", ") + " or " + values[last]
}
