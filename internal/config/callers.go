package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"s3gate/auth"
)

// Callers returns which bearer tokens the API accepts.
func (a *API) Callers() auth.Config {
	cfg := auth.Config{Issuer: a.JWT.Issuer, Audience: a.JWT.Audience, Leeway: a.JWT.Leeway, Issuers: a.Issuers}
	for _, key := range []string{a.JWT.HS256Key, a.JWT.PreviousHS256Key} {
		if key != "" {
			cfg.Keys = append(cfg.Keys, []byte(key))
		}
	}
	return cfg
}

func (c *Config) validateCallers(bad func(name, format string, args ...any)) {
	j := &c.API.JWT
	if n := len(j.HS256Key); n < auth.MinKeyBytes && (n > 0 || len(c.API.Issuers) == 0) {
		bad("api.jwt.hs256_key", "must have at least %d bytes, got %d", auth.MinKeyBytes, n)
		return
	}
	if n := len(j.PreviousHS256Key); n > 0 && n < auth.MinKeyBytes {
		bad("api.jwt.previous_hs256_key", "must have at least %d bytes, got %d", auth.MinKeyBytes, n)
		return
	}
	if j.PreviousHS256Key != "" && j.HS256Key == "" {
		bad("api.jwt.previous_hs256_key", "needs api.jwt.hs256_key")
	}
	if j.Leeway < 0 || j.Leeway > auth.MaxLeeway {
		bad("api.jwt.leeway", "must be 0s to %s, got %s", auth.MaxLeeway, j.Leeway)
		return
	}
	if _, err := auth.New(c.API.Callers()); err != nil {
		for line := range strings.Lines(err.Error()) {
			name, problem, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			bad("api."+name, "%s", problem)
		}
	}
	for i, issuer := range c.API.Issuers {
		for r, rule := range issuer.Rules {
			aliases := append(slices.Sorted(maps.Keys(rule.Allow.Buckets)), rule.Allow.AdminBuckets...)
			for _, alias := range aliases {
				if _, ok := c.Buckets[alias]; !ok {
					bad(fmt.Sprintf("api.issuers[%d].rules[%d].allow", i, r), "%q is not an alias in buckets", alias)
				}
			}
		}
	}
}
