package policy_test

import (
	"strings"
	"testing"

	"s3gate/policy"
)

func TestDiff(t *testing.T) {
	const before = `{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Action":["x","y"]},{"Sid":"b"}]}`
	for _, tt := range []struct{ name, old, new, want string }{
		{"both empty", "", " \n", ""},
		{"equal", before, before, ""},
		{"white space", before, strings.ReplaceAll(before, ",", " ,\n"), ""},
		{"lone statement", `{"Statement":{"Sid":"a"}}`, `{"Statement":[{"Sid":"a"}]}`, ""},
		{
			"a new neighbour", before, before[:len(before)-2] + `,{"Sid":"c"}]}`,
			"--- old\n+++ new\n@@ -12,5 +12,8 @@\n     {\n       \"Sid\": \"b\"\n     },\n+    {\n+      \"Sid\": \"c\"\n+    },\n   ],\n }\n",
		},
		{
			"a value", before, strings.Replace(before, `"y"`, `"z"`, 1),
			"--- old\n+++ new\n@@ -6,7 +6,7 @@\n       \"Effect\": \"Allow\",\n       \"Action\": [\n         \"x\",\n-        \"y\"\n+        \"z\"\n       ]\n     },\n     {\n",
		},
		{
			"two hunks", before, strings.NewReplacer("2012-10-17", "2008-10-17", `"b"`, `"B"`).Replace(before),
			"--- old\n+++ new\n@@ -1,5 +1,5 @@\n {\n-  \"Version\": \"2012-10-17\",\n+  \"Version\": \"2008-10-17\",\n   \"Statement\": [\n     {\n       \"Sid\": \"a\",\n@@ -10,7 +10,7 @@\n       ]\n     },\n     {\n-      \"Sid\": \"b\"\n+      \"Sid\": \"B\"\n     },\n   ],\n }\n",
		},
		{
			"first policy", "", `{"Statement":{}}`,
			"--- old\n+++ new\n@@ -0,0 +1,5 @@\n+{\n+  \"Statement\": [\n+    {},\n+  ],\n+}\n",
		},
		{"no policy", "x\ny\n", "x\nz", "--- old\n+++ new\n@@ -1,2 +1,2 @@\n x\n-y\n+z\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := policy.Diff([]byte(tt.old), []byte(tt.new)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// Neither deep nor long texts make Diff run away.
func TestDiffOfMonsters(t *testing.T) {
	deep := `{"Statement":[],"X":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}"
	if got := policy.Diff(nil, []byte(deep)); len(got) > 2*len(deep) {
		t.Errorf("a deep text of %d bytes became %d", len(deep), len(got))
	}
	long := func(n string) []byte {
		return []byte(`{"Statement":[],"X":[` + strings.Repeat(n+",", 20000) + n + `]}`)
	}
	if got := strings.Count(policy.Diff(long("1"), long("2")), "\n"); got < 40000 {
		t.Errorf("got %d lines, want all replaced", got)
	}
}
