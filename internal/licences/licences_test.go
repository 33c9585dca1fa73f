package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

// docs/licences.md is what is linked, and nothing of that is under a licence that we
// do not want.
func TestPage(t *testing.T) {
	modules, err := linked()
	if err != nil {
		t.Fatal(err)
	}
	if err := refuse(modules); err != nil {
		t.Error(err)
	}
	// Because it is read here, a result that go test has kept is not good for another go.mod.
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		if !strings.Contains(string(mod), m.Path+" v") {
			t.Errorf("%s is linked and not in go.mod", m.Path)
		}
	}
	have, err := os.ReadFile("../../docs/licences.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := page(modules); string(have) != want {
		t.Errorf("docs/licences.md is out of date: make licences. It should be\n%s", want)
	}
	var texts bytes.Buffer
	if err := writeTexts(&texts, modules); err != nil {
		t.Fatal(err)
	}
	for _, m := range append(modules, &module{Path: "the Go standard library and runtime"}) {
		if !strings.Contains(texts.String(), "==== "+m.Path+": ") {
			t.Errorf("the texts have none for %s", m.Path)
		}
	}
}

func TestRefuse(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       string // in the error; "" means none
	}{
		{"MIT", mit, ""},
		{"nothing", "", "no licence"},
		{"words of their own", "Do with it what you like.", "no licence"},
		{"AGPL", "GNU AFFERO GENERAL PUBLIC\n   LICENSE\nVersion 3", "AGPL"},
		{"GPL", "under the terms of the GNU General Public License as published", "GPL"},
		{"LGPL", "GNU LESSER GENERAL PUBLIC LICENSE", "LGPL"},
		{"public domain", "Creative Commons Legal Code\n\nCC0 1.0 Universal", ""},
		{"CC BY-SA", "Creative Commons Attribution-ShareAlike 4.0", "CC"},
		{"another of theirs", "Creative Commons Developing Nations", "no licence"},
		{"MIT and GPL", mit + "\nParts are under the GNU General Public License.", "GPL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := &module{Path: "example.com/m", files: []file{{"LICENSE", test.text}}}
			err := refuse([]*module{m})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

const mit = "Permission is hereby granted, free of charge, to any person obtaining a copy\nof this software and"

func TestRecognize(t *testing.T) {
	const bsd = "Redistribution and use in source and binary forms, with or without"
	for _, test := range []struct {
		text string
		want []string
	}{
		{mit, []string{"MIT"}},
		{"                                 Apache License\n                           Version 2.0, January 2004", []string{"Apache-2.0"}},
		{bsd, []string{"BSD-2-Clause"}},
		{bsd + " … may be used to\nendorse or promote products", []string{"BSD-3-Clause"}},
		{mit + "\n" + bsd, []string{"MIT", "BSD-2-Clause"}},
		{"Mozilla Public License Version 2.0", []string{"MPL"}},
	} {
		if got := recognize(test.text); !slices.Equal(got, test.want) {
			t.Errorf("%.40q: got %v, want %v", test.text, got, test.want)
		}
	}
}

func TestIsLicence(t *testing.T) {
	for name, want := range map[string]bool{
		"LICENSE": true, "LICENCE.md": true, "license.txt": true, "COPYING": true, "NOTICE.txt": true, "LICENSE-MIT": true,
		"licence.go": false, "README.md": false, "license_test.go": false,
	} {
		if isLicence(name) != want {
			t.Errorf("%s: got %t", name, !want)
		}
	}
}
