package main

import (
	"cmp"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

const (
	// resumableFrom is the size from which a file is worth more than one request.
	resumableFrom = 16 << 20
	// stallLimit bounds how long a request may get no further. A gate that waits
	// for its lease, or that completes a large upload, takes less.
	stallLimit = 2 * time.Minute
)

func newPut() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "put FILE URL",
		Short: "Upload a file through a link",
		Long: `Upload a file, or with - what comes from stdin, through a link. One that leads to
a folder gets the file's name too, unless it ends in another.

A file of more than 16 MiB goes up so that it can be taken up again where it
stopped, if the server offers that (tus 1.0). What breaks off is tried again until
it has got no further for --give-up. When that does not help, or it is interrupted
or killed, the same command goes on from there. --no-resume begins anew, and so
does a file that has changed since.

What is needed for that is kept in the user's cache directory, without the link,
until the file is stored or the server forgets the upload.`,
		Args: exactly(2),
	}
	p := &putter{cmd: cmd}
	f := cmd.Flags()
	f.StringVar(&p.media, "content-type", "", "the file's media type (default: by its name)")
	f.StringVar(&p.mode, "resumable", "auto", "whether it can be taken up again: auto, always or never")
	f.BoolVar(&p.anew, "no-resume", false, "begin anew, whatever an earlier run has left")
	chunk := f.String("chunk-size", "", "send it in pieces of that size, each with its checksum, such as 8MiB (default: all at once)")
	f.DurationVar(&p.wait.limit, "give-up", 10*time.Minute, "how long to try again without progress, 0 not at all")
	passcodeFile := f.String("passcode-file", "", "a file with the passcode that goes with the link, - for stdin")
	choices(cmd, "resumable", "auto", "always", "never")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := p.check(args, *chunk, *passcodeFile); err != nil {
			return err
		}
		if p.passcode, err = readSecret(cmd, *passcodeFile); err != nil {
			return err
		}
		p.ctx, p.stall, p.quiet = cmd.Context(), stallLimit, isQuiet(cmd)
		p.wait.ctx, p.wait.say = p.ctx, newPrinter(cmd).say
		if args[0] == "-" {
			return p.stream()
		}
		return p.file(args[0])
	}
	return cmd
}

// putter carries out one put.
type putter struct {
	requests
	cmd   *cobra.Command
	link  link
	mode  string
	media string
	chunk int64
	quiet bool
	anew  bool
	wait  patience
}

// check reads what the command line says.
func (p *putter) check(args []string, chunk, passcodeFile string) (err error) {
	if p.link, err = parseLink(args[1]); err != nil {
		return err
	}
	if p.chunk, err = parseBytes(chunk); err != nil {
		return err
	}
	switch {
	case p.mode != "auto" && p.mode != "always" && p.mode != "never":
		return usagef("--resumable is %q, want auto, always or never", p.mode)
	case p.wait.limit < 0:
		return usagef("--give-up is %v, want 0 or more", p.wait.limit)
	case args[0] == "-" && p.mode == "always":
		return usagef("what comes from stdin cannot be taken up again")
	case args[0] == "-" && passcodeFile == "-":
		return usagef("the file and the passcode cannot both come from stdin")
	}
	return nil
}

// outcome is what became of an upload.
type outcome struct {
	Bytes       int64  `json:"bytes"`
	ETag        string `json:"etag"`
	VersionID   string `json:"version_id,omitempty"`
	Key         string `json:"key,omitempty"` // if the link tells it
	Verified    string `json:"verified"`      // by what
	ResumedFrom int64  `json:"resumed_from"`  // what an earlier run had sent
}

func outcomeOf(h http.Header, size int64) outcome {
	o := outcome{Bytes: size, ETag: h.Get("ETag"), VersionID: h.Get("X-Amz-Version-Id"), Verified: "length"}
	if key, err := url.PathUnescape(h.Get("X-S3gate-Key")); err == nil {
		o.Key = key
	}
	return o
}

