package config

// Guard says how gates watch over their buckets.
type Guard struct {
	// Leaks says where logs are that tell of leaks, and what is done about those.
	Leaks Leaks `koanf:"leaks"`
}
