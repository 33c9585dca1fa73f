package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// A member is one name and value of a JSON object; an item is one value of a JSON array. Both know where
// their value stands, so that text can be edited instead of written anew.
type (
	member struct {
		name  string
		value json.RawMessage
		at    int // offset of value in the text of the object
	}
	item struct {
		value json.RawMessage
		at    int // offset of value in the text of the array
	}
)

// checkSyntax reports whether text is one well-formed JSON value, and if not, where it stops being one.
func checkSyntax(text []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(text, &raw)
	if at, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("invalid JSON at byte %d: %w", at.Offset, err)
	}
	return err
}

// members splits the text of a JSON object, in order and with duplicates.
func members(object []byte) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("must be an object")
	}
	var list []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		v, at, err := next(dec)
		if err != nil {
			return nil, err
		}
		text, _ := name.(string) // the decoder lets nothing else be a name
		list = append(list, member{text, v, at})
	}
	return list, nil
}

// items splits the text of a JSON array.
func items(array []byte) ([]item, error) {
	dec := json.NewDecoder(bytes.NewReader(array))
	if open, err := dec.Token(); err != nil || open != json.Delim('[') {
		return nil, errors.New("must be an object or a list of objects")
	}
	var list []item
	for dec.More() {
		v, at, err := next(dec)
		if err != nil {
			return nil, err
		}
		list = append(list, item{v, at})
	}
	return list, nil
}

// next reads the value the decoder stands before and says where in the input it began.
func next(dec *json.Decoder) (v json.RawMessage, at int, err error) {
	if err := dec.Decode(&v); err != nil {
		return nil, 0, err
	}
	return v, int(dec.InputOffset()) - len(v), nil
}

// value returns the last member of that name, which is the one JSON readers commonly use.
func value(list []member, name string) (v json.RawMessage, ok bool) {
	for _, m := range list {
		if m.name == name {
			v, ok = m.value, true
		}
	}
	return v, ok
}

// distinct refuses objects that name something twice: two readers may then see two different policies.
func distinct(list []member) error {
	seen := map[string]bool{}
	for _, m := range list {
		if seen[m.name] {
			return fmt.Errorf("%s: named twice", m.name)
		}
		seen[m.name] = true
	}
	return nil
}

// encode writes v as compact JSON without escaping &, < and >, which policies need not.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
