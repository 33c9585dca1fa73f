package devs3

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestParseRange(t *testing.T) {
	for _, tt := range []struct {
		header string
		size   int64
		want   byteRange
		ok     bool
		fails  bool
	}{
		{"bytes=0-0", 10, byteRange{0, 1}, true, false},
		{"bytes=9-9", 10, byteRange{9, 1}, true, false},
		{"bytes=10-10", 10, byteRange{}, false, true},
		{"bytes=9-", 10, byteRange{9, 1}, true, false},
		{"bytes=10-", 10, byteRange{}, false, true},
		{"bytes=-10", 10, byteRange{0, 10}, true, false},
		{"bytes=-11", 10, byteRange{0, 10}, true, false},
		{"bytes=-0", 10, byteRange{}, false, true},
		{"bytes=-1", 0, byteRange{}, false, true},
		{"bytes=0-", 0, byteRange{}, false, true},
		{"bytes=5-2", 10, byteRange{}, false, false},
		{"bytes=--1", 10, byteRange{}, false, false},
		{"bytes=+1-2", 10, byteRange{}, false, false},
		{"bytes=1-2,4-5", 10, byteRange{}, false, false},
		{"bytes=", 10, byteRange{}, false, false},
		{"bytes=-", 10, byteRange{}, false, false},
		{"bytes", 10, byteRange{}, false, false},
		{"Bytes=1-2", 10, byteRange{}, false, false},
		{"bytes=0-9223372036854775807", 10, byteRange{0, 10}, true, false},
		{"bytes=0-9223372036854775808", 10, byteRange{}, false, false},
		{"bytes=9223372036854775807-", 10, byteRange{}, false, true},
	} {
		got, ok, err := parseRange(tt.header, tt.size)
		if got != tt.want && err == nil || ok != tt.ok || (err != nil) != tt.fails {
			t.Errorf("%s of %d: got %v %v %v", tt.header, tt.size, got, ok, err)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=1-2", int64(10))
	f.Add("bytes=-5", int64(3))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		r, ok, err := parseRange(header, size)
		if ok && err != nil {
			t.Fatal("a range and an error")
		}
		if ok && (r.start < 0 || r.length < 1 || r.start+r.length > size) {
			t.Fatalf("%+v is not within %d bytes", r, size)
		}
	})
}

// frames is data as aws-chunked, in chunks of so many bytes.
func frames(data string, size int) string {
	var b strings.Builder
	for len(data) > 0 {
		n := min(size, len(data))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, data[:n])
		data = data[n:]
	}
	return b.String() + "0\r\n"
}

func TestChunked(t *testing.T) {
	data := strings.Repeat("0123456789", 1000)
	whole := frames(data, 777)
	trailer := "x-amz-checksum-crc32:" + "AAAAAA==" + "\r\n"
	for _, tt := range []struct {
		name, body string
		want       error
	}{
		{"right", whole + trailer + "\r\n", nil},
		{"line feed before the blank line", whole + "x-amz-checksum-crc32:AAAAAA==\n\r\n", nil},
		{"one chunk", frames(data, len(data)) + trailer + "\r\n", nil},
		{"without the trailer", whole + "\r\n", errMalformedTrailer},
		{"with two trailers", whole + trailer + trailer + "\r\n", errMalformedTrailer},
		{"with another trailer", whole + trailer + "x-amz-meta-a:b\r\n\r\n", errMalformedTrailer},
		{"with data behind it", whole + trailer + "\r\nmore", errMalformedTrailer},
		{"cut in the trailer", whole + trailer[:10], errMalformedTrailer},
		{"cut before the last chunk", strings.TrimSuffix(whole, "0\r\n"), io.ErrUnexpectedEOF},
		{"cut in the data", whole[:500], io.ErrUnexpectedEOF},
		{"a byte too many", frames(data+"x", 777) + trailer + "\r\n", errMalformedChunk},
		{"a chunk too big", frames(data+data, 2*len(data)) + trailer + "\r\n", errMalformedChunk},
		{"a byte too few", frames(data[1:], 777) + trailer + "\r\n", errMalformedChunk},
		{"a negative chunk", "-5\r\n" + whole, errMalformedChunk},
		{"a chunk longer than it says", strings.Replace(whole, "309", "308", 1), errMalformedChunk},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r }, "bytewise": iotest.OneByteReader} {
			c := newChunked(wrap(strings.NewReader(tt.body)), int64(len(data)))
			c.trailer, c.found = "X-Amz-Checksum-Crc32", func(string) error { return nil }
			got, err := io.ReadAll(c)
			if err == nil {
				err = c.finish()
			}
			if !errors.Is(err, tt.want) || err == nil && string(got) != data {
				t.Errorf("%s, %s: got %d bytes, %v, want %v", tt.name, how, len(got), err, tt.want)
			}
		}
	}
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte(frames("hello world", 4)+"x-amz-checksum-crc32:AAAAAA==\r\n\r\n"), int64(11))
	f.Add([]byte("0\r\n\r\n"), int64(0))
	f.Add([]byte("5;chunk-signature=00\r\nhello\r\n0;chunk-signature=00\r\n\r\n"), int64(5))
	f.Fuzz(func(t *testing.T, body []byte, length int64) {
		if length < 0 {
			return
		}
		c := newChunked(bytes.NewReader(body), length)
		c.trailer, c.found = "X-Amz-Checksum-Crc32", func(string) error { return nil }
		got, err := io.ReadAll(c)
		if int64(len(got)) > length || err == nil && int64(len(got)) != length {
			t.Fatalf("%d bytes of %d, %v", len(got), length, err)
		}
		c.finish()
	})
}

func FuzzParseCopySource(f *testing.F) {
	f.Add("/bucket/key%2B?versionId=null")
	f.Add("bucket%2Fkey")
	f.Fuzz(func(t *testing.T, header string) {
		if s, err := parseCopySource(header); err == nil && (s.bucket == "" || s.key == "" || strings.Contains(s.bucket, "/")) {
			t.Fatalf("%+v", s)
		}
	})
}

func FuzzPostPolicy(f *testing.F) {
	f.Add([]byte(`{"expiration":"2030-01-01T00:00:00Z","conditions":[{"bucket":"b"},["starts-with","$key","a"],["content-length-range",1,2]]}`), "abc")
	f.Add([]byte(`{"expiration":"2030-01-01T00:00:00Z","conditions":[["eq","$key"],[1,2,3],{"key":1}]}`), "")
	f.Fuzz(func(t *testing.T, policy []byte, key string) {
		form := &form{fields: map[string]string{"policy": base64Of(policy), "key": key}}
		if form.obeyPolicy("b", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) == nil && form.size.min > form.size.max {
			t.Fatalf("%+v", form.size)
		}
	})
}

func base64Of(text []byte) string { return base64.StdEncoding.EncodeToString(text) }
