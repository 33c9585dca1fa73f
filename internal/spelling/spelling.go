// Package spelling finds what somebody may have meant.
package spelling

import "strings"

// longest is the length in bytes of the longest text that is compared. Nobody
// mistypes what is longer, and comparing takes the product of two lengths.
const longest = 64

// Nearest returns the name that differs least from a text, whatever its case;
// "" if none is near: of three letters one may be wrong. Nothing is near a text
// of more than 64 bytes.
func Nearest(text string, names []string) string {
	if len(text) > longest {
		return ""
	}
	best, nearest := len(text)/3+1, ""
	for _, name := range names {
		if max(len(text)-len(name), len(name)-len(text)) >= best {
			continue // so many letters are too few or too many
		}
		if d := distance(strings.ToLower(text), strings.ToLower(name)); d < best {
			best, nearest = d, name
		}
	}
	return nearest
}

// distance is the number of insertions, deletions and substitutions between
// two texts (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
