package tokens_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"s3gate/tokens"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var form = regexp.MustCompile(`^s3g_[0-9A-Za-z]{28}$`)

// golden tokens and their IDs were computed by a program in another language.
var golden = []struct{ name, token, id string }{
	{"digits and letters", "s3g_0123456789ABCDEFGHIJKL2Jly3b", "tok_6z5ymzxgxzuch4v4utwuykds5q"},
	{"all zero", "s3g_00000000000000000000003kFFLx", "tok_r543cciqrldt5j5ignvbujrdg4"},
	{"all z", "s3g_zzzzzzzzzzzzzzzzzzzzzz2dTiOe", "tok_vt7uzrfzwic7q6pkpibn4ajukm"},
	{"mixed", "s3g_aZ09bY18cX27dW36eV45fU2qd7Ov", "tok_jy2kmldcesifzatlmyux7ic6ce"},
}

func TestTokensAndIDsKeepTheirForm(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.name, func(t *testing.T) {
			token, err := tokens.Parse(tt.token)
			if err != nil {
				t.Fatal(err)
			}
			if got := token.Reveal(); got != tt.token {
				t.Errorf("Reveal() = %q, want %q", got, tt.token)
			}
			if got := token.ID(); string(got) != tt.id {
				t.Errorf("ID() = %q, want %q", got, tt.id)
			}
			if id, err := tokens.ParseID(tt.id); string(id) != tt.id || err != nil {
				t.Errorf("ParseID(%q) = %q, %v", tt.id, id, err)
			}
		})
	}
}

func TestGenerateGivesDistinctTokensOfTheForm(t *testing.T) {
	const n = 2000
	seen := map[tokens.ID]bool{}
	count := map[rune]int{}
	for range n {
		token := tokens.Generate()
		text := token.Reveal()
		if !form.MatchString(text) {
			t.Fatalf("%q is not of the form %s", text, form)
		}
		parsed, err := tokens.Parse(text)
		if err != nil || parsed.ID() != token.ID() {
			t.Fatalf("Parse(%q): %v", text, err)
		}
		if seen[token.ID()] {
			t.Fatalf("%q came twice", text)
		}
		seen[token.ID()] = true
		for _, c := range text[4:26] {
			count[c]++
		}
	}
	// 44,000 characters over an alphabet of 62: about 710 of each, standard
	// deviation 26. A biased modulo would give some of them a quarter more.
	if len(count) != 62 {
		t.Errorf("%d different characters, want 62", len(count))
	}
	const expected = n * 22 / 62.0
	for c, got := range count {
		if float64(got) < expected*0.8 || float64(got) > expected*1.2 {
			t.Errorf("character %q came %d times, expected about %.0f", c, got, expected)
		}
	}
}

func TestParseRefusesEveryChangeOfOneCharacter(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-. \x00\xff"
	for _, tt := range golden {
		for i := range len(tt.token) {
			for _, c := range []byte(alphabet) {
				if tt.token[i] == c {
					continue
				}
				changed := tt.token[:i] + string([]byte{c}) + tt.token[i+1:]
				if _, err := tokens.Parse(changed); !errors.Is(err, tokens.ErrMalformed) {
					t.Fatalf("Parse(%q) = %v, want ErrMalformed", changed, err)
				}
			}
		}
	}
}

// malformed texts are what strangers may put where a token belongs.
var malformed = []struct{ name, text string }{
	{"empty", ""},
	{"prefix only", "s3g_"},
	{"one short", golden[0].token[:31]},
	{"one long", golden[0].token + "0"},
	{"upper-case prefix", "S3G_" + golden[0].token[4:]},
	{"other prefix", "s3h_" + golden[0].token[4:]},
	{"space before", " " + golden[0].token[:31]},
	{"newline after", golden[0].token[:31] + "\n"},
	{"escaped", "%73" + golden[0].token[1:]},
	{"full-width digit", "s3g_０23456789ABCDEFGHIJKL2Jly3b"[:32]},
	{"mebibyte", "s3g_" + strings.Repeat("0", 1<<20)},
	{"mebibyte of noise", strings.Repeat("\xff", 1<<20)},
}

// A text that is no token is refused whatever it is (T15).
func TestParseRefusesWhatIsNoToken(t *testing.T) {
	for _, tt := range malformed {
		t.Run(tt.name, func(t *testing.T) {
			token, err := tokens.Parse(tt.text)
			if !errors.Is(err, tokens.ErrMalformed) || !token.IsZero() {
				t.Errorf("got %v, want ErrMalformed and the zero token", err)
			}
			if len(tt.text) > 8 && strings.Contains(err.Error(), tt.text) {
				t.Error("the error repeats the text")
			}
			if allocs := testing.AllocsPerRun(10, func() { tokens.Parse(tt.text) }); allocs > 1 {
				t.Errorf("%v allocations, want at most 1", allocs)
			}
		})
	}
}

