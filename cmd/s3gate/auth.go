package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/auth"
	"s3gate/internal/duration"
)

func newAuth() *cobra.Command {
	return group("auth", "Make and explain bearer JWTs for the API", newAuthToken(), newAuthExplain())
}

func newAuthToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make an administrator's JWT with the configured key",
		Long: `Make a bearer JWT for the API, signed with the HS256 key of the configuration or
of --key-file, with the claim "s3gate": "admin".`,
		Args: exactly(0),
	}
	configFlags(cmd)
	f := cmd.Flags()
	keyFile := f.String("key-file", "", "a file with the key, instead of the configuration")
	subject := f.String("subject", "admin", "who it is for")
	life := f.String("expires-in", "12h", "how long it is good for")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ttl, err := duration.Parse(*life)
		if err != nil || ttl <= 0 {
			return usagef("--expires-in must be a duration such as 12h, got %q", *life)
		}
		caller := auth.Caller{Subject: *subject, Admin: true}
		key, audience := "", ""
		if *keyFile != "" {
			raw, err := os.ReadFile(*keyFile)
			if err != nil {
				return usageError{err}
			}
			key = strings.TrimRight(string(raw), "\r\n")
		} else {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			key, audience, caller.Issuer = cfg.API.JWT.HS256Key, cfg.API.JWT.Audience, cfg.API.JWT.Issuer
		}
		token, err := auth.Sign([]byte(key), caller, audience, ttl)
		if err != nil {
			return err
		}
		return newPrinter(cmd).print(map[string]string{"token": token}, func(p *printer) { fmt.Fprintln(p.out, token) })
	}
	return cmd
}
