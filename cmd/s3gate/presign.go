package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"s3gate/client"
	"s3gate/internal/duration"
)

// awsFlags are those of "aws s3 presign" that mean nothing here; those of the
// second list take no value.
var awsFlags, awsSwitches = []string{"endpoint-url", "region", "profile", "output", "color", "ca-bundle", "cli-read-timeout", "cli-connect-timeout"},
	[]string{"no-verify-ssl", "no-paginate", "no-cli-pager"}

func newPresign() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "presign s3://BUCKET/KEY",
		Short: `Print a link, as "aws s3 presign" prints a presigned URL`,
		Long: `Mint a token and print its link and nothing else, for scripts that call "aws s3
presign". BUCKET is an alias of the gate. A link to download works any number of
times until it expires, one to upload (--method PUT) once. "s3gate token mint" has
all the other limits.

Flags of aws that mean nothing here are accepted, and a note on stderr says so.`,
		Example: `  s3gate presign s3://docs/report.pdf
  s3gate presign s3://docs/report.pdf --expires-in 604800
  s3gate presign s3://inbox/video.mp4 --method PUT --expires-in 1h`,
		Args: exactly(1),
	}
	f := cmd.Flags()
	life := f.String("expires-in", "3600", "how long the link works: seconds, or such as 90s, 1h or 30d")
	method := f.String("method", "GET", "what the link is for: GET or PUT")
	for _, name := range awsFlags {
		f.String(name, "", "accepted and ignored")
	}
	for _, name := range awsSwitches {
		f.Bool(name, false, "accepted and ignored")
	}
	choices(cmd, "method", "GET", "PUT")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		r := client.MintRequest{}
		if r.Operation, err = operationOf(*method); err != nil {
			return err
		}
		if r.Bucket, r.Key, err = splitTarget(args[0]); err != nil {
			return err
		}
		if r.ExpiresIn, err = lifeOf(*life); err != nil {
			return err
		}
		p := newPrinter(cmd)
		if ignored := ignoredFlags(f); len(ignored) > 0 {
			p.say("s3gate: ignored, the gate knows its bucket: %s", strings.Join(ignored, ", "))
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		token, err := c.Mint(cmd.Context(), r)
		if err != nil {
			return err
		}
		return p.print(token, func(p *printer) { fmt.Fprintln(p.out, token.URL) })
	}
	return cmd
}

func operationOf(method string) (string, error) {
	switch strings.ToUpper(method) {
	case "GET":
		return "get", nil
	case "PUT":
		return "put", nil
	}
	return "", usagef("--method must be GET or PUT, got %q", method)
}

// lifeOf reads seconds, as aws has them, or a duration.
func lifeOf(text string) (string, error) {
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		text += "s"
	}
	if d, err := duration.Parse(text); err != nil || d < time.Second {
		return "", usagef("--expires-in must be seconds or a duration such as 90s, 1h or 30d, at least 1 s, got %q", cmp.Or(text, "nothing"))
	}
	return text, nil
}

// ignoredFlags are the flags of the command line that mean nothing here.
func ignoredFlags(f *pflag.FlagSet) []string {
	var all []string
	for _, name := range append(append([]string{}, awsFlags...), awsSwitches...) {
		if f.Changed(name) {
			all = append(all, "--"+name)
		}
	}
	return all
}
