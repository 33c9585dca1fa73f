package web_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"s3gate/internal/s3gatetest"
)

// page is as much of one as the scripts of the console want before they do anything.
const page = `
const lang = "en", words = {};
const BroadcastChannel = class {};
const document = { querySelector: () => ({ addEventListener() {} }), querySelectorAll: () => [] };
`

// runScript runs scripts of the console, and then code that writes JSON.
func runScript(t *testing.T, code string, result any, scripts ...string) {
	t.Helper()
	node, err := exec.LookPath("node")
	s3gatetest.Need(t, "node (apt-get install nodejs)", err)
	source := page + read(t, "common.js")
	for _, name := range scripts {
		source += read(t, "console/"+name)
	}
	out, err := exec.Command(node, "-e", source+code).CombinedOutput()
	if err == nil {
		err = json.Unmarshal(out, result)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// A line that was copied says to a shell what is meant, whatever is in it, and is one
// line.
func TestConsoleLines(t *testing.T) {
	hostile := []string{"plain", "a b", "o'neill", "$(touch x)", "`id`", `a\b`, "a;b", "*", "~root", "!!", "-rf", "--all", "=ls", "", "a=b", "-", "\U0001F600", "a\u00a0b"}
	changed := map[string]string{"line\nrm -rf x": "line\ufffdrm -rf x", "\u202egpj.exe": "\ufffdgpj.exe", "\x1b[2J": "\ufffd[2J", "a\rb": "a\ufffdb", "a\u2066b": "a\ufffdb"}
	want := hostile
	for word, shown := range changed {
		hostile, want = append(hostile, word), append(want, shown)
	}
	asked, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	runScript(t, "console.log(JSON.stringify("+string(asked)+".map(quote)));", &words, "line.js")
	for i, word := range words {
		if strings.ContainsAny(word, "\n\r\x1b\u202e\u2066") || strings.HasPrefix(word, "-") || strings.HasPrefix(word, "=") {
			t.Errorf("%q is written as %q", hostile[i], word)
		}
		got, err := exec.Command("sh", "-c", "printf '%s.' "+word).CombinedOutput()
		if err != nil || string(got) != want[i]+"." {
			t.Errorf("%q is written as %s, which a shell reads as %q, want %q (%v)", hostile[i], word, got, want[i], err)
		}
	}
	if words[0] != "plain" {
		t.Errorf("%q is written as %s", hostile[0], words[0])
	}
}

// Labels are what was written, each of them; a name that is there twice is refused.
func TestConsoleReadsLabels(t *testing.T) {
	for text, want := range map[string]string{
		"": `{}`, " , ": `{}`, "team=press, ticket = 42": `{"team":"press","ticket":"42"}`, "draft": `{"draft":""}`, "a=b=c": `{"a":"b=c"}`,
		"__proto__=x": `{"__proto__":"x"}`, "constructor=x,toString=y": `{"constructor":"x","toString":"y"}`,
		"team=a, team=b": `"The label team is there twice. A token has one value of it."`, "x=1,team , team=b": `"The label team is there twice. A token has one value of it."`,
		"__proto__=x,__proto__=y": `"The label __proto__ is there twice. A token has one value of it."`,
	} {
		asked, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var got json.RawMessage
		runScript(t, `
let read;
try { read = pairs(`+string(asked)+`); } catch (problem) { if (!(problem instanceof Problem)) throw problem; read = problem.message; }
console.log(JSON.stringify(read));`, &got, "page.js", "ask.js")
		if string(got) != want {
			t.Errorf("%q is read as %s, want %s", text, got, want)
		}
	}
}
