package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"s3gate/policy"
)

// own makes a small statement of ours.
func own(sid, action string) policy.Statement {
	return policy.Statement{
		Sid: sid, Effect: policy.Deny, Principal: policy.Principals{Everyone: true},
		Action: policy.Values{action}, Resource: policy.Values{"r"},
	}
}

func TestMergeText(t *testing.T) {
	const compactA = `{"Sid":"S3GateA","Effect":"Deny","Principal":"*","Action":"x","Resource":"r"}`
	const compactB = `{"Sid":"S3GateB","Effect":"Deny","Principal":"*","Action":"x","Resource":"r"}`
	a, b := own("S3GateA", "x"), own("S3GateB", "x")
	for _, tt := range []struct {
		name, existing string
		ours           []policy.Statement
		want           string
	}{
		{"no policy, nothing to add", "", nil, ""},
		{
			"no policy", " \n", []policy.Statement{a},
			`{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "S3GateA",
      "Effect": "Deny",
      "Principal": "*",
      "Action": "x",
      "Resource": "r"
    }
  ]
}`,
		},
		{"compact list", `{"Id":"p","Statement":[{"Sid":"u"}]}`, []policy.Statement{a, b}, `{"Id":"p","Statement":[{"Sid":"u"},` + compactA + `,` + compactB + `]}`},
		{"the gap of the last", `{"Statement":[{"Sid":"u"}, {"Sid":"v"}]}`, []policy.Statement{a}, `{"Statement":[{"Sid":"u"}, {"Sid":"v"}, ` + compactA + `]}`},
		{"spaced list", `{"Statement": [ {"Sid":"u"}, {"Sid":"v"} ]}`, []policy.Statement{a}, `{"Statement": [ {"Sid":"u"}, {"Sid":"v"}, ` + compactA + ` ]}`},
		{
			"list in lines", "{\n\t\"Statement\": [\n\t\t{\n\t\t\t\"Sid\": \"u\"\n\t\t}\n\t],\n\t\"Id\": 1\n}\n", []policy.Statement{a},
			"{\n\t\"Statement\": [\n\t\t{\n\t\t\t\"Sid\": \"u\"\n\t\t},\n\t\t{\n\t\t\t\"Sid\": \"S3GateA\",\n\t\t\t\"Effect\": \"Deny\",\n\t\t\t\"Principal\": \"*\",\n\t\t\t\"Action\": \"x\",\n\t\t\t\"Resource\": \"r\"\n\t\t}\n\t],\n\t\"Id\": 1\n}\n",
		},
		{
			"list with hugging brackets", "{\n    \"Statement\": [{\n        \"Sid\": \"u\"\n    }]\n}", []policy.Statement{a},
			"{\n    \"Statement\": [{\n        \"Sid\": \"u\"\n    }, {\n        \"Sid\": \"S3GateA\",\n        \"Effect\": \"Deny\",\n        \"Principal\": \"*\",\n        \"Action\": \"x\",\n        \"Resource\": \"r\"\n    }]\n}",
		},
		{"single statement", `{"Statement":{"Sid":"u"},"Id":"p"}`, []policy.Statement{a, b}, `{"Statement":[` + compactA + `,` + compactB + `,{"Sid":"u"}],"Id":"p"}`},
		{"empty list", `{"Statement":[ ]}`, []policy.Statement{a, b}, `{"Statement":[` + compactA + `,` + compactB + ` ]}`},
		{"replaced in place", `{"Statement":[{"Sid":"u"}, {"Sid":"S3GateA"} ,{"Sid":"v"}]}`, []policy.Statement{a}, `{"Statement":[{"Sid":"u"}, ` + compactA + ` ,{"Sid":"v"}]}`},
		{"the same in other words stays", `{"Statement":[{"Resource":"r","Sid":"S3GateA","Effect":"Deny", "Principal":"*","Action":"x"}]}`, []policy.Statement{a}, `{"Statement":[{"Resource":"r","Sid":"S3GateA","Effect":"Deny", "Principal":"*","Action":"x"}]}`},
		{"stale ones go", `{"Statement":[{"Sid":"S3GateOld"},{"Sid":"u"},{"Sid":"S3GateA"},{"Sid":"S3GateOlder"}]}`, []policy.Statement{a}, `{"Statement":[{"Sid":"u"},` + compactA + `]}`},
		{"new ones take the place of stale ones", `{"Statement":[{"Sid":"u"},{"Sid":"S3GateOld"},{"Sid":"v"}]}`, []policy.Statement{a, b}, `{"Statement":[{"Sid":"u"},` + compactA + `,` + compactB + `,{"Sid":"v"}]}`},
		{"one of two of the same Sid goes", `{"Statement":[{"Sid":"S3GateA"},{"Sid":"S3GateA"}]}`, []policy.Statement{a}, `{"Statement":[` + compactA + `]}`},
		{"nothing wanted any more", `{"Statement":[{"Sid":"u"},{"Sid":"S3GateA"}]}`, nil, `{"Statement":[{"Sid":"u"}]}`},
		{"nothing left", `{"Id":"p","Statement":[{"Sid":"S3GateA"}]}`, nil, ""},
		{"others' names are not ours", `{"Statement":[{"Sid":"S3GatewayEndpoint"},{"Sid":"S3Gate"}]}`, nil, `{"Statement":[{"Sid":"S3GatewayEndpoint"},{"Sid":"S3Gate"}]}`},
		{"statements we cannot read", `{"X":[1],"Statement":[{"Sid":7,"Future":{}}]}`, []policy.Statement{a}, `{"X":[1],"Statement":[{"Sid":7,"Future":{}},` + compactA + `]}`},
		{"signs that HTML escapes", `{"Statement":[]}`, []policy.Statement{own("S3GateA", "<&>")}, `{"Statement":[` + strings.Replace(compactA, `"x"`, `"<&>"`, 1) + `]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := policy.Merge([]byte(tt.existing), tt.ours)
			if err != nil || string(got) != tt.want || (got == nil) != (tt.want == "") {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, tt.want)
			}
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	a := []policy.Statement{own("S3GateA", "x")}
	big := `{"Statement":[{"Sid":"` + strings.Repeat("u", policy.MaxSize-100) + `"}]}`
	for _, tt := range []struct {
		name, existing string
		ours           []policy.Statement
		want           error
		text           string
	}{
		{"not JSON", `{"Statement":`, a, policy.ErrMalformed, "invalid JSON"},
		{"no object", `[]`, a, policy.ErrMalformed, "must be an object"},
		{"no statements", `{}`, a, policy.ErrMalformed, "Statement: missing"},
		{"statements twice", `{"Statement":[],"Statement":[]}`, a, policy.ErrMalformed, "Statement: named twice"},
		{"a string for statements", `{"Statement":"x"}`, a, policy.ErrMalformed, "Statement: must be"},
		{"a number among statements", `{"Statement":[{},1]}`, a, policy.ErrMalformed, "Statement[1]: must be an object"},
		{"too large", big, a, policy.ErrTooLarge, "20484 bytes, S3 stores at most 20480, 4 too many; 78 of them are"},
		{"a Sid we would not find again", `{"Statement":[]}`, []policy.Statement{own("Deny", "x")}, nil, `Statement[0] (Sid "Deny")`},
		{"a Sid twice", `{"Statement":[]}`, append(a, a...), nil, `Statement[1] (Sid "S3GateA")`},
		{"no effect", `{"Statement":[]}`, []policy.Statement{{Sid: "S3GateA"}}, nil, "neither Allow nor Deny"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := policy.Merge([]byte(tt.existing), tt.ours)
			if err == nil || got != nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %.40q, %v, want an error with %q", got, err, tt.text)
			}
		})
	}
}

func TestRemoveKeepsListsAndFreesLoneStatements(t *testing.T) {
	for _, tt := range []struct{ name, existing, want string }{
		{"list of one", `{"Statement":[{"Sid":"u"},{"Sid":"S3GateA"}]}`, `{"Statement":[{"Sid":"u"}]}`},
		{"lone statement", `{"Statement":[{"Sid":"S3GateA"},{"Sid":"u"}]}`, `{"Statement":{"Sid":"u"}}`},
		{"list begun by us, in lines", "{\"Statement\":[\n{\"Sid\":\"S3GateA\"},\n{\"Sid\":\"u\"}\n]}", "{\"Statement\":[\n{\"Sid\":\"u\"}\n]}"},
		{"two after us", `{"Statement":[{"Sid":"S3GateA"},{"Sid":"u"},{"Sid":"v"}]}`, `{"Statement":[{"Sid":"u"},{"Sid":"v"}]}`},
		{"a lone statement of ours", `{"Statement":{"Sid":"S3GateA"}}`, ""},
		{"none of ours", `{"Statement": {"Sid":"u"} }`, `{"Statement": {"Sid":"u"} }`},
		{"nothing at all", ``, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := policy.Remove([]byte(tt.existing))
			if err != nil || string(got) != tt.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, tt.want)
			}
		})
	}
}

// space draws white space as people and tools write it.
func space(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", " ", "\n", "\n  ", "\r\n\t", "    "}).Draw(t, "space")
}

// drawPolicy draws the text of a policy with statements of others alone, in any formatting.
func drawPolicy(t *rapid.T) string {
	statement := func() string {
		body := rapid.SampledFrom([]string{
			`{}`, `{"Sid":"a"}`, `{ "Sid" : "S3Gateway" , "Effect":"Deny"}`, "{\n\t\"Sid\": \"\\u0053\",\n\t\"Action\": [\n\t\t\"s3:*\"\n\t]\n}",
			`{"Sid":null,"Condition":{"Bool":{"x":[true,1.50,"]}"]}}}`, "{\n      \"Resource\": \"a,b\\\"{\"\n    }",
		}).Draw(t, "statement")
		return body
	}
	list := make([]string, rapid.IntRange(1, 4).Draw(t, "statements"))
	for i := range list {
		list[i] = space(t) + statement() + space(t)
	}
	value := "[" + strings.Join(list, ",") + "]"
	if rapid.Bool().Draw(t, "single") {
		value = statement()
	}
	member := func(name, value string) string {
		return space(t) + name + space(t) + ":" + space(t) + value + space(t)
	}
	members := []string{
		member(`"Version"`, `"2012-10-17"`),
		member(rapid.SampledFrom([]string{`"Statement"`, `"\u0053tatement"`}).Draw(t, "name"), value),
		member(`"Id"`, `"{[,\""`),
	}
	return space(t) + "{" + strings.Join(rapid.Permutation(members).Draw(t, "order"), ",") + "}" + space(t)
}

func drawOurs(t *rapid.T) []policy.Statement {
	sids := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"S3GateA", "S3GateB", "S3GateC", "S3GateD"}), 1, 4, rapid.ID[string]).Draw(t, "sids")
	list := make([]policy.Statement, len(sids))
	for i, sid := range sids {
		list[i] = own(sid, rapid.SampledFrom([]string{"s3:*", "s3:GetObject"}).Draw(t, "action"))
	}
	return list
}

func TestMergeAndRemoveProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		original := drawPolicy(t)
		text := []byte(original)
		for range rapid.IntRange(1, 3).Draw(t, "merges") {
			ours := drawOurs(t)
			merged, err := policy.Merge(text, ours)
			if err != nil {
				t.Fatalf("Merge: %v", err)
			}
			if again, err := policy.Merge(merged, ours); err != nil || string(again) != string(merged) {
				t.Fatalf("merging again: %v\n%q\n%q", err, merged, again)
			}
			checkOurs(t, merged, ours)
			text = merged
		}
		if got, err := policy.Remove(text); err != nil || string(got) != original {
			t.Fatalf("Remove: %v\noriginal %q\nmerged   %q\nremoved  %q", err, original, text, got)
		}
	})
}

// checkOurs reports a merged text that is no JSON or does not hold just these statements of ours.
func checkOurs(t *rapid.T, merged []byte, ours []policy.Statement) {
	var doc struct {
		Statement []struct {
			Sid    any
			Action any
		}
	}
	if err := json.Unmarshal(merged, &doc); err != nil {
		t.Fatalf("merged: %v\n%s", err, merged)
	}
	got := map[string]string{}
	for _, s := range doc.Statement {
		if sid, _ := s.Sid.(string); policy.Owned(sid) {
			got[sid] = fmt.Sprint(s.Action)
		}
	}
	want := map[string]string{}
	for _, s := range ours {
		want[s.Sid] = s.Action[0]
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("merged holds %v of ours, want %v\n%s", got, want, merged)
	}
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"Statement":{"Sid":"u"}}`))
	f.Add([]byte(`{"Statement":[{"Sid":"u"},{"Sid":"S3GateB"}],"Id":1}`))
	f.Add([]byte("{\"Statement\":[ \n]}"))
	f.Fuzz(func(t *testing.T, existing []byte) {
		ours := []policy.Statement{own("S3GateA", "s3:*"), own("S3GateB", "s3:*")}
		bare, err := policy.Remove(existing)
		if err != nil {
			return
		}
		merged, err := policy.Merge(bare, ours)
		if err != nil {
			if !errors.Is(err, policy.ErrTooLarge) {
				t.Fatalf("Merge after Remove: %v\n%q", err, bare)
			}
			return
		}
		if again, err := policy.Merge(merged, ours); err != nil || string(again) != string(merged) {
			t.Fatalf("merging again: %v\n%q\n%q", err, merged, again)
		}
		if back, err := policy.Remove(merged); err != nil || string(back) != string(bare) {
			t.Fatalf("Remove: %v\nbare    %q\nmerged  %q\nremoved %q", err, bare, merged, back)
		}
	})
}
