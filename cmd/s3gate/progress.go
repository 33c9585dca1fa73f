package main

import (
	"io"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// withProgress shows a bar on stderr while r is read, if a person sees it.
// The caller calls done when reading is over; calling it twice is harmless.
func withProgress(cmd *cobra.Command, quiet bool, size int64, r io.Reader) (body io.Reader, done func()) {
	b := newBar(cmd, quiet, size)
	if b == nil {
		return r, b.done
	}
	return b.one.ProxyReader(r), b.done
}

// bar shows on stderr how far something is. A nil bar shows nothing.
type bar struct {
	all *mpb.Progress
	one *mpb.Bar
}

// newBar shows a bar if a person sees it; else it returns nil.
func newBar(cmd *cobra.Command, quiet bool, size int64) *bar {
	if quiet || !isTerminal(cmd.ErrOrStderr()) {
		return nil
	}
	p := mpb.New(mpb.WithOutput(cmd.ErrOrStderr()), mpb.WithWidth(40))
	return &bar{p, p.AddBar(max(size, 0),
		mpb.PrependDecorators(decor.CountersKibiByte("% .1f / % .1f")),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f"), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)))}
}

// set moves the bar, forward or back.
func (b *bar) set(n int64) {
	if b != nil {
		b.one.SetCurrent(n)
	}
}

// above returns where to write lines while the bar is shown on w.
func (b *bar) above(w io.Writer) io.Writer {
	if b == nil {
		return w
	}
	return b.all
}

// done leaves the bar as it is; calling it twice is harmless.
func (b *bar) done() {
	if b != nil {
		b.one.Abort(false) // a bar that is complete stays so
		b.all.Wait()
	}
}
