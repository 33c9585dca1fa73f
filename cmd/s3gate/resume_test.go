package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const testToken = "s3g_0123456789abcdefghijABCDEFGH"

// origin answers as a gate does, and can be told what to do wrong.
type origin struct {
	*httptest.Server
	header http.Header // of every answer
	body   []byte
	after  int              // bytes until it breaks; 0 never
	answer http.HandlerFunc // instead of all that, if it is set

	mu     sync.Mutex
	ranges []string // that were asked for, with the condition
}

func newOrigin(t *testing.T, size int) *origin {
	o := &origin{body: make([]byte, size), header: http.Header{}}
	_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(o.body)
	o.header.Set("ETag", `"one"`)
	o.header.Set("Content-Disposition", `attachment; filename="file.bin"`)
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *origin) link() string { return o.URL + "/" + testToken + "/file.bin" }

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.ranges = append(o.ranges, strings.TrimSpace(r.Header.Get("Range")+" "+r.Header.Get("If-Range")))
	o.mu.Unlock()
	if o.answer != nil {
		o.answer(w, r)
		return
	}
	for name, values := range o.header {
		w.Header()[name] = values
	}
	out := w
	if o.after > 0 {
		out = &breaking{w, o.after}
	}
	if o.header.Get("Accept-Ranges") != "none" {
		http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(o.body))
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
	_, _ = out.Write(o.body)
}

// asked returns the ranges of the requests since the last call.
func (o *origin) asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	ranges := o.ranges
	o.ranges = nil
	return ranges
}

func (o *origin) checksum() {
	sum := sha256.Sum256(o.body)
	o.header.Set("X-Amz-Checksum-Sha256", base64.StdEncoding.EncodeToString(sum[:]))
}

// get runs "s3gate get" and returns what came of it.
func get(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	if code := run(append([]string{"get"}, args...), strings.NewReader("open sesame\n"), &out, &errs); code != want {
		t.Errorf("exit code %d, want %d: %s", code, want, errs.String())
	}
	if strings.Contains(errs.String(), testToken) {
		t.Errorf("stderr has the token: %s", errs.String())
	}
	return out.String(), errs.String()
}

// breakOff leaves a part of 300 KiB of the origin's object beside path.
func breakOff(t *testing.T, o *origin, path string) {
	t.Helper()
	o.after = 300 << 10
	_, stderr := get(t, exitFailed, o.link(), "-o", path, "--retries", "0")
	if !strings.Contains(stderr, "broke off after 307200 bytes") || !strings.Contains(stderr, "the same command goes on") {
		t.Errorf("stderr: %s", stderr)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the target is there before it is whole")
	}
	want := []string{"out" + partSuffix, "out" + partSuffix + stateSuffix}
	if left := leftBeside(path); !slices.Equal(left, want) {
		t.Errorf("left: %v, want %v", left, want)
	}
	o.after = 0
	o.asked()
}

func expectFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want %d, or others", len(got), err, len(want))
	}
	if left := leftBeside(path); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestGetGoesOnInTheNextRun(t *testing.T) {
	tests := []struct {
		name    string
		between func(o *origin, path string) // the runs
		args    []string
		asked   []string
		stdout  string
		stderr  string
	}{
		{name: "same object", asked: []string{`bytes=307200- "one"`}, stdout: `"verified":"sha256"`},
		{
			name:    "another object",
			between: func(o *origin, _ string) { o.body = o.body[1000:]; o.header.Set("ETag", `"two"`); o.checksum() },
			asked:   []string{`bytes=307200- "one"`}, stdout: `"verified":"sha256"`,
		},
		{
			name: "a limited link",
			between: func(o *origin, _ string) {
				o.header.Set("Accept-Ranges", "none")
				o.header.Del("X-Amz-Checksum-Sha256")
			},
			asked: []string{`bytes=307200- "one"`}, stdout: `"verified":"length"`,
		},
		{
			name:    "complete already",
			between: func(o *origin, path string) { _ = os.WriteFile(path+partSuffix, o.body, 0o600) },
			asked:   []string{`bytes=1048576- "one"`}, stdout: `"verified":"sha256"`,
		},
		{name: "asked to begin anew", args: []string{"--no-resume"}, asked: []string{""}, stdout: `"verified":"sha256"`},
		{
			name:    "state is lost",
			between: func(_ *origin, path string) { _ = os.Remove(path + partSuffix + stateSuffix) },
			asked:   []string{""},
		},
		{
			name:    "state is broken",
			between: func(_ *origin, path string) { _ = os.WriteFile(path+partSuffix+stateSuffix, []byte(`{"etag"`), 0o600) },
			asked:   []string{""},
		},
		{
			name: "part is too long",
			between: func(o *origin, path string) {
				_ = os.WriteFile(path+partSuffix, append(o.body, 'x'), 0o600)
			},
			asked: []string{""},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, path := newOrigin(t, 1<<20), filepath.Join(t.TempDir(), "out")
			o.checksum()
			breakOff(t, o, path)
			if tt.between != nil {
				tt.between(o, path)
			}
			stdout, stderr := get(t, exitOK, append(tt.args, o.link(), "-o", path, "--json")...)
			if got := o.asked(); !slices.Equal(got, tt.asked) {
				t.Errorf("asked %q, want %q", got, tt.asked)
			}
			if !strings.Contains(stdout, tt.stdout) || stderr != "" {
				t.Errorf("stdout: %s\nstderr: %s", stdout, stderr)
			}
			expectFile(t, path, o.body)
		})
	}
}

