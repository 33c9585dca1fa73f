package config_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/auth"
	"s3gate/internal/config"
)

//go:generate go test -run TestReferencePage -update .

var update = flag.Bool("update", false, "write the tables of docs/config.md")

const referencePage = "../../docs/config.md"

// The tables of settings in docs/config.md are made of the comments of the
// struct. Write them with: go generate ./internal/config
func TestReferencePage(t *testing.T) {
	raw, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	rows := references(t)
	for _, part := range []struct {
		name    string
		environ bool
		in      func(reference) bool
	}{
		{"settings", true, func(r reference) bool { return !strings.Contains(r.name, "[]") }},
		{"issuers", false, func(r reference) bool { return strings.HasPrefix(r.name, "api.issuers[]") }},
		{"lists", false, func(r reference) bool {
			return strings.Contains(r.name, "[]") && !strings.HasPrefix(r.name, "api.issuers[]")
		}},
	} {
		var table strings.Builder
		for _, r := range rows {
			if part.in(r) {
				table.WriteString(r.row(part.environ))
			}
		}
		if table.Len() == 0 {
			continue
		}
		begin, end := "<!-- begin "+part.name+", made by go generate ./internal/config -->\n", "<!-- end "+part.name+" -->\n"
		before, rest, found := strings.Cut(page, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("docs/config.md lacks\n%s%s", begin, end)
		}
		head := "\n| setting | default | meaning |\n|---|---|---|\n"
		if part.environ {
			head = "\n| setting | in the environment | default | meaning |\n|---|---|---|---|\n"
		}
		page = before + begin + head + table.String() + "\n" + end + after
	}
	if *update {
		if err := os.WriteFile(referencePage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if page != string(raw) {
		t.Error("docs/config.md is not what the comments say; run go generate ./internal/config")
	}
}

// The default that a comment names is the one that counts.
func TestDefaultsInComments(t *testing.T) {
	elsewhere := map[string]string{ // where what is 0 has a default
		"api.issuers[].leeway": shown(auth.DefaultLeeway), "api.issuers[].refresh": shown(auth.DefaultRefresh), "api.issuers[].max_stale": shown(auth.DefaultMaxStale),
		"redis.replicas": "0", "redis.min_acks": "all", // -1 is that nobody has said
		"links.addr": config.Default().Links.Addr, "api.addr": config.Default().API.Addr,
	}
	for _, r := range references(t) {
		want, known := elsewhere[r.name]
		if !known {
			want = shown(r.value.Interface())
		}
		// "Default x" is a value, and "Default: x" says it in words.
		said, exact := strings.CutPrefix(r.text, "Default ")
		if exact && said != want || !exact && !r.value.IsZero() && !(known && strings.Contains(r.text, want)) {
			t.Errorf("%s: the comment says %q, the default is %q", r.name, r.text, want)
		}
	}
}

// reference is a setting as the page has it.
type reference struct {
	name    string
	meaning string
	text    string        // what the comment says of its default
	value   reflect.Value // its default
	reload  bool
}

// row is a line of a table, with the variable where it has one.
func (r reference) row(inEnviron bool) string {
	cells := []string{"`" + r.name + "`"}
	switch {
	case inEnviron && r.value.Kind() == reflect.Slice && r.value.Type().Elem().Kind() == reflect.Struct:
		cells = append(cells, "")
	case inEnviron:
		cells = append(cells, "`S3GATE_"+strings.ToUpper(strings.NewReplacer(".", "_", "*", "{alias}").Replace(r.name))+"`")
	}
	meaning := r.meaning
	if r.reload {
		meaning += " ⟳"
	}
	row := "|"
	for _, cell := range append(cells, r.fallback(), meaning) {
		row += strings.TrimRight(" "+cell, " ") + " |"
	}
	return row + "\n"
}

var (
	pageName = regexp.MustCompile(`docs/([a-z]+)\.md`)
	section  = regexp.MustCompile(`Stores that ignore conditions`)
)

// fallback is the column of defaults.
func (r reference) fallback() string {
	value, exact := strings.CutPrefix(r.text, "Default ")
	words, _ := strings.CutPrefix(r.text, "Default: ")
	switch {
	case r.name == "links.addr" || r.name == "api.addr": // both have one comment
		return "`" + r.value.String() + "`"
	case exact:
		return "`" + value + "`"
	}
	return cite(strings.Replace(words, "Required", "required", 1))
}

// cite makes names of settings and pages what they are in Markdown.
func cite(text string) string {
	for _, name := range slices.SortedFunc(slices.Values(config.Names()), func(a, b string) int { return len(b) - len(a) }) {
		if strings.Contains(name, ".") && !strings.ContainsAny(name, "*[") {
			text = regexp.MustCompile(`(^|[ (])`+regexp.QuoteMeta(name)+`([ ,;.)]|$)`).ReplaceAllString(text, "$1`"+name+"`$2")
		}
	}
	text = section.ReplaceAllStringFunc(text, func(title string) string {
		return "[" + title + "](#" + strings.ReplaceAll(strings.ToLower(title), " ", "-") + ")"
	})
	return pageName.ReplaceAllString(text, "[$1]($1.md)")
}

// shown is a default as people write it.
func shown(v any) string {
	var out strings.Builder
	one := config.Default()
	switch v := v.(type) {
	case time.Duration:
		one.DrainTimeout = v
		for _, s := range one.Settings() {
			if s.Name == "drain_timeout" {
				fmt.Fprint(&out, s.Value)
			}
		}
		return out.String()
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(v)
}

// references lists the settings with their comments.
func references(t *testing.T) []reference {
	t.Helper()
	c := &comments{t: t, docs: map[string]string{}}
	c.read("config", ".")
	c.read("auth", "../../auth")
	return c.below(reflect.ValueOf(config.Default()).Elem(), "", false)
}

// comments are those of fields, by package, type and field.
type comments struct {
	t    *testing.T
	docs map[string]string
}

func (c *comments) read(name, dir string) {
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
		if err != nil {
			c.t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				c.note(name+"."+spec.Name.Name+".", spec.Type)
			}
			return true
		})
	}
}

