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
	// Sharing is what whoever shares the file says; it is not to be told before
	// the passcode was given.
	Sharing Sharing
	// Left is how many downloads are left; 0 leaves that out.
	Left int64
	// Until is when the link ends.
	Until time.Time
	// Breaking is what becomes of a download that breaks off.
	Breaking Breaking
	// Passcode asks for one, and then for neither gesture nor digits.
	Passcode bool
	// Ticket travels through the form of a page for which nothing more has to be
	// shown, since the passcode was; else "".
	Ticket string
	// Challenge travels through the form: the script answers it with
	// [Gesture] when a person presses the button, and without script a person
	// types Digits. Both are empty if there is Passcode or Ticket.
	Challenge, Digits string
	// Problem is what was wrong with the last answer, in the language of the page;
	// "" for the first.
	Problem string
}

// Breaking is what becomes of a download that breaks off.
type Breaking int

const (
	// BeginsAnew: it can be resumed, or begun again.
	BeginsAnew Breaking = iota
	// Resumes: it can be resumed for some time, and begun again it is another use.
	Resumes
	// Counts: it has cost a use, and cannot be resumed.
	Counts
)

// advice is what a person can do then.
func (b Breaking) advice(l Language) string {
	switch b {
	case Resumes:
		return l.Say("If it breaks off, press “Resume” there soon: to begin anew counts as another download.")
	case Counts:
		return l.Say("If it breaks off, it counts as used all the same. Then ask whoever gave you the link for a new one.")
	}
	return l.Say("If it breaks off, press “Resume” there, or begin anew here.")
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

//go:embed confirm.css
var confirmCSS string

//go:embed confirm.js
var confirmJS string

var confirmPage = newPage(source{html: confirmHTML, style: confirmCSS, scripts: []string{confirmJS}})

// confirmView is the page as the template has it.
type confirmView struct {
	*frame
	ConfirmPage
	Heading         string
	Known           bool
	Readable, Exact string
	Kind, Type      string
	Drawing         string
	Digits          string
	IfBroken        string
	Until           moment
}

// lock is drawn where it is not told what the link leads to.
const lock = "M6 11h12v9H6zM8.5 11V7.5a3.5 3.5 0 0 1 7 0V11"

// Confirm renders the page. Its form posts to the page's own address, as
// application/x-www-form-urlencoded, the field "passcode", or "ticket", or the
// fields "challenge", "gesture" and "digits".
func Confirm(look Look, p ConfirmPage) Document {
	f := confirmPage.open(look)
	f.policy.forms = true
	l := f.Look.Language
	p.Sharing = p.Sharing.shown(l)
	v := confirmView{
		frame: &f, ConfirmPage: p, Heading: l.Say("This file needs a passcode"), Drawing: lock, Digits: spell(l, p.Digits),
		IfBroken: p.Breaking.advice(l), Until: l.moment(p.Until),
	}
	switch {
	case p.Folder:
		v.Heading = l.Say("This folder needs a passcode")
	case p.Upload:
		v.Heading = l.Say("This link needs a passcode")
	}
	if p.File != nil {
		k := kindOf(p.File.Name, p.File.Type)
		v.Heading, v.Known, v.Type, v.Kind, v.Drawing = p.File.Name, true, p.File.Type, k.name(l), k.Drawing()
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
