package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// module is one that is linked, with the licence files that concern its packages.
type module struct {
	Path, Dir string
	files     []file
}

// file is a licence file, by its name below the module.
type file struct{ name, text string }

// systems are those that the binary is built for.
var systems = []string{"linux", "darwin", "windows"}

// linked returns the modules of others that the binary links, in order of their paths.
func linked() ([]*module, error) {
	all := map[string]*module{}
	for _, system := range systems {
		if err := link(all, system); err != nil {
			return nil, err
		}
	}
	list := slices.SortedFunc(maps.Values(all), func(a, b *module) int { return strings.Compare(a.Path, b.Path) })
	for _, m := range list {
		slices.SortFunc(m.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	}
	return list, nil
}

func link(all map[string]*module, system string) error {
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,Module", "s3gate/cmd/s3gate")
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list for %s: %w\n%s", system, err, &stderr)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir    string
			Module *struct {
				Path, Dir string
				Main      bool
			}
		}
		if err := dec.Decode(&p); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading what go list says: %w", err)
		}
		if p.Module == nil || p.Module.Main {
			continue
		}
		m := all[p.Module.Path]
		if m == nil {
			m = &module{Path: p.Module.Path, Dir: p.Module.Dir}
			all[m.Path] = m
		}
		if err := m.look(p.Dir); err != nil {
			return err
		}
	}
}

// look adds the licence files of a package's folder and of those above it.
func (m *module) look(dir string) error {
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("looking for licences: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() || !isLicence(e.Name()) {
				continue
			}
			if err := m.add(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
		if dir == m.Dir || len(dir) <= len(m.Dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

func (m *module) add(path string) error {
	name, err := filepath.Rel(m.Dir, path)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(m.files, func(f file) bool { return f.name == name }) {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading a licence: %w", err)
	}
	m.files = append(m.files, file{filepath.ToSlash(name), string(text)})
	return nil
}

// isLicence goes by the names that licences have: LICENSE, LICENCE.md, COPYING.txt,
// LICENSE-MIT, NOTICE. Code is none.
func isLicence(name string) bool {
	upper := strings.ToUpper(name)
	if strings.HasSuffix(upper, ".GO") {
		return false
	}
	return slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"}, func(prefix string) bool {
		return strings.HasPrefix(upper, prefix)
	})
}

// licences are those of a module, each once.
func (m *module) licences() []string {
	var all []string
	for _, f := range m.files {
		all = append(all, recognize(f.text)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// refuse returns an error for each module with no licence, or one that is not permitted.
func refuse(modules []*module) error {
	var wrong []error
	for _, m := range modules {
		found := m.licences()
		if len(found) == 0 {
			wrong = append(wrong, fmt.Errorf("%s: no licence that is known, in %s", m.Path, m.Dir))
		}
		for _, l := range found {
			if !slices.Contains(permitted, l) {
				wrong = append(wrong, fmt.Errorf("%s is under %s", m.Path, l))
			}
		}
	}
	return errors.Join(wrong...)
}
