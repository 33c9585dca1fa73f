package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// An outline is where the statements of a policy stand in its text. It is read leniently: editing a policy
// needs no opinion about statements that are not ours.
type outline struct {
	top        []member
	head, tail []byte // the text before and after the value of Statement
	single     bool   // the value is one statement, not a list
	entries    []entry
	end        []byte // between the last entry and the closing bracket
}

// An entry is one statement with the text before it: white space and, after the first, a comma.
type entry struct {
	gap  string
	body string
	sid  string
}

func newOutline(text []byte) (*outline, error) {
	o, err := readOutline(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return o, nil
}

func readOutline(text []byte) (*outline, error) {
	if err := checkSyntax(text); err != nil {
		return nil, err
	}
	lead := len(text) - len(bytes.TrimLeft(text, " \t\r\n"))
	top, err := members(text[lead:])
	if err != nil {
		return nil, err
	}
	var statement *member
	for i := range top {
		if top[i].name == "Statement" && statement != nil {
			return nil, errors.New("Statement: named twice")
		} else if top[i].name == "Statement" {
			statement = &top[i]
		}
	}
	if statement == nil {
		return nil, errors.New("Statement: missing")
	}
	at := lead + statement.at
	o := &outline{top: top, head: text[:at], tail: text[at+len(statement.value):]}
	if err := o.readEntries(statement.value); err != nil {
		return nil, fmt.Errorf("Statement%w", err)
	}
	return o, nil
}

// readEntries reads the value of Statement.
func (o *outline) readEntries(raw json.RawMessage) error {
	list, from := []item{{value: raw}}, 0
	if o.single = raw[0] == '{'; !o.single {
		var err error
		if list, err = items(raw); err != nil {
			return fmt.Errorf(": %w", err)
		}
		from = len("[")
	}
	for i, it := range list {
		elements, err := members(it.value)
		if err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
		e := entry{gap: string(raw[from:it.at]), body: string(it.value)}
		if sid, ok := value(elements, "Sid"); ok && sid[0] == '"' {
			e.sid, _ = decodeString(sid)
		}
		o.entries = append(o.entries, e)
		from = it.at + len(it.value)
	}
	if !o.single {
		o.end = raw[from : len(raw)-len("]")]
	}
	return nil
}

// text puts the policy together again.
func (o *outline) text() []byte {
	out := bytes.Clone(o.head)
	if !o.single {
		out = append(out, '[')
	}
	for _, e := range o.entries {
		out = append(append(out, e.gap...), e.body...)
	}
	if !o.single {
		out = append(append(out, o.end...), ']')
	}
	return append(out, o.tail...)
}

// A layout is how the statements of a document are set, learnt from one of them.
type layout struct {
	lines          bool // one element a line
	prefix, indent string
}

// layoutOf learns the layout of entry i.
func (o *outline) layoutOf(i int) layout {
	e := o.entries[i]
	l := layout{lines: strings.Contains(e.gap+e.body, "\n"), indent: "  "}
	before := o.text()[:o.offset(i)]
	line := string(before[bytes.LastIndexByte(before, '\n')+1:])
	l.prefix = margin(line)
	if _, inner, ok := strings.Cut(e.body, "\n"); ok {
		if in, deeper := strings.CutPrefix(margin(inner), l.prefix); deeper && in != "" {
			l.indent = in
		}
	}
	return l
}

// offset is where the body of entry i begins in the text.
func (o *outline) offset(i int) int {
	at := len(o.head)
	if !o.single {
		at += len("[")
	}
	for _, e := range o.entries[:i] {
		at += len(e.gap) + len(e.body)
	}
	return at + len(o.entries[i].gap)
}

func margin(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " \t"))] }

// render writes a statement in a layout.
func (l layout) render(s Statement) (string, error) {
	compact, err := encode(s)
	if err != nil || !l.lines {
		return string(compact), err
	}
	var b bytes.Buffer
	err = json.Indent(&b, compact, l.prefix, l.indent)
	return b.String(), err
}

// sameJSON reports whether two texts are the same JSON but for white space and the order of members.
func sameJSON(a, b []byte) bool {
	decode := func(text []byte) (v any, err error) {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		err = dec.Decode(&v)
		return v, err
	}
	x, errX := decode(a)
	y, errY := decode(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}
