package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

// Language is one in which the pages speak. The zero value is English, in which
// every text is written where it is said; the other languages are the files
// lang/TAG/*.json, which have a translation for each. It is safe for concurrent use.
type Language struct{ catalogue *catalogue }

// catalogue is a folder of lang/.
type catalogue struct {
	tag     language.Tag
	texts   map[string]translation // by the English text
	numbers *message.Printer
}

// translation is what a text is in a language. In the file it is a string, or
// an object of those by the plural category of {0} ("one", "few", "other" …, as
// Unicode CLDR has them for the language), which always has "other".
type translation map[string]string

func (t *translation) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		var text string
		*t = translation{}
		err := json.Unmarshal(data, &text)
		(*t)[other] = text
		return err
	}
	var forms map[string]string
	err := json.Unmarshal(data, &forms)
	*t = forms
	return err
}

func (t translation) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[other])
	}
	return json.Marshal(map[string]string(t))
}

const other = "other"

// categories are CLDR's plural categories as the files name them.
var categories = map[plural.Form]string{
	plural.Other: other, plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many",
}

//go:embed lang/*/*.json
var langFiles embed.FS

var (
	catalogues = readCatalogues()
	english    = catalogues[0]
	matcher    = newMatcher()
)

// readCatalogues reads all there are, English first. The files are fixed and
// the tests read them too, so it does not fail.
func readCatalogues() []*catalogue {
	files, err := fs.Glob(langFiles, "lang/*/*.json")
	if err != nil {
		panic(err)
	}
	all := []*catalogue{newCatalogue(language.English)}
	for _, file := range files {
		data, err := langFiles.ReadFile(file)
		if err != nil {
			panic(err)
		}
		tag := language.MustParse(path.Base(path.Dir(file)))
		i := slices.IndexFunc(all, func(c *catalogue) bool { return c.tag == tag })
		if i < 0 {
			i, all = len(all), append(all, newCatalogue(tag))
		}
		if err := json.Unmarshal(data, &all[i].texts); err != nil { // adds to what is there
			panic(fmt.Sprintf("%s: %v", file, err))
		}
	}
	return all
}

func newCatalogue(tag language.Tag) *catalogue {
	return &catalogue{tag: tag, texts: map[string]translation{}, numbers: message.NewPrinter(tag)}
}

func newMatcher() language.Matcher {
	var tags []language.Tag
	for _, c := range catalogues {
		tags = append(tags, c.tag)
	}
	return language.NewMatcher(tags)
}

// Languages lists all there are, English first.
func Languages() []Language {
	var all []Language
	for _, c := range catalogues {
		all = append(all, Language{c})
	}
	return all
}

// Speak picks the language that suits the Accept-Language header of a request
// best (RFC 9110, section 12.5.4); English if none does or the header is
// malformed.
func Speak(acceptLanguage string) Language {
	tags, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil {
		return Language{}
	}
	_, i, confidence := matcher.Match(tags...)
	if confidence == language.No {
		return Language{}
	}
	return Language{catalogues[i]}
}

func (l Language) orEnglish() *catalogue {
	if l.catalogue == nil {
		return english
	}
	return l.catalogue
}

// Tag is its name as HTML and HTTP have it, such as "ja" (BCP 47).
func (l Language) Tag() string { return l.orEnglish().tag.String() }

// Has reports whether there is a translation of a text. English needs one only
// where a text has several forms.
func (l Language) Has(text string) bool {
	_, ok := l.orEnglish().texts[text]
	return ok
}

// Say returns what an English text is in the language; one that it does not
// have stays English. {0}, {1} … in the text stand for the arguments, of which
// {0} chooses the plural if it is a number. Numbers are grouped as the language
// does, and fractions have one digit.
func (l Language) Say(text string, args ...any) string {
	c := l.orEnglish()
	if t, ok := c.texts[text]; ok {
		text = t.form(c.tag, args)
	}
	var b strings.Builder
	for {
		before, rest, open := strings.Cut(text, "{")
		b.WriteString(before)
		if !open {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		i, err := strconv.Atoi(name)
		if !closed || err != nil || i < 0 || i >= len(args) {
			b.WriteByte('{')
			text = rest
			continue
		}
		b.WriteString(c.write(args[i]))
		text = after
	}
}

// form chooses the one for the first argument.
func (t translation) form(tag language.Tag, args []any) string {
	if len(args) > 0 && len(t) > 1 {
		if n, ok := whole(args[0]); ok {
			category := plural.Cardinal.MatchPlural(tag, int(n), 0, 0, 0, 0)
			if text, ok := t[categories[category]]; ok {
				return text
			}
		}
	}
	return t[other]
}

// write writes an argument as the language does.
func (c *catalogue) write(arg any) string {
	if n, ok := whole(arg); ok {
		return c.numbers.Sprint(number.Decimal(n))
	}
	if f, ok := arg.(float64); ok {
		return c.numbers.Sprint(number.Decimal(f, number.Scale(1)))
	}
	return fmt.Sprint(arg)
}

func whole(arg any) (int64, bool) {
	switch n := arg.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}
