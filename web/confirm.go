package web

import (
	_ "embed"
	"fmt"
	"hash/fnv"
	"strconv"
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
	// Problem is what was wrong with the last answer; "" for the first.
	Problem string
	// Contact is whom to ask; "" leaves that out.
	Contact string
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

var confirmTemplate = parse(confirmHTML)

// confirmView is the page as the template has it.
type confirmView struct {
	frame
	ConfirmPage
	Contact         string // both of the above have one
	Heading         string
	Known           bool
	Readable, Exact string
	Type            string
	Digits          string
	Until           string
	UntilText       string
}

// Confirm renders the page. Its form posts to the page's own address, as
// application/x-www-form-urlencoded, the field "passcode", or the fields
// "challenge", "gesture" and "digits".
func Confirm(p ConfirmPage) Document {
	f := newFrame(p.Contact, confirmJS)
	f.forms = true
	until := p.Until.UTC()
	v := confirmView{
		frame: f, ConfirmPage: p, Contact: p.Contact, Heading: "This file needs a passcode", Digits: spell(p.Digits),
		Until: until.Format(time.RFC3339), UntilText: until.Format("2 January 2006, 15:04 UTC"),
	}
	switch {
	case p.Folder:
		v.Heading = "This folder needs a passcode"
	case p.Upload:
		v.Heading = "This link needs a passcode"
	}
	if p.File != nil {
		v.Heading, v.Known, v.Type = p.File.Name, true, p.File.Type
		v.Readable, v.Exact = readable(p.File.Size)
	}
	return f.document(confirmTemplate, v)
}

// Gesture is what the script of the confirm page answers to a challenge: its
// 32-bit FNV-1a in hex. It proves that the script ran and nothing about who
// wrote the answer.
func Gesture(challenge string) string {
	h := fnv.New32a()
	h.Write([]byte(challenge))
	return fmt.Sprintf("%08x", h.Sum32())
}

var numerals = [10]string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}

// spell writes digits in words, which a program does not copy by chance.
func spell(digits string) string {
	var words []string
	for _, c := range digits {
		if c >= '0' && c <= '9' {
			words = append(words, numerals[c-'0'])
		}
	}
	return strings.Join(words, " ")
}

// readable writes a size for people, and exactly where that is something
// else.
func readable(size int64) (short, exact string) {
	switch {
	case size < 0:
		return "not known", ""
	case size == 1:
		return "1 byte", ""
	case size < 1000:
		return strconv.FormatInt(size, 10) + " bytes", ""
	}
	value, unit := float64(size)/1000, 0
	for value >= 999.95 {
		value, unit = value/1000, unit+1
	}
	return fmt.Sprintf("%.1f %s", value, [...]string{"kB", "MB", "GB", "TB", "PB", "EB"}[unit]), grouped(size)
}

// grouped writes a number with commas.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
