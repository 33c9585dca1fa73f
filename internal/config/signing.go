package config

func (b *Bucket) validateSigning(name string, bad func(name, format string, args ...any)) {
	switch b.Signing {
	case "", "header", "query":
	default:
		bad(name+".signing", "must be header or query, got %q", b.Signing)
	}
}
