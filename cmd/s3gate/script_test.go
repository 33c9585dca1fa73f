package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is the s3gate binary when a script calls it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"s3gate": main})
}

// TestScripts drives the binary as its users do. The scripts are in
// testdata/script; besides the usual commands they have:
//
//	ready FILE               wait for a ready file and put it into the environment
//	exits CODE COMMAND...    run a command that must end with that code
//	http [-H 'Name: value'] [-d FILE] [-o FILE] METHOD URL STATUS
//	                         send a request; the body goes to stdout, the headers to stderr
//	field NAME VARIABLE      read a field of the JSON in stdout
//	reloads RESULT N         wait until a gate has counted so many reloads
//	snippet PAGE LANGUAGE [LAST]
//	                         run the code of a page of docs, up to the block named LAST
//	page PAGE [EDITS]        run all commands of a page, as EDITS says otherwise
//	signs CLAIMS KEYSET VARIABLE
//	                         make a JWT of claims, and write the key set that proves it
//	webhook URL-VARIABLE SECRET-VARIABLE
//	                         begin to receive webhooks
//	receives TYPE            wait for an event that is signed, and print it
//	store BUCKET...          start an S3 over TLS that has these buckets, and sign as its admin
//	as USER                  sign as admin, gate, partner or app
//	signed METHOD KEY STATUS send a request signed in its header to the first bucket
//	presigns METHOD KEY VARIABLE
//	                         make a presigned URL
//	posts KEY STATUS         upload by a presigned form
//	policy read|write FILE   read or write the bucket's policy
//	stream put SIZE URL      upload that many random bytes, without a file
//	stream get URL           download, and compare with the last upload
//	stream cmp FILE          compare a file with the last upload
//	arrives BYTES FILE       wait until a file has that many bytes
//	memory mark NAME         remember the memory of a background command
//	memory grew MIB NAME     fail if its peak has grown by more since (Linux)
func TestScripts(t *testing.T) {
	for _, name := range []string{"bash", "curl", "wget", "python3", "node"} {
		if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed, and in CI nothing may be skipped", name)
		}
	}
	idp, receivers := newProvider(), &hooks{}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: false,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir) // nobody's own AWS settings
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Setenv("NO_PROXY", "*")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready":    ready,
			"exits":    exits,
			"http":     request,
			"field":    field,
			"arrives":  arrives,
			"reloads":  reloads,
			"snippet":  snippet,
			"page":     runPage,
			"signs":    idp.signs,
			"webhook":  receivers.webhook,
			"receives": receivers.receives,
			"store":    store,
			"as":       as,
			"signed":   signed,
			"presigns": presigns,
			"posts":    posts,
			"policy":   bucketPolicy,
			"stream":   (&streams{}).command,
			"memory":   (&meter{}).command,
		},
	})
}

func ready(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: ready FILE")
	}
	values := map[string]string{}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		raw, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil {
			ts.Check(json.Unmarshal(raw, &values))
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not ready after 30 s: %v", err)
		}
	}
	for name, value := range values {
		if value == "" {
			continue // not known, so what was known before stays
		}
		ts.Setenv(strings.ToUpper(name), value)
		switch name {
		case "api_url", "api_token":
			ts.Setenv("S3GATE_"+strings.ToUpper(name), value)
		case "s3_access_key":
			ts.Setenv("AWS_ACCESS_KEY_ID", value)
		case "s3_secret_key":
			ts.Setenv("AWS_SECRET_ACCESS_KEY", value)
		}
	}
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func request(ts *testscript.TestScript, _ bool, args []string) {
	header, body, output := http.Header{}, []byte(nil), ""
	for len(args) > 3 {
		switch args[0] {
		case "-H":
			name, value, _ := strings.Cut(args[1], ":")
			header.Add(name, strings.TrimSpace(value))
		case "-d":
			body = []byte(ts.ReadFile(args[1]))
		case "-o":
			output = ts.MkAbs(args[1])
		default:
			ts.Fatalf("http: unknown flag %s", args[0])
		}
		args = args[2:]
	}
	if len(args) != 3 {
		ts.Fatalf("usage: http [-H 'Name: value'] [-d FILE] [-o FILE] METHOD URL STATUS")
	}
	req, err := http.NewRequest(args[0], args[1], bytes.NewReader(body))
	ts.Check(err)
	req.Header = header
	transport := trusting(ts)
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	ts.Check(err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if output != "" {
		ts.Check(os.WriteFile(output, got, 0o600))
	} else {
		fmt.Fprintf(ts.Stdout(), "%s\n", got)
	}
	fmt.Fprintf(ts.Stderr(), "%s\n", resp.Status)
	ts.Check(resp.Header.Write(ts.Stderr()))
	if want := args[2]; want != strconv.Itoa(resp.StatusCode) {
		ts.Fatalf("%s answered %s, want %s: %s", args[0], resp.Status, want, got)
	}
}

func field(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: field NAME VARIABLE")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	value, ok := object[args[0]]
	if !ok {
		ts.Fatalf("stdout has no field %s", args[0])
	}
	ts.Setenv(args[1], fmt.Sprint(value))
}

// interpreters run code that they read from a file.
var interpreters = map[string]struct {
	suffix string
	args   []string
}{
	"bash":   {"sh", []string{"bash", "-eu"}},
	"sh":     {"sh", []string{"bash", "-eu"}}, // what does not go on after the former
	"python": {"py", []string{"python3"}},
	"js":     {"mjs", []string{"node"}},
}

func snippet(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: snippet PAGE LANGUAGE [LAST]")
	}
	page, err := os.ReadFile(filepath.Join("../../docs", args[0]))
	ts.Check(err)
	by, ok := interpreters[args[1]]
	if !ok {
		ts.Fatalf("nothing runs %s", args[1])
	}
	var code strings.Builder
	last := ""
	for block := range strings.SplitSeq("\n"+string(page), "\n```"+args[1]+" ") {
		name, rest, _ := strings.Cut(block, "\n")
		text, _, closed := strings.Cut(rest, "\n```")
		if !closed || strings.Contains(name, " ") || name == "" {
			continue // what stands before the first
		}
		code.WriteString(text + "\n")
		if last = name; len(args) == 3 && last == args[2] {
			break
		}
	}
	if last == "" || len(args) == 3 && last != args[2] {
		ts.Fatalf("%s has no %s code named %s", args[0], args[1], args[2:])
	}
	file := ts.MkAbs("snippet." + by.suffix)
	ts.Check(os.WriteFile(file, []byte(code.String()), 0o600))
	ts.Check(ts.Exec(by.args[0], append(by.args[1:], file)...))
}

func arrives(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: arrives BYTES FILE")
	}
	want, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		info, err := os.Stat(ts.MkAbs(args[1]))
		if err == nil && info.Size() >= want {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s has not %d bytes after 30 s", args[1], want)
		}
	}
}

func reloads(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: reloads RESULT N")
	}
	want := fmt.Sprintf("s3gate_config_reloads_total{result=%q} %s\n", args[0], args[1])
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(ts.Getenv("OPS_URL") + "/metrics")
		ts.Check(err)
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if strings.Contains(string(raw), want) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no %safter 30 s", want)
		}
	}
}
