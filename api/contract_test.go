package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// contract is openapi.yaml as a judge of answers. An answer may have nothing
// that the document does not know, although clients have to expect it.
type contract struct {
	doc     map[string]any // with all numbers as json.Number
	schemas *jsonschema.Compiler

	mu       sync.Mutex
	compiled map[string]*jsonschema.Schema
}

// theContract reads the document, once for all tests.
var theContract = sync.OnceValue(func() *contract {
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		panic(err)
	}
	c, err := newContract(text)
	if err != nil {
		panic(err)
	}
	return c
})

func newContract(text []byte) (*contract, error) {
	var plain any
	if err := yaml.Unmarshal(text, &plain); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(plain)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	closeAnswers(doc.(map[string]any))
	c := &contract{doc: doc.(map[string]any), schemas: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	c.schemas.AssertFormat()
	return c, c.schemas.AddResource("openapi.json", doc)
}

// closeAnswers forbids members that a schema does not name, wherever a schema
// is used as a whole and not as a part of another.
func closeAnswers(node any) {
	switch v := node.(type) {
	case map[string]any:
		for key, value := range v {
			closeAnswers(value)
			switch key {
			case "schema", "items", "additionalProperties":
				closeSchema(value)
			case "properties":
				for _, property := range value.(map[string]any) {
					closeSchema(property)
				}
			case "oneOf":
				for _, one := range value.([]any) {
					closeSchema(one)
				}
			}
		}
	case []any:
		for _, value := range v {
			closeAnswers(value)
		}
	}
}

func closeSchema(node any) {
	s, ok := node.(map[string]any)
	_, open := s["additionalProperties"]
	_, refers := s["$ref"]
	_, merges := s["allOf"]
	if ok && !open && (refers || merges || s["type"] == "object") {
		s["unevaluatedProperties"] = false
	}
}

// at follows a JSON pointer, and references on the way.
func (c *contract) at(node any, names ...string) map[string]any {
	for _, name := range names {
		m, _ := node.(map[string]any)
		node = c.deref(m[name])
	}
	m, _ := node.(map[string]any)
	return m
}

func (c *contract) deref(node any) any {
	m, _ := node.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return node
	}
	return c.at(c.doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

// methods are those that the document has, in upper case.
func methods(item map[string]any) (all []string) {
	for name := range item {
		if name != "parameters" {
			all = append(all, strings.ToUpper(name))
		}
	}
	slices.Sort(all)
	return all
}

// item finds the path of the document that a request is for; "" if it has none.
func (c *contract) item(r *http.Request) (template string, item map[string]any) {
	escaped := r.URL.EscapedPath()
	if r.URL.Path == "" || path.Clean(r.URL.Path) != r.URL.Path {
		return "", nil
	}
	given := strings.Split(escaped, "/")
	for name, found := range c.doc["paths"].(map[string]any) {
		// A path with a verb is longer, and meant.
		if slices.EqualFunc(given, strings.Split(name, "/"), matches) && len(name) > len(template) {
			template, item = name, found.(map[string]any)
		}
	}
	return template, item
}

// matches reports whether a part of a path is that of a template, which may be a
// parameter with a verb after it.
func matches(given, want string) bool {
	if _, verb, ok := strings.Cut(want, "}"); ok {
		value, ok := strings.CutSuffix(given, verb)
		return ok && value != "" && !strings.Contains(value, ":") // which begins a verb
	}
	plain, err := url.PathUnescape(given)
	return err == nil && plain == want
}

// check says what of an answer is not in the document; "" if nothing is.
func (c *contract) check(r *http.Request, a answer) string {
	template, item := c.item(r)
	method := strings.ToLower(r.Method)
	if r.Method == http.MethodHead {
		method = "get"
	}
	operation, known := item[method].(map[string]any)
	switch {
	case template == "" && a.status != http.StatusNotFound:
		return "the document does not know the path"
	case template == "":
		return c.checkBody(a, c.at(c.doc, "components", "responses", "NotFound"))
	case !known || r.Method == strings.ToLower(r.Method):
		if a.status == http.StatusNoContent && r.Header.Get("Access-Control-Request-Method") != "" {
			return ""
		}
		if a.status != http.StatusMethodNotAllowed {
			return "the document does not know the method, and it is not 405"
		}
		return c.checkBody(a, c.at(c.doc, "components", "responses", "NotFound"))
	}
	response := c.at(operation, "responses", fmt.Sprint(a.status))
	if response == nil {
		return fmt.Sprintf("%s %s does not list the status", r.Method, template)
	}
	for name, header := range c.at(response, "headers") {
		if text := c.checkHeader(name, c.deref(header).(map[string]any), a.header); text != "" {
			return text
		}
	}
	return c.checkBody(a, response)
}

func (c *contract) checkHeader(name string, header map[string]any, given http.Header) string {
	values := given.Values(name)
	if len(values) == 0 {
		if header["required"] == true {
			return "the header " + name + " is missing"
		}
		return ""
	}
	var value any = values[0]
	if c.at(header, "schema")["type"] == "integer" {
		value = json.Number(values[0])
	}
	if err := c.validate(c.at(header, "schema"), value); err != nil {
		return "the header " + name + ": " + err.Error()
	}
	return ""
}

func (c *contract) checkBody(a answer, response map[string]any) string {
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	content := c.at(response, "content")
	media, known := content[kind]
	switch {
	case !known && len(content) > 0:
		return "the document does not know the content type " + kind
	case !strings.HasSuffix(kind, "json"):
		return ""
	}
	texts := []string{a.body}
	if kind == "application/x-ndjson" { // the schema is that of a line
		texts = strings.FieldsFunc(a.body, func(r rune) bool { return r == '\n' })
	}
	for _, text := range texts {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err.Error()
		}
		// The schema as it stands there, since what is around a reference counts.
		if err := c.validate(media.(map[string]any)["schema"].(map[string]any), value); err != nil {
			return err.Error()
		}
	}
	return ""
}

// validate holds a value against a schema of the document.
func (c *contract) validate(schema map[string]any, value any) error {
	compiled, err := c.compile(schema)
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

func (c *contract) compile(schema map[string]any) (*jsonschema.Schema, error) {
	raw, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if compiled := c.compiled[string(raw)]; compiled != nil {
		return compiled, nil
	}
	name := fmt.Sprintf("answer-%d.json", len(c.compiled))
	text := strings.ReplaceAll(string(raw), `"$ref":"#/`, `"$ref":"openapi.json#/`)
	node, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	if err := c.schemas.AddResource(name, node); err != nil {
		return nil, err
	}
	compiled, err := c.schemas.Compile(name)
	if err != nil {
		return nil, err
	}
	c.compiled[string(raw)] = compiled
	return compiled, nil
}
