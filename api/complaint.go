package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"s3gate/internal/spelling"
	"s3gate/tokens"
)

// complaint is an error about a field of a request, with where the field is,
// what it had and what it may have.
type complaint struct {
	error
	pointer, given, allowed string
}

func (c *complaint) Unwrap() error { return c.error }

// explain adds to an error about a field of the body what the document and the
// body say of that field.
func (c *call) explain(err error) error {
	var field *tokens.FieldError
	if !errors.As(err, &field) || field.Field == bodyField {
		return err
	}
	body := c.doc.body(c.op)
	if body == nil {
		return c.explainQuery(err)
	}
	name := field.Field
	var item *tokens.ItemError
	if errors.As(err, &item) {
		name = "tokens." + strconv.Itoa(item.Item) + "." + name
	}
	path, at := c.doc.place(body, name)
	told := &complaint{error: err, pointer: pointer(path), allowed: field.Allowed}
	switch {
	case at == nil: // an unknown field has a name only, or the error tells of several
		told.given = path[len(path)-1]
	case !at.WriteOnly:
		told.given = given(c.sent.Bytes(), path)
	}
	if !errors.Is(err, errNoRight) {
		told.allowed = cmp.Or(told.allowed, c.doc.allowed(at))
	}
	return told
}

// explainQuery is explain for query parameters, which no pointer points at.
func (c *call) explainQuery(err error) error {
	var field *tokens.FieldError
	if !errors.As(err, &field) {
		return err
	}
	told := &complaint{error: err, given: c.query.Get(field.Field), allowed: field.Allowed}
	if c.op.repeats(field.Field) {
		told.given = strings.Join(c.query[field.Field], ", ")
	}
	if p := c.op.parameter(field.Field); p != nil {
		told.allowed = cmp.Or(told.allowed, c.doc.allowed(p.Schema))
	} else {
		told.given = field.Field
	}
	return told
}

// place finds a field, whose name has dots if it is nested, in what a body may
// be: the names that lead there, and what is allowed there, nil if there is no
// such field.
func (d *document) place(body *schema, field string) (path []string, at *schema) {
	at = d.schema(body)
	for rest := field; rest != ""; {
		name, more, _ := strings.Cut(rest, ".")
		next := d.schema(at.Properties.named(name))
		if next == nil && at.Items != nil {
			if _, err := strconv.ParseUint(name, 10, 31); err == nil {
				next = d.schema(at.Items)
			}
		}
		if next == nil {
			// All that is left is one name, whatever it holds.
			return append(path, rest), d.schema(at.Additional.schema)
		}
		path, at, rest = append(path, name), next, more
	}
	return path, at
}

// pointer makes a JSON pointer of names (RFC 6901).
func pointer(path []string) string {
	var p strings.Builder
	for _, name := range path {
		p.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return p.String()
}

// given is what a body has at a place: text as it is, a number or truth as JSON;
// "" if there is nothing, and for a list or an object, which may hold a secret
// where none is looked for.
func given(body []byte, path []string) string {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var value any
	if dec.Decode(&value) != nil {
		return ""
	}
	for _, name := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			n, err := strconv.Atoi(name)
			if err != nil || n >= len(v) {
				return ""
			}
			value = v[n]
		default:
			return ""
		}
	}
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// secretForm finds tokens and JWTs, whole or cut off.
var secretForm = regexp.MustCompile(`(s3g_)[0-9A-Za-z]{8,}|(eyJ)[\w-]{8,}[\w.-]*`)

// censored is a text without secrets, which somebody may have put where they do
// not belong.
func censored(text string) string { return secretForm.ReplaceAllString(text, "$1$2…") }

// strange is the error of a field or parameter that a request does not have. It
// names the nearest that it has, or all if none is near.
func strange(kind, place, name string, known []string) error {
	err := &tokens.FieldError{Field: place, Problem: "is not a " + kind + " of this request"}
	near := spelling.Nearest(name, known)
	if near != "" {
		err.Problem += "; did you mean " + near + "?"
	}
	err.Allowed = cmp.Or(near, strings.Join(known, ", "))
	return err
}
