package events_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/events"
)

// fields are the JSON names of a struct, those inside others with dots.
func fields(t reflect.Type, prefix string) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		kind := f.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		switch {
		case kind.Kind() == reflect.Struct && f.Anonymous:
			names = append(names, fields(kind, prefix)...)
		case kind.Kind() == reflect.Struct && kind != reflect.TypeFor[time.Time]():
			names = append(names, fields(kind, prefix+name+".")...)
		default:
			names = append(names, prefix+name)
		}
	}
	return names
}

var rowForm = regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\|")

// documented are the fields in the first table after a heading.
func documented(page, heading string) (names []string) {
	_, section, ok := strings.Cut(page, "\n"+heading+"\n")
	if !ok {
		return nil
	}
	section, _, _ = strings.Cut(section, "\n#")
	for _, row := range rowForm.FindAllStringSubmatch(section, -1) {
		names = append(names, row[1])
	}
	return names
}

// Every type and every field of an event is in its page, and nothing else is.
func TestEventsAreDocumented(t *testing.T) {
	raw, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	check := func(heading string, want []string) {
		got := documented(page, heading)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s\nthe page has %v\nthe code has %v", heading, got, want)
		}
	}
	check("## What an event looks like", fields(reflect.TypeFor[events.Event](), ""))
	schemas := events.Schemas()
	for kind, data := range schemas {
		check("### `"+string(kind)+"`", fields(reflect.TypeOf(data), ""))
	}
	if n := strings.Count(page, "\n### `"); n != len(schemas) {
		t.Errorf("the page has %d types, and there are %d", n, len(schemas))
	}
	for _, kind := range events.Types() {
		if _, ok := schemas[kind]; !ok || !kind.Known() {
			t.Errorf("%s has no schema", kind)
		}
	}
	if events.Type("s3gate.other.v1").Known() || !events.Gap.Known() {
		t.Error("an unknown type is known, or the other way round")
	}
}
