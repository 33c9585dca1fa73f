package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	"s3gate/tokens"
)

// decode reads a JSON object strictly into a struct: unknown fields, names in
// another case or given twice, wrong types, text after the object and text
// that is not UTF-8 are errors that name what is wrong. encoding/json alone
// would replace bad UTF-8 by another character, and so change a key, and let
// the last of two equal names win.
func decode(r io.Reader, into any) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return &tooLargeError{large.Limit}
		}
		return bodyError("could not be read")
	}
	if !utf8.Valid(raw) || hasLoneSurrogate(raw) {
		return bodyError("is not valid UTF-8")
	}
	shape := reflect.TypeOf(into).Elem()
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(into); err != nil {
		return decodeError(err, shape)
	}
	if _, err := dec.Token(); err != io.EOF {
		return bodyError("has something after the JSON object")
	}
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return bodyError("must be an object, got a JSON null")
	}
	return checkNames(raw, shape, "")
}

// bodyField is the field of an error that lies in no field of the body.
const bodyField = "body"

func bodyError(problem string) error { return &tokens.FieldError{Field: bodyField, Problem: problem} }

// decodeError names the field that encoding/json complains about.
func decodeError(err error, shape reflect.Type) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return bodyError("is not a valid JSON object")
	}
	want := "be " + kindOf(wrong.Type)
	if inside(typeAt(shape, wrong.Field), wrong.Type) {
		want = "hold strings only"
	}
	return &tokens.FieldError{
		Field:   cmp.Or(wrong.Field, bodyField),
		Problem: "must " + want + ", got a JSON " + clip(wrong.Value),
	}
}

// kindOf names the type that a field wants in words of JSON.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Int64:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// inside reports whether wrong is not the type of a field but that of what is
// in its list or map.
func inside(field, wrong reflect.Type) bool {
	return field != wrong && (field.Kind() == reflect.Map || field.Kind() == reflect.Slice)
}

// typeAt returns the type of a field, whose name has dots if it is nested.
func typeAt(t reflect.Type, field string) reflect.Type {
	for name := range strings.SplitSeq(field, ".") {
		if m := memberType(t, name); m != nil {
			t = m
		}
	}
	return t
}

// memberType returns the type of the member of exactly that name in an object
// that decodes into a t; nil if there is none.
func memberType(t reflect.Type, name string) reflect.Type {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem()
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
				return f.Type
			}
		}
	}
	return nil
}

// memberNames are the names of the members of an object that decodes into a t.
func memberNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// checkNames refuses names that t does not have and names that are given
// twice. It is for what has been decoded into a t, and so is valid and has its
// shape but for members that t does not have, which are not entered.
func checkNames(raw []byte, t reflect.Type, at string) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if opening, _ := dec.Token(); opening != json.Delim('{') {
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		name, _ := token.(string)
		place := at + clip(name)
		member := memberType(t, name)
		switch {
		case err != nil:
			return bodyError("is not a valid JSON object")
		case name == "" && member == nil:
			return bodyError("has a field without a name")
		case seen[name]:
			return &tokens.FieldError{Field: place, Problem: "is given twice"}
		case member == nil:
			return strange("field", place, name, memberNames(t))
		}
		seen[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return bodyError("is not a valid JSON object")
		}
		if err := checkNames(value, member, place+"."); err != nil {
			return err
		}
	}
	return nil
}

// clip keeps what an error quotes short.
func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// hasLoneSurrogate reports whether a \u escape names half of a UTF-16 pair,
// which is no character.
func hasLoneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++ // whatever is escaped
		switch high := surrogate(raw[i-1:]); high {
		case 0:
		case 'D':
			if surrogate(raw[min(i+5, len(raw)):]) != 'L' {
				return true
			}
			i += 10
		default:
			return true
		}
	}
	return false
}

// surrogate returns 'D' for the escape of a leading surrogate at the start of
// raw, 'L' for that of a trailing one, and 0 for anything else.
func surrogate(raw []byte) byte {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' || raw[2]|0x20 != 'd' {
		return 0
	}
	switch c := raw[3] | 0x20; {
	case c == '8', c == '9', c == 'a', c == 'b':
		return 'D'
	case c >= 'c' && c <= 'f':
		return 'L'
	}
	return 0
}
