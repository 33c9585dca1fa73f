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
	if quiet || !isTerminal(cmd.ErrOrStderr()) {
		return r, func() {}
	}
	p := mpb.New(mpb.WithOutput(cmd.ErrOrStderr()), mpb.WithWidth(40))
	bar := p.AddBar(max(size, 0),
		mpb.PrependDecorators(decor.CountersKibiByte("% .1f / % .1f")),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f"), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)))
	return bar.ProxyReader(r), func() {
		bar.Abort(false) // a bar that is complete stays so
		p.Wait()
	}
}
