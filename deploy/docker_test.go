package deploy_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// instruction is one of a Dockerfile: the word in upper case, and the rest.
type instruction struct{ word, rest string }

// stages returns the instructions of each stage, which begins with its FROM.
func stages(t *testing.T, text string) (all [][]instruction) {
	t.Helper()
	var kept []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			kept = append(kept, line)
		}
	}
	for line := range strings.Lines(strings.ReplaceAll(strings.Join(kept, "\n"), "\\\n", "")) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "FROM" {
			all = append(all, nil)
		}
		if len(all) == 0 {
			t.Fatalf("%s stands before the first FROM", word)
		}
		all[len(all)-1] = append(all[len(all)-1], instruction{word, strings.TrimSpace(rest)})
	}
	return all
}

// one returns the only instruction of a stage with that word.
func one(t *testing.T, stage []instruction, word string) string {
	t.Helper()
	var found []string
	for _, i := range stage {
		if i.word == word {
			found = append(found, i.rest)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s stands %d times in a stage, not once", word, len(found))
	}
	return found[0]
}

func TestDockerfile(t *testing.T) {
	all := stages(t, read(t, root, "Dockerfile"))
	if len(all) != 2 {
		t.Fatalf("%d stages, not two", len(all))
	}
	final := all[1]
	if from := one(t, final, "FROM"); from != "scratch" {
		t.Errorf("the image begins with %s, not with nothing", from)
	}
	if user := one(t, final, "USER"); user != "65534:65534" {
		t.Errorf("it runs as %s: not by number, or as one who may do something", user)
	}
	if have := one(t, final, "ENTRYPOINT"); have != `["/s3gate"]` {
		t.Errorf("the entry point is %s", have)
	}
	for _, i := range final {
		if i.word == "RUN" || i.word == "ADD" {
			t.Errorf("%s %s: there is nothing in the image to run, and nothing to fetch", i.word, i.rest)
		}
	}
}

// What is copied is in the repository and not kept away from the builder, or is made in
// the first stage.
func TestDockerfileCopiesWhatIsThere(t *testing.T) {
	all := stages(t, read(t, root, "Dockerfile"))
	ignored := strings.Fields(read(t, root, ".dockerignore"))
	var made []string
	for _, i := range all[0] {
		if i.word == "RUN" {
			made = append(made, i.rest)
		}
	}
	goroot := strings.TrimSpace(output(t, exec.Command("go", "env", "GOROOT")))
	there := func(source string) bool {
		top, _, _ := strings.Cut(source, "/")
		_, err := os.Stat(filepath.Join(root, source))
		return err == nil && !slices.Contains(ignored, top)
	}
	for n, stage := range all {
		for _, i := range stage {
			fields := strings.Fields(i.rest)
			if i.word != "COPY" {
				continue
			}
			ours := n == 0
			if fields[0] == "--from=build" {
				fields = fields[1:]
			} else if !ours {
				t.Errorf("COPY %s: the image has only what the first stage has made", i.rest)
			}
			for _, source := range fields[:len(fields)-1] {
				switch rel, below := strings.CutPrefix(source, "/src/"); {
				case ours && there(source), !ours && below && there(rel):
				case source == "/etc/ssl/certs/ca-certificates.crt": // of the golang image
				case strings.HasPrefix(source, "/usr/local/go/"): // likewise
					_, err := os.Stat(filepath.Join(goroot, strings.TrimPrefix(source, "/usr/local/go/")))
					if err != nil {
						t.Error(err)
					}
				case slices.ContainsFunc(made, func(run string) bool {
					return slices.Contains(strings.Fields(run), source) || strings.HasSuffix(run, ">"+source)
				}):
				default:
					t.Errorf("COPY %s: %s is not there", i.rest, source)
				}
			}
		}
	}
}

// The image has the binary that "make build" makes, of the Go that go.mod asks for.
func TestDockerfileBuildsAsMakeDoes(t *testing.T) {
	first := stages(t, read(t, root, "Dockerfile"))[0]
	flags := find(t, read(t, root, "Makefile"), `\nbuild:\n\tCGO_ENABLED=0 \$\(GO\) build (.*) -o `)
	want := "CGO_ENABLED=0 go build " + strings.ReplaceAll(flags, "$(VERSION)", "${VERSION}") + " -o /s3gate ./cmd/s3gate"
	if !slices.Contains(first, instruction{"RUN", want}) {
		t.Errorf("the Dockerfile does not run\n%s", want)
	}
	version := find(t, read(t, root, "go.mod"), `(?m)^go (\d+\.\d+)`)
	if from := one(t, first, "FROM"); !strings.HasPrefix(from, "golang:"+version+"-") {
		t.Errorf("it builds with %s, go.mod asks for %s", from, version)
	}
}

// The image looks after itself by a command that the binary has, which has a shorter
// patience than Docker.
func TestDockerfileHealth(t *testing.T) {
	program(t, "make", "apt-get install make")
	final := stages(t, read(t, root, "Dockerfile"))[1]
	health := one(t, final, "HEALTHCHECK")
	args := strings.Split(find(t, health, `CMD \["/s3gate", (.*)\]`), ", ")
	for i := range args {
		args[i] = strings.Trim(args[i], `"`)
	}
	if help := output(t, exec.Command(s3gate(t), append(args, "--help")...)); !strings.Contains(help, "\n  s3gate health [flags]\n") {
		t.Errorf("%v is not what says whether a gate is ready:\n%s", args, help)
	}
	if !strings.Contains(health, "--timeout=6s") || !strings.Contains(read(t, root, "cmd", "s3gate", "health.go"), "Timeout: 5 * time.Second") {
		t.Error("the command waits for 5 s, and Docker has to wait for longer")
	}
	if names := one(t, final, "ENV"); names != "ZONEINFO=/"+path.Base(names) {
		t.Errorf("ENV %s", names)
	}
}
