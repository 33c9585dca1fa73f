package config

import (
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"s3gate/auth"
	"s3gate/internal/duration"
)

const fileSuffix = "_file"

// checker holds what was read against the settings that there are. It turns
// values into those of their settings, and files into what they hold.
type checker struct{ problems problems }

// group checks what stands below a path, and returns it without what says
// nothing.
func (c *checker) group(v any, t reflect.Type, path string, secret bool) map[string]any {
	m, ok := asMap(v)
	if !ok {
		c.problems.add(path, "must hold settings below it, got %s", shown(v, secret))
		return nil
	}
	known := map[string]reflect.StructField{}
	for _, f := range fields(t) {
		known[settingName(f)] = f
	}
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		base, isFile := strings.CutSuffix(name, fileSuffix)
		f, ok := known[name]
		held, there := known[base]
		_, both := m[base]
		switch {
		case ok && m[name] == nil:
		case ok:
			out[name] = c.value(m[name], f.Type, join(path, name), secret || isSecret(f))
		case isFile && there && isLeaf(held.Type) && both:
			c.problems.add(join(path, base), "is set together with %s; set one of them", join(path, name))
		case isFile && there && isLeaf(held.Type):
			out[base] = c.file(m[name], held, join(path, base), secret || isSecret(held))
		default:
			c.unknown(path, name, slices.Sorted(maps.Keys(known)))
		}
	}
	return out
}

func (c *checker) unknown(path, name string, there []string) {
	near := suggest(path, name, there)
	switch {
	case near == join(path, name): // it was written with a dot in it
		c.problems.add(near, "must not be written with a dot: put what comes after it below what comes before it")
	case near != "":
		c.problems.add(join(path, name), "is not a setting; did you mean %s?", near)
	default:
		c.problems.add(join(path, name), "is not a setting")
	}
}

// file reads a setting from the file that holds it.
func (c *checker) file(v any, f reflect.StructField, path string, secret bool) any {
	name, ok := v.(string)
	if !ok {
		c.problems.add(path+fileSuffix, "must be the name of a file, got %s", shown(v, secret))
		return nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		c.problems.add(path+fileSuffix, "%v", err)
		return nil
	}
	return c.value(strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r"), f.Type, path, secret)
}

// value checks a value of any type. What it returns after a problem is of no
// interest.
func (c *checker) value(v any, t reflect.Type, path string, secret bool) any {
	switch {
	case isGroup(t):
		return c.group(v, t, path, secret)
	case isMapOfGroups(t), t.Kind() == reflect.Map:
		m, ok := asMap(v)
		if !ok {
			c.problems.add(path, "must hold names and what belongs to each, got %s", shown(v, secret))
			return nil
		}
		out := map[string]any{}
		for name, e := range m {
			if e == nil && isMapOfGroups(t) {
				e = map[string]any{} // all defaults
			}
			out[name] = c.value(e, t.Elem(), join(path, name), secret)
		}
		return out
	case isList(t):
		list, ok := v.([]any)
		if !ok {
			c.problems.add(path, "must be a list, got %s", shown(v, secret))
			return nil
		}
		out := make([]any, len(list))
		for n, e := range list {
			out[n] = c.group(e, t.Elem(), fmt.Sprintf("%s[%d]", path, n), secret)
		}
		return out
	}
	got, want := leaf(v, t)
	if want != "" {
		c.problems.add(path, "must be %s, got %s", want, shown(v, secret))
	}
	return got
}

// leaf reads one value. If it cannot be read, want says what would be right.
func leaf(v any, t reflect.Type) (got any, want string) {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		text, _ := v.(string)
		if d, err := duration.Parse(text); err == nil {
			return d, ""
		}
		return nil, "a duration such as 90s, 1h30m or 30d"
	case t == reflect.TypeFor[auth.Texts]():
		return texts(v)
	case t.Kind() == reflect.Slice:
		return list(v)
	}
	switch t.Kind() {
	case reflect.Bool:
		return truth(v)
	case reflect.Int, reflect.Int64:
		return whole(v, t)
	case reflect.Float64:
		return number(v)
	case reflect.String:
	default:
		panic("config: nobody has said how to read a " + t.String())
	}
	if text, ok := v.(string); ok {
		return text, ""
	}
	// Of 0123 YAML has made 83, and it cannot be told any more.
	return nil, "a text, in quotes if it looks like something else"
}

func truth(v any) (any, string) {
	switch v := v.(type) {
	case bool:
		return v, ""
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			return b, ""
		}
	}
	return nil, "true or false"
}

func whole(v any, t reflect.Type) (any, string) {
	var n int64
	ok := true
	switch v := v.(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	case float64: // such as 1e6
		n = int64(v)
		ok = float64(n) == v && math.Abs(v) < 1<<62
	case string:
		var err error
		n, err = strconv.ParseInt(v, 10, 64)
		ok = err == nil
	default:
		ok = false
	}
	if !ok || reflect.Zero(t).OverflowInt(n) {
		return nil, "a whole number"
	}
	return n, ""
}

func number(v any) (any, string) {
	f := math.NaN()
	switch v := v.(type) {
	case int:
		f = float64(v)
	case float64:
		f = v
	case string:
		if n, err := strconv.ParseFloat(v, 64); err == nil {
			f = n
		}
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, "a number"
	}
	return f, ""
}

// list reads texts, which outside the YAML file are separated by commas.
func list(v any) (any, string) {
	switch v := v.(type) {
	case string:
		if v == "" {
			return []string{}, ""
		}
		return strings.Split(v, ","), ""
	case []any:
		out := make([]string, len(v))
		for n, e := range v {
			text, ok := e.(string)
			if !ok {
				return nil, "a list of texts"
			}
			out[n] = text
		}
		return out, ""
	}
	return nil, "a list of texts"
}

// texts reads one text as a list of one, whatever commas it has, and keeps
// numbers and truth values as they are written.
func texts(v any) (any, string) {
	all, ok := v.([]any)
	if !ok {
		all = []any{v}
	}
	out := []string{}
	for _, e := range all {
		switch e.(type) {
		case string, bool, int, int64, uint64, float64:
			out = append(out, fmt.Sprint(e))
		default:
			return nil, "a text or a list of texts"
		}
	}
	return out, ""
}

// shown is a value in a message.
func shown(v any, secret bool) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case []any:
		return "a list"
	case map[string]any, map[any]any:
		return "settings"
	case string:
		if secret {
			return "another text"
		}
		if len(v) > 64 {
			v = strings.ToValidUTF8(v[:64], "") + "…"
		}
		return strconv.Quote(v)
	}
	if secret {
		return "something else"
	}
	return fmt.Sprint(v)
}

func asMap(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, true
	case map[any]any: // names that YAML takes for something else, such as 7
		out := map[string]any{}
		for name, e := range v {
			out[fmt.Sprint(name)] = e
		}
		return out, true
	}
	return nil, false
}

func isSecret(f reflect.StructField) bool { return f.Tag.Get("secret") == "true" }