func (c *comments) note(prefix string, of ast.Expr) {
	st, ok := of.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range st.Fields.List {
		for _, id := range f.Names {
			c.docs[prefix+id.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
		}
	}
}

func (c *comments) below(v reflect.Value, path string, reload bool) (all []reference) {
	for f := range v.Type().Fields() {
		value, name, live := v.FieldByIndex(f.Index), path+f.Tag.Get("koanf"), reload || f.Tag.Get("reload") == "true"
		kind := f.Type.Kind()
		switch {
		case f.Anonymous:
			all = append(all, c.below(value, path, live)...)
		case kind == reflect.Struct:
			all = append(all, c.below(value, name+".", live)...)
		case kind == reflect.Map && f.Type.Elem().Kind() == reflect.Struct:
			all = append(all, c.below(reflect.Zero(f.Type.Elem()), name+".*.", live)...)
		default:
			all = append(all, c.reference(f, v.Type(), value, name, live))
			if kind == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
				all = append(all, c.below(reflect.Zero(f.Type.Elem()), name+"[].", live)...)
			}
		}
	}
	return all
}

var (
	subject   = regexp.MustCompile(`^\w+ (?:is |are )?`)
	defaultAt = regexp.MustCompile(`(?:^| )((?:Default|Required)\b.*)$`)
)

func (c *comments) reference(f reflect.StructField, in reflect.Type, value reflect.Value, name string, live bool) reference {
	doc := c.docs[in.PkgPath()[strings.LastIndex(in.PkgPath(), "/")+1:]+"."+in.Name()+"."+f.Name]
	if !strings.HasPrefix(doc, f.Name+" ") {
		c.t.Errorf("%s: the comment of %s.%s does not begin with its name", name, in.Name(), f.Name)
		return reference{name: name, value: value}
	}
	r := reference{name: name, value: value, reload: live}
	if m := defaultAt.FindStringSubmatchIndex(doc); m != nil {
		r.text, doc = doc[m[2]:], doc[:m[0]]
		r.text = strings.TrimSuffix(r.text, ".")
	}
	r.meaning = strings.ReplaceAll(cite(strings.TrimSuffix(subject.ReplaceAllString(doc, ""), ".")), "|", `\|`)
	return r
}
