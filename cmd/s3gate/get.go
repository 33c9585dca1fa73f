package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"s3gate/client"
)

func newGet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get URL",
		Short: "Download through a link",
		Long: `Download through a link, under the name that the link gives the file unless -o
names another. The file appears when it is complete and checked, and not before;
one that is there already is not replaced without -o. "-o -" writes to stdout.

A download that breaks off is taken up again where it stopped, as long as the
link permits ranges and the file has not changed. If that does not help, or it
is interrupted, what has arrived stays in NAME` + partSuffix + `, and the same command
goes on from there. --no-resume begins anew.

A link with a limited number of uses may not permit ranges. What breaks off is
then lost, and so may be the use.

The length is always checked, and the content if the server says what it must
add up to; --json says by what it was verified.`,
		Args: exactly(1),
	}
	g := &getter{cmd: cmd}
	f := cmd.Flags()
	f.StringVarP(&g.output, "output", "o", "", "the file to write, - for stdout")
	f.BoolVar(&g.anew, "no-resume", false, "begin anew, whatever an earlier download has left")
	f.IntVar(&g.d.most, "retries", 5, "how often to ask again without progress")
	passcodeFile := f.String("passcode-file", "", "a file with the passcode that goes with the link, - for stdin")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		g.d.ctx, g.d.link, g.quiet = cmd.Context(), args[0], isQuiet(cmd)
		if g.d.passcode, err = readSecret(cmd, *passcodeFile); err != nil {
			return err
		}
		defer g.d.Close()
		if g.output == "-" {
			return g.stream()
		}
		return g.save()
	}
	return cmd
}

// getter carries out one get.
type getter struct {
	cmd    *cobra.Command
	output string
	quiet  bool
	anew   bool
	d      download
}

// stream downloads to stdout.
func (g *getter) stream() error {
	if err := g.d.open(object{}, 0); err != nil {
		return reason(err)
	}
	h := newHash(g.d.object.Check.Algorithm)
	to := g.cmd.OutOrStdout()
	if h != nil {
		to = io.MultiWriter(to, h)
	}
	if err := g.copy(to); err != nil {
		return fmt.Errorf("download broke off after %d bytes: %w", g.d.offset, reason(err))
	}
	_, err := g.d.object.Check.verify(h)
	return err
}

// copy downloads what is missing, with a bar if a person sees it.
func (g *getter) copy(to io.Writer) error {
	missing := g.d.object.Size
	if missing >= 0 {
		missing -= g.d.offset
	}
	body, done := withProgress(g.cmd, g.quiet, missing, &g.d)
	defer done()
	_, err := io.Copy(to, body)
	return err
}

// save downloads to a file. The part is opened before the link is asked, if
// its name is known by then: what prevents saving must not cost a use.
func (g *getter) save() error {
	target := cmp.Or(g.output, linkName(g.d.link))
	if target == "" {
		if err := g.d.open(object{}, 0); err != nil {
			return reason(err)
		}
		target = cmp.Or(g.d.object.Name, "download")
	}
	if err := g.free(target); err != nil {
		return err
	}
	p, err := openPart(target)
	if err != nil {
		return err
	}
	path, verified, err := g.fill(p, target)
	if err != nil {
		p.leave()
		return err
	}
	result := map[string]any{"file": path, "bytes": p.have, "verified": verified}
	return newPrinter(g.cmd).print(result, func(pr *printer) { fmt.Fprintln(pr.out, path) })
}

// free returns an error if target exists and -o has not named it.
func (g *getter) free(target string) error {
	if g.output != "" {
		return nil
	}
	if _, err := os.Lstat(target); err == nil {
		return fmt.Errorf("%s exists; name a file with -o", target)
	}
	return nil
}

