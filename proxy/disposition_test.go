package proxy_test

import (
	"mime"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"s3gate/proxy"
	"s3gate/tokens"
)

// The header has the file name in both forms, and no name can leave its
// folder, pass for another kind of file or break the header (C2).
func TestContentDisposition(t *testing.T) {
	long := strings.Repeat("ä", 200)
	for _, test := range []struct {
		name     string
		key      string
		response tokens.Response
		want     string
	}{
		{"key", "report.txt", tokens.Response{}, `attachment; filename="report.txt"; filename*=UTF-8''report.txt`},
		{"last part of the key", "a/b/report.txt", tokens.Response{}, `attachment; filename="report.txt"; filename*=UTF-8''report.txt`},
		{"folder", "a/b/", tokens.Response{}, `attachment; filename="download"; filename*=UTF-8''download`},
		{"dots", "a/..", tokens.Response{}, `attachment; filename="download"; filename*=UTF-8''download`},
		{"spaces", "a/  ", tokens.Response{}, `attachment; filename="download"; filename*=UTF-8''download`},
		{"hidden", ".profile", tokens.Response{}, `attachment; filename=".profile"; filename*=UTF-8''.profile`},
		{"grant's name", "k", tokens.Response{Filename: "Q3 report.pdf"}, `attachment; filename="Q3 report.pdf"; filename*=UTF-8''Q3%20report.pdf`},
		{"inline", "k", tokens.Response{Disposition: tokens.Inline}, `inline; filename="k"; filename*=UTF-8''k`},
		{"not ASCII", "naïve – 漢.txt", tokens.Response{},
			`attachment; filename="na_ve _ _.txt"; filename*=UTF-8''na%C3%AFve%20%E2%80%93%20%E6%BC%A2.txt`},
		{"quotes", `a"b\c'd.txt`, tokens.Response{}, `attachment; filename="a_b_c'd.txt"; filename*=UTF-8''a%22b_c%27d.txt`},
		{"percent", "100%41.txt", tokens.Response{}, `attachment; filename="100_41.txt"; filename*=UTF-8''100%2541.txt`},
		{"parameters", `a"; filename="b`, tokens.Response{}, `attachment; filename="a_; filename=_b"; filename*=UTF-8''a%22%3B%20filename%3D%22b`},
		{"line ends", "a\r\nSet-Cookie: b", tokens.Response{}, `attachment; filename="a__Set-Cookie: b"; filename*=UTF-8''a__Set-Cookie%3A%20b`},
		{"right to left", "cod\u202egpj.exe", tokens.Response{}, `attachment; filename="codgpj.exe"; filename*=UTF-8''codgpj.exe`},
		{"no width", "a\u200b\ufeff.txt", tokens.Response{}, `attachment; filename="a.txt"; filename*=UTF-8''a.txt`},
		{"separators", "k", tokens.Response{Filename: `../..\etc/passwd`}, `attachment; filename=".._.._etc_passwd"; filename*=UTF-8''.._.._etc_passwd`},
		{"not UTF-8", "a\xff\xfeb", tokens.Response{}, `attachment; filename="a__b"; filename*=UTF-8''a__b`},
		{"too many dots", strings.Repeat(".", 254) + "0.", tokens.Response{}, `attachment; filename="download"; filename*=UTF-8''download`},
		{"long", long + ".tar.gz", tokens.Response{},
			`attachment; filename="` + strings.Repeat("_", 126) + `.gz"; filename*=UTF-8''` + strings.Repeat("%C3%A4", 126) + `.gz`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := proxy.ContentDisposition(&tokens.Grant{Key: test.key, Response: test.response})
			if got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

// Whatever the name, the header can be parsed, survives net/http unchanged,
// and holds a name that is safe to save under (C2).
func FuzzContentDisposition(f *testing.F) {
	for _, seed := range []string{"", "report.txt", "a/b", "..", `"\`, "\r\n", "\u202e", "\xff", "%41", "é;=", strings.Repeat("漢", 100) + ".jpeg",
		"a." + strings.Repeat("b", 300), strings.Repeat(".", 300), "\x00\x7f", "\u2028\u2029\ufeff", "*=UTF-8''"} {
		f.Add(seed, "")
		f.Add("k", seed)
	}
	f.Fuzz(func(t *testing.T, key, filename string) {
		value := proxy.ContentDisposition(&tokens.Grant{Key: key, Response: tokens.Response{Filename: filename}})
		kind, params, err := mime.ParseMediaType(value)
		if err != nil || kind != "attachment" || len(params) != 1 {
			t.Fatalf("%q: %q %q, %v", value, kind, params, err)
		}
		name := params["filename"]
		if name == "" || len(name) > 255 || !utf8.ValidString(name) || strings.Trim(name, ".") == "" || strings.ContainsAny(name, `/\`) {
			t.Errorf("name %q from %q", name, value)
		}
		for _, r := range name {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("name %q has %U", name, r)
			}
		}
		for _, c := range []byte(value) {
			if c < ' ' || c > '~' {
				t.Fatalf("header %q", value)
			}
		}
		_, fallback, _ := strings.Cut(value, `filename="`)
		fallback, _, _ = strings.Cut(fallback, `"`)
		if len(fallback) != utf8.RuneCountInString(name) {
			t.Errorf("%d characters became %q", utf8.RuneCountInString(name), fallback)
		}
		var b strings.Builder
		http.Header{"Content-Disposition": {value}}.Write(&b)
		if b.String() != "Content-Disposition: "+value+"\r\n" {
			t.Errorf("written as %q", b.String())
		}
	})
}
