package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"s3gate/internal/s3gatetest"
)

//go:generate go test -run TestCommandPage -update .

var (
	update = flag.Bool("update", false, "write the commands into docs/cli.md")
	manDir = flag.String("man", "", "keep the manual pages in this folder")
)

const (
	commandPage   = "../../docs/cli.md"
	beginCommands = "<!-- begin commands, made by go generate ./cmd/s3gate -->\n"
	endCommands   = "<!-- end commands -->\n"
)

// commands are those that do something themselves, in the order of their names.
func commands(cmd *cobra.Command) (all []*cobra.Command) {
	if cmd.LocalNonPersistentFlags().HasAvailableFlags() || !cmd.HasAvailableSubCommands() {
		all = append(all, cmd)
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			all = append(all, commands(c)...)
		}
	}
	return all
}

// docs/cli.md has every command and flag as the program explains them. Write them
// with: go generate ./cmd/s3gate
func TestCommandPage(t *testing.T) {
	t.Setenv("S3GATE_CONFIG", "") // or it would be a default
	raw, err := os.ReadFile(commandPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), beginCommands)
	_, after, closed := strings.Cut(rest, endCommands)
	if !found || !closed {
		t.Fatalf("docs/cli.md lacks\n%s%s", beginCommands, endCommands)
	}
	var page strings.Builder
	for _, c := range commands(newRoot()) {
		explain(&page, c)
	}
	want := before + beginCommands + page.String() + "\n" + endCommands + after
	if *update {
		if err := os.WriteFile(commandPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(raw) {
		t.Error("docs/cli.md is not what the commands say; run go generate ./cmd/s3gate")
	}
}

func explain(page *strings.Builder, c *cobra.Command) {
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(page, "\n### %s\n\n%s\n\n```text\n%s\n", c.CommandPath(), text, c.UseLine())
	if flags := c.NonInheritedFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(page, "\n%s", flags)
	}
	fmt.Fprint(page, "```\n")
	if c.Example != "" {
		fmt.Fprintf(page, "\n```sh example\n%s\n```\n", c.Example)
	}
}

// Every exit code is in the page.
func TestExitCodesAreExplained(t *testing.T) {
	page, err := os.ReadFile(commandPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{exitOK, exitFailed, exitUsage, exitNo} {
		if !strings.Contains(string(page), fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("docs/cli.md does not explain exit code %d", code)
		}
	}
}

// The manual pages can be made and read; "make man" keeps them.
func TestManualPages(t *testing.T) {
	t.Setenv("S3GATE_CONFIG", "")
	dir := *manDir
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root := newRoot()
	root.DisableAutoGenTag = true // or each day has other pages
	header := &doc.GenManHeader{Section: "1", Source: "s3gate", Manual: "s3gate", Date: &time.Time{}}
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}
	for _, c := range commands(root) {
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	lint := []string{"mandoc", "-T", "lint", "-W", "error"}
	if _, err := exec.LookPath(lint[0]); err != nil {
		lint = []string{"groff", "-Kutf8", "-man", "-Tutf8", "-ww", "-Wbreak", "-z"} // a word may be too long for its line
	}
	_, err := exec.LookPath(lint[0])
	s3gatetest.Need(t, "mandoc or groff, to lint manual pages (apt-get install groff-base)", err)
	pages, err := filepath.Glob(filepath.Join(dir, "s3gate*.1"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(lint[0], append(lint[1:], pages...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", lint[0], err, out)
	}
}
