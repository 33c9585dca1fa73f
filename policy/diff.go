package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Diff shows a person what changes between two policies: a unified diff of both, set one element a line,
// statement against statement, with three lines of context. A lone statement counts as a list of one and
// white space not at all, so that Diff is "" when nothing but formatting differs. An empty policy has no
// lines; text that is no policy is compared as it stands.
func Diff(old, new []byte) string {
	script := compare(blocks(old), blocks(new))
	if !slices.ContainsFunc(script, line.changed) {
		return ""
	}
	var b strings.Builder
	b.WriteString("--- old\n+++ new\n")
	for _, h := range hunks(script) {
		h.write(&b)
	}
	return b.String()
}

// maxDepth is the deepest nesting that is set out in lines; policies need six levels.
const maxDepth = 32

// blocks sets a policy out for reading: every statement is one block of lines, as is everything else of
// the top level. Every statement ends in a comma, so that one with a new neighbour does not look changed.
func blocks(doc []byte) []string {
	if len(bytes.TrimSpace(doc)) == 0 {
		return nil
	}
	o, err := newOutline(doc)
	if err != nil || depth(doc) > maxDepth {
		return strings.Split(strings.TrimRight(string(doc), "\n"), "\n")
	}
	out := []string{"{"}
	for _, m := range o.top {
		if m.name != "Statement" {
			out = append(out, setOut(m.value, "  ", fmt.Sprintf("  %q: ", m.name)))
			continue
		}
		out = append(out, `  "Statement": [`)
		for _, e := range o.entries {
			out = append(out, setOut([]byte(e.body), "    ", "    "))
		}
		out = append(out, "  ],")
	}
	return append(out, "}")
}

// setOut indents a JSON value and puts lead before it and a comma behind.
func setOut(value []byte, prefix, lead string) string {
	var b bytes.Buffer
	b.WriteString(lead)
	if err := json.Indent(&b, value, prefix, "  "); err != nil {
		return lead + string(value)
	}
	b.WriteByte(',')
	return b.String()
}

// depth is how deep brackets nest in valid JSON.
func depth(doc []byte) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// A line is one line, or block of lines, of a diff; mark is ' ', '-' or '+'.
type line struct {
	mark byte
	text string
}

func (l line) changed() bool { return l.mark != ' ' }

// compare finds a script of lines that turns the blocks of a into those of b: blocks that stay are kept
// whole, and only where some go and others come are their lines compared.
func compare(a, b []string) []line {
	var script []line
	var gone, come []string
	settle := func() {
		if len(gone)+len(come) > 0 {
			script = append(script, align(gone, come)...)
		}
		gone, come = nil, nil
	}
	for _, block := range align(a, b) {
		lines := strings.Split(block.text, "\n")
		switch block.mark {
		case '-':
			gone = append(gone, lines...)
		case '+':
			come = append(come, lines...)
		default:
			settle()
			for _, text := range lines {
				script = append(script, line{' ', text})
			}
		}
	}
	settle()
	return script
}

// maxCells bounds the table of align. Above it the differing middle is shown as wholly replaced.
const maxCells = 4 << 20

// align finds a shortest script that turns a into b.
func align(a, b []string) []line {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	x, y := a[head:len(a)-tail], b[head:len(b)-tail]
	script := mark(' ', a[:head])
	if len(x)*len(y) > maxCells {
		script = append(append(script, mark('-', x)...), mark('+', y)...)
	} else {
		script = append(script, alignAll(x, y)...)
	}
	return append(script, mark(' ', a[len(a)-tail:])...)
}

func mark(mark byte, texts []string) []line {
	list := make([]line, len(texts))
	for i, text := range texts {
		list[i] = line{mark, text}
	}
	return list
}

// alignAll keeps a longest common subsequence of a and b.
func alignAll(a, b []string) []line {
	width := len(b) + 1
	common := make([]int, (len(a)+1)*width) // of a[i:] and b[j:], at i*width+j
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i*width+j] = common[(i+1)*width+j+1] + 1
			} else {
				common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
			}
		}
	}
	var script []line
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			script = append(script, line{' ', a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[(i+1)*width+j] >= common[i*width+j+1]:
			script = append(script, line{'-', a[i]})
			i++
		default:
			script = append(script, line{'+', b[j]})
			j++
		}
	}
	return script
}

// A hunk is a run of changes with the lines around it; oldAt and newAt count the lines before it.
type hunk struct {
	oldAt, newAt int
	lines        []line
}

// context is how many unchanged lines stand on either side of a change.
const context = 3

// hunks cuts a script into the parts worth reading.
func hunks(script []line) []hunk {
	var list []hunk
	oldAt, newAt, last := 0, 0, -1 // last is where the last hunk ends in script
	for i, l := range script {
		near := slices.ContainsFunc(script[max(0, i-context):min(len(script), i+context+1)], line.changed)
		if near && last != i {
			list = append(list, hunk{oldAt: oldAt, newAt: newAt})
		}
		if near {
			h := &list[len(list)-1]
			h.lines = append(h.lines, l)
			last = i + 1
		}
		if l.mark != '+' {
			oldAt++
		}
		if l.mark != '-' {
			newAt++
		}
	}
	return list
}

func (h hunk) write(b *strings.Builder) {
	olds, news := 0, 0
	for _, l := range h.lines {
		if l.mark != '+' {
			olds++
		}
		if l.mark != '-' {
			news++
		}
	}
	fmt.Fprintf(b, "@@ -%s +%s @@\n", span(h.oldAt, olds), span(h.newAt, news))
	for _, l := range h.lines {
		b.WriteByte(l.mark)
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
}

// span writes the lines a hunk covers: counted from 1, an empty span after the line before it.
func span(before, count int) string {
	if count > 0 {
		before++
	}
	return fmt.Sprintf("%d,%d", before, count)
}
