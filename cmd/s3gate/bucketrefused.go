package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/guard/accesslog"
	"s3gate/internal/duration"
	"s3gate/policy"
	"s3gate/s3client"
)

// wouldRefuse are those of an access log whom a lock would have refused.
type wouldRefuse struct {
	Since time.Time `json:"since"`
	// Requests are all that the logs have, and Malformed the lines that could not
	// be read.
	Requests  int64           `json:"requests"`
	Malformed int64           `json:"malformed"`
	Callers   []guard.Refusal `json:"callers"`
}

// show tells a person.
func (r *wouldRefuse) show(w io.Writer) {
	fmt.Fprintf(w, "of %d requests in the logs, the lock would have refused since %s:\n", r.Requests, r.Since.Format(time.DateTime))
	for _, c := range r.Callers {
		fmt.Fprintf(w, "  %d × %s, signed in %s, the last at %s: %s %s from %s (%s)\n", c.Requests, plain(c.Who), c.How,
			c.Last.Format(time.DateTime), plain(c.Operation), plain(c.Key), plain(c.From), c.Sid)
	}
	if len(r.Callers) == 0 {
		fmt.Fprintln(w, "  nobody")
	}
	if r.Malformed > 0 {
		fmt.Fprintf(w, "  %d lines could not be read\n", r.Malformed)
	}
}

// refused reads the access logs of --logs.
func (l *lockFlags) refused(cmd *cobra.Command, o policy.LockOptions) (*wouldRefuse, error) {
	back, err := duration.Parse(l.since)
	if err != nil {
		return nil, usagef("--since: %w", err)
	}
	r := &wouldRefuse{Since: time.Now().Add(-back).UTC().Truncate(time.Second)}
	refusals, err := guard.NewRefusals(o, r.Since)
	if err != nil {
		return nil, err
	}
	scanner := accesslog.NewScanner(bytes.NewReader(nil))
	read := func(name string, log io.Reader) error {
		scanner.Reset(log)
		for scanner.Scan() {
			refusals.Add(scanner.Record())
		}
		if err := scanner.Err(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	if err := eachLog(cmd, l.logs, r.Since, read); err != nil {
		return nil, fmt.Errorf("reading access logs: %w", err)
	}
	r.Requests, r.Malformed, r.Callers = scanner.Stats().Lines, scanner.Stats().Malformed, refusals.List()
	return r, nil
}

// eachLog opens one log after the other: those below s3://BUCKET/PREFIX, all files
// of a folder, or one file. Logs that were last written before since are left out.
func eachLog(cmd *cobra.Command, where string, since time.Time, read func(name string, log io.Reader) error) error {
	if rest, ok := strings.CutPrefix(where, "s3://"); ok {
		name, prefix, _ := strings.Cut(rest, "/")
		bucket, _, err := openBucket(cmd, name)
		if err != nil {
			return err
		}
		defer bucket.Close()
		return eachLogObject(cmd.Context(), bucket, prefix, since, read)
	}
	return filepath.WalkDir(where, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil || path != where && info.ModTime().Before(since) {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		return read(path, file)
	})
}

func eachLogObject(ctx context.Context, bucket *s3client.Bucket, prefix string, since time.Time, read func(string, io.Reader) error) error {
	for after, more := "", true; more; {
		request := s3client.NewListRequest(s3client.ListQuery{Prefix: prefix, After: after})
		request.Query.Del("delimiter") // all levels
		resp, err := do(ctx, bucket, request)
		if err != nil {
			return err
		}
		list, err := s3client.ReadListing(resp)
		if err != nil {
			return err
		}
		more = list.More && len(list.Objects) > 0
		for _, object := range list.Objects {
			after = object.Key
			if object.LastModified.Before(since) {
				continue
			}
			resp, err := do(ctx, bucket, &s3client.Request{Method: http.MethodGet, Key: object.Key})
			if err == nil {
				err = errors.Join(read(object.Key, resp.Body), resp.Body.Close())
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// do sends a request that must be answered with 200.
func do(ctx context.Context, bucket *s3client.Bucket, r *s3client.Request) (*http.Response, error) {
	resp, err := bucket.Do(ctx, r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s %s/%s answers %s", r.Method, bucket.Name(), r.Key, resp.Status)
	}
	return resp, nil
}