// What a download costs and why it begins anew is said to people.
func TestGetSaysThatItBeginsAnew(t *testing.T) {
	o, path := newOrigin(t, 1<<20), filepath.Join(t.TempDir(), "out")
	breakOff(t, o, path)
	o.header.Set("Accept-Ranges", "none")
	o.after = 500 << 10
	_, stderr := get(t, exitFailed, o.link(), "-o", path)
	for _, want := range []string{"may take a use", "broke off after 512000 bytes", "cannot be resumed, so the file must be asked for anew"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr has no %q: %s", want, stderr)
		}
	}
	if left := leftBeside(path); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The secret stays out of what is written beside the file.
func TestPartHasNoSecret(t *testing.T) {
	o, path := newOrigin(t, 1<<20), filepath.Join(t.TempDir(), "out")
	breakOff(t, o, path)
	state, err := os.ReadFile(path + partSuffix + stateSuffix)
	if err != nil || strings.Contains(string(state), "s3g_") || strings.Contains(string(state), "127.0.0.1") {
		t.Errorf("%v: %s", err, state)
	}
}

func TestGetRefusesWhatDoesNotFit(t *testing.T) {
	partial := func(status int, contentRange, etag string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", contentRange)
			if etag != "" {
				w.Header().Set("ETag", etag)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "wrong")
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
		kept   bool
	}{
		{"other start", partial(206, "bytes 5-1048575/1048576", `"one"`), "another range", true},
		{"no range", partial(206, "", `"one"`), "another range", true},
		{"other size", partial(206, "bytes 307200-307204/307205", `"one"`), "has changed", false},
		{"other ETag", partial(206, "bytes 307200-1048575/1048576", `"two"`), "has changed", false},
		{"nothing there, other size", partial(416, "bytes */307000", ""), "has changed", false},
		{"nothing there, same size", partial(416, "bytes */1048576", ""), "HTTP 416", true},
		{"gone", partial(410, "", ""), "HTTP 410", true},
		{"broken", partial(500, "", ""), "HTTP 500", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, path := newOrigin(t, 1<<20), filepath.Join(t.TempDir(), "out")
			breakOff(t, o, path)
			o.answer = tt.answer
			_, stderr := get(t, exitFailed, o.link(), "-o", path)
			if !strings.Contains(stderr, tt.want) {
				t.Errorf("stderr: %s", stderr)
			}
			part, err := os.ReadFile(path + partSuffix)
			if tt.kept && !bytes.Equal(part, o.body[:300<<10]) || !tt.kept && err == nil {
				t.Errorf("part of %d bytes, %v", len(part), err)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("the target was made")
			}
		})
	}
}