func TestParseIDRefusesWhatIsNoID(t *testing.T) {
	good := golden[0].id
	tests := []struct{ name, text string }{
		{"empty", ""},
		{"prefix only", "tok_"},
		{"no prefix", good[4:]},
		{"a token", golden[0].token},
		{"one short", good[:len(good)-1]},
		{"one long", good + "a"},
		{"upper case", strings.ToUpper(good)},
		{"padding", good + "======"},
		{"newline inside", good[:10] + "\n" + good[10:]},
		{"not canonical", good[:len(good)-1] + "r"},
		{"hash tag", "tok_{}" + good[6:]},
		{"glob", "tok_*"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if id, err := tokens.ParseID(tt.text); !errors.Is(err, tokens.ErrMalformed) || id != "" {
				t.Errorf("ParseID(%q) = %q, %v; want ErrMalformed", tt.text, id, err)
			}
		})
	}
}

// No way of printing a token gives it out (T14).
func TestTokenRedactsItself(t *testing.T) {
	secret := golden[3].token
	token, err := tokens.Parse(secret)
	if err != nil {
		t.Fatal(err)
	}
	type exported struct{ T tokens.Token }
	type hidden struct{ t tokens.Token }
	holders := map[string]any{
		"value": token, "pointer": &token, "slice": []tokens.Token{token}, "map": map[string]tokens.Token{"k": token},
		"field": exported{token}, "unexported field": hidden{token}, "pointer to unexported field": &hidden{token},
		"any": []any{hidden{token}}, "error": fmt.Errorf("with %v and %d", token, token),
	}
	for name, holder := range holders {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
			if got := fmt.Sprintf(verb, holder); leaks(got, secret) {
				t.Errorf("%s of %s leaks: %s", verb, name, got)
			}
		}
		if got, _ := json.Marshal(holder); leaks(string(got), secret) {
			t.Errorf("json of %s leaks: %s", name, got)
		}
		var out bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(handler).Info("m", "holder", holder)
		}
		if leaks(out.String(), secret) {
			t.Errorf("slog of %s leaks: %s", name, out.String())
		}
	}
}

// leaks looks for the secret and for its hexadecimal form.
func leaks(text, secret string) bool {
	random := secret[4:26]
	return strings.Contains(text, random) ||
		strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", random))
}

func TestTokenPrintsAsPlaceholderAndLogsAsID(t *testing.T) {
	token, _ := tokens.Parse(golden[0].token)
	const placeholder = "s3g_[redacted]"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if got := fmt.Sprintf(verb, token); got != placeholder {
			t.Errorf("%s prints %q, want %q", verb, got, placeholder)
		}
	}
	if got := token.String(); got != placeholder {
		t.Errorf("String() = %q, want %q", got, placeholder)
	}
	if got, err := json.Marshal(map[string]tokens.Token{"t": token}); string(got) != `{"t":"s3g_[redacted]"}` {
		t.Errorf("json %s, %v", got, err)
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "token", token, "none", tokens.Token{})
	var line struct{ Token, None string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Token != golden[0].id || line.None != placeholder {
		t.Errorf("logged %+v, want the ID, and the placeholder for no token", line)
	}
}

func TestZeroTokenIsInvalid(t *testing.T) {
	var zero tokens.Token
	if !zero.IsZero() || zero.Reveal() != "" {
		t.Errorf("IsZero %v, Reveal %q", zero.IsZero(), zero.Reveal())
	}
	if tokens.Generate().IsZero() {
		t.Error("a generated token is zero")
	}
	if _, err := tokens.ParseID(string(zero.ID())); err != nil {
		t.Errorf("its ID is not of the form: %v", err)
	}
}

// FuzzParse: only the canonical form is accepted, and the regular expression
// for secret scanners finds all that is (T15).
func FuzzParse(f *testing.F) {
	for _, tt := range golden {
		f.Add(tt.token)
	}
	for _, tt := range malformed {
		if len(tt.text) < 1<<10 {
			f.Add(tt.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := tokens.Parse(text)
		if err != nil {
			if !errors.Is(err, tokens.ErrMalformed) || !token.IsZero() {
				t.Errorf("Parse(%q) = %v, want ErrMalformed and the zero token", text, err)
			}
			return
		}
		if !form.MatchString(text) || token.Reveal() != text {
			t.Errorf("Parse accepts %q", text)
		}
		if id, err := tokens.ParseID(string(token.ID())); err != nil || id != token.ID() {
			t.Errorf("ID %q of %q is not canonical: %v", id, text, err)
		}
	})
}

// The package imports no other package of this module but small ones that
// know nothing of it.
func TestImportsNoSibling(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := file.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(bytes.ReplaceAll(src, []byte(`"s3gate/internal/`), nil), []byte(`"s3gate/`)) {
				t.Errorf("%s imports a sibling", name)
			}
		}
	}
}
