package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"s3gate/tokens"
)

// decode reads a JSON object strictly: unknown fields, wrong types, text
// after the object and text that is not UTF-8 are errors that name what is
// wrong. encoding/json alone would replace bad UTF-8 by another character,
// and so change a key.
func decode(r io.Reader, into any) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return errTooLarge
		}
		return bodyError("could not be read")
	}
	if !utf8.Valid(raw) || hasLoneSurrogate(raw) {
		return bodyError("is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return decodeError(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return bodyError("has something after the JSON object")
	}
	return nil
}

func bodyError(problem string) error { return &tokens.FieldError{Field: "body", Problem: problem} }

// decodeError names the field that encoding/json complains about.
func decodeError(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		field := wrong.Field
		if field == "" {
			field = "body"
		}
		return &tokens.FieldError{Field: field, Problem: "must be " + kindOf(wrong) + ", got a JSON " + wrong.Value}
	}
	var field *tokens.FieldError
	if errors.As(err, &field) {
		return field
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if name = strings.Trim(name, `"`); len(name) > 40 {
			name = name[:40] + "…"
		}
		return &tokens.FieldError{Field: name, Problem: "is not a field of this request"}
	}
	return bodyError("is not a valid JSON object")
}

// kindOf names the type that a field wants in words of JSON.
func kindOf(e *json.UnmarshalTypeError) string {
	switch e.Type.Kind().String() {
	case "string":
		return "a string"
	case "int64", "int":
		return "a whole number"
	case "bool":
		return "true or false"
	case "slice":
		return "a list"
	}
	return "an object"
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
