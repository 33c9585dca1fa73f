package spelling_test

import (
	"strings"
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
	for n, want := range map[int]bool{64: true, 65: false} {
		text := strings.Repeat("x", n)
		if got := spelling.Nearest(text, []string{text[1:]}); (got != "") != want {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
	if got := spelling.Nearest("key", nil); got != "" {
		t.Errorf("of no names: %q", got)
	}
}

// A name that is much longer or shorter is not compared.
func TestNearestOfOtherLengths(t *testing.T) {
	names := []string{"max_concurrent_and_what_else_there_is"}
	if n := testing.AllocsPerRun(10, func() { spelling.Nearest("key", names) }); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