// fill downloads what the part is missing, and makes it the target or, if the
// server names the file and -o does not, a file of that name.
func (g *getter) fill(p *part, target string) (path, verified string, err error) {
	if err := g.start(p); err != nil {
		return "", "", err
	}
	path = cmp.Or(g.output, g.d.object.Name, target)
	if err := g.free(path); err != nil {
		return "", "", err
	}
	if err := g.copy(p); err != nil {
		return "", "", g.broken(p, err)
	}
	if verified, err = p.of.Check.verify(p.hash); err != nil {
		_ = p.forget() // so that nothing goes on from it
		return "", "", err
	}
	if verified == "" && p.of.Check.Unsure {
		newPrinter(g.cmd).say("the ETag is not the MD5 of the file, as with encryption by KMS; only the length is checked")
	}
	if verified == "" && p.of.Size >= 0 {
		verified = "length"
	}
	return path, cmp.Or(verified, "nothing"), p.finish(path)
}

// start opens the download where the part ends, or at the beginning.
func (g *getter) start(p *part) error {
	d := &g.d
	resume := p.worth() && !g.anew
	if d.body != nil { // the name came with the whole object
		if resume = resume && p.of.ETag == d.object.ETag && p.of.Size == d.object.Size; !resume {
			return p.begin(d.object)
		}
		d.body.Close()
		d.body = nil
	}
	if !resume {
		if err := d.open(object{}, 0); err != nil {
			return reason(err)
		}
		return p.begin(d.object)
	}
	had := p.have
	switch err := d.open(p.of, had); {
	case errors.Is(err, errChanged):
		_ = p.forget()
		return fmt.Errorf("%w; what an earlier download has left is thrown away, and the next begins anew", err)
	case err != nil:
		return fmt.Errorf("%w; the %d bytes in %s are kept", reason(err), had, p.path)
	case d.offset == had:
		newPrinter(g.cmd).say("going on after %d of %d bytes", had, p.of.Size)
		return nil
	}
	g.sayAnew(p)
	return p.begin(d.object)
}

// sayAnew says why what an earlier download has left is of no use.
func (g *getter) sayAnew(p *part) {
	why := "the link gives out another file than before"
	if g.d.object.ETag == p.of.ETag {
		why = "the server does not go on"
	}
	cost := ""
	if g.d.object.ETag == "" {
		why, cost = "the link cannot be resumed", ", which may take a use of the link"
	}
	newPrinter(g.cmd).say("%s: beginning anew%s", why, cost)
}

// broken says what becomes of a download that has broken off.
func (g *getter) broken(p *part, err error) error {
	next := "the link cannot be resumed, so the file must be asked for anew"
	var refused *client.Error
	switch {
	case errors.Is(err, errChanged):
		_ = p.forget()
		next = "nothing is kept"
	case p.worth() && errors.As(err, &refused) && refused.Status == http.StatusGone:
		next = "what has arrived is kept, for another link to the same file"
	case p.worth():
		next = "what has arrived is kept, and the same command goes on from there"
	case p.of.resumable():
		next = "nothing has arrived"
	}
	return fmt.Errorf("download broke off after %d bytes: %w; %s", p.have, reason(err), next)
}

var errInterrupted = errors.New("interrupted")

// reason is the error in words for people.
func reason(err error) error {
	if errors.Is(err, context.Canceled) {
		return errInterrupted
	}
	return err
}

// filename returns the name that the server gives the file, without folders;
// "" if it gives none.
func filename(resp *http.Response) string {
	_, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	return safeName(params["filename"])
}

// linkName returns the name at the end of a link, "" if it has none. What is
// not behind a token could be one itself, a secret.
func linkName(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	before, last, _ := cutLast(u.Path, '/')
	if !tokenForm.MatchString(before) || tokenForm.MatchString(last) {
		return ""
	}
	return safeName(last)
}

func cutLast(text string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(text, sep)
	if i < 0 {
		return "", text, false
	}
	return text[:i], text[i+1:], true
}

// safeName makes a name out of what others say: one that stays in the folder
// and does nothing to a terminal; "" if there is nothing left.
func safeName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '_'
		}
		return r
	}, name)
	_, name, _ = cutLast(strings.ReplaceAll(name, `\`, "/"), '/')
	if name == "." || !filepath.IsLocal(name) {
		return ""
	}
	return name
}
