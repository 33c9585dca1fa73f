package accesslog

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// MaxLine is the longest line that is taken apart, in bytes. S3 writes shorter
// ones: a key of 1,024 bytes takes five times as much in its field and three
// times in the request line, and all headers of a request 8 KiB.
const MaxLine = 64 << 10

// shownLine is how much of a line that is too long [Scanner.Malformed] gets.
const shownLine = 1 << 10

// Scanner goes through a log. Use it from one goroutine.
type Scanner struct {
	// Malformed hears of each line that could not be taken apart, which is good
	// until it returns; of lines that are too long, only of their beginning. It
	// may hold signatures: see [Redact]. Nil does not hear.
	Malformed func(line []byte, err error)

	in     *bufio.Reader
	record Record
	stats  Stats
	err    error
}

// Stats are what a [Scanner] has read so far.
type Stats struct {
	// Lines are all lines that are not empty, and Malformed those of them that
	// could not be taken apart.
	Lines, Malformed int64
	// Bytes are those of the lines, after decompression.
	Bytes int64
}

// NewScanner reads a log, gzipped or plain, which it tells apart by its first
// bytes. It holds a few buffers of [MaxLine], however long the log or its lines
// are, and does not close r.
func NewScanner(r io.Reader) *Scanner {
	s := &Scanner{}
	s.Reset(r)
	return s
}

// Reset begins another log with the same buffers; Malformed and the stats
// stay.
func (s *Scanner) Reset(r io.Reader) {
	if s.in == nil {
		s.in = bufio.NewReaderSize(nil, MaxLine)
	}
	s.in.Reset(r)
	s.err = nil
	magic, err := s.in.Peek(2)
	if err != nil && err != io.EOF {
		s.err = fmt.Errorf("reading the log: %w", err)
	}
	if len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return
	}
	unzipped, err := gzip.NewReader(s.in)
	if err != nil {
		s.err = fmt.Errorf("reading the gzipped log: %w", err)
		return
	}
	s.in = bufio.NewReaderSize(unzipped, MaxLine)
}

// Scan goes to the next line that can be taken apart, and reports whether there
// is one. It also goes to a malformed line whose URL is signed: nobody is to hide
// that by what he sends beside it.
func (s *Scanner) Scan() bool {
	for s.err == nil {
		line, err := s.in.ReadSlice('\n')
		s.stats.Bytes += int64(len(line))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			s.tooLong(line)
			continue
		case err == io.EOF:
			s.err = io.EOF
		case err != nil:
			// What stands before may be the half of a line.
			s.err = fmt.Errorf("reading the log: %w", err)
			return false
		}
		if s.take(line) {
			return true
		}
	}
	return false
}

func (s *Scanner) take(line []byte) bool {
	if blank(line) {
		return false
	}
	s.stats.Lines++
	err := s.record.Parse(line)
	if err != nil {
		s.reject(s.record.Line(), err)
	}
	return err == nil || s.record.Auth() == Query
}

func blank(line []byte) bool {
	for _, c := range line {
		if c != '\n' && c != '\r' && c != ' ' {
			return false
		}
	}
	return true
}

// tooLong leaves out the rest of a line.
func (s *Scanner) tooLong(line []byte) {
	begin := append([]byte(nil), line[:shownLine]...)
	for err := bufio.ErrBufferFull; errors.Is(err, bufio.ErrBufferFull); {
		line, err = s.in.ReadSlice('\n')
		s.stats.Bytes += int64(len(line))
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			s.err = err
			if err != io.EOF {
				s.err = fmt.Errorf("reading the log: %w", err)
			}
		}
	}
	s.stats.Lines++
	s.reject(begin, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxLine))
}

func (s *Scanner) reject(line []byte, err error) {
	s.stats.Malformed++
	if s.Malformed != nil {
		s.Malformed(line, err)
	}
}

// Record is the line that [Scanner.Scan] went to. It is good until the next
// call of that.
func (s *Scanner) Record() *Record { return &s.record }

// Stats are what was read so far, over all logs.
func (s *Scanner) Stats() Stats { return s.stats }

// Err is why reading ended; nil at the log's end. A gzipped log that was cut
// short gives [io.ErrUnexpectedEOF], after all the lines that it has whole.
func (s *Scanner) Err() error {
	if s.err == io.EOF {
		return nil
	}
	return s.err
}
