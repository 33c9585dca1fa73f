package gate_test

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"s3gate/internal/s3gatetest"
)

// uploader sends a file to a link and returns the head of the answer, as it
// came, and the body.
type uploader func(t *testing.T, link, file string) (head, body string)

// uploaders are how code and people PUT to a presigned URL.
var uploaders = []struct {
	name    string
	program string // "" for none
	upload  uploader
}{
	{"a socket", "", uploadBy("PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n")},
	// .NET Framework's HttpWebRequest, under Invoke-WebRequest -Method Put
	// -InFile: it waits a moment for 100, and names no type for PUT.
	{"Windows PowerShell 5.1", "", uploadBy("PUT %s HTTP/1.1\r\nUser-Agent: Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.22621.963\r\n" +
		"Host: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\nConnection: Keep-Alive\r\n\r\n")},
	{"PowerShell 7", "", uploadBy("PUT %s HTTP/1.1\r\nHost: %s\r\n" +
		"User-Agent: Mozilla/5.0 (Windows NT 10.0; Microsoft Windows 10.0.22631; en-US) PowerShell/7.4.6\r\nAccept-Encoding: gzip, deflate, br\r\nContent-Length: %d\r\n\r\n")},
	{"Go", "", uploadByGo},
	{"node's fetch", "node", uploadByNode},
	{"Python's urllib", "python3", uploadByPython},
	{"curl", "curl", uploadByCurl},
	{"curl from a pipe", "curl", uploadByCurlPipe},
	{"wget", "wget", uploadByWget},
}

// leftovers are the parameters of a presigned URL, which code may go on
// appending.
const leftovers = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Fus-east-1%2Fs3%2Faws4_request" +
	"&X-Amz-Date=20260101T000000Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature=0123456789abcdef&x-id=PutObject"

// Code that PUTs to a presigned URL works when only the URL changes: 200, no
// body, and the ETag that S3 gives; also with what is left of the old one.
func TestCodeForPresignedURLs(t *testing.T) {
	eachWorld(t, func(w *world) {
		g := w.gate(nil)
		data := make([]byte, 3<<20+11)
		rand.Read(data)
		sum := md5.Sum(data)
		etag := `"` + hex.EncodeToString(sum[:]) + `"`
		file := filepath.Join(w.t.TempDir(), "report.bin")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			w.t.Fatal(err)
		}
		for _, u := range uploaders {
			for _, query := range []string{"", leftovers} {
				w.t.Run(u.name+", query "+fmt.Sprint(query != ""), func(t *testing.T) {
					if u.program != "" {
						err := exec.Command(u.program, "--version").Run() // a shim may be all there is
						s3gatetest.Need(t, u.program, err)
					}
					key := "code/" + t.Name()
					head, body := u.upload(t, g.mint("put", key, nil).URL+query, file)
					answer, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head)), &http.Request{Method: "PUT"})
					if err != nil {
						t.Fatalf("%v in %q", err, head)
					}
					if answer.StatusCode != 200 || body != "" || answer.Header.Get("ETag") != etag || answer.ContentLength != 0 {
						t.Errorf("%s; want the ETag %s and no body, got %q", head, etag, body)
					}
					if !bytes.Equal(w.stored(key), data) {
						t.Errorf("stored %d bytes of %d", len(w.stored(key)), len(data))
					}
				})
			}
		}
	})
}

// uploadBy sends a request whose head is made of the path, the host and the
// length.
func uploadBy(format string) uploader {
	return func(t *testing.T, link, file string) (head, body string) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		host, path, _ := strings.Cut(strings.TrimPrefix(link, "http://"), "/")
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		request := fmt.Sprintf(format, "/"+path, host, len(data))
		io.WriteString(c, request)
		answer := bufio.NewReader(c)
		if strings.Contains(request, "Expect") {
			if line, _ := answer.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
				t.Fatalf("%q instead of 100", line)
			}
			answer.ReadString('\n')
		}
		c.Write(data)
		resp, err := http.ReadResponse(answer, &http.Request{Method: "PUT"})
		if err != nil {
			t.Fatal(err)
		}
		return headOf(t, resp)
	}
}

// headOf is the head of a response and its body.
func headOf(t *testing.T, resp *http.Response) (head, body string) {
	t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\r\nContent-Length: %d\r\n", resp.Proto, resp.Status, resp.ContentLength)
	resp.Header.WriteSubset(&b, map[string]bool{"Content-Length": true})
	return b.String() + "\r\n", string(raw)
}

func uploadByGo(t *testing.T, link, file string) (head, body string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "PUT", link, f)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = info.Size() // S3 insists on it, the gate does not
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return headOf(t, resp)
}

// output runs a program and returns what it prints.
func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var errors bytes.Buffer
	cmd.Dir, cmd.Stderr = t.TempDir(), &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", program, err, out, &errors)
	}
	return string(out)
}

// headAndBody divides what a program has printed.
func headAndBody(printed string) (head, body string) {
	head, body, _ = strings.Cut(printed, "\r\n\r\n")
	return head + "\r\n\r\n", body
}

func uploadByNode(t *testing.T, link, file string) (head, body string) {
	return headAndBody(output(t, "node", "-e", `
const fs = require("fs");
const [link, file] = process.argv.slice(1);
(async () => {
  const r = await fetch(link, {method: "PUT", body: fs.readFileSync(file)});
  let head = "HTTP/1.1 " + r.status + " " + r.statusText + "\r\n";
  r.headers.forEach((value, name) => { head += name + ": " + value + "\r\n"; });
  process.stdout.write(head + "\r\n" + await r.text());
})().catch(e => { console.error(e); process.exit(1); });`, link, file))
}

func uploadByPython(t *testing.T, link, file string) (head, body string) {
	return headAndBody(output(t, "python3", "-c", `
import sys, urllib.request
link, file = sys.argv[1:]
data = open(file, "rb").read()
with urllib.request.urlopen(urllib.request.Request(link, data=data, method="PUT")) as r:
    head = "HTTP/1.1 %d %s\r\n" % (r.status, r.reason) + "".join("%s: %s\r\n" % h for h in r.getheaders())
    sys.stdout.write(head + "\r\n" + r.read().decode())
`, link, file))
}

func uploadByCurl(t *testing.T, link, file string) (head, body string) {
	return headAndBody(final(output(t, "curl", "-sS", "-D", "-", "-X", "PUT", "--upload-file", file, link)))
}

func uploadByCurlPipe(t *testing.T, link, file string) (head, body string) {
	return headAndBody(final(output(t, "sh", "-c", `curl -sS -D - -T - "$1" < "$2"`, "sh", link, file)))
}

// final leaves out that the client was asked to go on.
func final(printed string) string {
	return strings.TrimPrefix(printed, "HTTP/1.1 100 Continue\r\n\r\n")
}

func uploadByWget(t *testing.T, link, file string) (head, body string) {
	printed := output(t, "wget", "-q", "--save-headers", "-O", "-", "--method=PUT", "--body-file="+file, link)
	return headAndBody(printed)
}
