package main

import (
	"crypto/sha256"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// streams uploads and downloads what is too large for a file or for memory.
type streams struct {
	mu  sync.Mutex
	sum map[string][sha256.Size]byte // of the last upload, by script
}

func (s *streams) command(ts *testscript.TestScript, _ bool, args []string) {
	switch {
	case len(args) == 3 && args[0] == "put":
		size, err := strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
		h := sha256.New()
		source := io.LimitReader(rand.NewChaCha8([32]byte{byte(size)}), size)
		s.exchange(ts, http.MethodPut, args[2], io.TeeReader(source, h), size, io.Discard)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sum == nil {
			s.sum = map[string][sha256.Size]byte{}
		}
		s.sum[ts.Name()] = digest(h)
	case len(args) == 2 && args[0] == "get":
		h := sha256.New()
		s.exchange(ts, http.MethodGet, args[1], nil, 0, h)
		s.mu.Lock()
		defer s.mu.Unlock()
		if digest(h) != s.sum[ts.Name()] {
			ts.Fatalf("what came back is not what was sent")
		}
	case len(args) == 2 && args[0] == "cmp":
		raw, err := os.ReadFile(ts.MkAbs(args[1]))
		ts.Check(err)
		s.mu.Lock()
		defer s.mu.Unlock()
		if sha256.Sum256(raw) != s.sum[ts.Name()] {
			ts.Fatalf("%s is not what was sent", args[1])
		}
	default:
		ts.Fatalf("usage: stream put SIZE URL, stream get URL, stream cmp FILE")
	}
}

func digest(h hash.Hash) [sha256.Size]byte { return [sha256.Size]byte(h.Sum(nil)) }

func (s *streams) exchange(ts *testscript.TestScript, method, url string, body io.Reader, size int64, to io.Writer) {
	req, err := http.NewRequest(method, url, body)
	ts.Check(err)
	req.ContentLength = size
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	ts.Check(err)
	defer resp.Body.Close()
	_, err = io.CopyBuffer(to, resp.Body, make([]byte, 1<<20))
	ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("%s answered %s", method, resp.Status)
	}
}

// meter reads the memory of background commands.
type meter struct{ marks sync.Map }

func (m *meter) command(ts *testscript.TestScript, _ bool, args []string) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		ts.Logf("memory: not measured, there is no /proc here")
		return
	}
	switch {
	case len(args) == 2 && args[0] == "mark":
		m.marks.Store(ts.Name()+args[1], peak(ts))
	case len(args) == 3 && args[0] == "grew":
		limit, err := strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
		before, ok := m.marks.Load(ts.Name() + args[2])
		if !ok {
			ts.Fatalf("memory: %s was not marked", args[2])
		}
		grown := (peak(ts) - before.(int64)) >> 10
		ts.Logf("memory: %s grew by %d MiB, from %d MiB", args[2], grown, before.(int64)>>10)
		if grown > limit {
			ts.Fatalf("memory: grew by %d MiB, at most %d", grown, limit)
		}
	default:
		ts.Fatalf("usage: memory mark NAME, memory grew MIB NAME")
	}
}

// peak is the peak resident memory in KiB of the only background command.
func peak(ts *testscript.TestScript) int64 {
	commands := ts.BackgroundCmds()
	if len(commands) != 1 {
		ts.Fatalf("memory: %d background commands, want one", len(commands))
	}
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(commands[0].Process.Pid) + "/status")
	ts.Check(err)
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	line, _, _ := strings.Cut(rest, "kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	ts.Check(err)
	return kib
}
