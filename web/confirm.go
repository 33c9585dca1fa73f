package web

import (
	_ "embed"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

// ConfirmPage asks a person to start a download, and shows what it is.
type ConfirmPage struct {
	// File is what will be downloaded; nil if that is not to be told yet.
	File *File
	// Folder is set when the link shows a folder, rather than gives a file.
	Folder bool
	// Upload is set when the link takes files.
	Upload bool
	// Left is how many downloads are left; 0 leaves that out.
	Left int64
	// Until is when the link ends.
	Until time.Time
	// Passcode asks for one, and then for neither gesture nor digits.
	Passcode bool
	// Challenge travels through the form: the script answers it with
	// [Gesture] when a person presses the button, and without script a person
	// types Digits. Both are empty if Passcode is asked for.
	Challenge, Digits string
	// Problem is what was wrong with the last answer, in the language of the page;
	// "" for the first.
	Problem string
}

// File is what a page says of a file.
type File struct {
	// Name is the name under which it will be saved.
	Name string
	// Size is in bytes, negative if it is not known.
	Size int64
	// Type is its media type.
	Type string
}

//go:embed confirm.html
var confirmHTML string

//go:embed confirm.js
var confirmJS string

var confirmPage = newPage(source{html: confirmHTML, scripts: []string{confirmJS}})

// confirmView is the page as the template has it.
type confirmView struct {
	*frame
	ConfirmPage
	Heading         string
	Known           bool
	Readable, Exact string
	Type            string
	Digits          string
	Until           moment
}

// Confirm renders the page. Its form posts to the page's own address, as
// application/x-www-form-urlencoded, the field "passcode", or the fields
// "challenge", "gesture" and "digits".
func Confirm(look Look, p ConfirmPage) Document {
	f := confirmPage.open(look)
	f.policy.forms = true
	l := f.Look.Language
	v := confirmView{
		frame: &f, ConfirmPage: p, Heading: l.Say("This file needs a passcode"), Digits: spell(l, p.Digits), Until: l.moment(p.Until),
	}
	switch {
	case p.Folder:
		v.Heading = l.Say("This folder needs a passcode")
	case p.Upload:
		v.Heading = l.Say("This link needs a passcode")
	}
	if p.File != nil {
		v.Heading, v.Known, v.Type = p.File.Name, true, p.File.Type
		v.Readable, v.Exact = l.size(p.File.Size)
	}
	return f.document(v)
}

// Gesture is what the script of the confirm page answers to a challenge: its
// 32-bit FNV-1a in hex. It proves that the script ran and nothing about who
// wrote the answer.
func Gesture(challenge string) string {
	h := fnv.New32a()
	h.Write([]byte(challenge))
	return fmt.Sprintf("%08x", h.Sum32())
}

// spell writes digits in words, which a program does not copy by chance.
func spell(l Language, digits string) string {
	numerals := [10]string{
		l.Say("zero"), l.Say("one"), l.Say("two"), l.Say("three"), l.Say("four"),
		l.Say("five"), l.Say("six"), l.Say("seven"), l.Say("eight"), l.Say("nine"),
	}
	var words []string
	for _, c := range digits {
		if c >= '0' && c <= '9' {
			words = append(words, numerals[c-'0'])
		}
	}
	return strings.Join(words, " ")
}
