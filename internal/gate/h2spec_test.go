package gate_test

import (
	"encoding/xml"
	"errors"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// h2specFails are the cases that fail, and why. All of them are net/http's server.
var h2specFails = map[string]string{
	"http2/4.2: Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE":                          "it exceeds the default of 16 KiB, and not the 1 MiB that the server has announced; its headers are more than links.max_header, which is 431",
	"http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                            "the server ends a connection that names a setting twice, against floods of them",
	"http2/8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field":                       "the server answers 400, which section 8.1.1 permits, and resets nothing",
	"http2/8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"": "likewise",
}

// h2specRaces are cases that fail now and then: a POST whose body is not as long as it
// says. A link to a download answers 405 without reading it, and that may leave before the
// body comes.
var h2specRaces = []string{
	"http2/8.1.2.6: Sends a HEADERS frame with the \"content-length\" header field which does not equal the DATA frame payload length",
	"http2/8.1.2.6: Sends a HEADERS frame with the \"content-length\" header field which does not equal the sum of the multiple DATA frames payload length",
}

// The link listener keeps to the specification of HTTP/2 (RFC 9113), also where that
// says SHOULD.
func TestH2Spec(t *testing.T) {
	program := s3gatetest.H2Spec(t)
	w := newEmbedded(t)
	w.store("page", "text/plain", []byte("hello, hello"))
	cert, key := s3gatetest.NewAuthority(t, "authority").Files(nil)
	g := w.gate(func(c *config.Config) { c.Links.Cert, c.Links.Key = cert, key })
	host, port, err := net.SplitHostPort(strings.TrimPrefix(g.LinksURL(), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(t.TempDir(), "report.xml")
	cmd := exec.CommandContext(t.Context(), program, "--strict", "--tls", "--insecure", "--host", host, "--port", port,
		"--path", "/"+g.mint("get", "page", nil).Token, "--timeout", "5", "--junit-report", report)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, out)
	}
	passed, failed := h2specReport(t, report)
	t.Logf("%d cases passed, %d failed", passed, len(failed))
	if passed < 140 {
		t.Errorf("only %d cases have passed", passed)
	}
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		if h2specFails[name] == "" && !slices.Contains(h2specRaces, name) {
			t.Errorf("%s: %s", name, failed[name])
		}
	}
	for name, reason := range h2specFails {
		if _, ok := failed[name]; !ok {
			t.Errorf("%s does not fail any more: take it off the list (%s)", name, reason)
		}
	}
}

// h2specReport says how many cases have passed, and what was wrong with each other one.
func h2specReport(t *testing.T, path string) (passed int, failed map[string]string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Suites []struct {
			Package string `xml:"package,attr"`
			ID      string `xml:"id,attr"`
			Cases   []struct {
				Class   string `xml:"classname,attr"`
				Failure *struct {
					Text string `xml:",chardata"`
				} `xml:"failure"`
				Error *struct {
					Text string `xml:",chardata"`
				} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(raw, &report); err != nil {
		t.Fatal(err)
	}
	failed = map[string]string{}
	for _, s := range report.Suites {
		for _, c := range s.Cases {
			name := s.Package + ": " + c.Class
			switch {
			case c.Failure != nil:
				failed[name] = c.Failure.Text
			case c.Error != nil:
				failed[name] = c.Error.Text
			case c.Skipped != nil:
				failed[name] = "skipped"
			default:
				passed++
			}
		}
	}
	return passed, failed
}
