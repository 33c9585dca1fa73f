package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"s3gate/internal/config"
	"s3gate/internal/gate"
)

func newConfig() *cobra.Command {
	return group("config", "Check and print the settings of a gate", newConfigCheck(), newConfigPrint())
}

func newConfigCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say everything that is wrong with the settings (exit code 1 if anything is)",
		Long: `Read the settings as "serve" would, and the files that they name, and print a line
for each thing that is wrong, with the line of the file, the variable or the flag
in which it stands. With --online also ask Redis (PING) and each bucket (for an
object that is not there).`,
		Args: exactly(0),
	}
	configFlags(cmd)
	online := cmd.Flags().Bool("online", false, "also try Redis and each bucket")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		path, flags := configOf(cmd)
		cfg, found := config.Check(path, os.Environ(), flags)
		if *online && len(found) == 0 {
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
			defer cancel()
			found = gate.Try(ctx, cfg, "s3gate/"+versionString(), slog.New(slog.DiscardHandler))
		}
		p := newPrinter(cmd)
		for _, problem := range found {
			if err := p.print(problem, func(p *printer) { fmt.Fprintln(p.out, problem) }); err != nil {
				return err
			}
		}
		if len(found) > 0 {
			return errSaid
		}
		p.say("the settings are in order")
		return nil
	}
	return cmd
}

func newConfigPrint() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the settings that count, and where each comes from",
		Long: `Print the settings as "serve" would use them, as YAML, with where each comes from
behind it: flag, env, file or default. Secrets are ` + config.Hidden + `. With --json one object
for each setting. --defaults prints what holds where nothing is said, and reads
nothing.`,
		Args: exactly(0),
	}
	configFlags(cmd)
	defaults := cmd.Flags().Bool("defaults", false, "print the defaults alone")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *defaults {
			return printSettings(newPrinter(cmd), config.Default(), nil)
		}
		cfg, sources, err := readConfig(cmd)
		if err != nil {
			return wrongSettings(err)
		}
		return printSettings(newPrinter(cmd), cfg, sources)
	}
	return cmd
}

// sourced is a setting as JSON.
type sourced struct {
	config.Setting
	Source string `json:"source"`
}

// printSettings prints settings with where they come from; nil leaves that out of
// YAML.
func printSettings(p *printer, cfg *config.Config, sources config.Sources) error {
	if !p.json {
		comment := func(s config.Setting) string { return sources.Of(s.Name).String() }
		if sources == nil {
			comment = nil
		}
		return config.WriteYAML(p.out, cfg.Settings(), comment)
	}
	for _, s := range cfg.Settings() {
		if err := p.print(sourced{s, sources.Of(s.Name).String()}, nil); err != nil {
			return err
		}
	}
	return nil
}
