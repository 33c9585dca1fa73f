package main

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// put runs "s3gate put" and returns what came of it.
func put(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	if code := run(append([]string{"put"}, args...), strings.NewReader("from stdin"), &out, &errs); code != want {
		t.Errorf("exit code %d, want %d: %s", code, want, errs.String())
	}
	if strings.Contains(errs.String(), testToken) {
		t.Errorf("stderr has the token: %s", errs.String())
	}
	return out.String(), errs.String()
}

// fileOf makes a file of random bytes.
func fileOf(t *testing.T, size int) (path string, body []byte) {
	t.Helper()
	path, body = filepath.Join(t.TempDir(), "a b.txt"), make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(body)
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, body
}

// sessions returns the files that are kept for later runs.
func sessions(t *testing.T) (paths []string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	paths, _ = filepath.Glob(filepath.Join(cache, "s3gate", "uploads", "*"))
	return paths
}

func TestPutGoesOnAfterCuts(t *testing.T) {
	const size, chunk = 200_000, 64 << 10
	tests := []struct {
		name string
		cuts []int64
		lose bool
		args []string
		want []string // of the requests, after OPTIONS and POST
	}{
		{name: "none", want: []string{"PATCH 0"}},
		{name: "before the first byte", cuts: []int64{0}, want: []string{"PATCH 0", "HEAD", "PATCH 0"}},
		{
			name: "here and there", cuts: []int64{1, 8191, 8192, 8193, size - 1},
			want: []string{"PATCH 0", "HEAD", "PATCH 1", "HEAD", "PATCH 8191", "HEAD", "PATCH 8192", "HEAD", "PATCH 8193", "HEAD", "PATCH 199999"},
		},
		{name: "again at the same place", cuts: []int64{500, 500, 500}, want: []string{"PATCH 0", "HEAD", "PATCH 500", "HEAD", "PATCH 500", "HEAD", "PATCH 500"}},
		{name: "after the last byte", lose: true, want: []string{"PATCH 0", "HEAD", "PATCH 200000"}},
		{
			name: "chunks", args: []string{"--chunk-size", "64KiB"}, cuts: []int64{chunk - 1, chunk, chunk + 1}, lose: true,
			want: []string{"PATCH 0", "HEAD", "PATCH 65535", "HEAD", "PATCH 65536", "HEAD", "PATCH 65537", "PATCH 131073", "PATCH 196609", "HEAD", "PATCH 200000"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newInbox(t)
			path, body := fileOf(t, size)
			b.cuts, b.lose = tt.cuts, tt.lose
			stdout, _ := put(t, exitOK, append(tt.args, path, b.link(), "--resumable", "always", "--json")...)
			b.expectRequests(t, append([]string{"OPTIONS", "POST"}, tt.want...)...)
			b.expectObject(t, body)
			for _, want := range []string{`"bytes":200000`, `"version_id":"v1"`, `"verified":"md5"`, `"resumed_from":0`} {
				if !strings.Contains(stdout, want) {
					t.Errorf("stdout has no %s: %s", want, stdout)
				}
			}
			if left := sessions(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// breakUpload leaves an upload of 300,000 of 1,000,000 bytes to a later run.
func breakUpload(t *testing.T) (b *inbox, path string, body []byte) {
	t.Helper()
	b = newInbox(t)
	path, body = fileOf(t, 1_000_000)
	b.cuts = []int64{300_000}
	_, stderr := put(t, exitFailed, path, b.link(), "--resumable", "always", "--give-up", "0")
	if !strings.Contains(stderr, "upload broke off: ") || !strings.Contains(stderr, "the same command goes on from there") {
		t.Errorf("stderr: %s", stderr)
	}
	if n := len(sessions(t)); n != 1 {
		t.Fatalf("%d sessions are kept, want 1", n)
	}
	b.requests()
	return b, path, body
}

func TestPutGoesOnInTheNextRun(t *testing.T) {
	write := func(path string, body []byte) { _ = os.WriteFile(path, body, 0o600) }
	anew := []string{"OPTIONS", "DELETE", "POST", "PATCH 0"}
	tests := []struct {
		name    string
		between func(b *inbox, path string, body []byte) []byte // returns what is to be stored
		args    []string
		asked   []string
		said    string
	}{
		{name: "same file", asked: []string{"OPTIONS", "HEAD", "PATCH 300000"}, said: "going on after 300000 of 1000000 bytes"},
		{
			name: "longer", asked: anew, said: "the file has changed: beginning anew",
			between: func(_ *inbox, path string, body []byte) []byte {
				write(path, append(body, 'x'))
				return append(body, 'x')
			},
		},
		{
			name: "another time", asked: anew, said: "has changed",
			between: func(_ *inbox, path string, body []byte) []byte {
				_ = os.Chtimes(path, time.Time{}, time.Unix(1e9, 0))
				return body
			},
		},
		{
			name: "another file of that size and time", asked: anew, said: "has changed",
			between: func(_ *inbox, path string, body []byte) []byte {
				info, _ := os.Stat(path)
				body = slices.Clone(body)
				slices.Reverse(body)
				write(path+"2", body)
				_ = os.Chtimes(path+"2", time.Time{}, info.ModTime())
				_ = os.Rename(path+"2", path)
				return body
			},
		},
		{name: "asked to begin anew", args: []string{"--no-resume"}, asked: anew},
		{
			name: "the server has forgotten", asked: []string{"OPTIONS", "HEAD", "POST", "PATCH 0"}, said: "has forgotten",
			between: func(b *inbox, _ string, body []byte) []byte { b.name = ""; return body },
		},
		{
			name: "the session is broken", asked: []string{"OPTIONS", "POST", "PATCH 0"},
			between: func(b *inbox, _ string, body []byte) []byte {
				write(sessions(t)[0], []byte(`{"uplo`))
				b.name = ""
				return body
			},
		},
		{
			name: "it was all there", asked: []string{"OPTIONS", "HEAD", "PATCH 1000000"}, said: "after 1000000 of 1000000",
			between: func(b *inbox, _ string, body []byte) []byte { b.data = body; return body },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, path, body := breakUpload(t)
			if tt.between != nil {
				b.turn.Lock()
				body = tt.between(b, path, body)
				b.turn.Unlock()
			}
			_, stderr := put(t, exitOK, append(tt.args, path, b.link(), "--resumable", "always")...)
			b.expectRequests(t, tt.asked...)
			b.expectObject(t, body)
			if !strings.Contains(stderr, tt.said) || tt.said == "" && stderr != "" {
				t.Errorf("stderr has no %q: %s", tt.said, stderr)
			}
			if left := sessions(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// The next run may be started from another folder, and with another form of
// the link; what matters is which file goes through which token.
func TestPutKnowsTheFileByItsPath(t *testing.T) {
	b, path, body := breakUpload(t)
	t.Chdir(filepath.Dir(path))
	stdout, _ := put(t, exitOK, "a b.txt", b.link()+"/a%20b.txt", "--resumable", "always", "--json")
	if !strings.Contains(stdout, `"resumed_from":300000`) {
		t.Errorf("stdout: %s", stdout)
	}
	b.expectRequests(t, "OPTIONS/a b.txt", "HEAD", "PATCH 300000")
	b.expectObject(t, body)
}

func TestSessionHasNoSecret(t *testing.T) {
	breakUpload(t)
	path := sessions(t)[0]
	raw, err := os.ReadFile(path)
	if err != nil || strings.Contains(path+string(raw), "s3g_") || strings.Contains(string(raw), "127.0.0.1") || strings.Contains(string(raw), "a b.txt") {
		t.Errorf("%v: %s: %s", err, path, raw)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder %v, %v; want 0700", info.Mode(), err)
	}
}

// A file that cannot have a session is uploaded all the same.
func TestPutWithoutACache(t *testing.T) {
	b := newInbox(t)
	path, body := fileOf(t, 1000)
	t.Setenv("XDG_CACHE_HOME", path) // not a folder
	t.Setenv("HOME", path)
	_, stderr := put(t, exitOK, path, b.link(), "--resumable", "always")
	if !strings.Contains(stderr, "if this is interrupted it has to begin anew") {
		t.Errorf("stderr: %s", stderr)
	}
	b.expectObject(t, body)
}

// startHalf runs "s3gate put" as a process and waits until half of the file is
// there; then the inbox reads no further until release.
func startHalf(t *testing.T, b *inbox, path string) (cmd *exec.Cmd, stderr *strings.Builder, release func()) {
	t.Helper()
	half, hold := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.turn.Lock() // another process's requests do not come after this by themselves
	b.during = func(at int64) {
		if at >= 500_000 {
			once.Do(func() { close(half); <-hold })
		}
	}
	b.turn.Unlock()
	program, err := exec.LookPath("s3gate")
	if err != nil {
		t.Fatal(err)
	}
	stderr = &strings.Builder{}
	cmd = exec.Command(program, "put", path, b.link(), "--resumable", "always")
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _, _ = cmd.Process.Wait() })
	select {
	case <-half:
	case <-time.After(30 * time.Second):
		t.Fatal("half of the file has not arrived after 30 s")
	}
	return cmd, stderr, func() { close(hold) }
}

func TestPutGoesOnAfterItWasStopped(t *testing.T) {
	tests := []struct {
		signal os.Signal
		said   string
	}{
		{syscall.SIGKILL, ""},
		{os.Interrupt, "interrupted; the same command goes on from there"},
		{syscall.SIGTERM, "interrupted; the same command goes on from there"},
	}
	for _, tt := range tests {
		t.Run(tt.signal.String(), func(t *testing.T) {
			b := newInbox(t)
			path, body := fileOf(t, 1_000_000)
			cmd, said, release := startHalf(t, b, path)
			_, stderr := put(t, exitFailed, path, b.link(), "--resumable", "always")
			if !strings.Contains(stderr, "another process is uploading") {
				t.Errorf("stderr of the other process: %s", stderr)
			}
			if err := cmd.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			if err == nil || !strings.Contains(said.String(), tt.said) || strings.Contains(said.String(), testToken) {
				t.Errorf("%v: %s", err, said)
			}
			release()
			stdout, _ := put(t, exitOK, path, b.link(), "--resumable", "always", "--json")
			if strings.Contains(stdout, `"resumed_from":0`) || b.begun != 1 {
				t.Errorf("begun %d times: %s", b.begun, stdout)
			}
			b.expectObject(t, body)
		})
	}
}

// What passes is tried again; what does not ends the upload.
func TestPutTriesAgain(t *testing.T) {
	tests := []struct {
		name   string
		method string
		status int
		after  string // Retry-After
		args   []string
		code   int
	}{
		{"locked", "PATCH", 423, "", nil, exitOK},
		{"locked at the start", "HEAD", 423, "", nil, exitOK},
		{"another offset", "PATCH", 409, "", nil, exitOK},
		{"checksum", "PATCH", 460, "", nil, exitOK},
		{"unknown outcome", "PATCH", 504, "", nil, exitOK},
		{"broken", "PATCH", 500, "", nil, exitOK},
		{"broken at the start", "POST", 502, "", nil, exitOK},
		{"busy", "POST", 503, "0", nil, exitOK},
		{"in use", "POST", 409, "0", nil, exitOK},
		{"too many", "OPTIONS", 429, "0", nil, exitOK},
		{"too long", "PATCH", 503, "3600", nil, exitFailed},
		{"no time", "PATCH", 423, "", []string{"--give-up", "0"}, exitFailed},
		{"too large", "PATCH", 413, "", nil, exitFailed},
		{"not permitted", "POST", 403, "", nil, exitFailed},
		{"exists", "PATCH", 412, "", nil, exitFailed},
		{"not offered", "PATCH", 501, "", nil, exitFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newInbox(t)
			path, body := fileOf(t, 1000)
			b.cuts = []int64{100} // so that there is a HEAD
			done := false
			b.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if done || r.Method != tt.method {
					return false
				}
				if done = true; tt.after != "" {
					w.Header().Set("Retry-After", tt.after)
				}
				w.WriteHeader(tt.status)
				return true
			}
			_, stderr := put(t, tt.code, append(tt.args, path, b.link(), "--resumable", "always")...)
			if tt.code == exitOK {
				b.expectObject(t, body)
			} else if b.object != nil || !strings.Contains(stderr, "HTTP "+strconv.Itoa(tt.status)) {
				t.Errorf("%d bytes are stored: %s", len(b.object), stderr)
			}
		})
	}
}

// A server that loses uploads is given the file again once, and not when it
// may have stored it.
func TestPutBeginsAnewOnce(t *testing.T) {
	tests := []struct {
		name  string
		lost  []int // the HEAD requests after which the upload is gone
		lose  bool
		code  int
		begun int
	}{
		{"once", []int{1}, false, exitOK, 2},
		{"twice", []int{1, 2}, false, exitFailed, 2},
		{"after the last byte", []int{1}, true, exitFailed, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newInbox(t)
			path, body := fileOf(t, 16<<20) // more than fits into the kernel
			b.lose = tt.lose
			if !tt.lose {
				b.cuts = []int64{100, 100}
			}
			heads := 0
			b.answer = func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodHead {
					b.turn.Lock()
					defer b.turn.Unlock()
					if heads++; slices.Contains(tt.lost, heads) {
						b.name, b.data = "", nil
					}
				}
				return false
			}
			_, stderr := put(t, tt.code, path, b.link(), "--resumable", "always")
			if b.begun != tt.begun || tt.lose != strings.Contains(stderr, "may have been stored") {
				t.Errorf("begun %d times, want %d: %s", b.begun, tt.begun, stderr)
			}
			if tt.code == exitOK {
				b.expectObject(t, body)
			}
			if left := sessions(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// A file that changes while it is sent never becomes an object, and does not
// hold the link's use.
func TestPutOfAFileThatChanges(t *testing.T) {
	for _, mode := range []string{"always", "never"} {
		t.Run(mode, func(t *testing.T) {
			b := newInbox(t)
			path, _ := fileOf(t, 8<<20)
			b.during = func(at int64) {
				if at < 100_000 {
					_ = os.Chtimes(path, time.Time{}, time.Unix(1e9, 0))
				}
			}
			_, stderr := put(t, exitFailed, path, b.link(), "--resumable", mode)
			if !strings.Contains(stderr, "the file has changed while it was sent") {
				t.Errorf("stderr: %s", stderr)
			}
			b.expectObject(t, nil)
			if b.name != "" || len(sessions(t)) > 0 {
				t.Errorf("upload %q and sessions %v are left", b.name, sessions(t))
			}
		})
	}
}

func TestPutChoosesTheWay(t *testing.T) {
	small, body := fileOf(t, 1000)
	empty, _ := fileOf(t, 0)
	large, _ := fileOf(t, resumableFrom+1)
	tests := []struct {
		name  string
		plain bool // the server
		args  []string
		code  int
		asked []string
	}{
		{"small", false, []string{small}, exitOK, []string{"PUT/a b.txt"}},
		{"large", false, []string{large}, exitOK, []string{"OPTIONS", "POST", "PATCH 0"}},
		{"large, not offered", true, []string{large}, exitOK, []string{"OPTIONS", "PUT/a b.txt"}},
		{"never", false, []string{large, "--resumable", "never"}, exitOK, []string{"PUT/a b.txt"}},
		{"always", false, []string{small, "--resumable", "always"}, exitOK, []string{"OPTIONS", "POST", "PATCH 0"}},
		{"always, not offered", true, []string{small, "--resumable", "always"}, exitFailed, []string{"OPTIONS"}},
		{"empty", false, []string{empty, "--resumable", "always"}, exitOK, []string{"PUT/a b.txt"}},
		{"stdin", false, []string{"-"}, exitOK, []string{"PUT"}},
		{"stdin, always", false, []string{"-", "--resumable", "always"}, exitUsage, nil},
		{"stdin twice", false, []string{"-", "--passcode-file", "-"}, exitUsage, nil},
		{"no such way", false, []string{small, "--resumable", "yes"}, exitUsage, nil},
		{"no such time", false, []string{small, "--give-up", "-1s"}, exitUsage, nil},
		{"no such size", false, []string{small, "--chunk-size", "8MiBs"}, exitUsage, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newInbox(t)
			b.plain = tt.plain
			put(t, tt.code, append(tt.args, b.link())...)
			b.expectRequests(t, tt.asked...)
			switch tt.args[0] {
			case small:
				if tt.code == exitOK {
					b.expectObject(t, body)
				}
			case "-":
				if tt.code == exitOK {
					b.expectObject(t, []byte("from stdin"))
				}
			}
		})
	}
}

func TestPutNamesTheFile(t *testing.T) {
	path, _ := fileOf(t, 1000)
	tests := []struct {
		name  string
		link  string
		args  []string
		asked string
		file  string // in Upload-Metadata
		media string
	}{
		{"by the file", "", nil, "PUT/a b.txt", "a b.txt", "text/plain; charset=utf-8"},
		{"after a slash", "/", nil, "PUT/a b.txt", "a b.txt", "text/plain; charset=utf-8"},
		{"by the link", "/c%2Bd.bin", []string{"--content-type", "video/mp4"}, "PUT/c+d.bin", "c+d.bin", "video/mp4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newInbox(t)
			put(t, exitOK, append(tt.args, path, b.link()+tt.link)...)
			if got := b.seen[0].Get("Content-Type"); got != tt.media {
				t.Errorf("media type %q, want %q", got, tt.media)
			}
			b.expectRequests(t, tt.asked)
			b.object = nil
			put(t, exitOK, append(tt.args, path, b.link()+tt.link, "--resumable", "always")...)
			want := "filename " + base64.StdEncoding.EncodeToString([]byte(tt.file)) +
				",filetype " + base64.StdEncoding.EncodeToString([]byte(tt.media))
			if got := b.seen[1].Get("Upload-Metadata"); got != want {
				t.Errorf("metadata %q, want %q", got, want)
			}
		})
	}
}

// A link that is none of a gate's stays as it is.
func TestLinkOfOthers(t *testing.T) {
	for _, text := range []string{
		"https://bucket.example.com/key?X-Amz-Signature=abc",
		"https://files.example.com/s3g_short",
		"https://files.example.com/x" + testToken + "0/y",
	} {
		l, err := parseLink(text)
		if err != nil || l.named("name") != text || l.name() != "" {
			t.Errorf("%s became %s, %v", text, l.named("name"), err)
		}
	}
	for _, text := range []string{"", "s3g_x", "ftp://host/" + testToken, "http://%"} {
		if _, err := parseLink(text); err == nil || strings.Contains(err.Error(), "s3g") {
			t.Errorf("%q: %v", text, err)
		}
	}
	l, err := parseLink("https://h/a%2Fb/" + testToken + "/n?x=1#f")
	if err != nil || l.upload("u v+") != "https://h/a%2Fb/"+testToken+"?upload=u+v%2B" {
		t.Errorf("%s, %v", l.upload("u v+"), err)
	}
}

func TestPutSendsChecksums(t *testing.T) {
	b := newInbox(t)
	path, body := fileOf(t, 1000)
	put(t, exitOK, path, b.link(), "--resumable", "always", "--chunk-size", "400")
	if b.chunks != 3 {
		t.Errorf("%d chunks came with a checksum, want 3", b.chunks)
	}
	b.expectObject(t, body)
}

func TestPutVerifies(t *testing.T) {
	path, _ := fileOf(t, 1000)
	wrong := base64.StdEncoding.EncodeToString(make([]byte, 4))
	tests := []struct {
		name   string
		header http.Header
		code   int
		want   string // of stdout or stderr
	}{
		{"MD5", nil, exitOK, `"verified":"md5"`},
		{"parts", http.Header{"Etag": {`"0123456789abcdef0123456789abcdef-2"`}}, exitOK, `"verified":"length"`},
		{"KMS", http.Header{"Etag": {`"0123456789abcdef0123456789abcdef"`}}, exitOK, `"verified":"length"`},
		{"wrong MD5", http.Header{"Etag": {`"0123456789abcdef0123456789abcdef"`}, "X-Amz-Server-Side-Encryption": {"AES256"}}, exitFailed, "what was stored differs"},
		{"wrong CRC", http.Header{"X-Amz-Checksum-Crc32": {wrong}}, exitFailed, "what was stored differs"},
		{"key", http.Header{"X-S3gate-Key": {"in/a%20b"}}, exitOK, `"key":"in/a b"`},
	}
	for _, tt := range tests {
		for _, mode := range []string{"always", "never"} {
			t.Run(tt.name+" "+mode, func(t *testing.T) {
				b := newInbox(t)
				b.header = tt.header
				stdout, stderr := put(t, tt.code, path, b.link(), "--json", "--resumable", mode)
				if !strings.Contains(stdout+stderr, tt.want) {
					t.Errorf("no %q in %s%s", tt.want, stdout, stderr)
				}
			})
		}
	}
}

// One request is sent again only when that cannot store the file twice.
func TestPlainPutTriesAgain(t *testing.T) {
	tests := []struct {
		name   string
		size   int
		cuts   []int64
		lose   bool
		status int
		after  string
		code   int
		puts   int
		want   string
	}{
		{name: "busy", size: 1000, status: 503, after: "0", code: exitOK, puts: 2},
		{name: "unknown outcome", size: 1000, status: 504, code: exitFailed, puts: 1, want: "HTTP 504"},
		{name: "lost answer", size: 1000, lose: true, code: exitFailed, puts: 1, want: "may have been stored"},
		{name: "cut", size: 16 << 20, cuts: []int64{100}, code: exitOK, puts: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newInbox(t)
			path, body := fileOf(t, tt.size)
			b.cuts, b.lose = tt.cuts, tt.lose
			b.answer = func(w http.ResponseWriter, _ *http.Request) bool {
				if tt.status == 0 || len(b.asked) > 1 {
					return false
				}
				if tt.after != "" {
					w.Header().Set("Retry-After", tt.after)
				}
				w.WriteHeader(tt.status)
				return true
			}
			_, stderr := put(t, tt.code, path, b.link())
			if got := len(b.requests()); got != tt.puts || !strings.Contains(stderr, tt.want) {
				t.Errorf("%d requests, want %d: %s", got, tt.puts, stderr)
			}
			if tt.code == exitOK {
				b.expectObject(t, body)
			}
		})
	}
}

// A connection that does not get on and does not break either is given up.
func TestPutLeavesAStalledConnection(t *testing.T) {
	b := newInbox(t)
	path, body := fileOf(t, 1000)
	file, err := openSource(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	first := true
	b.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		stalls := first && r.Method == http.MethodPatch
		if stalls {
			first = false
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}
		return stalls
	}
	l, err := parseLink(b.link())
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	u := &upload{
		requests: requests{ctx: t.Context(), stall: 200 * time.Millisecond}, link: l, source: file,
		wait: &patience{ctx: t.Context(), limit: time.Minute, say: func(f string, _ ...any) { said = append(said, f) }},
	}
	if err := errors.Join(u.discover(), u.begin(""), u.send()); err != nil {
		t.Fatal(err)
	}
	b.expectRequests(t, "OPTIONS", "POST", "PATCH 0", "HEAD", "PATCH 0")
	b.expectObject(t, body)
	if len(said) > 0 {
		t.Errorf("said %q", said)
	}
}

func TestPatience(t *testing.T) {
	busy := time.Duration(0)
	long := 30 * time.Minute
	tests := []struct {
		name    string
		reached bool
		cause   error
		want    bool
	}{
		{"never reached", false, io.ErrUnexpectedEOF, false},
		{"network", true, io.ErrUnexpectedEOF, true},
		{"asked to", false, &refusal{problem: problemOf(503), after: &busy}, true},
		{"too long", true, &refusal{problem: problemOf(503), after: &long}, false},
		{"error before it was reached", false, &refusal{problem: problemOf(500)}, false},
		{"error", true, &refusal{problem: problemOf(500)}, true},
		{"refusal", true, &refusal{problem: problemOf(403)}, false},
		{"usage", true, usagef("wrong"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &patience{ctx: t.Context(), limit: 10 * time.Minute, reached: tt.reached, say: func(string, ...any) {}}
			if err := p.wait(tt.cause); (err == nil) != tt.want {
				t.Errorf("got %v, want another try: %v", err, tt.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &patience{ctx: ctx, limit: time.Minute, reached: true}
	if err := p.wait(io.EOF); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

func TestPurge(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	write := func(name, content string, age time.Duration) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	write("alive", `{"upload":"x","expires":"2030-01-31T12:00:01Z"}`, 30*24*time.Hour)
	write("over", `{"upload":"x","expires":"2030-01-31T11:59:59Z"}`, 0)
	write("in use", `{"upload":"x","expires":"2030-01-31T11:59:59Z"}`, 0)
	write("empty", "", defaultLife-time.Second)
	write("empty and old", "", defaultLife+time.Second)
	file, err := openCurrent(filepath.Join(dir, "in use"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	purge(dir, now)
	var left []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{"alive", "empty", "in use"}; !slices.Equal(left, want) {
		t.Errorf("left: %q, want %q", left, want)
	}
}

// The passcode goes with every request.
func TestPutSendsThePasscode(t *testing.T) {
	b := newInbox(t)
	path, _ := fileOf(t, 1000)
	code := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(code, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.cuts = []int64{10}
	put(t, exitOK, path, b.link(), "--resumable", "always", "--passcode-file", code)
	if len(b.seen) != 5 {
		t.Errorf("%d requests, want 5", len(b.seen))
	}
	for i, h := range b.seen {
		if got := h.Get("X-S3gate-Passcode"); got != "open sesame" {
			t.Errorf("request %d has the passcode %q", i, got)
		}
	}
}
