package accesslog_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"s3gate/guard/accesslog"
)

func line(id, auth string) string {
	return head + user + " " + id + ` REST.GET.OBJECT a "GET /a HTTP/1.1" 200 - 1 1 7 6 "-" "curl"` + tail + auth + end + "\n"
}

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, text); err != nil || w.Close() != nil {
		t.Fatal("gzip", err)
	}
	return out.Bytes()
}

// scan reads all of a log and returns the request IDs, and the errors of lines.
func scan(in io.Reader) (ids []string, malformed []string, s *accesslog.Scanner) {
	s = accesslog.NewScanner(in)
	s.Malformed = func(line []byte, err error) {
		malformed = append(malformed, string(line[:min(8, len(line))])+": "+err.Error())
	}
	for s.Scan() {
		ids = append(ids, string(s.Record().Raw(accesslog.RequestID)))
	}
	return ids, malformed, s
}

func TestLogs(t *testing.T) {
	three := line("A", "AuthHeader") + line("B", "QueryString") + line("C", "-")
	whole := []string{"A", "B", "C"}
	tests := []struct {
		name string
		in   []byte
		want []string
	}{
		{"plain", []byte(three), whole},
		{"gzipped", zipped(t, three), whole},
		{"gzipped twice in one file", append(zipped(t, line("A", "-")), zipped(t, line("B", "-"))...), []string{"A", "B"}},
		{"without the last line end", []byte(strings.TrimSuffix(three, "\n")), whole},
		{"with empty lines", []byte("\n\r\n" + three + "\n"), whole},
		{"empty", nil, nil},
		{"one byte", []byte("\n"), nil},
	}
	for _, test := range tests {
		for name, in := range map[string]io.Reader{"": bytes.NewReader(test.in), ", byte by byte": iotest.OneByteReader(bytes.NewReader(test.in))} {
			ids, malformed, s := scan(in)
			if !slices.Equal(ids, test.want) || malformed != nil || s.Err() != nil || s.Stats().Lines != int64(len(test.want)) {
				t.Errorf("%s%s: %q, %q, %v, %+v", test.name, name, ids, malformed, s.Err(), s.Stats())
			}
		}
	}
}

func TestMalformedLinesAreCountedAndLeftOut(t *testing.T) {
	ids, malformed, s := scan(strings.NewReader(line("A", "-") + "garbage\n" + line("B", "-") + "\x00\xff\n"))
	if !slices.Equal(ids, []string{"A", "B"}) || len(malformed) != 2 || !strings.HasPrefix(malformed[0], "garbage: ") {
		t.Errorf("%q, %q", ids, malformed)
	}
	if st := s.Stats(); st.Lines != 4 || st.Malformed != 2 || s.Err() != nil {
		t.Errorf("%+v, %v", st, s.Err())
	}
}

// What stands behind the request line hides no signature in it, however it is broken.
func TestAMalformedLineWithASignedURLIsSeenAndCounted(t *testing.T) {
	signed := strings.Replace(line("A", "QueryString"), "GET /a ", "GET /a?"+sign+" ", 1)
	cut := signed[:strings.Index(signed, ` "-" "curl"`)] + "\n"
	unsigned := strings.Replace(cut, "?"+sign, "", 1)
	ids, malformed, s := scan(strings.NewReader(cut + unsigned + line("B", "-")))
	if !slices.Equal(ids, []string{"A", "B"}) || len(malformed) != 2 || s.Stats().Malformed != 2 || s.Stats().Lines != 3 {
		t.Errorf("%q, %q, %+v", ids, malformed, s.Stats())
	}
}

// repeat is a line without an end, of some length.
func repeat(n int64) io.Reader { return io.LimitReader(endless{}, n) }

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestALineOfTenMegabytesIsOneMalformedLine(t *testing.T) {
	in := func() io.Reader {
		return io.MultiReader(strings.NewReader(line("A", "-")), repeat(10<<20), strings.NewReader("\n"+line("B", "-")))
	}
	ids, malformed, s := scan(in())
	if !slices.Equal(ids, []string{"A", "B"}) || len(malformed) != 1 || s.Err() != nil {
		t.Errorf("%q, %q, %v", ids, malformed, s.Err())
	}
	if st := s.Stats(); st.Lines != 3 || st.Bytes < 10<<20 {
		t.Errorf("%+v", st)
	}
	if bytes := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			for s := accesslog.NewScanner(in()); s.Scan(); {
			}
		}
	}).AllocedBytesPerOp(); bytes > 512<<10 {
		t.Errorf("%d bytes were allocated for it", bytes)
	}
}

func TestALongLineAtTheEndIsCounted(t *testing.T) {
	ids, malformed, s := scan(io.MultiReader(strings.NewReader(line("A", "-")), repeat(accesslog.MaxLine+5)))
	if !slices.Equal(ids, []string{"A"}) || len(malformed) != 1 || s.Err() != nil {
		t.Errorf("%q, %q, %v", ids, malformed, s.Err())
	}
}

func TestAGzippedLogThatWasCutGivesItsWholeLines(t *testing.T) {
	var text strings.Builder
	for range 2000 {
		text.WriteString(line("A", "-"))
	}
	whole := zipped(t, text.String())
	ids, malformed, s := scan(bytes.NewReader(whole[:len(whole)-9]))
	if len(ids) < 1000 || malformed != nil || !errors.Is(s.Err(), io.ErrUnexpectedEOF) {
		t.Errorf("%d lines, %q, %v", len(ids), malformed, s.Err())
	}
	if _, _, s := scan(bytes.NewReader(whole[:5])); s.Err() == nil {
		t.Error("a log that is cut in its header is no error")
	}
}

func TestAReaderThatFails(t *testing.T) {
	broken := errors.New("broken")
	ids, _, s := scan(io.MultiReader(strings.NewReader(line("A", "-")+"79a5"), iotest.ErrReader(broken)))
	if !slices.Equal(ids, []string{"A"}) || !errors.Is(s.Err(), broken) || s.Stats().Malformed != 0 {
		t.Errorf("%q, %v, %+v", ids, s.Err(), s.Stats())
	}
	if _, _, s := scan(iotest.ErrReader(broken)); !errors.Is(s.Err(), broken) {
		t.Errorf("%v", s.Err())
	}
}

func TestAScannerIsUsedForManyLogs(t *testing.T) {
	s := accesslog.NewScanner(strings.NewReader(line("A", "-")))
	for i, in := range [][]byte{zipped(t, line("A", "-")), []byte(line("A", "-")), zipped(t, line("A", "-"))} {
		for s.Scan() {
		}
		if s.Err() != nil || s.Stats().Lines != int64(i+1) {
			t.Errorf("%v, %+v", s.Err(), s.Stats())
		}
		s.Reset(bytes.NewReader(in))
	}
}

func BenchmarkScanner(b *testing.B) {
	var log []byte
	for len(log) < 8<<20 {
		log = append(log, line("A", "AuthHeader")...)
	}
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	s := accesslog.NewScanner(bytes.NewReader(nil))
	for b.Loop() {
		s.Reset(bytes.NewReader(log))
		for s.Scan() {
			if s.Record().Auth() != accesslog.Header {
				b.Fatal("not signed in its header")
			}
		}
	}
}
