//go:build unix

package gate_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"s3gate/internal/s3gatetest"
)

// rollingTime is how long there is load, and how many gates are begun again in that time
// at least: "make rolling" asks for more.
func rollingTime(t *testing.T) (load time.Duration, restarts int) {
	t.Helper()
	text := os.Getenv("S3GATE_TEST_ROLLING")
	if text == "" {
		return 25 * time.Second, 1
	}
	load, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("S3GATE_TEST_ROLLING: %v", err)
	}
	return load, 3
}

// Three gates behind HAProxy, as deploy has it, are begun again in turn under load: no
// download fails, no upload is lost, and no use is given twice. The load does not retry.
func TestRollingRestart(t *testing.T) {
	rolling(t, "4s", threeBehindHAProxy, func(f *front) { f.awaitUp(t, 3) })
}

// The same behind nginx, which finds out by itself that a gate has gone.
func TestRollingRestartBehindNginx(t *testing.T) {
	rolling(t, "1s", threeBehindNginx, func(*front) { time.Sleep(3 * time.Second) }) // more than fail_timeout
}

// rolling is a rolling restart of gates with a drain_delay; settle waits until the front
// knows of all three.
func rolling(t *testing.T, delay string, begin func(*testing.T, []*shipped) *front, settle func(*front)) {
	w := newWorld(t, s3gatetest.MinIO(t), s3gatetest.Redis(t))
	var gates []*shipped
	for range 3 {
		gates = append(gates, w.ship(t, group{
			"trusted_proxies": []string{"127.0.0.1"}, "drain_delay": delay, "drain_timeout": "60s",
		}))
	}
	f := begin(t, gates)
	settle(f)

	length, least := rollingTime(t)
	load, report := f.load(t, length)
	restarts := 0
	for !load.Ended() {
		g := gates[restarts%len(gates)]
		g.restart(90 * time.Second)
		settle(f)
		restarts++
	}
	load.Wait(3 * time.Minute)
	if restarts < least {
		t.Errorf("the load was over after %d restarts", restarts)
	}
	r := report()
	t.Logf("%d restarts of 3 gates in %.0f s: %d operations, %d failed %v; p50 %.0f ms, p99 %.0f ms, at most %.0f ms",
		restarts, r.Seconds, r.Operations, r.Failed, r.Errors, r.Latency.P50, r.Latency.P99, r.Latency.Max)
	if !r.OK || r.Failed > 0 || r.Operations < 50 {
		for _, i := range r.Invariants {
			t.Errorf("%s: %v, broken %d of %d times: %q", i.Name, i.OK, i.Broken, i.Checked, i.Examples)
		}
		t.Errorf("%+v", r.Errors)
	}
}

// restart ends a gate in order, and begins it again at the same addresses.
func (p *shipped) restart(within time.Duration) {
	p.t.Helper()
	p.Stop(within)
	p.settings["links"] = group{"addr": strings.TrimPrefix(p.at.Links, "http://")}
	api := p.settings["api"].(group)
	api["addr"] = strings.TrimPrefix(p.at.API, "http://")
	p.begin()
}

func (p *shipped) behind() behind {
	return behind{strings.TrimPrefix(p.at.Links, "http://"), strings.TrimPrefix(p.at.API, "http://")}
}

// threeBehindHAProxy adds a third gate to the file, and a socket that says who is up.
func threeBehindHAProxy(t *testing.T, gates []*shipped) *front {
	t.Helper()
	third := gates[2].behind()
	admin := filepath.Join(t.TempDir(), "admin")
	f := haproxyFront(t, gates[0].behind(), gates[1].behind(),
		"maxconn 20000", "maxconn 2000\n    stats socket "+admin,
		"\nbackend links\n", "\nbackend links\n    server gate-3 "+third.links+" check port "+third.api[strings.LastIndex(third.api, ":")+1:]+"\n",
		"\nbackend api\n", "\nbackend api\n    server gate-3 "+third.api+" check\n")
	f.admin = admin
	return f
}

// threeBehindNginx adds a third gate to the file.
func threeBehindNginx(t *testing.T, gates []*shipped) *front {
	t.Helper()
	third := gates[2].behind()
	return nginxFront(t, gates[0].behind(), gates[1].behind(),
		"least_conn;\n", "least_conn;\n    server "+third.links+" max_fails=1 fail_timeout=2s;\n",
		"upstream s3gate_api {\n", "upstream s3gate_api {\n    server "+third.api+" max_fails=1 fail_timeout=2s;\n")
}

// awaitUp waits until HAProxy sends requests to so many gates.
func (f *front) awaitUp(t *testing.T, n int) {
	t.Helper()
	var up map[string]int
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		up = map[string]int{}
		for _, row := range f.stat(t) {
			if strings.HasPrefix(row[1], "gate-") && row[17] == "UP" {
				up[row[0]]++
			}
		}
		if up["links"] == n && up["api"] == n {
			return
		}
	}
	t.Fatalf("HAProxy knows %v of %d gates\n%s", up, n, f.Output())
}

// stat are the rows of "show stat" (HAProxy Management Guide, section 9.1).
func (f *front) stat(t *testing.T) [][]string {
	t.Helper()
	c, err := net.Dial("unix", f.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintln(c, "show stat")
	rows, err := csv.NewReader(c).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// report is what is read of one of a load test.
type report struct {
	OK         bool
	Operations uint64
	Failed     uint64
	Seconds    float64
	Errors     []struct {
		Kind, Example string
		Count         uint64
	}
	Latency    struct{ P50, P99, Max float64 } `json:"latency_ms"`
	Invariants []struct {
		Name            string
		OK              bool
		Checked, Broken uint64
		Examples        []string
	}
}

// load begins "s3gate loadtest mixed" on the front, and returns what reads its report.
func (f *front) load(t *testing.T, length time.Duration) (*s3gatetest.Program, func() report) {
	t.Helper()
	dir := t.TempDir()
	roots, out := filepath.Join(dir, "roots.pem"), filepath.Join(dir, "report.json")
	writeFile(t, roots, f.certificate)
	p := s3gatetest.Start(t, []string{"SSL_CERT_FILE=" + roots, "S3GATE_API_TOKEN=" + bearer(t)}, "/bin/sh", "-c", `out=$1; shift; "$@" >"$out" || test $? = 3`, "sh", out,
		shippedPath(t), "loadtest", "mixed", "--target", f.url, "--api-url", f.api, "--bucket", "docs", "--yes", "--json",
		"--workers", "6", "--duration", length.String(), "--mix", "download-small=50,range-video=15,mint=10,upload-many=15,tus=5,single-use-race=5")
	return p, func() (r report) {
		raw, err := os.ReadFile(out)
		if err == nil {
			err = json.Unmarshal(raw, &r)
		}
		if err != nil {
			t.Fatalf("the report: %v\n%s", err, p.Output())
		}
		return r
	}
}
