// Package arrows checks that imports inside the module point one way. It
// holds no code, only the test.
package arrows_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed lists, for each package, the packages of this module that it may
// import. What is not listed may import nothing of ours. A package that
// should be here and is not fails the test, so that the picture stays whole.
var allowed = map[string][]string{
	"tokens":       {"internal/fault", "internal/script"},
	"policy":       nil,
	"auth":         nil,
	"events":       nil,
	"revocation":   {"tokens", "internal/fault", "internal/pace", "internal/script", "internal/splice"},
	"s3client":     nil,
	"uploads":      {"tokens", "s3client", "internal/script"},
	"proxy":        {"tokens", "revocation", "s3client", "uploads", "web", "internal/conns", "internal/ratelimit", "internal/splice"},
	"web":          nil,
	"api":          {"auth", "tokens", "revocation", "events", "guard", "guard/rounds", "guard/leakwatch", "internal/duration", "internal/ratelimit", "internal/spelling"},
	"console":      {"auth", "web"},
	"guard":        {"s3client", "policy", "guard/accesslog"},
	"guard/rounds": {"guard", "s3client", "internal/script"},
	"client":       nil, // speaks public HTTP only

	"guard/accesslog": nil,
	"guard/leakwatch": {"guard", "guard/accesslog", "s3client", "events"},
	"loadtest":        {"client"},
	"loadtest/peers":  {"client"}, // speaks public HTTP only, too
	"deploy":          nil,        // tests

	"internal/script":      {"internal/fault"},
	"internal/duration":    nil,
	"internal/spelling":    nil,
	"internal/apigen":      nil,
	"internal/ratelimit":   nil,
	"internal/accesslog":   nil,
	"internal/traces":      nil,
	"internal/conns":       {"internal/pace"},
	"internal/pace":        nil,
	"internal/config":      {"auth", "events", "guard/leakwatch", "internal/certs", "internal/conns", "internal/duration", "internal/spelling"},
	"internal/certs":       nil,
	"internal/devs3":       {"policy", "internal/devs3/disk"},
	"internal/devs3/disk":  nil,
	"internal/arrows":      nil,
	"internal/licences":    nil,
	"internal/fault":       nil,
	"internal/splice":      nil,
	"internal/gate":        {"*"}, // wiring
	"internal/dev":         {"*"},
	"internal/s3gatetest":  {"*"}, // tests
	"internal/consistency": {"*"}, // tests
	"cmd/s3gate":           {"*"},
}

const module = "s3gate/"

type pkg struct {
	ImportPath string
	Imports    []string
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		may, known := allowed[name]
		if strings.HasPrefix(name, "internal/s3gatetest/") {
			may, known = []string{"*"}, true
		}
		if !known {
			t.Errorf("%s: decide what it may import, and say so here", name)
			continue
		}
		for _, imp := range p.Imports {
			ours, ok := strings.CutPrefix(imp, module)
			if ok && !slices.Contains(may, "*") && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s", name, ours)
			}
		}
	}
}

// What ships must not carry test code, and nothing may link MinIO (AGPL).
func TestBinaryLinks(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "s3gate/cmd/s3gate").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		for _, bad := range []string{"testing", "s3gate/internal/s3gatetest", "github.com/minio/minio"} {
			if dep == bad || strings.HasPrefix(dep, bad+"/") {
				t.Errorf("the binary links %s", dep)
			}
		}
	}
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}