func (p *putter) print(o outcome) error {
	return newPrinter(p.cmd).print(o, func(pr *printer) {
		fmt.Fprintf(pr.out, "%d bytes stored, ETag %s\n", o.Bytes, o.ETag)
	})
}

// stream uploads what comes from stdin, in one request. It cannot be read
// again, so there is one try.
func (p *putter) stream() error {
	body, done := withProgress(p.cmd, p.quiet, 0, p.cmd.InOrStdin())
	defer done()
	sum, size := md5.New(), int64(0)
	resp, err := p.put(p.link.url.String(), readFunc(func(b []byte) (int, error) {
		n, err := body.Read(b)
		sum.Write(b[:n])
		size += int64(n)
		return n, err
	}), -1)
	if err != nil {
		return reason(err)
	}
	done()
	o, c := outcomeOf(resp.Header, size), checkOf(resp.Header)
	if c.Algorithm == "md5" {
		by, err := c.verify(sum)
		if err != nil {
			return err
		}
		o.Verified = cmp.Or(by, o.Verified)
	}
	return p.print(o)
}

// put sends n bytes in one request, or -1 for as many as there are.
func (p *putter) put(address string, body io.Reader, n int64) (*http.Response, error) {
	h := http.Header{}
	if p.media != "" {
		h.Set("Content-Type", p.media)
	}
	return p.do(http.MethodPut, address, h, body, n)
}

// file uploads a file, in the way that suits it and the server.
func (p *putter) file(path string) error {
	file, err := openSource(path)
	if err != nil {
		return err
	}
	defer file.Close()
	p.media = cmp.Or(p.media, mime.TypeByExtension(filepath.Ext(path)))
	u := &upload{requests: p.requests, link: p.link, source: file, chunk: p.chunk, wait: &p.wait}
	way := p.plain
	if file.size > 0 && (p.mode == "always" || p.mode == "auto" && file.size > resumableFrom) {
		switch err := u.try(u.discover); {
		case err == nil:
			way = func(*source) (http.Header, error) { return p.resumable(u, path) }
		case !errors.Is(err, errNoTus) || p.mode == "always":
			return reason(err)
		}
	}
	answer, err := way(file)
	if err != nil {
		return err
	}
	o := outcomeOf(answer, file.size)
	o.ResumedFrom = u.resumed
	by, err := file.verify(checkOf(answer))
	if err != nil {
		return err
	}
	o.Verified = cmp.Or(by, o.Verified)
	return p.print(o)
}

// plain uploads a file in one request. That is sent again only if the server
// asks for it, or cannot have got the whole file.
func (p *putter) plain(file *source) (http.Header, error) {
	show := p.show(file.size)
	defer show.done()
	for {
		var read atomic.Int64
		body := file.stretch(0, file.size)
		resp, err := p.put(p.link.named(file.name), readFunc(func(b []byte) (int, error) {
			n, err := body.Read(b)
			show.set(read.Add(int64(n)))
			return n, err
		}), file.size)
		if err == nil {
			return resp.Header, nil
		}
		if changed := file.unchanged(); changed != nil {
			return nil, changed
		}
		var r *refusal
		switch {
		case errors.As(err, &r) && r.after == nil:
			return nil, err
		case r == nil && read.Load() == file.size && file.size > 0:
			return nil, fmt.Errorf("%w; every byte was sent: the file may have been stored", reason(err))
		}
		p.wait.reached = p.wait.reached || read.Load() > 0
		if err := p.wait.wait(err); err != nil {
			return nil, reason(err)
		}
	}
}

// show shows a bar, and lets what is said appear above it.
func (p *putter) show(size int64) *bar {
	b := newBar(p.cmd, p.quiet, size)
	p.wait.say = func(format string, args ...any) {
		pr := newPrinter(p.cmd)
		pr.err = b.above(pr.err)
		pr.say(format, args...)
	}
	return b
}