// A server may send less than what was asked for.
func TestGetPutsShortRangesTogether(t *testing.T) {
	o, path := newOrigin(t, 1<<20), filepath.Join(t.TempDir(), "out")
	breakOff(t, o, path)
	o.answer = func(w http.ResponseWriter, r *http.Request) {
		from, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"))
		end := min(from+(400<<10), len(o.body))
		w.Header().Set("Content-Range", "bytes "+strconv.Itoa(from)+"-"+strconv.Itoa(end-1)+"/"+strconv.Itoa(len(o.body)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(o.body[from:end])
	}
	get(t, exitOK, o.link(), "-o", path)
	if got := len(o.asked()); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
	expectFile(t, path, o.body)
}

// The file that is made has the mode of any file, also when it took two runs.
func TestGetLeavesTheModeToTheUmask(t *testing.T) {
	o, dir := newOrigin(t, 1<<20), t.TempDir()
	path := filepath.Join(dir, "out")
	breakOff(t, o, path)
	get(t, exitOK, o.link(), "-o", path)
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := os.Stat(filepath.Join(dir, "other"))
	if got.Mode() != want.Mode() {
		t.Errorf("mode %v, want %v", got.Mode(), want.Mode())
	}
}

func TestGetHasTheFileForItself(t *testing.T) {
	o, path := newOrigin(t, 1000), filepath.Join(t.TempDir(), "out")
	p, err := openPart(path)
	if err != nil {
		t.Fatal(err)
	}
	_, stderr := get(t, exitFailed, o.link(), "-o", path)
	if !strings.Contains(stderr, "another process is downloading") || len(o.asked()) > 0 {
		t.Errorf("stderr: %s", stderr)
	}
	p.leave()
	get(t, exitOK, o.link(), "-o", path)
	expectFile(t, path, o.body)
}

// What can be known to be in vain is not asked for: it could cost the use.
func TestGetRefusesBeforeItAsks(t *testing.T) {
	o := newOrigin(t, 1000)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("file.bin", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"file.bin exists":    {o.link()},
		"not a regular file": {o.link(), "-o", "folder"},
		"no such file":       {o.link(), "-o", "missing/file"},
	} {
		if _, stderr := get(t, exitFailed, args...); !strings.Contains(stderr, want) {
			t.Errorf("stderr: %s", stderr)
		}
	}
	if asked := o.asked(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
	if got, _ := os.ReadFile("file.bin"); string(got) != "mine" {
		t.Errorf("the file is now %q", got)
	}
}

// The server's name wins over the one in the link, and does for links without.
func TestGetNames(t *testing.T) {
	for _, end := range []string{"", "/other.bin"} {
		t.Run("link"+end, func(t *testing.T) {
			o := newOrigin(t, 1<<20)
			o.after = 300 << 10
			t.Chdir(t.TempDir())
			link := o.URL + "/" + testToken + end
			get(t, exitFailed, link, "--retries", "0")
			o.after = 0
			o.asked()
			stdout, _ := get(t, exitOK, link)
			if stdout != "file.bin\n" {
				t.Errorf("stdout: %s", stdout)
			}
			if asked := o.asked(); asked[len(asked)-1] != `bytes=307200- "one"` {
				t.Errorf("asked %q", asked)
			}
			expectFile(t, "file.bin", o.body)
		})
	}
}

func TestGetWaitsAsItIsAsked(t *testing.T) {
	tests := []struct {
		name     string
		status   int
		after    string
		args     []string
		requests int
		code     int
	}{
		{"busy", 503, "0", nil, 2, exitOK},
		{"too many", 429, time.Now().UTC().Format(http.TimeFormat), nil, 2, exitOK},
		{"in use", 409, "0", nil, 2, exitOK},
		{"no retries", 503, "0", []string{"--retries", "0"}, 1, exitFailed},
		{"too long", 429, "3600", nil, 1, exitFailed},
		{"no time", 503, "", nil, 1, exitFailed},
		{"not that", 410, "0", nil, 1, exitFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, path := newOrigin(t, 1000), filepath.Join(t.TempDir(), "out")
			o.answer = func(w http.ResponseWriter, r *http.Request) {
				if o.answer = nil; tt.after != "" {
					w.Header().Set("Retry-After", tt.after)
				}
				w.WriteHeader(tt.status)
			}
			get(t, tt.code, append(tt.args, o.link(), "-o", path)...)
			if got := len(o.asked()); got != tt.requests {
				t.Errorf("%d requests, want %d", got, tt.requests)
			}
			if tt.code == exitFailed && len(leftBeside(path)) > 0 {
				t.Errorf("left behind: %v", leftBeside(path))
			}
		})
	}
}

func TestGetSendsThePasscode(t *testing.T) {
	o := newOrigin(t, 1000)
	var got string
	o.answer = func(w http.ResponseWriter, r *http.Request) { got = r.Header.Get("X-S3gate-Passcode") }
	get(t, exitOK, o.link(), "-o", filepath.Join(t.TempDir(), "out"), "--passcode-file", "-")
	if got != "open sesame" {
		t.Errorf("passcode %q", got)
	}
}
