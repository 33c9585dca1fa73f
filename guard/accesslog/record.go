// Package accesslog reads the server access logs that Amazon S3 writes for a
// bucket (S3 User Guide, "Amazon S3 server access log format").
//
// A [Scanner] goes through a log of any length, gzipped or plain, and hands out
// one [Record] after the other without allocating. Whoever sends a request to
// S3 decides what stands in some fields of its line, so a line is taken apart
// such that nothing a client sends changes how its request was authenticated;
// lines that cannot be taken apart are counted, and shown to whoever asks, and
// never end the reading.
//
// A log holds whole presigned URLs. Nothing that this package hands out but
// the raw fields has their signatures; see [Redact].
package accesslog

import (
	"bytes"
	"errors"
	"fmt"
)

// Field is the place of a field in a line.
type Field int

// The fields, in the order of the line. Lines may have more after the last.
const (
	Owner Field = iota // canonical ID of the bucket's owner
	Bucket
	received         // see [Record.Time]
	RemoteIP         // the address that the request came from, or "-"
	Requester        // canonical ID, user ARN or role session ARN; "-" for nobody
	RequestID        // different for each request
	Operation        // such as REST.GET.OBJECT
	key              // see [Record.Key]
	RequestURI       // the whole request line, with what a presigned URL is signed with
	status           // see [Record.Status]
	ErrorCode        // such as AccessDenied
	BytesSent        // of the body
	ObjectSize       // in bytes
	TotalTime        // in milliseconds
	TurnAroundTime   // in milliseconds
	Referer          // as the client sent it
	UserAgent        // as the client sent it
	VersionID        // as the client sent it
	HostID           // x-amz-id-2
	SignatureVersion // SigV2 or SigV4
	CipherSuite      // of TLS
	authType         // see [Record.Auth]
	HostHeader       // as the client sent it
	TLSVersion       // such as TLSv1.2
	AccessPointARN   // of the access point
	ACLRequired      // Yes if the request needed an ACL
	fields           // how many there are
)

// required is how many fields the oldest logs have: up to the version ID.
const required = int(VersionID) + 1

var fieldNames = [fields]string{
	"bucket owner", "bucket", "time", "remote IP", "requester", "request ID", "operation", "key", "request URI",
	"status", "error code", "bytes sent", "object size", "total time", "turn-around time", "referer", "user agent",
	"version ID", "host ID", "signature version", "cipher suite", "authentication type", "host header", "TLS version",
	"access point ARN", "ACL required",
}

// String is the field's name, as the documentation has it.
func (f Field) String() string {
	if f < 0 || f >= fields {
		return fmt.Sprintf("field %d", int(f))
	}
	return fieldNames[f]
}

// ErrMalformed is what all errors about a line wrap.
var ErrMalformed = errors.New("malformed access log line")

// Record is a line, taken apart. It points into the line, so it is good for as
// long as that is. Its zero value has no fields. It is not safe for concurrent
// use while [Record.Parse] runs.
type Record struct {
	line []byte
	at   [fields]span
}

type span struct{ from, to int }

// Line is the whole line, without its end. It may hold a signature.
func (r *Record) Line() []byte { return r.line }

// Raw is a field as it stands in the line, without quotes. It is nil if the
// line does not have it or says "-", which stands for unknown.
func (r *Record) Raw(f Field) []byte {
	s := r.at[f]
	text := r.line[s.from:s.to]
	if len(text) == 0 || len(text) == 1 && text[0] == '-' {
		return nil
	}
	return text
}

// Parse takes a line apart, which the record then points into. It does not
// allocate, but for an error. Errors: [ErrMalformed], which name the field and
// nothing that stands in it; the record has the fields before.
//
// S3 does not escape quotes in what clients send. A request line ends at the
// first quote that a status follows; it cannot hold a space that would feign
// one. The user agent ends at the last quote behind which the line goes on as lines
// do. That is the last of all, unless the client sent quotes in the version or the
// host too; then nobody knows which of them are S3's, and the record has no
// authentication type. So nobody feigns that. Where the referer ends is then the
// first guess, and only a guess.
func (r *Record) Parse(line []byte) error {
	*r = Record{line: bytes.TrimRight(line, "\r\n")}
	p := parser{record: r}
	p.words(Owner, Bucket)
	p.time()
	p.words(RemoteIP, key)
	p.requestURI()
	p.words(status, TurnAroundTime)
	p.clients()
	p.rest()
	return p.err
}

// parser goes through a line from left to right.
type parser struct {
	record *Record
	pos    int
	err    error
	// doubtful says that there is more than one guess where the user agent ends.
	doubtful bool
}

func (p *parser) left() []byte { return p.record.line[p.pos:] }

func (p *parser) fail(f Field) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: no %s at byte %d of %d", ErrMalformed, f, p.pos, len(p.record.line))
	}
}

