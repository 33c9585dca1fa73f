package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"s3gate/guard/leakwatch"
	"s3gate/internal/config"
)

// attempts is a log of presigned requests for so many keys.
func attempts(n int) string {
	var log strings.Builder
	for i := range n {
		fmt.Fprintf(&log, "79a5 demo [22/Nov/2026:10:00:38 +0000] 192.0.2.3 arn:aws:iam::111122223333:user/dev 3E57 REST.GET.OBJECT k%05d "+
			"\"GET /k%05d?X-Amz-Signature=5ec7e7d0 HTTP/1.1\" 403 AccessDenied 1 1 7 6 \"-\" \"curl/8.5\" - h SigV4 c QueryString demo.s3.amazonaws.com TLSv1.2 - -\n", i, i)
	}
	return log.String()
}

// More findings than are kept are all listed, and what is forgotten is spoken of.
func TestEveryFindingOfALogIsListed(t *testing.T) {
	const n = 12_000
	var out, said bytes.Buffer
	if code := run([]string{"leakwatch", "-"}, strings.NewReader(attempts(n)), &out, &said); code != 3 {
		t.Fatalf("exit code %d: %s", code, said.String())
	}
	for i := range n {
		if !strings.Contains(out.String(), fmt.Sprintf("\tk%05d\t", i)) {
			t.Fatalf("k%05d is not listed", i)
		}
	}
	if got := strings.Count(out.String(), "\n"); got != n+1 || strings.Count(out.String(), "LAST") != 1 {
		t.Errorf("%d lines for %d findings", got, n)
	}
	if !strings.Contains(said.String(), "findings are not remembered") {
		t.Errorf("it was not said that some were forgotten: %s", said.String())
	}
}

// Whoever was killed after it had saved how far it has read, and before it had listed
// what it found, lists that the next time.
func TestWhatWasNotListedIsListedTheNextTime(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.json")
	killed, err := leakwatch.OpenMemory(state)
	if err == nil {
		_, err = (&leakwatch.Watch{Store: unlisted{killed}}).Read(t.Context(), "log", strings.NewReader(attempts(1)))
	}
	if err == nil {
		err = killed.SavePosition(t.Context(), "s3://logs/", "behind it")
	}
	fine := filepath.Join(t.TempDir(), "fine.log")
	if err == nil {
		err = os.WriteFile(fine, nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{3, 0} {
		var out, said bytes.Buffer
		code := run([]string{"leakwatch", "--state", state, fine}, nil, &out, &said)
		if code != want || strings.Contains(out.String(), "k00000") != (want == 3) {
			t.Errorf("exit code %d, want %d: %s%s", code, want, out.String(), said.String())
		}
	}
}

func TestLeakwatchHeedsHowLateLogsCome(t *testing.T) {
	cmd := newLeakwatch()
	cmd.SetContext(t.Context())
	l := &leakReader{cmd: cmd, cfg: config.Default()}
	l.cfg.Guard.Leaks.Late = 7 * time.Hour
	l.cfg.Guard.Leaks.Sources = map[string]config.LeakSource{"a": {Bucket: "logs", Region: "eu-west-1", AccessKeyID: "AKIA", SecretAccessKey: "x"}}
	if err := l.open("s3://logs/"); err != nil {
		t.Fatal(err)
	}
	defer l.close[0].Close()
	if got := l.logs[0].Late; got != 7*time.Hour {
		t.Errorf("logs may come %s late", got)
	}
}
