package spelling_test

import (
	"testing"

	"s3gate/internal/spelling"
)

func TestNearest(t *testing.T) {
	names := []string{"max_uses", "max_concurrent", "key", "prefix", "größe"}
	for text, want := range map[string]string{
		"max_uses": "max_uses", "max_use": "max_uses", "maxuses": "max_uses", "MaxUses": "max_uses", "max_concurent": "max_concurrent",
		"kye": "", "keys": "key", "ky": "", "prefixes": "prefix", "colour": "", "": "", "grösse": "größe",
	} {
		if got := spelling.Nearest(text, names); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := spelling.Nearest("key", nil); got != "" {
		t.Errorf("of no names: %q", got)
	}
}
