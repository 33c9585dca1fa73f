package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"s3gate/internal/config"
	"s3gate/internal/gate"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a gate with real S3 and Redis",
		Long: `Run a gate. Settings come from flags, the environment (S3GATE_…), the file that
--config names, and defaults, in this order.`,
		Args: exactly(0),
	}
	configFlags(cmd)
	ready := cmd.Flags().String("ready-file", "", "write the addresses there, as JSON, once it serves")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		return serve(cmd.Context(), cfg, newLogger(cfg.Log, cmd.ErrOrStderr()), *ready)
	}
	return cmd
}

// serve runs a gate until ctx is done.
func serve(ctx context.Context, cfg *config.Config, logger *slog.Logger, readyFile string) error {
	gate.LogRedis(logger)
	g, err := gate.Open(ctx, cfg, gate.Options{Logger: logger, Version: versionString()})
	if err != nil {
		return err
	}
	defer reopenOnHangup(ctx, g, logger)()
	g.Start()
	logger.Info("serving", "version", versionString(), "links", cfg.Links.Addr, "api", g.APIURL())
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	if err := g.Await(soon); err != nil && ctx.Err() == nil {
		logger.Warn("redis does not answer yet; links answer 503 until it does", "err", err)
	}
	cancel()
	if readyFile != "" {
		err = writeReady(readyFile, map[string]string{
			"public_url": g.PublicURL(), "api_url": g.APIURL(), "links_url": g.LinksURL(), "ops_url": g.OpsURL(),
		})
	}
	if err == nil {
		err = g.Wait(ctx)
	}
	logger.Info("stopping", "drain_timeout", cfg.DrainTimeout.String())
	if closeErr := g.Close(); err == nil {
		err = closeErr
	}
	return err
}

// reopenOnHangup has the gate reopen its audit log on SIGHUP, as logrotate and
// others ask for it, until the function is called that it returns.
func reopenOnHangup(ctx context.Context, g *gate.Gate, logger *slog.Logger) (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for {
			select {
			case <-hangup:
				if err := g.Reopen(); err != nil {
					logger.Error("reopening the audit log", "err", err)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { signal.Stop(hangup); cancel() }
}

// flagSettings are the settings that have a flag of their own.
var flagSettings = []struct{ flag, setting, usage string }{
	{"public-url", "public_url", "what links begin with, such as https://files.example.com"},
	{"links-addr", "links.addr", "host:port for links"},
	{"api-addr", "api.addr", "host:port for the API"},
	{"ops-addr", "ops.addr", "host:port for metrics"},
	{"redis-addrs", "redis.addrs", "host:port of Redis, several separated by commas"},
	{"log-level", "log.level", "debug, info, warn or error"},
}

func configFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("config", "c", os.Getenv("S3GATE_CONFIG"), "YAML file with settings")
	for _, f := range flagSettings {
		cmd.Flags().String(f.flag, "", f.usage)
	}
}

func loadConfig(cmd *cobra.Command) (*config.Config, error) {
	flags := map[string]any{}
	for _, f := range flagSettings {
		if cmd.Flags().Changed(f.flag) {
			flags[f.setting], _ = cmd.Flags().GetString(f.flag)
		}
	}
	path, _ := cmd.Flags().GetString("config")
	cfg, err := config.Load(path, os.Environ(), flags)
	if err != nil {
		return nil, usageError{fmt.Errorf("configuration:\n%w", err)}
	}
	return cfg, nil
}

func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// writeReady writes a file that is there whole or not at all, for nobody
// else to read.
func writeReady(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the ready file: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".ready-*")
	if err != nil {
		return fmt.Errorf("writing the ready file: %w", err)
	}
	_, err = temp.Write(append(raw, '\n'))
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return fmt.Errorf("writing the ready file: %w", err)
	}
	return nil
}
