package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"s3gate/client"
)

func newGet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get URL",
		Short: "Download through a link",
		Long: `Download through a link, under the name that the link gives the file unless -o
names another. The file appears when it is complete, and not before; one that
is there already is not replaced without -o. "-o -" writes to stdout.

A download that breaks off is taken up again where it stopped, as long as the
link permits ranges and the file has not changed.`,
		Args: exactly(1),
	}
	output := cmd.Flags().StringP("output", "o", "", "the file to write, - for stdout")
	quiet := cmd.Flags().BoolP("quiet", "q", false, "no progress bar")
	retries := cmd.Flags().Int("retries", 5, "how often to take up a download that has made no progress")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := openDownload(cmd.Context(), args[0], *retries)
		if err != nil {
			return err
		}
		defer d.Close()
		body, done := withProgress(cmd, *quiet, d.size, d)
		defer done()
		if *output == "-" {
			if _, err := io.Copy(cmd.OutOrStdout(), body); err != nil {
				return fmt.Errorf("download broke off: %w", err)
			}
			return nil
		}
		path, n, err := save(*output, d.name, body)
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

// download reads an object through a link, over as many connections as it
// takes.
type download struct {
	ctx     context.Context
	link    string
	retries int // left until there is progress again
	most    int

	name   string
	size   int64  // -1 if unknown
	etag   string // "" if the link does not permit ranges
	offset int64
	body   io.ReadCloser
}

func openDownload(ctx context.Context, link string, retries int) (*download, error) {
	d := &download{ctx: ctx, link: link, retries: retries, most: retries}
	resp, err := d.request(0)
	if err != nil {
		return nil, err
	}
	d.body, d.size, d.name = resp.Body, resp.ContentLength, filename(resp)
	if resp.Header.Get("Accept-Ranges") == "bytes" && d.size >= 0 && strings.HasPrefix(resp.Header.Get("ETag"), `"`) {
		d.etag = resp.Header.Get("ETag")
	}
	return d, nil
}

// request asks for the object from an offset on, if it is still the same.
func (d *download) request(from int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(d.ctx, http.MethodGet, d.link, nil)
	if err != nil {
		return nil, usagef("not a link")
	}
	if from > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(from, 10)+"-")
		req.Header.Set("If-Range", d.etag)
	}
	return send(req)
}

func (d *download) Close() error { return d.body.Close() }

func (d *download) Read(p []byte) (int, error) {
	for {
		n, err := d.body.Read(p)
		d.offset += int64(n)
		if n > 0 {
			d.retries = d.most
		}
		switch {
		case n > 0 && err != nil && err != io.EOF:
			return n, nil // the next read hears of it
		case n > 0 || err == nil || err == io.EOF:
			return n, err
		}
		if err := d.resume(err); err != nil {
			return 0, err
		}
	}
}

var errChanged = errors.New("the file has changed meanwhile")

// resume takes the download up again after cause has ended it.
func (d *download) resume(cause error) error {
	d.body.Close()
	for ; d.etag != "" && d.retries > 0; d.retries-- {
		wait := time.Duration(1+d.most-d.retries) * 300 * time.Millisecond
		select {
		case <-d.ctx.Done():
			return d.ctx.Err()
		case <-time.After(wait):
		}
		resp, err := d.request(d.offset)
		var refused *client.Error
		switch {
		case errors.As(err, &refused) && refused.Status < 500:
			return err // such as revoked: no retry will help
		case err != nil:
			cause = err
			continue
		case resp.StatusCode != http.StatusPartialContent:
			resp.Body.Close()
			return errChanged
		}
		d.retries--
		d.body = resp.Body
		return nil
	}
	return cause
}

// transport sends requests for links. It leaves bodies as they are.
var transport = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	return t
}()

// send sends a request for a link and turns an error answer into an error.
// Errors leave the link out, which is a secret.
func send(req *http.Request) (*http.Response, error) {
	req.Header.Set("Accept", "application/problem+json")
	req.Header.Set("User-Agent", "s3gate/"+versionString())
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
