package config

import (
	"cmp"
	"reflect"
	"strings"

	"s3gate/internal/spelling"
)

// Names lists the path of every setting, with * for a bucket's alias and [] for
// a place in a list.
func Names() []string {
	var names []string
	for _, s := range declared(reflect.TypeFor[Config](), "") {
		names = append(names, s.name)
	}
	return names
}

// declaration is a setting as the struct declares it.
type declaration struct {
	name  string
	field reflect.StructField
}

// declared lists the settings of a struct below a path that ends in a dot, or
// is "".
func declared(t reflect.Type, prefix string) []declaration {
	var all []declaration
	for _, f := range fields(t) {
		path := prefix + settingName(f)
		switch {
		case isGroup(f.Type):
			all = append(all, declared(f.Type, path+".")...)
		case isMapOfGroups(f.Type):
			all = append(all, declared(f.Type.Elem(), path+".*.")...)
		case isList(f.Type):
			all = append(append(all, declaration{path, f}), declared(f.Type.Elem(), path+"[].")...)
		default:
			all = append(all, declaration{path, f})
		}
	}
	return all
}

// fields are those of a struct and of what it embeds.
func fields(t reflect.Type) []reflect.StructField {
	var all []reflect.StructField
	for f := range t.Fields() {
		if f.Anonymous {
			for _, inner := range fields(f.Type) {
				inner.Index = append(append([]int{}, f.Index...), inner.Index...)
				all = append(all, inner)
			}
			continue
		}
		all = append(all, f)
	}
	return all
}

func settingName(f reflect.StructField) string { return f.Tag.Get("koanf") }

// isGroup, isMapOfGroups and isList tell what holds settings of its own from
// what is one.
func isGroup(t reflect.Type) bool { return t.Kind() == reflect.Struct }

func isMapOfGroups(t reflect.Type) bool { return t.Kind() == reflect.Map && isGroup(t.Elem()) }

func isList(t reflect.Type) bool { return t.Kind() == reflect.Slice && isGroup(t.Elem()) }

// isLeaf reports whether a setting has one value.
func isLeaf(t reflect.Type) bool { return !isGroup(t) && !isMapOfGroups(t) && !isList(t) }

// suggest returns the setting that somebody may have meant by a name below a
// path: one that stands there, or else any.
func suggest(path, name string, there []string) string {
	if near := spelling.Nearest(name, there); near != "" {
		return join(path, near)
	}
	var names []string
	for _, n := range Names() {
		if !strings.ContainsAny(n, "*[") {
			names = append(names, n)
		}
	}
	whole := join(path, name)
	for _, n := range names {
		if strings.HasPrefix(n, cmp.Or(path, n)) && strings.HasSuffix(n, "."+name) {
			return n // one group too high
		}
	}
	return spelling.Nearest(whole, names)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
