package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every route is in the document, and the document has no other.
func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	var described []string
	for path, item := range theContract().doc["paths"].(map[string]any) {
		for _, method := range methods(item.(map[string]any)) {
			described = append(described, method+" "+path)
		}
	}
	slices.Sort(described)
	routes := slices.Sorted(slices.Values(newGate(t).handler.Routes()))
	if !slices.Equal(routes, described) {
		t.Errorf("the routes are\n%s\nthe document has\n%s", strings.Join(routes, "\n"), strings.Join(described, "\n"))
	}
}

// The examples of the document are allowed by their schemas, and requests like
// them succeed.
func TestExamplesOfTheDocument(t *testing.T) {
	c := theContract()
	g := newGate(t)
	examples := 0
	check := func(place string, schema map[string]any, value any) {
		examples++
		if err := c.validate(schema, value); err != nil {
			t.Errorf("%s: %v", place, err)
		}
	}
	var walk func(place string, node any)
	walk = func(place string, node any) {
		switch v := node.(type) {
		case map[string]any:
			if schema, ok := v["schema"].(map[string]any); ok {
				for name, example := range c.at(v, "examples") {
					check(place+" "+name, schema, example.(map[string]any)["value"])
				}
				if example, ok := v["example"]; ok {
					check(place, schema, example)
				}
			}
			if all, ok := v["examples"].([]any); ok {
				for _, example := range all {
					check(place, v, example)
				}
			}
			if value, ok := v["default"]; ok && v["type"] != nil {
				check(place+" default", v, value)
			}
			for _, name := range slices.Sorted(maps.Keys(v)) {
				if name != "examples" {
					walk(place+"/"+name, v[name])
				}
			}
		case []any:
			for i, each := range v {
				walk(fmt.Sprint(place, "/", i), each)
			}
		}
	}
	walk("", c.doc)
	if examples < 50 {
		t.Errorf("%d examples were found", examples)
	}
	for path, status := range map[string]int{"/v1/tokens": http.StatusCreated, "/v1/revocations": http.StatusOK} {
		for name, example := range c.at(c.doc["paths"].(map[string]any)[path], "post", "requestBody", "content", "application/json", "examples") {
			body, err := json.Marshal(example.(map[string]any)["value"])
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(body), "standing") {
				continue // the order is not certain, and it forbids the mints
			}
			if a := g.do("POST", path, string(body)); a.status != status {
				t.Errorf("%s %s: %d %s", path, name, a.status, a.body)
			}
		}
	}
}

// Whoever reads the document, or a client made of it, needs what each thing is.
func TestTheDocumentSaysWhatEverythingIs(t *testing.T) {
	c := theContract()
	if v := c.doc["openapi"]; v != "3.1.0" {
		t.Errorf("openapi is %v", v)
	}
	for name, schema := range c.at(c.doc, "components", "schemas") {
		if s := schema.(map[string]any); s["description"] == nil {
			t.Errorf("%s has no description", name)
		}
		parts, _ := schema.(map[string]any)["allOf"].([]any)
		for _, part := range append(parts, schema) {
			for field, property := range c.at(part, "properties") {
				if about := c.deref(property).(map[string]any)["description"]; about == nil || about == "" {
					t.Errorf("%s.%s has no description", name, field)
				}
			}
		}
	}
	ids := map[any]bool{}
	for path, item := range c.doc["paths"].(map[string]any) {
		for _, method := range methods(item.(map[string]any)) {
			operation := c.at(item, strings.ToLower(method))
			if operation["summary"] == nil || operation["operationId"] == nil || ids[operation["operationId"]] {
				t.Errorf("%s %s has no summary, or no ID of its own", method, path)
			}
			ids[operation["operationId"]] = true
			if _, open := operation["security"]; open == strings.HasPrefix(path, "/v1/") {
				t.Errorf("%s %s: whether a JWT is needed is described as %v", method, path, !open)
			}
		}
	}
}

// The document that is served is the one of this directory, to whoever asks.
func TestTheDocumentIsServed(t *testing.T) {
	g := newGate(t)
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a := g.as("", "GET", "/openapi.yaml", nil)
	if a.status != http.StatusOK || a.body != string(want) || a.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%d %s, %d bytes, want %d", a.status, a.header.Get("Content-Type"), len(a.body), len(want))
	}
}

// The page shows everything that the document has. It loads nothing, and runs
// no script.
func TestThePageShowsTheDocument(t *testing.T) {
	c := theContract()
	a := newGate(t).as("", "GET", "/docs", nil)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	policy := a.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "script") || strings.Contains(policy, "http") {
		t.Errorf("the policy is %s", policy)
	}
	for _, bad := range []string{"<script", " onclick", "javascript:", `src="`, `style="`, "&lt;code", "ZgotmplZ", "<no value>", "%!"} {
		if strings.Contains(a.body, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		anchor, ok := strings.CutPrefix(link[1], "#")
		if ok && !strings.Contains(a.body, `id="`+anchor+`"`) || !ok && link[1] != "openapi.yaml" && link[1] != "data:," {
			t.Errorf("the link %s leads nowhere", link[1])
		}
	}
	for path, item := range c.doc["paths"].(map[string]any) {
		for _, method := range methods(item.(map[string]any)) {
			operation := c.at(item, strings.ToLower(method))
			if !strings.Contains(a.body, `<article id="`+operation["operationId"].(string)+`"`) || !strings.Contains(a.body, ">"+path+"<") {
				t.Errorf("%s %s is not shown", method, path)
			}
		}
	}
	for name, schema := range c.at(c.doc, "components", "schemas") {
		for field := range c.at(schema, "properties") {
			if !strings.Contains(a.body, "<code>"+field+"</code>") {
				t.Errorf("%s.%s is not shown", name, field)
			}
		}
	}
	for _, words := range []string{"0 to 1000000", "get or put", "default <code>50</code>", "Request Entity Too Large", "Retry", "without a JWT"} {
		if !strings.Contains(a.body, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
}
