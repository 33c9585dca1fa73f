package config

import (
	"s3gate/internal/certs"
)

// checkAuthorities tries the files of those whom others are verified with, and
// where certificates are to be kept.
func (c *Config) checkAuthorities(found *problems) {
	for name, path := range map[string]string{"api.client_ca": c.API.ClientCA, "acme.ca": c.ACME.CA} {
		if path == "" {
			continue
		}
		if _, err := certs.OpenAuthorities(path); err != nil {
			found.add(name, "%s: %v", path, err)
		}
	}
	if c.ACME.Storage != "" {
		if err := certs.Storable(c.ACME.Storage); err != nil {
			found.add("acme.storage", "%v", err)
		}
	}
}
