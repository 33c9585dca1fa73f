package revocation_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"s3gate/revocation"
	"s3gate/tokens"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// covered is a grant that every rule of covering covers.
func covered() *tokens.Grant {
	return &tokens.Grant{
		ID: tokens.Generate().ID(), Operation: tokens.Get, Bucket: "docs", Key: "reports/2026/q3.pdf",
		Subject: "ada", Issuer: "https://id.example", Labels: map[string]string{"case": "4711", "team": "legal"},
		IssuedAt: noon, RevGen: 1, RevSeq: 5,
	}
}

func TestRuleCovers(t *testing.T) {
	g := covered()
	later := revocation.Position{Gen: 1, Seq: 6}
	tests := []struct {
		name string
		rule revocation.Rule
		want bool
	}{
		{"nothing", revocation.Rule{}, false},
		{"token", revocation.Rule{Token: g.ID}, true},
		{"another token", revocation.Rule{Token: tokens.Generate().ID()}, false},
		{"subject", revocation.Rule{Subject: "ada"}, true},
		{"another subject", revocation.Rule{Subject: "bob"}, false},
		{"issuer", revocation.Rule{Issuer: "https://id.example"}, true},
		{"label", revocation.Rule{Labels: map[string]string{"case": "4711"}}, true},
		{"both labels", revocation.Rule{Labels: map[string]string{"case": "4711", "team": "legal"}}, true},
		{"another value", revocation.Rule{Labels: map[string]string{"case": "4712"}}, false},
		{"one label too many", revocation.Rule{Labels: map[string]string{"case": "4711", "page": ""}}, false},
		{"bucket", revocation.Rule{Bucket: "docs"}, true},
		{"another bucket", revocation.Rule{Bucket: "doc"}, false},
		{"prefix", revocation.Rule{Bucket: "docs", Prefix: "reports/2026/"}, true},
		{"the key as prefix", revocation.Rule{Bucket: "docs", Prefix: "reports/2026/q3.pdf"}, true},
		{"more than the key", revocation.Rule{Bucket: "docs", Prefix: "reports/2026/q3.pdf/"}, false},
		{"prefix of another bucket", revocation.Rule{Bucket: "other", Prefix: "reports/"}, false},
		{"issued before", revocation.Rule{IssuedBefore: noon.Add(time.Millisecond)}, true},
		{"issued at that moment", revocation.Rule{IssuedBefore: noon}, false},
		{"all", revocation.Rule{All: true}, true},
		{"and", revocation.Rule{Subject: "ada", Bucket: "docs", IssuedBefore: noon.Add(time.Hour)}, true},
		{"and, one does not match", revocation.Rule{Subject: "ada", Bucket: "docs", Issuer: "other"}, false},
	}
	for _, tt := range tests {
		tt.rule.ID, tt.rule.Version, tt.rule.Position = "rev_1", 1, later
		if got := tt.rule.Covers(g); got != tt.want {
			t.Errorf("%s: covers %v, want %v", tt.name, got, tt.want)
		}
		set := revocation.NewRules([]*revocation.Rule{&tt.rule})
		if got := set.Covers(g) != nil; got != tt.want {
			t.Errorf("%s: the set covers %v, want %v", tt.name, got, tt.want)
		}
		lifted := tt.rule
		lifted.Version, lifted.LiftedAt = 2, noon
		if lifted.Covers(g) || set.With(&lifted).Covers(g) != nil {
			t.Errorf("%s: covers also when it was lifted", tt.name)
		}
		if set.With(&lifted).With(&tt.rule).Covers(g) != nil {
			t.Errorf("%s: an old version brings it back", tt.name)
		}
	}
}

// A rule covers what was minted before it; a standing one also what comes
// later, and forbids to mint it.
func TestRuleCoversByPosition(t *testing.T) {
	g := covered()
	for _, tt := range []struct {
		at   revocation.Position
		want bool
	}{
		{revocation.Position{Gen: 1, Seq: 4}, false},
		{revocation.Position{Gen: 1, Seq: 5}, false},
		{revocation.Position{Gen: 1, Seq: 6}, true},
		{revocation.Position{Gen: 2, Seq: 1}, true},
		{revocation.Position{Gen: 0, Seq: 9}, false},
	} {
		r := revocation.Rule{ID: "rev_1", Version: 1, Subject: "ada", Position: tt.at}
		if r.Covers(g) != tt.want || r.Refuses(g) {
			t.Errorf("at %v: covers %v, refuses %v; want %v, false", tt.at, r.Covers(g), r.Refuses(g), tt.want)
		}
		r.Standing = true
		if !r.Covers(g) || !r.Refuses(g) {
			t.Errorf("standing at %v: covers %v, refuses %v", tt.at, r.Covers(g), r.Refuses(g))
		}
	}
}

// A rule for a prefix covers a token for a folder if the two have a key in
// common.
func TestRuleCoversFolders(t *testing.T) {
	for _, tt := range []struct {
		grant, rule string
		want        bool
	}{
		{"reports/", "reports/", true}, {"reports/", "reports/2026/", true}, {"reports/2026/", "reports/", true},
		{"reports/", "report", true}, {"reports/", "other/", false}, {"reports/2026/", "reports/2025/", false}, {"reports/", "", true},
	} {
		g := covered()
		g.Key, g.Prefix = "", tt.grant
		r := &revocation.Rule{ID: "rev_1", Version: 1, Bucket: "docs", Prefix: tt.rule, Standing: true}
		// Rules whose prefixes stand around it in order.
		others := []*revocation.Rule{r}
		for i, p := range []string{"a", "reports", "reports.", "reports0", "z"} {
			others = append(others, &revocation.Rule{ID: fmt.Sprint("rev_x", i), Version: 1, Bucket: "docs", Prefix: p, Subject: "", Standing: true,
				IssuedBefore: noon.Add(-time.Hour)})
		}
		if got := revocation.NewRules(others).Covers(g) != nil; got != tt.want || r.Covers(g) != tt.want {
			t.Errorf("a rule for %q covers a grant for %q: %v, want %v", tt.rule, tt.grant, got, tt.want)
		}
	}
}

