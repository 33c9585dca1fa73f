package web_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"s3gate/web"
)

func TestSpeak(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "ja": "ja", "ja-JP": "ja", "ja-JP-u-ca-japanese": "ja", "en-GB,en;q=0.9,ja;q=0.8": "en", "ja,en-US;q=0.9,en;q=0.8": "ja",
		"en;q=0.5, ja": "ja", "ja;q=0": "en", "de": "en", "de, ja;q=0.5": "ja", "fr-CH, *;q=0.5": "en", "*": "en",
		"\x00": "en", "ja;q=x": "en", strings.Repeat("ja-x,", 1000): "en",
	} {
		if got := web.Speak(header).Tag(); got != want {
			t.Errorf("%.40q: %s, want %s", header, got, want)
		}
	}
}

func TestSay(t *testing.T) {
	english, japanese := web.Language{}, web.Speak("ja")
	for _, test := range []struct {
		language web.Language
		text     string
		args     []any
		want     string
	}{
		{english, "Size", nil, "Size"},
		{japanese, "Size", nil, "サイズ"},
		{japanese, "Never said {0}", []any{"x"}, "Never said x"},
		{english, "{0} bytes", []any{int64(1)}, "1 byte"},
		{english, "{0} bytes", []any{0}, "0 bytes"},
		{english, "{0} bytes", []any{int64(1 << 40)}, "1,099,511,627,776 bytes"},
		{japanese, "{0} bytes", []any{1}, "1 バイト"},
		{english, "{1} before {0}", []any{"{1}", 1.25}, "1.2 before {1}"},
		{english, "{0} {2} {} {x} {-1} {", []any{"a"}, "a {2} {} {x} {-1} {"},
		{japanese, "Download {0}", []any{"<b>"}, "<b> のダウンロード"},
	} {
		if got := test.language.Say(test.text, test.args...); got != test.want {
			t.Errorf("%s %q: %q, want %q", test.language.Tag(), test.text, got, test.want)
		}
	}
}

// sources are where texts stand that people read.
var sources = []string{"*.go", "*.html", "*.js", "console/*.html", "console/*.js", "../proxy/*.go", "../console/*.go"}

// What the catalogues have is said somewhere; that all that is said has a
// translation is for the tests of those who say it. Arguments are in the
// translation as they are in the text.
func TestCatalogues(t *testing.T) {
	var said strings.Builder
	for _, pattern := range sources {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				said.WriteString(read(t, file))
			}
		}
	}
	catalogues, err := filepath.Glob("lang/*/*.json")
	if err != nil || len(catalogues) < len(web.Languages()) {
		t.Fatalf("%q %v", catalogues, err)
	}
	for _, file := range catalogues {
		var texts map[string]any
		if err := json.Unmarshal([]byte(read(t, file)), &texts); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for text, translation := range texts {
			if !strings.Contains(said.String(), strconv.Quote(text)) {
				t.Errorf("%s: nobody says %q", file, text)
			}
			forms, ok := translation.(map[string]any)
			if !ok {
				forms = map[string]any{"other": translation}
			}
			if forms["other"] == nil {
				t.Errorf(`%s: %q has no form "other"`, file, text)
			}
			for _, form := range forms {
				for _, arg := range []string{"{0}", "{1}", "{2}", "{3}"} {
					if s, _ := form.(string); s == "" || strings.Contains(s, arg) != strings.Contains(text, arg) {
						t.Errorf("%s: %q is not a translation of %q", file, s, text)
					}
				}
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
