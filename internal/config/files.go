package config

import (
	"crypto/tls"
	"os"
	"path/filepath"
)

// Check reads settings as [Load] does, and the files that they name, and returns
// everything that is wrong.
func Check(path string, environ []string, flags map[string]any) (*Config, []*Problem) {
	c, sources, err := Read(path, environ, flags)
	if err != nil {
		return c, Problems(err)
	}
	found := c.checkFiles()
	for _, p := range found {
		p.Where = sources.near(p.Setting)
	}
	return c, found
}

func (c *Config) checkFiles() (found problems) {
	for _, l := range []struct {
		name string
		*Listener
	}{{"links", &c.Links}, {"api", &c.API.Listener}} {
		if l.Cert == "" {
			continue
		}
		if _, err := tls.LoadX509KeyPair(l.Cert, l.Key); err != nil {
			found.add(l.name+".cert", "%v", err)
		}
	}
	c.checkAuthorities(&found)
	if _, err := c.Brand.ReadLogo(); err != nil {
		found.add("brand.logo", "%v", err)
	}
	for alias, b := range c.Buckets {
		if _, err := b.Brand.ReadLogo(); err != nil {
			found.add("buckets."+alias+".brand.logo", "%v", err)
		}
	}
	if f := c.Audit.File; f != "" && f != "-" {
		if err := writable(f); err != nil {
			found.add("audit.file", "%v", err)
		}
	}
	return found
}

// writable tells why a file cannot be appended to. It makes none.
func writable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if os.IsNotExist(err) {
		_, err = os.Stat(filepath.Dir(path))
		return err
	}
	if err != nil {
		return err
	}
	return f.Close()
}
