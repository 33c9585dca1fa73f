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
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"s3gate/internal/config"
	"s3gate/internal/gate"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a gate with real S3 and Redis",
		Long: `Run a gate. Settings come from flags, the environment (S3GATE_…), the file that
--config names, and defaults, in this order.

SIGHUP makes it read them again, and its certificates: what can change without a
restart counts from then on, and the log says what has changed and what has not.
If anything is wrong everything stays as it was.

SIGTERM makes /readyz fail, after drain_delay closes the ports, and lets transfers
finish for drain_timeout; a second one ends everything at once. Sockets that systemd
or anybody else has opened (LISTEN_FDS) are taken by their names: links, api, ops.`,
		Args: exactly(0),
	}
	configFlags(cmd)
	ready := cmd.Flags().String("ready-file", "", "write the addresses there, as JSON, once it serves")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		logger, level := newLogger(cfg.Log, cmd.ErrOrStderr())
		return serve(cmd.Context(), cfg, gate.Options{Logger: logger, Level: level, Version: versionString()}, *ready,
			func() (*config.Config, error) { cfg, _, err := readConfig(cmd); return cfg, err })
	}
	return cmd
}

// serve runs a gate until ctx is done. Its settings are read again by reload.
func serve(ctx context.Context, cfg *config.Config, opts gate.Options, readyFile string, reload func() (*config.Config, error)) error {
	logger := opts.Logger
	gate.LogRedis(logger)
	alive, end := context.WithCancel(context.WithoutCancel(ctx)) // also while it drains
	defer end()
	hangups := make(chan os.Signal, 1)
	if signals := reloadSignals(); len(signals) > 0 { // none would mean all
		signal.Notify(hangups, signals...)
		defer signal.Stop(hangups)
	}
	var err error
	if opts.Sockets, err = inherited(); err != nil {
		return err
	}
	g, err := gate.Open(ctx, cfg, opts)
	if err != nil {
		return err
	}
	g.Start()
	go reloadAt(ctx, hangups, g, logger, reload)
	logger.Info("serving", "version", versionString(), "links", g.LinksURL(), "api", g.APIURL())
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
		notify(logger, daemon.SdNotifyReady)
		go keepAlive(alive, logger)
		err = g.Wait(ctx)
	}
	notify(logger, daemon.SdNotifyStopping)
	logger.Info("stopping", "drain_delay", cfg.DrainDelay.String(), "drain_timeout", cfg.DrainTimeout.String())
	if closeErr := g.Close(); err == nil {
		err = closeErr
	}
	return err
}

// reloadAt reloads the settings of a gate at each signal, and goes on with an audit
// log that somebody has renamed, until ctx is done.
func reloadAt(ctx context.Context, hangups <-chan os.Signal, g *gate.Gate, logger *slog.Logger, load func() (*config.Config, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			reloading(logger)
			_ = g.Reload(load) // it logs why not
			_ = g.Reopen()     // likewise
			notify(logger, daemon.SdNotifyReady)
		}
	}
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

// configFlags adds the flags that [readConfig] reads.
func configFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("config", "c", os.Getenv("S3GATE_CONFIG"), "YAML file with settings")
	for _, f := range flagSettings {
		cmd.Flags().String(f.flag, "", f.usage)
	}
	choices(cmd, "log-level", "debug", "info", "warn", "error")
}

// configOf returns the file and the settings that the command line names.
func configOf(cmd *cobra.Command) (path string, flags map[string]any) {
	flags = map[string]any{}
	for _, f := range flagSettings {
		if cmd.Flags().Changed(f.flag) {
			flags[f.setting], _ = cmd.Flags().GetString(f.flag)
		}
	}
	path, _ = cmd.Flags().GetString("config")
	return path, flags
}

// readConfig reads the settings that the command line, the environment and the
// file give.
func readConfig(cmd *cobra.Command) (*config.Config, config.Sources, error) {
	path, flags := configOf(cmd)
	return config.Read(path, os.Environ(), flags)
}

func wrongSettings(err error) error { return usageError{fmt.Errorf("configuration:\n%w", err)} }

func loadConfig(cmd *cobra.Command) (*config.Config, error) {
	cfg, _, err := readConfig(cmd)
	if err != nil {
		return nil, wrongSettings(err)
	}
	return cfg, nil
}

// newLogger returns a logger and what changes its level.
func newLogger(cfg config.Log, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	_ = level.UnmarshalText([]byte(cfg.Level)) // it was validated
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" {
		return slog.New(slog.NewTextHandler(w, opts)), level
	}
	return slog.New(slog.NewJSONHandler(w, opts)), level
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
