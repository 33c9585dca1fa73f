package web

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"regexp"
	"strings"
)

//go:embed common.js
var commonJS string

// spoken finds the texts that a script says. They are written out where they
// are said, in one string.
var spoken = regexp.MustCompile(`\bt\(("(?:[^"\\]|\\.)*")`)

// newScript makes one script of several for a language: what they have in
// common, the texts that they say, and they themselves, one after the other. They
// share their names. "" for none.
func newScript(l Language, sources ...string) template.JS {
	if len(sources) == 0 {
		return ""
	}
	source := commonJS + strings.Join(sources, "")
	words := map[string]translation{}
	for _, match := range spoken.FindAllStringSubmatch(source, -1) {
		var text string
		if err := json.Unmarshal([]byte(match[1]), &text); err != nil {
			panic(err) // the scripts are fixed, and the tests make them all
		}
		if t, ok := l.orEnglish().texts[text]; ok {
			words[text] = t
		}
	}
	translated, err := json.Marshal(words)
	if err != nil {
		panic(err)
	}
	return template.JS(`"use strict";` + "\nconst lang = \"" + l.Tag() + "\", words = " + string(translated) + ";\n" + lean(source))
}

// lean leaves out of a script what only its reader needs: indentation, and lines
// that are a comment. No string in a script has such a line.
func lean(source string) string {
	var b strings.Builder
	for line := range strings.Lines(source) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
