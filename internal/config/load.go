package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"s3gate/internal/duration"
)

// Load fills a Config from a YAML file ("" for none), the environment, given
// as os.Environ gives it, and flags, a map from settings to values. It
// validates; the error names every setting that is wrong.
func Load(path string, environ []string, flags map[string]any) (*Config, error) {
	k := koanf.New(".")
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
	}
	env, err := fromEnviron(environ, k)
	if err != nil {
		return nil, err
	}
	for _, layer := range []map[string]any{env, flags} {
		if err := k.Load(confmap.Provider(layer, "."), nil); err != nil {
			return nil, fmt.Errorf("merging settings: %w", err)
		}
	}
	if err := readFiles(k); err != nil {
		return nil, err
	}
	if err := readIssuerFiles(k); err != nil {
		return nil, err
	}
	if err := checkNames(k.Keys()); err != nil {
		return nil, err
	}
	c := Default()
	if err := unmarshal(k, c); err != nil {
		return nil, err
	}
	for alias, b := range c.Buckets {
		if b.Name == "" {
			b.Name = alias
			c.Buckets[alias] = b
		}
	}
	return c, c.Validate()
}

func unmarshal(k *koanf.Koanf, c *Config) error {
	err := k.UnmarshalWithConf("", c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result:           c,
		WeaklyTypedInput: true, // the environment has only text
		ErrorUnused:      true, // inside lists, where checkNames does not look
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			textsHook,
			mapstructure.StringToSliceHookFunc(","), durationHook),
	}})
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

func durationHook(from, to reflect.Type, v any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() || from == to {
		return v, nil
	}
	text, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("%v is not a duration such as 90s, 1h30m or 30d", v)
	}
	return duration.Parse(text)
}

// clientVariables are read by the command line's client verbs.
var clientVariables = []string{"S3GATE_API_URL", "S3GATE_API_TOKEN", "S3GATE_CONFIG"}

// fromEnviron turns variables into settings. Which underscore is a dot is
// found by comparing with the settings that exist.
func fromEnviron(environ []string, k *koanf.Koanf) (map[string]any, error) {
	out := map[string]any{}
	known := Names()
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "S3GATE_") || slices.Contains(clientVariables, name) || strings.HasPrefix(name, "S3GATE_TEST_") {
			continue
		}
		setting, ok := settingOf(name, known)
		if setting == issuersSetting {
			return nil, fmt.Errorf("environment: %s is a list of many settings, which can only stand in the YAML file", name)
		}
		if !ok {
			return nil, fmt.Errorf("environment: %s names no setting", name)
		}
		// A value here replaces a file that a lower layer names, and the
		// other way round.
		k.Delete(strings.TrimSuffix(setting, fileSuffix))
		k.Delete(strings.TrimSuffix(setting, fileSuffix) + fileSuffix)
		out[setting] = value
	}
	return out, nil
}

const fileSuffix = "_file"

// settingOf returns the setting that a variable names.
func settingOf(variable string, known []string) (string, bool) {
	want := strings.ToLower(strings.TrimPrefix(variable, "S3GATE_"))
	base, isFile := strings.CutSuffix(want, fileSuffix)
	for _, name := range known {
		flat := strings.ReplaceAll(name, ".", "_")
		if before, after, ok := strings.Cut(flat, "*"); ok {
			alias, found := strings.CutPrefix(base, before)
			if alias, found2 := strings.CutSuffix(alias, after); found && found2 && alias != "" && !strings.Contains(alias, "_") {
				flat, name = before+alias+after, strings.Replace(name, "*", alias, 1)
			}
		}
		switch {
		case flat == want:
			return name, true
		case isFile && flat == base:
			return name + fileSuffix, true
		}
	}
	return "", false
}

// readFiles replaces each setting that names a file by what the file holds.
func readFiles(k *koanf.Koanf) error {
	known := Names()
	for _, key := range k.Keys() {
		base, ok := strings.CutSuffix(key, fileSuffix)
		if !ok || !isSetting(base, known) {
			continue
		}
		if k.Exists(base) {
			return fmt.Errorf("%s: is set together with %s; set one of them", base, key)
		}
		raw, err := os.ReadFile(k.String(key))
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		k.Delete(key)
		text := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
		if err := k.Set(base, text); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// checkNames refuses settings that do not exist, with the nearest that does.
func checkNames(keys []string) error {
	known := Names()
	var errs []error
	for _, key := range keys {
		if isSetting(key, known) {
			continue
		}
		err := fmt.Errorf("%s: there is no such setting", key)
		if near := nearest(key, known); near != "" {
			err = fmt.Errorf("%s: there is no such setting; did you mean %s?", key, near)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func isSetting(key string, known []string) bool {
	if slices.Contains(known, key) {
		return true
	}
	// buckets.<alias>.<name>
	parts := strings.SplitN(key, ".", 3)
	if len(parts) == 3 {
		parts[1] = "*"
		return slices.Contains(known, strings.Join(parts, "."))
	}
	// An alias may stand alone, or with nothing in it.
	return len(parts) <= 2 && slices.Contains([]string{"buckets", "webhooks", "sns"}, parts[0])
}

// Names lists the path of every setting, with * for a bucket's alias and [] for
// a place in a list.
func Names() []string { return leaves(reflect.TypeFor[Config](), "") }

func leaves(t reflect.Type, prefix string) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, squash, _ := strings.Cut(f.Tag.Get("koanf"), ",")
		path, kind := prefix+name, f.Type
		switch {
		case squash == "squash":
			names = append(names, leaves(kind, prefix)...)
		case kind.Kind() == reflect.Struct:
			names = append(names, leaves(kind, path+".")...)
		case kind.Kind() == reflect.Map && kind.Elem().Kind() == reflect.Struct:
			names = append(names, leaves(kind.Elem(), path+".*.")...)
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct:
			names = append(append(names, path), leaves(kind.Elem(), path+"[].")...)
		default:
			names = append(names, path)
		}
	}
	return names
}

// nearest returns the setting that differs least from key, "" if none is
// near.
func nearest(key string, known []string) string {
	best, name := len(key)/3+1, ""
	for _, k := range known {
		if strings.Contains(k, "*") {
			parts := strings.SplitN(key, ".", 3)
			if len(parts) == 3 {
				k = strings.Replace(k, "*", parts[1], 1)
			}
		}
		if d := distance(key, k); d < best {
			best, name = d, k
		}
	}
	return name
}

// distance is the number of insertions, deletions and substitutions between
// two texts (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
