package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/client"
)

func newGet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get URL",
		Short: "Download through a link",
		Long: `Download through a link, under the name that the link gives the file unless -o
names another. The file appears when it is complete, and not before; one that
is there already is not replaced without -o. "-o -" writes to stdout.`,
		Args: exactly(1),
	}
	output := cmd.Flags().StringP("output", "o", "", "the file to write, - for stdout")
	quiet := cmd.Flags().BoolP("quiet", "q", false, "no progress bar")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		resp, err := fetch(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, done := withProgress(cmd, *quiet, resp.ContentLength, resp.Body)
		defer done()
		if *output == "-" {
			if _, err := io.Copy(cmd.OutOrStdout(), body); err != nil {
				return fmt.Errorf("download broke off: %w", err)
			}
			return nil
		}
		path, n, err := save(*output, filename(resp), body)
		if err != nil {
			return err
		}
		done()
		return newPrinter(cmd).print(map[string]any{"file": path, "bytes": n}, func(p *printer) {
			fmt.Fprintln(p.out, path)
		})
	}
	return cmd
}

// fetch sends the GET and turns an error answer into an error.
func fetch(ctx context.Context, link string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, usagef("not a link")
	}
	return send(req)
}

// send sends a request for a link. Errors leave the link out, which is a
// secret.
func send(req *http.Request) (*http.Response, error) {
	req.Header.Set("Accept", "application/problem+json")
	req.Header.Set("User-Agent", "s3gate/"+versionString())
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, client.ReadError(resp)
}

// filename returns the name that the server gives the file, without folders.
func filename(resp *http.Response) string {
	_, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	name := filepath.Base(strings.ReplaceAll(params["filename"], `\`, "/"))
	if name == "." || name == ".." || name == "/" || name == string(filepath.Separator) {
		return "download"
	}
	return name
}

// save writes body to a file that appears when it is whole.
func save(wanted, suggested string, body io.Reader) (path string, n int64, err error) {
	path = cmp.Or(wanted, suggested)
	if wanted == "" {
		if _, err := os.Lstat(path); err == nil {
			return "", 0, fmt.Errorf("%s exists; name a file with -o", path)
		}
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".s3gate-*")
	if err != nil {
		return "", 0, fmt.Errorf("saving: %w", err)
	}
	defer os.Remove(temp.Name())
	n, err = io.Copy(temp, body)
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", n, fmt.Errorf("download broke off after %d bytes: %w", n, err)
	}
	if err := os.Chmod(temp.Name(), 0o644); err != nil {
		return "", n, fmt.Errorf("saving: %w", err)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return "", n, fmt.Errorf("saving: %w", err)
	}
	return path, n, nil
}
