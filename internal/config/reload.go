package config

import (
	"fmt"
	"reflect"
)

// Change is a setting that has one value in one configuration and another in
// another one.
type Change struct {
	// Setting is its path.
	Setting string
	// Old and New are what it was and is, "" where it is not there, and both
	// [Hidden] for a secret.
	Old, New string
}

func (c Change) String() string {
	if c.Old == Hidden || c.New == Hidden {
		return c.Setting + " changed"
	}
	return fmt.Sprintf("%s: %s → %s", c.Setting, named(c.Old), named(c.New))
}

func named(value string) string {
	if value == "" {
		return "nothing"
	}
	return value
}

// Diff lists the settings in which two configurations differ, in the order of
// the manual, those that only one has at the end.
func Diff(before, after *Config) []Change {
	old := map[string]Setting{}
	for _, s := range before.Settings() {
		old[s.Name] = s
	}
	var all []Change
	for _, s := range after.Settings() {
		o, there := old[s.Name]
		delete(old, s.Name)
		if !there || !equal(o.raw, s.raw) {
			all = append(all, change(s.Name, o.Value, s.Value))
		}
	}
	for _, s := range before.Settings() {
		if _, gone := old[s.Name]; gone {
			all = append(all, change(s.Name, s.Value, nil))
		}
	}
	return all
}

// equal also takes a list that is not there for one that is empty.
func equal(a, b any) bool {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	if k := va.Kind(); k == vb.Kind() && (k == reflect.Slice || k == reflect.Map) && va.Len()+vb.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a, b)
}

func change(name string, before, after any) Change {
	text := func(v any) string {
		if v == nil {
			return ""
		}
		return fmt.Sprint(v)
	}
	return Change{Setting: name, Old: text(before), New: text(after)}
}

// Reload returns the configuration of a gate that runs with c and is told next:
// what can change while it runs is as in next, the rest as in c. It lists what
// has changed, and what in next would need a restart. Neither c nor next may be
// changed after.
func (c *Config) Reload(next *Config) (merged *Config, changed, restart []Change) {
	merged = new(Config)
	*merged = *c
	reload(reflect.ValueOf(merged).Elem(), reflect.ValueOf(next).Elem())
	for to, from := range map[*Listener]*Listener{&merged.Links: &c.Links, &merged.API.Listener: &c.API.Listener} {
		if (to.Cert == "") != (from.Cert == "") {
			to.Cert, to.Key = from.Cert, from.Key // its connections are of another kind
		}
	}
	return merged, Diff(c, merged), Diff(merged, next)
}

// reload copies what can change.
func reload(to, from reflect.Value) {
	for _, f := range fields(to.Type()) {
		switch {
		case f.Tag.Get("reload") == "true":
			to.FieldByIndex(f.Index).Set(from.FieldByIndex(f.Index))
		case isGroup(f.Type):
			reload(to.FieldByIndex(f.Index), from.FieldByIndex(f.Index))
		case isMapOfGroups(f.Type):
			to.FieldByIndex(f.Index).Set(reloadMap(to.FieldByIndex(f.Index), from.FieldByIndex(f.Index)))
		}
	}
}

// reloadMap copies what can change of the groups that are in both, into another
// map: the one that there was stays with the configuration that it belongs to.
func reloadMap(to, from reflect.Value) reflect.Value {
	if to.IsNil() {
		return to
	}
	merged := reflect.MakeMap(to.Type())
	for _, name := range to.MapKeys() {
		group := reflect.New(to.Type().Elem()).Elem()
		group.Set(to.MapIndex(name))
		if next := from.MapIndex(name); next.IsValid() {
			reload(group, next)
		}
		merged.SetMapIndex(name, group)
	}
	return merged
}
