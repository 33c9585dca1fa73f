package main

import "strings"

// permitted are the licences that what is linked may have.
var permitted = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "Unlicense"}

// signs are what licences say in words of their own, in lower case with single spaces.
var signs = []struct{ says, licence string }{
	{"apache license version 2.0", "Apache-2.0"},
	{"apache license, version 2.0", "Apache-2.0"},
	{"permission is hereby granted, free of charge, to any person obtaining a copy of this software", "MIT"},
	{"permission to use, copy, modify, and/or distribute this software for any purpose with or without fee", "ISC"},
	{"permission to use, copy, modify, and distribute this software for any purpose with or without fee", "ISC"},
	{"this is free and unencumbered software released into the public domain", "Unlicense"},
	{"mozilla public license", "MPL"},
	{"gnu affero general public license", "AGPL"},
	{"gnu lesser general public license", "LGPL"},
	{"gnu library general public license", "LGPL"},
	{"gnu general public license", "GPL"},
	{"server side public license", "SSPL"},
	{"business source license", "BUSL"},
	{"eclipse public license", "EPL"},
	{"cc0 1.0 universal", "CC0-1.0"},
	{"creative commons attribution", "CC"},
}

// recognize returns the licences whose words are in a text; one may have several. The
// text of one licence that names others, as the MPL does, is all of them: better to ask
// once too often.
func recognize(text string) (found []string) {
	text = strings.Join(strings.Fields(strings.ToLower(text)), " ")
	for _, s := range signs {
		if strings.Contains(text, s.says) {
			found = append(found, s.licence)
		}
	}
	if strings.Contains(text, "redistribution and use in source and binary forms") {
		if strings.Contains(text, "may be used to endorse or promote products") {
			found = append(found, "BSD-3-Clause")
		} else {
			found = append(found, "BSD-2-Clause")
		}
	}
	return found
}
