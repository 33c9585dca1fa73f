package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// saveProfile lets a gate do its work again while it takes a CPU profile.
func (b *bench) saveProfile(ctx context.Context, work string, c contender) error {
	if c.gate == nil {
		return nil
	}
	if err := os.MkdirAll(b.profile, 0o755); err != nil {
		return err
	}
	name := strings.NewReplacer(" ", "-", ",", "", "/", "-").Replace(work + " " + c.name)
	path := filepath.Join(b.profile, name+".pprof")
	b.say("%s: %s: profile", work, c.name)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fetched := make(chan error, 1)
	go func() { fetched <- b.fetchProfile(ctx, c.gate.ops, path) }()
	for {
		if _, err := c.measure(ctx); err != nil {
			return err
		}
		select {
		case err := <-fetched:
			return err
		default:
		}
	}
}

// fetchProfile has it in a file when the time is over.
func (b *bench) fetchProfile(ctx context.Context, ops, path string) error {
	url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", ops, int(b.profiled.Seconds()))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", errAnswer, resp.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
