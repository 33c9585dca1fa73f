package config

import (
	"fmt"
	"io"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"s3gate/internal/duration"
)

// Hidden stands for the value of a secret.
const Hidden = "***"

// Setting is one setting as people may see it.
type Setting struct {
	// Name is its path, such as buckets.docs.region or api.issuers[0].name.
	Name string `json:"setting"`
	// Value is what it is: a text, a number, a truth value, or lists and maps of
	// such. Durations are texts, and a secret that is set is [Hidden].
	Value any `json:"value"`

	raw any // as it is
}

// Settings lists the settings of a configuration in the order of the manual.
func (c *Config) Settings() []Setting {
	var all []Setting
	settings(reflect.ValueOf(c).Elem(), "", false, func(name string, v any, secret bool) {
		all = append(all, Setting{Name: name, Value: show(v, secret), raw: v})
	})
	return all
}

// settings visits the settings of a struct.
func settings(group reflect.Value, path string, secret bool, visit func(name string, v any, secret bool)) {
	for _, f := range fields(group.Type()) {
		v, name, hide := group.FieldByIndex(f.Index), join(path, settingName(f)), secret || isSecret(f)
		switch {
		case isGroup(f.Type):
			settings(v, name, hide, visit)
		case isMapOfGroups(f.Type) && v.Len() > 0:
			for _, alias := range slices.Sorted(maps.Keys(keys(v))) {
				settings(v.MapIndex(reflect.ValueOf(alias)), join(name, alias), hide, visit)
			}
		case isList(f.Type) && v.Len() > 0:
			for n := range v.Len() {
				settings(v.Index(n), fmt.Sprintf("%s[%d]", name, n), hide, visit)
			}
		default:
			visit(name, v.Interface(), hide)
		}
	}
}

func keys(m reflect.Value) map[string]bool {
	all := map[string]bool{}
	for _, k := range m.MapKeys() {
		all[k.String()] = true
	}
	return all
}

// show makes a value one that people may see.
func show(v any, secret bool) any {
	rv := reflect.ValueOf(v)
	switch d, isDuration := v.(time.Duration); {
	case secret && rv.IsZero():
		return ""
	case secret:
		return Hidden
	case isDuration && d < 0:
		return d.String()
	case isDuration:
		return duration.Format(d)
	}
	switch rv.Kind() {
	case reflect.String:
		return withoutPassword(rv.String())
	case reflect.Slice:
		list := []any{}
		for n := range rv.Len() {
			list = append(list, show(rv.Index(n).Interface(), false))
		}
		return list
	case reflect.Map:
		m := map[string]any{}
		for name := range keys(rv) {
			m[name] = show(rv.MapIndex(reflect.ValueOf(name)).Interface(), false)
		}
		return m
	}
	return v
}

// withoutPassword hides the password in a URL, where it should not be.
func withoutPassword(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil && u.Host != "" {
		u.User = url.User(Hidden)
		return strings.Replace(u.String(), url.PathEscape(Hidden), Hidden, 1)
	}
	return text
}

// WriteYAML writes settings as a file that Load reads, but for secrets. What
// comment returns for a setting stands behind it; nil writes none.
func WriteYAML(w io.Writer, all []Setting, comment func(Setting) string) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range all {
		value := &yaml.Node{}
		if err := value.Encode(s.Value); err != nil {
			return fmt.Errorf("writing %s: %w", s.Name, err)
		}
		flow(value)
		if comment != nil {
			value.LineComment = comment(s)
		}
		place(root, s.Name, value)
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return fmt.Errorf("writing settings: %w", err)
	}
	return enc.Close()
}

// flow writes lists and maps in one line, so that a comment can stand behind.
func flow(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
	for _, inner := range n.Content {
		flow(inner)
	}
}

// place puts a value where its name says. What is there comes in order, so the
// last item of a list is the one that is meant, or the one after it.
func place(at *yaml.Node, name string, value *yaml.Node) {
	for part := range strings.SplitSeq(name, ".") {
		key, index, isItem := strings.Cut(strings.TrimSuffix(part, "]"), "[")
		at = child(at, key)
		if isItem {
			if at.Kind == 0 {
				at.Kind = yaml.SequenceNode
			}
			if n, _ := strconv.Atoi(index); n == len(at.Content) {
				at.Content = append(at.Content, &yaml.Node{})
			}
			at = at.Content[len(at.Content)-1]
		}
	}
	*at = *value
}

// child returns what stands below a key, which is made if it is not there.
func child(at *yaml.Node, key string) *yaml.Node {
	at.Kind = yaml.MappingNode
	for i := 0; i+1 < len(at.Content); i += 2 {
		if at.Content[i].Value == key {
			return at.Content[i+1]
		}
	}
	name, value := &yaml.Node{}, &yaml.Node{}
	name.SetString(key)
	at.Content = append(at.Content, name, value)
	return value
}
