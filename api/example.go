package api

import (
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// inline is a value of the document on one line: text as it is, anything else
// as JSON.
func inline(node *yaml.Node) string {
	if node.Kind == yaml.ScalarNode {
		return node.Value
	}
	var b strings.Builder
	appendJSON(&b, node, "", " ")
	return b.String()
}

// indented is a value of the document as JSON, in the order of the file.
func indented(node *yaml.Node) string {
	var b strings.Builder
	appendJSON(&b, node, "\n", "  ")
	return b.String()
}

// appendJSON writes a value as JSON. Each level begins on a line of its own,
// which newline begins, or on the same if newline is "".
func appendJSON(b *strings.Builder, node *yaml.Node, newline, indent string) {
	switch node.Kind {
	case yaml.MappingNode:
		appendMembers(b, node.Content, 2, "{", "}", newline, indent)
	case yaml.SequenceNode:
		appendMembers(b, node.Content, 1, "[", "]", newline, indent)
	case yaml.ScalarNode:
		if node.Tag == "!!str" || node.Tag == "!!timestamp" {
			b.WriteString(quoted(node.Value))
			return
		}
		b.WriteString(node.Value)
	}
}

// appendMembers writes the entries of a list, or with two nodes each the
// members of an object.
func appendMembers(b *strings.Builder, nodes []*yaml.Node, each int, opening, closing, newline, indent string) {
	inner := newline
	if newline != "" {
		inner += indent
	}
	b.WriteString(opening)
	for i := 0; i < len(nodes); i += each {
		switch {
		case i > 0 && newline == "":
			b.WriteString(", ")
		case i > 0:
			b.WriteString(",")
		}
		b.WriteString(inner)
		if each == 2 {
			b.WriteString(quoted(nodes[i].Value) + ": ")
		}
		appendJSON(b, nodes[i+each-1], inner, indent)
	}
	if len(nodes) > 0 {
		b.WriteString(newline)
	}
	b.WriteString(closing)
}

func quoted(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // text can be encoded
	return strings.TrimSuffix(b.String(), "\n")
}
