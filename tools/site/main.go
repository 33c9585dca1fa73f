// Site makes a site of the manual: each page of docs as HTML, with the table of
// contents of docs/README.md beside it. It has no script, and loads nothing from
// elsewhere.
//
//	go run -C tools/site . -root ../.. -out ../../dist/site
package main

import (
	"bytes"
	"embed"
	"flag"
	"fmt"
	"html/template"
	"io/fs"
	"log"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
)

//go:embed page.html style.css
var files embed.FS

// index is the table of contents.
const index = "docs/README.md"

func main() {
	root := flag.String("root", ".", "the folder of the project")
	out := flag.String("out", "dist/site", "the folder to write to")
	flag.Parse()
	if err := build(os.DirFS(*root), *out); err != nil {
		log.Fatal(err)
	}
}

// section is a part of the table of contents.
type section struct {
	Title string
	Pages []*page
}

type page struct {
	Source, File, Title string // docs/lock.md, lock.html, The bucket lock
	Body                template.HTML
	Sections            []*section
	Previous, Next      *page
}

var markdown = goldmark.New(
	goldmark.WithExtensions(extension.GFM),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(html.WithUnsafe()), // our own pages
)

func build(root fs.FS, out string) error {
	sections, order, err := contents(root)
	if err != nil {
		return err
	}
	more, err := decisions(root, order)
	if err != nil {
		return err
	}
	all := map[string]*page{index: {Source: index, File: "index.html", Title: "The manual"}}
	for i, p := range order {
		if i > 0 {
			p.Previous, order[i-1].Next = order[i-1], p
		}
		all[p.Source] = p
	}
	for _, p := range more {
		all[p.Source] = p
	}
	page, err := template.ParseFS(files, "page.html")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, p := range all {
		p.Sections = sections
		if p.Body, err = render(root, p, all); err != nil {
			return err
		}
		var b bytes.Buffer
		if err := page.Execute(&b, p); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, p.File), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	style, err := files.ReadFile("style.css")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "style.css"), style, 0o644)
}

var (
	heading = regexp.MustCompile(`^## (.*)$`)
	entry   = regexp.MustCompile(`^- \[([^\]]*)\]\(([^)#]*\.md)\)`)
	first   = regexp.MustCompile(`(?m)^# (.*)$`)
)

// contents reads the table of contents.
func contents(root fs.FS) (sections []*section, order []*page, err error) {
	raw, err := fs.ReadFile(root, index)
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if m := heading.FindStringSubmatch(line); m != nil {
			sections = append(sections, &section{Title: m[1]})
		}
		if m := entry.FindStringSubmatch(line); m != nil {
			if len(sections) == 0 {
				return nil, nil, fmt.Errorf("%s: %s is in no section", index, m[2])
			}
			source := path.Join("docs", m[2])
			p := &page{Source: source, File: fileOf(source), Title: m[1]}
			last := sections[len(sections)-1]
			last.Pages = append(last.Pages, p)
			order = append(order, p)
		}
	}
	return sections, order, err
}

// decisions are the pages that only their own list names.
func decisions(root fs.FS, order []*page) (more []*page, err error) {
	sources, err := fs.Glob(root, "docs/decisions/*.md")
	for _, source := range sources {
		if slices.ContainsFunc(order, func(p *page) bool { return p.Source == source }) {
			continue
		}
		raw, err := fs.ReadFile(root, source)
		if err != nil {
			return nil, err
		}
		m := first.FindSubmatch(raw)
		if m == nil {
			return nil, fmt.Errorf("%s has no heading", source)
		}
		more = append(more, &page{Source: source, File: fileOf(source), Title: string(m[1])})
	}
	return more, err
}

// fileOf names the file of a page: docs/decisions/README.md is decisions.html, and
// SECURITY.md security.html.
func fileOf(source string) string {
	name := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(source, "docs/"), ".md"))
	name = strings.TrimSuffix(name, "/readme")
	return strings.ReplaceAll(name, "/", "-") + ".html"
}

// render makes HTML of a page, whose links lead to pages; what is no page is named,
// and no link.
func render(root fs.FS, p *page, all map[string]*page) (template.HTML, error) {
	raw, err := fs.ReadFile(root, p.Source)
	if err != nil {
		return "", err
	}
	tree := markdown.Parser().Parse(text.NewReader(raw), parser.WithContext(parser.NewContext(parser.WithIDs(&ids{taken: map[string]int{}}))))
	var plain []*ast.Link
	err = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		link, ok := n.(*ast.Link)
		if !ok || !entering {
			return ast.WalkContinue, nil
		}
		to, anchor, _ := strings.Cut(string(link.Destination), "#")
		switch target, known := all[path.Join(path.Dir(p.Source), to)]; {
		case to == "" || strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:"):
		case known:
			to = target.File
			if anchor != "" {
				to += "#" + anchor
			}
			link.Destination = []byte(to)
		default:
			if _, err := fs.Stat(root, path.Join(path.Dir(p.Source), to)); err != nil {
				return ast.WalkStop, fmt.Errorf("%s: %w", p.Source, err)
			}
			plain = append(plain, link)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return "", err
	}
	for _, link := range plain {
		parent := link.Parent()
		for child := link.FirstChild(); child != nil; child = link.FirstChild() {
			parent.InsertBefore(parent, link, child)
		}
		parent.RemoveChild(parent, link)
	}
	var b bytes.Buffer
	err = markdown.Renderer().Render(&b, raw, tree)
	return template.HTML(b.String()), err //nolint:gosec // our own pages
}

// ids names headings as GitHub does, so that links to them work in both places.
type ids struct{ taken map[string]int }

var unnamed = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

func (i *ids) Generate(value []byte, _ ast.NodeKind) []byte {
	name := strings.ReplaceAll(unnamed.ReplaceAllString(strings.ToLower(strings.TrimSpace(string(value))), ""), " ", "-")
	n := i.taken[name]
	i.taken[name]++
	if n > 0 {
		name = fmt.Sprintf("%s-%d", name, n)
	}
	return []byte(name)
}

func (i *ids) Put(value []byte) { i.taken[string(value)]++ }
