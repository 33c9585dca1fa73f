package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Version  string `json:"version"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{versionString(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return newPrinter(cmd).print(v, func(p *printer) {
				fmt.Fprintf(p.out, "s3gate %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			})
		},
	}
}
