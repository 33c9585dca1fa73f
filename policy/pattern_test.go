package policy_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"s3gate/policy"
)

func TestVariables(t *testing.T) {
	const who = `"Principal":"*","Action":"*",`
	for _, tt := range []struct {
		name, elements string
		key            string
		who            policy.Principal
		want           bool
	}{
		{"own folder", `"Resource":"arn:aws:s3:::media/${aws:username}/*"`, "alice/x", alice, true},
		{"another's folder", `"Resource":"arn:aws:s3:::media/${aws:username}/*"`, "alice/x", bob, false},
		{"key in any case", `"Resource":"arn:aws:s3:::media/${AWS:UserName}/*"`, "alice/x", alice, true},
		{"no value", `"Resource":"arn:aws:s3:::media/${aws:username}*"`, "x", session, false},
		{"no value beside another resource", `"Resource":["arn:aws:s3:::media/${aws:username}/*","arn:aws:s3:::media/x"]`, "x", session, true},
		{"no value excludes nothing and admits nothing", `"NotResource":"arn:aws:s3:::media/${aws:username}/*"`, "x", session, false},
		{"two variables", `"Resource":"arn:aws:s3:::media/${aws:PrincipalAccount}/${aws:userid}"`, "111122223333/AIDAALICE", alice, true},
		{"several values", `"Resource":"arn:aws:s3:::media/${s3:many}*"`, "a", alice, false},
		{"several values take no default", `"Resource":"arn:aws:s3:::media/${s3:many, 'a'}"`, "a", alice, false},
		{"values are no patterns", `"Resource":"arn:aws:s3:::media/${s3:star}"`, "anything", alice, false},
		{"values are literal", `"Resource":"arn:aws:s3:::media/${s3:star}"`, "*", alice, true},
		{"default unused", `"Resource":"arn:aws:s3:::media/${aws:username, 'guest'}/*"`, "alice/x", alice, true},
		{"default", `"Resource":"arn:aws:s3:::media/${aws:username, 'guest'}/*"`, "guest/x", session, true},
		{"default is literal", `"Resource":"arn:aws:s3:::media/${aws:username, '*'}/*"`, "guest/x", session, false},
		{"empty default", `"Resource":"arn:aws:s3:::media/${aws:username,''}x"`, "x", session, true},
		{"brace in default", `"Resource":"arn:aws:s3:::media/${aws:username,  '}' }x"`, "}x", session, true},
		{"star", `"Resource":"arn:aws:s3:::media/a${*}b"`, "a*b", alice, true},
		{"star is no wildcard", `"Resource":"arn:aws:s3:::media/a${*}b"`, "axb", alice, false},
		{"question mark", `"Resource":"arn:aws:s3:::media/a${?}b"`, "axb", alice, false},
		{"dollar", `"Resource":"arn:aws:s3:::media/${$}{aws:username}"`, "${aws:username}", alice, true},
		{"a dollar alone", `"Resource":"arn:aws:s3:::media/$1"`, "$1", alice, true},
		{"in a condition", `"Resource":"*","Condition":{"StringLike":{"s3:prefix":"${aws:username}/*"}}`, "x", alice, true},
		{"in a condition, other", `"Resource":"*","Condition":{"StringLike":{"s3:prefix":"${aws:username}/*"}}`, "x", bob, false},
		{"in equality", `"Resource":"*","Condition":{"StringEquals":{"s3:prefix":"${aws:username}${$}x${*}","s3:star":"${*}"}}`, "x", alice, false},
		{"in a negation", `"Resource":"*","Condition":{"StringNotLike":{"s3:prefix":"${aws:username}/*"}}`, "x", bob, true},
		{"in a negation, no value", `"Resource":"*","Condition":{"StringNotLike":{"s3:prefix":"${aws:username}/*"}}`, "x", session, false},
		{"in an ARN", `"Resource":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:PrincipalAccount}:user/*"}}`, "x", alice, true},
		{"an ARN", `"Resource":"*","Condition":{"ArnEquals":{"aws:PrincipalArn":"${aws:PrincipalArn}"}}`, "x", alice, true},
		{"no ARN", `"Resource":"*","Condition":{"ArnEquals":{"aws:PrincipalArn":"${aws:username}"}}`, "x", alice, false},
		{"no ARN, no value", `"Resource":"*","Condition":{"ArnEquals":{"aws:PrincipalArn":"${aws:username}"}}`, "x", session, false},
		{"in a boolean", `"Resource":"*","Condition":{"Bool":{"s3:yes":"${s3:yes}"}}`, "x", alice, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := parse(t, one(who+tt.elements))
			r := get(tt.who, bucket+"/"+tt.key)
			r.Context = policy.Context{"s3:many": {"a", "b"}, "s3:star": {"*"}, "s3:prefix": {"alice/y"}, "s3:yes": {"true"}}
			if got := d.Evaluate(r).Effect; (got == policy.Allow) != tt.want {
				t.Errorf("got %v, want match %v", got, tt.want)
			}
		})
	}
}

