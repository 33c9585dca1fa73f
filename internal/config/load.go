package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"

	"s3gate/internal/spelling"
)

// Load fills a Config from a YAML file ("" for none), the environment, given
// as os.Environ gives it, and flags, a map from settings to values. It
// validates; the error names every setting that is wrong, and [Problems] takes
// it apart.
func Load(path string, environ []string, flags map[string]any) (*Config, error) {
	c, _, err := Read(path, environ, flags)
	return c, err
}

// Read is Load, and tells where each setting comes from.
func Read(path string, environ []string, flags map[string]any) (*Config, Sources, error) {
	l := &layers{k: koanf.New("."), sources: Sources{}}
	if err := l.addFile(path); err != nil {
		return nil, nil, err
	}
	l.addEnviron(environ)
	l.addFlags(flags)
	c, err := l.config()
	return c, l.sources, err
}

// layers are settings on their way into a Config.
type layers struct {
	k       *koanf.Koanf
	sources Sources
	checker checker
}

// addFile reads the YAML file.
func (l *layers) addFile(path string) error {
	if path == "" {
		return nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return problems{{Text: "reading the configuration: " + err.Error()}}
	}
	var tree yaml.Node
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		return problems{{Where: path, Text: "is not YAML: " + unquoted(err)}}
	}
	if len(tree.Content) == 0 {
		return nil // nothing in it
	}
	// The text of another error would quote what may be a secret's file.
	if tree.Content[0].Kind != yaml.MappingNode {
		return problems{{Where: path, Text: "holds no settings such as public_url: https://files.example.com"}}
	}
	var settings map[string]any
	err = tree.Decode(&settings)
	if err == nil {
		l.sources.addBelow(path, &tree, "")
		err = l.k.Load(confmap.Provider(settings, ""), nil)
	}
	if err != nil {
		return problems{{Where: path, Text: "cannot be read: " + unquoted(err)}}
	}
	return nil
}

// quoted is what an error about YAML repeats of the file.
var quoted = regexp.MustCompile("(?s)['\"`].*['\"`]")

// unquoted is an error about YAML without what the file holds, which may be a
// secret: *hunter2 names an anchor.
func unquoted(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	return quoted.ReplaceAllStringFunc(text, func(q string) string {
		if q == "':'" {
			return q // a word of the parser's
		}
		return "…"
	})
}

// add puts a setting from a variable or a flag above what is there. It also
// replaces a file that a lower layer names, and the other way round.
func (l *layers) add(setting string, value any, from Source) error {
	base := strings.TrimSuffix(setting, fileSuffix)
	for _, name := range []string{base, base + fileSuffix} {
		l.k.Delete(name)
		delete(l.sources, name)
	}
	l.sources[setting] = from
	return l.k.Load(confmap.Provider(map[string]any{setting: value}, "."), nil)
}

func (l *layers) addFlags(flags map[string]any) {
	for setting, value := range flags {
		flag := "--" + strings.NewReplacer(".", "-", "_", "-").Replace(setting)
		if err := l.add(setting, value, Source{Kind: "flag", Name: flag}); err != nil {
			l.checker.problems = append(l.checker.problems, &Problem{Where: flag, Text: err.Error()})
		}
	}
}

// otherVariables are read elsewhere.
var otherVariables = []string{"S3GATE_API_URL", "S3GATE_API_TOKEN", "S3GATE_API_CLIENT_CERT", "S3GATE_API_CLIENT_KEY", "S3GATE_API_SERVER_CA", "S3GATE_CONFIG"}

// addEnviron turns variables into settings. Which underscore is a dot is found by
// comparing with the settings that exist.
func (l *layers) addEnviron(environ []string) {
	given := map[string]string{} // by setting
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "S3GATE_") || slices.Contains(otherVariables, name) || strings.HasPrefix(name, "S3GATE_TEST_") {
			continue
		}
		setting, problem := settingOf(name)
		base := strings.TrimSuffix(setting, fileSuffix)
		if other := given[base]; problem == "" && other != "" {
			problem = fmt.Sprintf("is set together with %s; set one of them", other)
		}
		if problem == "" {
			given[base] = name
			if err := l.add(setting, value, Source{Kind: "env", Name: name}); err != nil {
				problem = err.Error()
			}
		}
		if problem != "" {
			l.checker.problems = append(l.checker.problems, &Problem{Where: name, Text: problem})
		}
	}
}

// settingOf returns the setting that a variable names, or what is wrong with the
// variable.
func settingOf(variable string) (setting, problem string) {
	want := strings.ToLower(strings.TrimPrefix(variable, "S3GATE_"))
	base, isFile := strings.CutSuffix(want, fileSuffix)
	var near []string
	for _, d := range declared(reflect.TypeFor[Config](), "") {
		name, flat := d.name, strings.ReplaceAll(d.name, ".", "_")
		if before, after, ok := strings.Cut(flat, "*"); ok {
			alias := aliasIn(base, before, after)
			name, flat = strings.Replace(name, "*", alias, 1), before+alias+after
		}
		switch {
		case flat != want && (!isFile || flat != base):
			near = append(near, flat)
		case isList(d.field.Type):
			return "", "is a list of many settings, which can only stand in the YAML file"
		case flat == want:
			return name, ""
		default:
			return name + fileSuffix, ""
		}
	}
	if n := spelling.Nearest(want, near); n != "" {
		return "", "is not a setting; did you mean S3GATE_" + strings.ToUpper(n) + "?"
	}
	return "", "is not a setting"
}

// aliasIn finds the alias in a name that begins and ends as a setting does. If
// it does not end so its alias is the first word.
func aliasIn(name, before, after string) string {
	rest, ok := strings.CutPrefix(name, before)
	if !ok {
		return "*"
	}
	if alias, ok := strings.CutSuffix(rest, after); ok && alias != "" && !strings.Contains(alias, "_") {
		return alias
	}
	alias, _, _ := strings.Cut(rest, "_")
	return alias
}

// config checks what the layers hold and makes a Config of it.
func (l *layers) config() (*Config, error) {
	c := Default()
	raw := l.checker.group(l.k.Raw(), reflect.TypeFor[Config](), "", false)
	found := l.checker.problems
	if err := decode(raw, c); err != nil {
		return nil, problems{{Text: "settings: " + err.Error()}}
	}
	c.verifyUnlessSaid(raw)
	c.networksUnlessSaid(raw)
	for alias, b := range c.Buckets {
		if b.Name == "" {
			b.Name = alias
			c.Buckets[alias] = b
		}
	}
	for _, p := range Problems(c.Validate()) {
		// What could not be read does not have to be told that it is missing.
		if !slices.ContainsFunc(found, func(f *Problem) bool { return f.Setting == p.Setting || f.Setting == p.Setting+fileSuffix }) {
			found = append(found, p)
		}
	}
	for _, p := range found {
		if p.Where == "" {
			p.Where = l.sources.near(p.Setting)
		}
	}
	return c, found.err()
}

// decode puts values that were checked into the struct.
func decode(raw map[string]any, c *Config) error {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: c, TagName: "koanf", ErrorUnused: true})
	if err != nil {
		return err
	}
	return d.Decode(raw)
}
