package gate

import (
	"fmt"

	"s3gate/internal/config"
	"s3gate/web"
)

// readLooks reads how pages look: those of links into a bucket that has a brand of
// its own, by its alias, and all others.
func readLooks(cfg *config.Config) (look web.Look, of map[string]web.Look, err error) {
	if look, err = newLook(cfg.BrandOf("")); err != nil {
		return look, nil, fmt.Errorf("brand.logo: %w", err)
	}
	of = map[string]web.Look{}
	for alias, b := range cfg.Buckets {
		if b.Brand == (config.Brand{}) {
			continue
		}
		if of[alias], err = newLook(cfg.BrandOf(alias)); err != nil {
			return look, nil, fmt.Errorf("buckets.%s.brand.logo: %w", alias, err)
		}
	}
	return look, of, nil
}

func newLook(b config.Brand) (web.Look, error) {
	logo, err := b.ReadLogo()
	return web.Look{Contact: b.Contact, Brand: web.Brand{Name: b.Name, Logo: logo, Colour: b.Colour}}, err
}
