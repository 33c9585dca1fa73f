package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Source is where a setting comes from.
type Source struct {
	// Kind is default, file, env or flag.
	Kind string
	// Name is the line of the file, the variable or the flag; "" for a default.
	Name string
	// Held says that there stands the name of a file, which holds the value.
	Held bool
}

func (s Source) String() string {
	text := s.Kind
	if s.Name != "" {
		text += " " + s.Name
	}
	if s.Held {
		text += ", which names a file"
	}
	return text
}

// Sources are where settings come from, by their paths.
type Sources map[string]Source

// Of returns where a setting comes from.
func (s Sources) Of(path string) Source {
	if from, ok := s[path]; ok {
		return from
	}
	if from, ok := s[path+fileSuffix]; ok {
		from.Held = true
		return from
	}
	return Source{Kind: "default"}
}

// near returns where somebody has to look who is told that something is wrong
// with a setting: at it, or at what it is missing in.
func (s Sources) near(path string) string {
	for path != "" {
		for _, name := range []string{path, path + fileSuffix} {
			if from, ok := s[name]; ok {
				return from.Name
			}
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return ""
}

// addLines notes the line of everything in a YAML file.
func (s Sources) addLines(file string, node *yaml.Node, path string) {
	if path != "" {
		s[path] = Source{Kind: "file", Name: fmt.Sprintf("%s:%d", file, node.Line)}
	}
	s.addBelow(file, node, path)
}

func (s Sources) addBelow(file string, node *yaml.Node, path string) {
	switch node.Kind {
	case yaml.DocumentNode:
		for _, n := range node.Content {
			s.addBelow(file, n, path)
		}
	case yaml.AliasNode:
		s.addBelow(file, node.Alias, path)
	case yaml.SequenceNode:
		for i, n := range node.Content {
			s.addLines(file, n, fmt.Sprintf("%s[%d]", path, i))
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			if key.Tag == "!!merge" {
				s.addBelow(file, value, path)
				continue
			}
			name := join(path, key.Value)
			s[name] = Source{Kind: "file", Name: fmt.Sprintf("%s:%d", file, key.Line)}
			s.addBelow(file, value, name)
		}
	}
}