// The compiled set and a look at every rule agree.
func TestRulesAgreeWithEachRule(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "a", "b", "ab", "a/", "a/b", "b/"})
	labels := rapid.MapOfN(rapid.SampledFrom([]string{"x", "y"}), rapid.SampledFrom([]string{"1", "2"}), 0, 2)
	ids := []tokens.ID{"", tokens.Generate().ID(), tokens.Generate().ID()}
	rapid.Check(t, func(t *rapid.T) {
		var rules []*revocation.Rule
		for i := range rapid.IntRange(0, 12).Draw(t, "rules") {
			r := &revocation.Rule{
				ID: fmt.Sprint("rev_", i), Version: 1, Token: rapid.SampledFrom(ids).Draw(t, "token"),
				Subject: word.Draw(t, "subject"), Issuer: word.Draw(t, "issuer"), Bucket: word.Draw(t, "bucket"), Prefix: word.Draw(t, "prefix"),
				Labels: labels.Draw(t, "labels"), All: rapid.Bool().Draw(t, "all"), Standing: rapid.Bool().Draw(t, "standing"),
				Position: revocation.Position{Gen: 1, Seq: rapid.Int64Range(1, 9).Draw(t, "at")},
			}
			if rapid.Bool().Draw(t, "lifted") {
				r.LiftedAt = noon
			}
			rules = append(rules, r)
		}
		g := &tokens.Grant{
			ID: rapid.SampledFrom(ids[1:]).Draw(t, "id"), Subject: word.Draw(t, "g.subject"), Issuer: word.Draw(t, "g.issuer"),
			Bucket: word.Draw(t, "g.bucket"), Labels: labels.Draw(t, "g.labels"), RevGen: 1, RevSeq: rapid.Int64Range(0, 9).Draw(t, "g.at"),
		}
		if rapid.Bool().Draw(t, "folder") {
			g.Prefix = word.Draw(t, "g.prefix")
		} else {
			g.Key = word.Draw(t, "g.key")
		}
		covers, refuses := false, false
		for _, r := range rules {
			covers = covers || r.Covers(g)
			refuses = refuses || r.Refuses(g)
		}
		set := revocation.NewRules(rules)
		if (set.Covers(g) != nil) != covers || (set.Refuses(g) != nil) != refuses {
			t.Fatalf("the set covers %v and refuses %v, want %v and %v", set.Covers(g), set.Refuses(g), covers, refuses)
		}
	})
}

func TestRuleValidate(t *testing.T) {
	long := strings.Repeat("x", 1025)
	for _, tt := range []struct {
		name string
		rule revocation.Rule
		want string // the field; "" if it is valid
	}{
		{"token", revocation.Rule{Token: tokens.Generate().ID()}, ""},
		{"all", revocation.Rule{All: true, Standing: true, Reason: "incident"}, ""},
		{"everything", revocation.Rule{Subject: "a", Issuer: "b", Labels: map[string]string{"c": ""}, Bucket: "d", Prefix: "e\n", IssuedBefore: noon}, ""},
		{"nothing", revocation.Rule{Reason: "why"}, "all"},
		{"all and more", revocation.Rule{All: true, Subject: "a"}, "all"},
		{"prefix alone", revocation.Rule{Prefix: "a"}, "prefix"},
		{"prefix of no bucket", revocation.Rule{Prefix: "a", Subject: "b"}, "prefix"},
		{"no token", revocation.Rule{Token: "tok_x"}, "token"},
		{"long subject", revocation.Rule{Subject: long}, "subject"},
		{"subject with a line end", revocation.Rule{Subject: "a\nb"}, "subject"},
		{"not UTF-8", revocation.Rule{Subject: "\xff"}, "subject"},
		{"long reason", revocation.Rule{All: true, Reason: long}, "reason"},
		{"before the beginning", revocation.Rule{IssuedBefore: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)}, "issued_before"},
	} {
		err := tt.rule.Validate()
		var field *tokens.FieldError
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (!errors.Is(err, revocation.ErrRule) || !errors.As(err, &field) || field.Field != tt.want):
			t.Errorf("%s: %v, want an error of %s", tt.name, err, tt.want)
		}
	}
}

// BenchmarkRules is one look-up that finds nothing, among no rules, some and many.
func BenchmarkRules(b *testing.B) {
	for _, n := range []int{0, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var rules []*revocation.Rule
			for i := range n {
				r := &revocation.Rule{ID: fmt.Sprint("rev_", i), Version: 1, Standing: true}
				switch i % 4 {
				case 0:
					r.Token = tokens.Generate().ID()
				case 1:
					r.Subject = fmt.Sprint("somebody", i)
				case 2:
					r.Bucket, r.Prefix = "docs", fmt.Sprintf("reports/n%d/", i)
				case 3:
					r.Labels = map[string]string{"number": fmt.Sprint(i)}
				}
				rules = append(rules, r)
			}
			set, g := revocation.NewRules(rules), covered()
			b.ReportAllocs()
			for b.Loop() {
				if set.Covers(g) != nil {
					b.Fatal("covered")
				}
			}
		})
	}
}
