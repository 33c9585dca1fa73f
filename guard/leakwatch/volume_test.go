package leakwatch_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"s3gate/guard/leakwatch"
)

// ordinary returns about so many bytes of requests that are no findings, some of
// which look a little as if they were.
func ordinary(size int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	agents := []string{"aws-sdk-go-v2/1.47.7 os/linux", "Boto3/1.34 md/Botocore#1.34", "he said \\\"QueryString\\\"", "curl X-Amz-Signature=0", "-"}
	queries := []string{"", "versionId=3HL4kqtJlcpXroDTDmJ", "x-id=GetObject", "note=X-Amz-Signature%3D1", "partNumber=2&uploadId=VXBsb2Fk", "", ""}
	var out bytes.Buffer
	for i := 0; out.Len() < size; i++ {
		r := request{
			id: fmt.Sprintf("%016X", rng.Uint64()), key: fmt.Sprintf("photos/%x/%d.jpg", rng.Uint32(), i), client: fmt.Sprintf("198.51.%d.%d", rng.IntN(256), rng.IntN(256)),
			agent: agents[i%len(agents)], status: "200", code: "-", query: queries[i%len(queries)],
		}
		switch i % 50 {
		case 7:
			r.auth, r.requester = "-", "-"
		case 8:
			r.status, r.code = "403", "AccessDenied"
		case 9:
			r.operation = "REST.POST.UPLOADS"
		}
		out.WriteString(r.String())
	}
	return out.Bytes()
}

// log is a generated access log: a block of ordinary lines over and over, and the
// planted lines between them.
type log struct {
	block   []byte
	blocks  int
	planted map[int][]byte // after which block
	at      int
	rest    []byte
}

func (l *log) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.at == 2*l.blocks {
			return 0, io.EOF
		}
		if l.at%2 == 0 {
			l.rest = l.block
		} else {
			l.rest = l.planted[l.at/2]
		}
		l.at++
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// newLog plants direct attempts, by URL and by form, at places that are not even.
func newLog(size, attempts int) *log {
	l := &log{block: ordinary(min(size, 1<<20)), planted: map[int][]byte{}}
	l.blocks = (size + len(l.block) - 1) / len(l.block)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range attempts {
		r := request{auth: "QueryString", query: credential, key: fmt.Sprintf("secret/%d", i), client: fmt.Sprintf("203.0.113.%d", i)}
		switch i % 4 {
		case 1:
			r.status, r.code = "200", "-"
		case 2:
			r.auth = "-" // the log does not say
		case 3:
			r.auth, r.query, r.operation = "-", "", "REST.POST.OBJECT"
		}
		at := rng.IntN(l.blocks)
		l.planted[at] = append(l.planted[at], r.String()...)
	}
	return l
}

// S3GATE_TEST_LOG_BYTES is how long the log is: 1 GiB with "make leaks".
func TestPlantedAttemptsAreFoundInAnAccessLog(t *testing.T) {
	size, attempts := 8<<20, 37
	if text := os.Getenv("S3GATE_TEST_LOG_BYTES"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	in := newLog(size, attempts)
	store := memory(t)
	w := &leakwatch.Watch{Store: store}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin, used := time.Now(), cpuTime()
	s := read(t, w, "generated", in)
	took := time.Since(begin)
	used = cpuTime() - used
	runtime.ReadMemStats(&after)
	if s.Found != int64(attempts) || len(findings(t, store)) != attempts || s.Malformed != 0 {
		t.Errorf("%d requests in %d findings, want %d; %d lines malformed", s.Found, len(findings(t, store)), attempts, s.Malformed)
	}
	taken := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d bytes, %d lines: %d attempts found in %v, %v of a core, %.0f MB/s of that; %d KiB allocated in all, %d KiB taken from the system",
		s.Bytes, s.Lines, s.Found, took.Round(time.Millisecond), used.Round(time.Millisecond), float64(s.Bytes)/1e6/max(used, 1).Seconds(), taken>>10, after.Sys>>10)
	if taken > 4<<20 {
		t.Errorf("%d bytes were allocated for a log of %d", taken, s.Bytes)
	}
}

func BenchmarkRead(b *testing.B) {
	block := ordinary(8 << 20)
	w := &leakwatch.Watch{Store: memory(b)}
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		if s := read(b, w, "log", bytes.NewReader(block)); s.Found != 0 || s.Malformed != 0 {
			b.Fatalf("%+v", s)
		}
	}
}
