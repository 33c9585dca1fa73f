package main

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func newPut() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "put FILE URL",
		Short: "Upload a file through a link",
		Long:  "Upload a file through a link. One that ends in / gets the file's name too.",
		Args:  exactly(2),
	}
	contentType := cmd.Flags().String("content-type", "", "the file's media type (default: by its name)")
	quiet := cmd.Flags().BoolP("quiet", "q", false, "no progress bar")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		file, err := os.Open(args[0])
		if err != nil {
			return usageError{err}
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return fmt.Errorf("reading %s: %w", args[0], err)
		}
		if !info.Mode().IsRegular() {
			return usagef("%s is not a regular file, so its size is not known", args[0])
		}
		media := *contentType
		if media == "" {
			media = mime.TypeByExtension(filepath.Ext(args[0]))
		}
		body, done := withProgress(cmd, *quiet, info.Size(), file)
		defer done()
		link := args[1]
		if strings.HasSuffix(link, "/") {
			link += url.PathEscape(filepath.Base(args[0]))
		}
		resp, err := uploadFile(cmd.Context(), link, media, info.Size(), body)
		if err != nil {
			return err
		}
		resp.Body.Close()
		done()
		etag := resp.Header.Get("ETag")
		result := map[string]any{"bytes": info.Size(), "etag": etag}
		if key, err := url.PathUnescape(resp.Header.Get("X-S3gate-Key")); err == nil && key != "" {
			result["key"] = key
		}
		return newPrinter(cmd).print(result, func(p *printer) {
			fmt.Fprintf(p.out, "%d bytes stored, ETag %s\n", info.Size(), etag)
		})
	}
	return cmd
}

func uploadFile(ctx context.Context, link, media string, size int64, body io.Reader) (*http.Response, error) {
	if size == 0 {
		body = http.NoBody // else net/http sends it in chunks
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, link, body)
	if err != nil {
		return nil, usagef("not a link")
	}
	req.ContentLength = size
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	// A refusal then comes before the file has been sent.
	req.Header.Set("Expect", "100-continue")
	return send(req)
}
