package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/dev"
	"s3gate/internal/gate"
)

func newDev() *cobra.Command {
	var o dev.Options
	var ready string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Try s3gate: everything in one process, with sample files",
		Long: `Run a gate with an embedded Redis and an embedded S3, a locked bucket with sample
files and an administrator's JWT, and print what to try. Everything listens on
this machine only.`,
		Args: exactly(0),
	}
	f := cmd.Flags()
	f.StringVar(&o.PublicAddr, "public-addr", "127.0.0.1:8080", "host:port for links; port 0 picks a free one")
	f.StringVar(&o.APIAddr, "api-addr", "127.0.0.1:8090", "host:port for the API")
	f.StringVar(&o.S3Addr, "s3-addr", "127.0.0.1:9000", "host:port for the embedded S3")
	f.StringVar(&o.RedisAddr, "redis-addr", "", "a real Redis to use instead of the embedded one")
	f.StringVar(&o.Bucket, "bucket", "", "a bucket of your own to use, with the AWS SDK's default credentials")
	f.StringVar(&o.DataDir, "data-dir", "", "keep the embedded S3's objects there (default: a temporary folder)")
	f.StringVar(&ready, "ready-file", "", "write addresses and keys there, as JSON, once everything serves")
	f.BoolVarP(&verbose, "verbose", "v", false, "log every request to stderr")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for flag, addr := range map[string]*string{"public-addr": &o.PublicAddr, "api-addr": &o.APIAddr, "s3-addr": &o.S3Addr} {
			if !f.Changed(flag) {
				*addr = freeAddr(*addr)
			}
		}
		o.Version, o.Logger = versionString(), slog.New(slog.DiscardHandler)
		if verbose {
			o.Logger, _ = newLogger(config.Log{Level: "info", Format: "text"}, cmd.ErrOrStderr())
		}
		gate.LogRedis(o.Logger)
		return runDev(cmd.Context(), o, ready, newPrinter(cmd))
	}
	return cmd
}

// freeAddr returns addr, or a free port on its host if that one is taken.
func freeAddr(addr string) string {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return addr
}

func runDev(ctx context.Context, o dev.Options, ready string, p *printer) error {
	env, err := dev.Start(ctx, o)
	if err != nil {
		return err
	}
	if p.json {
		err = p.print(env.Info, nil)
	} else {
		err = present(ctx, env, o, p.out)
	}
	if err == nil && ready != "" {
		if err = writeReady(ready, env.Info); err == nil {
			defer os.Remove(ready)
		}
	}
	if err == nil {
		err = env.Wait(ctx)
	}
	if closeErr := env.Close(); err == nil {
		err = closeErr
	}
	return err
}

// tour is what the printed text needs.
type tour struct {
	dev.Info
	Own                          bool // a bucket of one's own
	Many, Once, Upload, Uploaded *client.Token
	Presigned                    string
}

// present mints links to try and prints how.
func present(ctx context.Context, env *dev.Env, o dev.Options, out io.Writer) error {
	t := tour{Info: env.Info, Own: o.Bucket != ""}
	c := client.New(env.Info.APIURL, env.Info.APIToken)
	var once int64 = 1
	key := "s3gate-dev/" + time.Now().UTC().Format("20060102T150405") + ".txt"
	mints := []struct {
		into **client.Token
		req  client.MintRequest
	}{
		{&t.Upload, client.MintRequest{Operation: "put", Key: key, Upload: &client.Upload{MaxBytes: 5 << 30}}},
		{&t.Uploaded, client.MintRequest{Operation: "get", Key: key}},
		{&t.Many, client.MintRequest{Operation: "get", Key: dev.SampleText}},
		{&t.Once, client.MintRequest{Operation: "get", Key: dev.SampleImage, MaxUses: &once}},
	}
	if t.Own {
		mints = mints[:2]
	}
	for _, m := range mints {
		m.req.Bucket, m.req.ExpiresIn = t.Bucket, "12h"
		token, err := c.Mint(ctx, m.req)
		if err != nil {
			return err
		}
		*m.into = token
	}
	if !t.Own {
		p, err := env.Admin.PresignGet(ctx, dev.SampleText, dev.Life)
		if err != nil {
			return err
		}
		t.Presigned = p.URL
	}
	if err := tourTemplate.Execute(out, t); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

var tourTemplate = template.Must(template.New("tour").Parse(`s3gate is running.  links {{.PublicURL}}  api {{.APIURL}}  console {{.APIURL}}/console
{{- if .Own}}  bucket {{.Bucket}}
{{- else}}  s3 {{.S3Endpoint}} (bucket {{.Bucket}}, locked)

Download, as often as you like:
  curl {{.Many.URL}}
Download once; the second time answers 410:
  curl -O {{.Once.URL}}
{{- end}}

Upload a file once, then fetch it:
  curl -T README.md {{.Upload.URL}}
  curl {{.Uploaded.URL}}

Revoke {{if .Own}}that{{else}}the first{{end}} link, and try it again:
  export S3GATE_API_URL={{.APIURL}} S3GATE_API_TOKEN={{.APIToken}}
  curl -X DELETE -H "Authorization: Bearer $S3GATE_API_TOKEN" {{.APIURL}}/v1/tokens/{{if .Own}}{{.Uploaded.ID}}{{else}}{{.Many.ID}}{{end}}
{{- if .Own}}

Mint a link to an object of yours:
  go run ./cmd/s3gate token mint get {{.Bucket}}/KEY
{{- else}}

A presigned URL for the first file, as if it had leaked; answers 403:
  curl '{{.Presigned}}'

Mint a link yourself:
  go run ./cmd/s3gate token mint get {{.Bucket}}/report.csv
{{- end}}

Ctrl-C stops.
`))