func TestVariablesNeedVersion(t *testing.T) {
	for _, version := range []string{`"Version":"2008-10-17",`, ``} {
		d := parse(t, `{`+version+`"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::media/${aws:username}"}}`)
		if got := d.Evaluate(get(alice, bucket+"/alice")).Effect; got != policy.None {
			t.Errorf("%s resolved a variable: %v", version, got)
		}
		if got := d.Evaluate(get(alice, bucket+"/${aws:username}")).Effect; got != policy.Allow {
			t.Errorf("%s: a variable is not taken literally: %v", version, got)
		}
	}
}

// like asks the package whether a wildcard pattern matches text.
func like(t interface{ Fatalf(string, ...any) }, pattern, text string) bool {
	quoted, err := json.Marshal(pattern)
	if err != nil {
		t.Fatalf("%v", err)
	}
	d, err := policy.Parse([]byte(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*",` +
		`"Condition":{"StringLike":{"s3:k":` + string(quoted) + `}}}}`))
	if err != nil {
		t.Fatalf("%q: %v", pattern, err)
	}
	r := get(anonymous, object)
	r.Context = policy.Context{"s3:k": {text}}
	return d.Evaluate(r).Effect == policy.Allow
}

// reference is the definition of the wildcards, too slow for use.
func reference(pattern, text []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(text) == 0
	case pattern[0] == '*':
		return reference(pattern[1:], text) || len(text) > 0 && reference(pattern, text[1:])
	default:
		return len(text) > 0 && (pattern[0] == '?' || pattern[0] == text[0]) && reference(pattern[1:], text[1:])
	}
}

func TestWildcardsLikeReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab*?é€")), 0, 10, -1).Draw(t, "pattern")
		text := rapid.StringOfN(rapid.RuneFrom([]rune("abé€*")), 0, 12, -1).Draw(t, "text")
		if got, want := like(t, pattern, text), reference([]rune(pattern), []rune(text)); got != want {
			t.Fatalf("%q like %q: got %v, want %v", text, pattern, got, want)
		}
	})
}

func TestWildcardsAreNotExponential(t *testing.T) {
	if like(t, strings.Repeat("*a", 2000)+"b", strings.Repeat("a", 4000)) {
		t.Error("matches")
	}
}

// Trying "*" again must go on by characters: by bytes, the rest of one would count as two more.
func TestWildcardsCountCharacters(t *testing.T) {
	if like(t, "*???a*", "€bac") {
		t.Error("a character of three bytes matches three times")
	}
}

func TestWildcardsAgainstInvalidUTF8(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"a?c", "a\xffc", true},
		{"*", "\xff\xfe", true},
		{"a\ufffdc", "a\xffc", false},
		{"?", "\xe2\x82", false},
	} {
		if got := like(t, tt.pattern, tt.text); got != tt.want {
			t.Errorf("%q like %q: got %v, want %v", tt.text, tt.pattern, got, tt.want)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("*", "")
	f.Add("a*b?c", "axxbyc")
	f.Add("*??", "€")
	f.Add("**a*", "\xffa")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if !utf8.ValidString(pattern) || len(pattern) > 8 || len(text) > 16 {
			t.Skip()
		}
		got := like(t, pattern, text)
		if utf8.ValidString(text) && got != reference([]rune(pattern), []rune(text)) {
			t.Errorf("%q like %q: got %v", text, pattern, got)
		}
	})
}