// take makes the next n bytes after skip a field, and goes past it and what
// ends it, whose length is end.
func (p *parser) take(f Field, skip, n, end int) {
	from := p.pos + skip
	p.record.at[f] = span{from, from + n}
	p.pos = min(from+n+end, len(p.record.line))
}

// words takes fields that end at a space.
func (p *parser) words(from, to Field) {
	for f := from; f <= to && p.err == nil; f++ {
		n := bytes.IndexByte(p.left(), ' ')
		if n <= 0 || f == status && !isStatus(p.left()[:n]) {
			p.fail(f)
			return
		}
		p.take(f, 0, n, 1)
	}
}

func isStatus(text []byte) bool {
	return len(text) == 1 && text[0] == '-' ||
		len(text) == 3 && isDigit(text[0]) && isDigit(text[1]) && isDigit(text[2])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// time takes the field that stands in brackets.
func (p *parser) time() {
	if p.err != nil {
		return
	}
	left := p.left()
	n := bytes.IndexByte(left, ']')
	if n < 1 || left[0] != '[' || n+1 >= len(left) || left[n+1] != ' ' {
		p.fail(received)
		return
	}
	p.take(received, 1, n-1, 2)
}

// requestURI takes the request line, which ends where a status follows.
func (p *parser) requestURI() {
	if p.err != nil {
		return
	}
	left := p.left()
	if len(left) == 0 || left[0] != '"' {
		p.words(RequestURI, RequestURI)
		return
	}
	for n := 1; ; n++ {
		next := bytes.IndexByte(left[n:], '"')
		if next < 0 {
			p.fail(RequestURI)
			return
		}
		n += next
		if statusFollows(left[n+1:]) {
			p.take(RequestURI, 1, n-1, 2)
			return
		}
	}
}

func statusFollows(text []byte) bool {
	if len(text) < 3 || text[0] != ' ' {
		return false
	}
	n := bytes.IndexByte(text[1:min(len(text), 5)], ' ')
	return n > 0 && isStatus(text[1:1+n])
}

// clients takes the referer and the user agent.
func (p *parser) clients() {
	if p.err != nil {
		return
	}
	left := p.left()
	last := p.clientsEnd()
	if last < 0 {
		p.words(Referer, UserAgent)
		return
	}
	if len(left) > 2 && left[0] == '-' && left[1] == ' ' {
		p.words(Referer, Referer)
		p.quoted(UserAgent, last-2)
		return
	}
	// The last quote ends the user agent, or the referer if that has none.
	if n := bytes.Index(left[:last], []byte(`" "`)); n > 0 {
		p.quoted(Referer, n)
		p.quoted(UserAgent, last-n-2)
		return
	}
	p.quoted(Referer, last)
	p.words(UserAgent, UserAgent)
}

// clientsEnd is the quote that ends what clients send, -1 if there is none.
func (p *parser) clientsEnd() int {
	left := p.left()
	last := bytes.LastIndexByte(left, '"')
	for n := last; n >= 0; n = bytes.LastIndexByte(left[:n], '"') {
		if likeTheRest(left[n+1:]) {
			p.doubtful = n != last
			return n
		}
	}
	return last
}

// likeTheRest reports whether a text may be what follows the user agent: as far as
// it goes, with a signature version and an authentication type in their places.
func likeTheRest(text []byte) bool {
	if len(text) == 0 {
		return true // cut off here
	}
	if text[0] != ' ' {
		return false
	}
	text = text[1:]
	for f := VersionID; f <= authType && len(text) > 0; f++ {
		var word []byte
		word, text, _ = bytes.Cut(text, []byte{' '})
		switch {
		case len(word) == 0:
			return false
		case len(word) == 1 && word[0] == '-':
		case f == SignatureVersion && !bytes.HasPrefix(word, []byte("SigV")),
			f == authType && string(word) != "AuthHeader" && string(word) != "QueryString":
			return false
		}
	}
	return true
}

// quoted takes a field whose closing quote is at end.
func (p *parser) quoted(f Field, end int) {
	if p.err != nil {
		return
	}
	left := p.left()
	if end < 1 || left[0] != '"' || end+1 < len(left) && left[end+1] != ' ' {
		p.fail(f)
		return
	}
	p.take(f, 1, end-1, 2)
}

// rest takes the fields after those of the client, of which old logs have one.
func (p *parser) rest() {
	defer func() {
		if p.doubtful {
			p.record.at[authType] = span{}
		}
	}()
	for f := VersionID; f < fields && p.err == nil; f++ {
		left := p.left()
		n := bytes.IndexByte(left, ' ')
		if n < 0 {
			n = len(left)
		}
		if n == 0 {
			if int(f) < required {
				p.fail(f)
			}
			return
		}
		p.take(f, 0, n, 1)
	}
}
