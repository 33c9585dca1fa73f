package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"s3gate/api"
)

func TestMintRefusesBadFields(t *testing.T) {
	long := strings.Repeat("x", 256)
	many := func(n int, form string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(form, i))
		}
		return strings.Join(all, ", ")
	}
	tests := []struct {
		name, body string
		field      string
		words      string // in the detail
	}{
		{"no operation", `{"bucket": "docs", "key": "k"}`, "operation", `must be "get" or "put"`},
		{"operation in capitals", `{"operation": "GET", "bucket": "docs", "key": "k"}`, "operation", `got "GET"`},
		{"operation that S3 has", `{"operation": "delete", "bucket": "docs", "key": "k"}`, "operation", `got "delete"`},
		{"operation of another type", `{"operation": true, "bucket": "docs", "key": "k"}`, "operation", "must be a string"},
		{"no bucket", `{"operation": "get", "key": "k"}`, "bucket", "is required"},
		{"no key", `{"operation": "get", "bucket": "docs"}`, "key", "is required"},
		{"key null", `{"operation": "get", "bucket": "docs", "key": null}`, "key", "is required"},
		{"key of another type", `{"operation": "get", "bucket": "docs", "key": ["k"]}`, "key", "must be a string, got a JSON array"},
		{"key of 1025 bytes", `{"operation": "get", "bucket": "docs", "key": "` + strings.Repeat("k", 1025) + `"}`, "key", "1025 bytes long, at most 1024"},
		{"key of 513 wide characters", `{"operation": "get", "bucket": "docs", "key": "` + strings.Repeat("é", 513) + `"}`, "key", "1026 bytes long"},
		{"NUL in the key", `{"operation": "get", "bucket": "docs", "key": "a\u0000b"}`, "key", "NUL"},

		{"key and template", put(`"upload": {"key_template": "in/{uuid}"}`), "upload.key_template", "exclude each other"},
		{"template without a folder", `{"operation": "put", "bucket": "inbox", "upload": {"key_template": "{uuid}"}}`, "upload.key_template", "must begin with a folder"},
		{"template of another prefix", `{"operation": "put", "bucket": "inbox", "prefix": "in/", "upload": {"key_template": "out/{uuid}"}}`, "upload.key_template", `must begin with prefix, "in/"`},
		{"unknown placeholder", `{"operation": "put", "bucket": "inbox", "upload": {"key_template": "in/{ip}/{uuid}"}}`, "upload.key_template", "{date}, {uuid} and {filename}"},
		{"key revealed to whom it was given", put(`"upload": {"reveal_key": true}`), "upload.reveal_key", "only"},

		{"max_uses negative", get(`"max_uses": -1`), "max_uses", "must be 0 to 1000000, got -1"},
		{"max_uses too large", get(`"max_uses": 1000001`), "max_uses", "got 1000001"},
		{"max_uses a fraction", get(`"max_uses": 1.5`), "max_uses", "must be a whole number"},
		{"max_uses text", get(`"max_uses": "1"`), "max_uses", "must be a whole number, got a JSON string"},
		{"max_uses beyond 64 bits", get(`"max_uses": 1` + strings.Repeat("0", 1000)), "max_uses", "must be a whole number"},

		{"expires_in empty of sense", get(`"expires_in": "soon"`), "expires_in", `"soon" is not a duration such as 90s`},
		{"expires_in a number", get(`"expires_in": 3600`), "expires_in", "must be a string, got a JSON number"},
		{"expires_in without unit", get(`"expires_in": "3600"`), "expires_in", "is not a duration"},
		{"expires_in negative", get(`"expires_in": "-1h"`), "expires_in", "is not a duration"},
		{"expires_in zero", get(`"expires_in": "0s"`), "expires_in", "at least 1ms"},
		{"expires_in no days", get(`"expires_in": "0d"`), "expires_in", "at least 1ms"},
		{"expires_in below the resolution", get(`"expires_in": "1ns"`), "expires_in", "at least 1ms"},
		{"expires_in beyond the limit", get(`"expires_in": "3651d"`), "expires_in", "at most 87600h"},
		{"expires_in beyond 64 bits", get(`"expires_in": "999999999999d"`), "expires_in", "is not a duration"},
		{"expires_in and expires_at", get(`"expires_in": "1h"`, `"expires_at": "2030-02-01T00:00:00Z"`), "expires_in", "exclude each other"},
		{"expires_at in the past", get(`"expires_at": "2030-01-31T11:59:59Z"`), "expires_at", "is in the past"},
		{"expires_at now", get(`"expires_at": "2030-01-31T12:00:00Z"`), "expires_at", "is in the past"},
		{"expires_at before 1970", get(`"expires_at": "1969-12-31T23:59:59Z"`), "expires_at", "RFC 3339"},
		{"expires_at beyond the limit", get(`"expires_at": "9999-12-31T23:59:59Z"`), "expires_at", "at most 87600h"},
		{"expires_at a date", get(`"expires_at": "2030-02-01"`), "expires_at", "RFC 3339"},
		{"expires_at without a zone", get(`"expires_at": "2030-02-01T00:00:00"`), "expires_at", "RFC 3339"},
		{"expires_at a number", get(`"expires_at": 1893456000`), "expires_at", "must be a string"},
		{"not_before after the end", get(`"not_before": "2030-01-31T13:00:00Z"`), "not_before", "must be earlier than expires_at"},
		{"not_before before 1970", get(`"not_before": "0001-01-01T00:00:00Z"`), "not_before", "RFC 3339"},
		{"not_before of nonsense", get(`"not_before": "tomorrow"`), "not_before", "RFC 3339"},

		{"long subject", get(`"subject": "` + long + `"`), "subject", "256 bytes long, at most 255"},
		{"line feed in the subject", get(`"subject": "a\nb"`), "subject", "control character U+000A"},
		{"labels a list", get(`"labels": ["a"]`), "labels", "must be an object, got a JSON array"},
		{"label a number", get(`"labels": {"a": 1}`), "labels", "must hold strings only, got a JSON number"},
		{"label without a name", get(`"labels": {"": "x"}`), "labels", "empty name"},
		{"long label", get(`"labels": {"a": "` + long + `"}`), "labels.a", "256 bytes long"},
		{"long label name", get(`"labels": {"` + long + `": "x"}`), "labels", "256 bytes long"},
		{"17 labels", get(`"labels": {` + many(17, `"l%d": ""`) + `}`), "labels", "17 entries, at most 16"},

		{"response a string", get(`"response": "inline"`), "response", "must be an object, got a JSON string"},
		{"disposition of nonsense", get(`"response": {"disposition": "evil"}`), "response.disposition", `got "evil"`},
		{"disposition of another type", get(`"response": {"disposition": 1}`), "response.disposition", "must be a string"},
		{"content type of nonsense", get(`"response": {"content_type": "html"}`), "response.content_type", "must be a media type"},
		{"line feed in the content type", get(`"response": {"content_type": "text/html\r\nX: y"}`), "response.content_type", "control character U+000D"},
		{"line feed in the file name", get(`"response": {"filename": "a\r\nb"}`), "response.filename", "control character U+000D"},
		{"long file name", get(`"response": {"filename": "` + long + `"}`), "response.filename", "256 bytes long"},
		{"response of an upload", put(`"response": {"filename": "a"}`), "response", `"get" only`},

		{"max_bytes negative", put(`"upload": {"max_bytes": -1}`), "upload.max_bytes", "must be 0 to 5497558138880"},
		{"max_bytes over 5 TiB", put(`"upload": {"max_bytes": 5497558138881}`), "upload.max_bytes", "got 5497558138881"},
		{"max_bytes text", put(`"upload": {"max_bytes": "1MiB"}`), "upload.max_bytes", "must be a whole number"},
		{"content_types text", put(`"upload": {"content_types": "image/png"}`), "upload.content_types", "must be a list, got a JSON string"},
		{"content_types of numbers", put(`"upload": {"content_types": [1]}`), "upload.content_types", "must hold strings only"},
		{"content_types of nonsense", put(`"upload": {"content_types": ["png"]}`), "upload.content_types", `got "png"`},
		{"any content type", put(`"upload": {"content_types": ["*/*"]}`), "upload.content_types", "lower-case media types"},
		{"17 content types", put(`"upload": {"content_types": [` + many(17, `"image/%d"`) + `]}`), "upload.content_types", "17 entries"},
		{"overwrite text", put(`"upload": {"overwrite": "yes"}`), "upload.overwrite", "must be true or false, got a JSON string"},
		{"sniff text", put(`"upload": {"sniff": "yes"}`), "upload.sniff", "must be true or false, got a JSON string"},
		{"sniff without types", put(`"upload": {"sniff": true}`), "upload.sniff", "content_types only"},
		{"unknown checksum", put(`"upload": {"checksum": "md4"}`), "upload.checksum", `got "md4"`},
		{"metadata of numbers", put(`"upload": {"metadata": {"a": 1}}`), "upload.metadata", "must hold strings only"},
		{"metadata in upper case", put(`"upload": {"metadata": {"A": "1"}}`), "upload.metadata", `got "A"`},
		{"metadata given twice", put(`"upload": {"metadata": {"a": "1", "a": "2"}}`), "upload.metadata.a", "is given twice"},
		{"metadata not ASCII", put(`"upload": {"metadata": {"a": "ü"}}`), "upload.metadata.a", "printable US-ASCII"},
		{"the gate's metadata by the client", put(`"upload": {"client_metadata": ["s3gate-use"]}`), "upload.client_metadata", "the gate's"},
		{"unknown storage class", put(`"upload": {"storage_class": "TAPE"}`), "upload.storage_class", `got "TAPE"`},
		{"upload of a download", get(`"upload": {"overwrite": true}`), "upload", `"put" only`},

		{"unknown field", get(`"colour": "red"`), "colour", "is not a field"},
		{"unknown nested field", put(`"upload": {"max_byte": 1}`), "upload.max_byte", "is not a field"},
		{"field that the gate fills", get(`"issued_by": "root"`), "issued_by", "is not a field"},
		{"field of the answer", get(`"token": "s3g_0"`), "token", "is not a field"},
		{"name in another case", get(`"Max_Uses": 1`), "Max_Uses", "is not a field"},
		{"name that folds to another", get("\"ma\u017f_uses\": 1"), "ma\u017f_uses", "is not a field"},
		{"nested name in another case", put(`"upload": {"Overwrite": true}`), "upload.Overwrite", "is not a field"},
		{"long unknown field", get(`"` + strings.Repeat("é", 40) + `": 1`), strings.Repeat("é", 20) + "…", "is not a field"},
		{"unknown field with a quote", get(`"a\"b": 1`), `a"b`, "is not a field"},
		{"field given twice", get(`"max_uses": 1, "max_uses": 0`), "max_uses", "is given twice"},
		{"field given twice, once escaped", get(`"max_uses": 1, "max\u005fuses": 0`), "max_uses", "is given twice"},
		{"nested field given twice", put(`"upload": {"overwrite": false, "overwrite": true}`), "upload.overwrite", "is given twice"},
		{"label given twice", get(`"labels": {"a": "1", "a": "2"}`), "labels.a", "is given twice"},
	}
	g := newGate(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := g.do("POST", "/v1/tokens", tt.body)
			p := a.problem()
			want := "/" + strings.ReplaceAll(tt.field, ".", "/")
			if a.status != http.StatusBadRequest || p.Field != tt.field || p.Pointer != want || !strings.Contains(p.Detail, tt.words) {
				t.Errorf("%d, field %q, pointer %q: %s\nwant 400, field %q, pointer %q: … %s …",
					a.status, p.Field, p.Pointer, p.Detail, tt.field, want, tt.words)
			}
			if len(p.Detail) > 400 {
				t.Errorf("a detail of %d bytes: %s", len(p.Detail), p.Detail)
			}
		})
	}
	if keys := g.stored(); len(keys) > 0 {
		t.Errorf("Redis has the keys %q", keys)
	}
}

// Keys must arrive byte for byte or not at all (S1).
func TestMintRefusesWhatIsNoJSONObject(t *testing.T) {
	inKey := func(text string) string { return `{"operation": "get", "bucket": "docs", "key": "` + text + `"}` }
	tests := []struct{ name, body, words string }{
		{"nothing", "", "not a valid JSON object"},
		{"blanks", " \n", "not a valid JSON object"},
		{"half an object", `{"operation": "get"`, "not a valid JSON object"},
		{"a list", "[" + get() + "]", "must be an object, got a JSON array"},
		{"a string", `"get"`, "must be an object, got a JSON string"},
		{"null", " null ", "must be an object, got a JSON null"},
		{"a form", "operation=get&bucket=docs&key=k", "not a valid JSON object"},
		{"two objects", get() + get(), "something after the JSON object"},
		{"an object and a bracket", get() + "}", "something after the JSON object"},
		{"an object and a word", get() + " x", "something after the JSON object"},
		{"a comma too many", get()[:len(get())-1] + ",}", "not a valid JSON object"},
		{"a field without a name", get(`"": 1`), "a field without a name"},
		{"a nested field without a name", put(`"upload": {"": 1}`), "a field without a name"},
		{"a comment", "// mint\n" + get(), "not a valid JSON object"},
		{"a byte order mark", "\ufeff" + get(), "not a valid JSON object"},
		{"UTF-16", "{\x00}\x00", "not a valid JSON object"},
		{"10,001 brackets", strings.Repeat("[", 10001), "not a valid JSON object"},
		{"10,001 objects deep", strings.Repeat(`{"labels":`, 5000), "not a valid JSON object"},

		{"invalid UTF-8", inKey("a\xffb"), "not valid UTF-8"},
		{"Latin-1", inKey("caf\xe9"), "not valid UTF-8"},
		{"overlong slash", inKey("a\xc0\xafb"), "not valid UTF-8"},
		{"surrogate in UTF-8", inKey("\xed\xa0\x80"), "not valid UTF-8"},
		{"leading surrogate alone", inKey(`a\ud800b`), "not valid UTF-8"},
		{"trailing surrogate alone", inKey(`a\udc00b`), "not valid UTF-8"},
		{"surrogates in capitals", inKey(`\uD83D`), "not valid UTF-8"},
		{"surrogates swapped", inKey(`\ude00\ud83d`), "not valid UTF-8"},
		{"two leading surrogates", inKey(`\ud83d\ud83d\ude00`), "not valid UTF-8"},
		{"leading surrogate at the end", inKey(`\ud83d`), "not valid UTF-8"},
		{"leading surrogate and an escape", inKey(`\ud83d\n`), "not valid UTF-8"},
		{"surrogate after an escaped backslash", inKey(`\\\ud83d`), "not valid UTF-8"},
		{"surrogate in a name", `{"\ud83d": 1}`, "not valid UTF-8"},
	}
	g := newGate(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := g.do("POST", "/v1/tokens", tt.body)
			p := a.problem()
			if a.status != http.StatusBadRequest || p.Field != "body" || p.Pointer != "" || !strings.Contains(p.Detail, tt.words) {
				t.Errorf("%d, field %q, pointer %q: %s; want 400, field body: … %s …", a.status, p.Field, p.Pointer, p.Detail, tt.words)
			}
		})
	}
	if keys := g.stored(); len(keys) > 0 {
		t.Errorf("Redis has the keys %q", keys)
	}
}

// Whatever is a legal key is stored and shown as it was given (S1).
func TestMintKeepsKeysByteForByte(t *testing.T) {
	g := newGate(t)
	for _, tt := range []struct{ name, json, want string }{
		{"plain", "a/b.txt", "a/b.txt"},
		{"dots", "../../etc/passwd", "../../etc/passwd"},
		{"slashes", "//a///b/", "//a///b/"},
		{"percent", "a%2Fb%00%zz", "a%2Fb%00%zz"},
		{"plus and space", "a+b c", "a+b c"},
		{"composed", "é", "\u00e9"},
		{"decomposed", "e\u0301", "e\u0301"},
		{"pair of surrogates", `\ud83d\ude00`, "😀"},
		{"pair in capitals", `\uD83D\uDE00`, "😀"},
		{"backslashes before u", `\\ud800\\\\udc00`, `\ud800\\udc00`},
		{"replacement character", "a\ufffdb", "a\ufffdb"},
		{"replacement character escaped", `\ufffd`, "\ufffd"},
		{"control characters", `a\u0001\n\u007f`, "a\x01\n\x7f"},
		{"angle brackets", `<a>&'\"`, `<a>&'"`},
		{"line separator", "a\u2028b", "a\u2028b"},
		{"1024 bytes", strings.Repeat("é", 512), strings.Repeat("é", 512)},
	} {
		a := g.do("POST", "/v1/tokens", `{"operation": "get", "bucket": "docs", "key": "`+tt.json+`"}`)
		if a.status != http.StatusCreated {
			t.Errorf("%s: %d %s", tt.name, a.status, a.body)
			continue
		}
		m := a.object(t)
		shown := g.do("GET", "/v1/tokens/"+m["id"].(string), "").object(t)
		if m["key"] != tt.want || shown["key"] != tt.want {
			t.Errorf("%s: minted %q, shown %q, want %q", tt.name, m["key"], shown["key"], tt.want)
		}
	}
}

// A bucket is an alias, and nothing else is looked up, dialled or stored (S2).
func TestMintKnowsBucketsByAliasOnly(t *testing.T) {
	g := newGate(t)
	for _, bucket := range []string{
		"secret", "DOCS", "docs ", " docs", "docs/", "docs/../inbox", "docs?policy", "docs#", "docs\x00", "docs%00",
		"https://evil.example/docs", "evil.example", "127.0.0.1:9000", "docs@evil.example", "arn:aws:s3:::docs",
		"arn:aws:s3:us-east-1:123456789012:accesspoint/x", "docs.s3.amazonaws.com", "s3://docs", "*", "${jndi:ldap://evil.example}",
		"{{.}}", "docs\r\nHost: evil.example", "dócs", "docs\u200b",
	} {
		body, err := json.Marshal(map[string]string{"operation": "get", "bucket": bucket, "key": "k"})
		if err != nil {
			t.Fatal(err)
		}
		a := g.do("POST", "/v1/tokens", string(body))
		if p := a.problem(); a.status != http.StatusBadRequest || p.Field != "bucket" || p.Detail != "bucket: is not an alias of this gate" {
			t.Errorf("bucket %q: %d %s", bucket, a.status, a.body)
		}
	}
	for _, field := range []string{"endpoint", "region", "host", "url", "path_style", "access_key_id", "bucket.name"} {
		if a := g.do("POST", "/v1/tokens", get(`"`+field+`": "http://169.254.169.254/"`)); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", field, a.status, a.body)
		}
	}
	if keys := g.stored(); len(keys) > 0 {
		t.Errorf("Redis has the keys %q", keys)
	}
}

// What would be an address elsewhere is a name here (S2).
func TestMintTakesKeysForNames(t *testing.T) {
	g := newGate(t)
	for _, name := range []string{
		"https://evil.example/x", "//evil.example/x", "../inbox/x", "?versionId=1", "x?policy", "x#y", "@evil.example/x",
		"x\r\nHost: evil.example", `\\evil.example\x`, "..;/x", "x%0d%0aLocation:%20evil",
	} {
		body, _ := json.Marshal(map[string]string{"operation": "get", "bucket": "docs", "key": name})
		m := g.mint(string(body))
		u, err := url.Parse(m.URL)
		if err != nil || u.Scheme+"://"+u.Host != publicURL || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("key %q: the link is %s (%v)", name, m.URL, err)
		}
	}
}

func TestMintFillsInDefaults(t *testing.T) {
	g := newGate(t)
	for _, tt := range []struct {
		name, body, expires string
		uses                float64
	}{
		{"a download", get(), "2030-01-31T13:00:00Z", 0},
		{"an upload", put(), "2030-01-31T13:00:00Z", 1},
		{"an upload without limit", put(`"max_uses": 0`), "2030-01-31T13:00:00Z", 0},
		{"a download once", get(`"max_uses": 1`), "2030-01-31T13:00:00Z", 1},
		{"null", get(`"max_uses": null, "expires_in": null, "labels": null, "response": null, "upload": null`), "2030-01-31T13:00:00Z", 0},
		{"empty", get(`"expires_in": "", "expires_at": "", "not_before": "", "subject": "", "labels": {}, "response": {}, "upload": {}`), "2030-01-31T13:00:00Z", 0},
		{"the most uses", get(`"max_uses": 1000000`), "2030-01-31T13:00:00Z", 1000000},
		{"seconds", get(`"expires_in": "90s"`), "2030-01-31T12:01:30Z", 0},
		{"milliseconds", get(`"expires_in": "1ms"`), "2030-01-31T12:00:00.001Z", 0},
		{"hours and minutes", get(`"expires_in": "1h30m"`), "2030-01-31T13:30:00Z", 0},
		{"days", get(`"expires_in": "30d"`), "2030-03-02T12:00:00Z", 0},
		{"days and hours", get(`"expires_in": "1d12h"`), "2030-02-02T00:00:00Z", 0},
		{"ten years", get(`"expires_in": "3650d"`), "2040-01-29T12:00:00Z", 0},
		{"a time", get(`"expires_at": "2030-01-31T23:00:00Z"`), "2030-01-31T23:00:00Z", 0},
		{"a time elsewhere", get(`"expires_at": "2030-02-01T00:00:00+05:30"`), "2030-01-31T18:30:00Z", 0},
		{"a finer time", get(`"expires_at": "2030-01-31T23:00:00.123456Z"`), "2030-01-31T23:00:00.123Z", 0},
	} {
		a := g.do("POST", "/v1/tokens", tt.body)
		if a.status != http.StatusCreated {
			t.Errorf("%s: %d %s", tt.name, a.status, a.body)
			continue
		}
		if m := a.object(t); m["expires_at"] != tt.expires || m["max_uses"] != tt.uses {
			t.Errorf("%s: %v uses until %v, want %v until %s", tt.name, m["max_uses"], m["expires_at"], tt.uses, tt.expires)
		}
	}
}

// A link ends in a name to save under, which no client resolves as a path.
func TestLinksEndInAFileName(t *testing.T) {
	g := newGate(t)
	for _, tt := range []struct{ name, key, filename, tail string }{
		{"name", "report.pdf", "", "/report.pdf"},
		{"path", "2030/q1/report.pdf", "", "/report.pdf"},
		{"file name", "report.pdf", "Q1 report.pdf", "/Q1%20report.pdf"},
		{"folder", "2030/", "", ""},
		{"dot", "a/.", "", ""},
		{"dots", "a/..", "", ""},
		{"hidden", "a/.profile", "", "/.profile"},
		{"slash in the file name", "k", "a/b", ""},
		{"slash alone", "k", "/", ""},
		{"dots as a file name", "k", "..", ""},
		{"percent", "100%.txt", "", "/100%25.txt"},
		{"escaped slash", "a%2Fb", "", "/a%252Fb"},
		{"query", "what?.txt", "", "/what%3F.txt"},
		{"fragment", "a#b", "", "/a%23b"},
		{"semicolon", "a;b", "", "/a%3Bb"},
		{"plus and blank", "a+b c", "", "/a+b%20c"},
		{"backslash", `a\b`, "", "/a%5Cb"},
		{"quotes", `a"b'<c>`, "", "/a%22b%27%3Cc%3E"},
		{"line feed", "a\nb", "", "/a%0Ab"},
		{"wide characters", "日本.txt", "", "/%E6%97%A5%E6%9C%AC.txt"},
		{"right to left", "\u202egpj.exe", "", "/%E2%80%AEgpj.exe"},
	} {
		body, _ := json.Marshal(map[string]any{
			"operation": "get", "bucket": "docs", "key": tt.key, "response": map[string]string{"filename": tt.filename},
		})
		m := g.mint(string(body))
		if want := publicURL + "/" + m.Token + tt.tail; m.URL != want {
			t.Errorf("%s: %s, want %s", tt.name, m.URL, want)
		}
		if req, err := http.NewRequest("GET", m.URL, nil); err != nil || !strings.HasPrefix(req.URL.Path, "/"+m.Token) {
			t.Errorf("%s: %s is no URL: %v", tt.name, m.URL, err)
		}
	}
	if m := g.mint(put()); m.URL != publicURL+"/"+m.Token {
		t.Errorf("the link of an upload is %s", m.URL)
	}
}

// The answer to a put tells an uploader what it must declare, and for how long
// it may; with only a prefix the gate says how it makes the keys.
func TestMintForUploads(t *testing.T) {
	g := newGate(t)
	for _, tt := range []struct{ body, wantHeaders, wantExpires string }{
		{put(), `{}`, "3600"},
		{put(`"expires_in": "1999ms"`), `{}`, "1"},
		{put(`"upload": {"content_types": ["image/png"]}`), `{"Content-Type":"image/png"}`, "3600"},
		{put(`"upload": {"content_types": ["image/*"]}`), `{}`, "3600"},
		{put(`"upload": {"content_types": ["image/png", "image/gif"]}`), `{}`, "3600"},
		{`{"operation": "put", "bucket": "inbox", "prefix": "in/", "expires_in": "30d"}`, `{}`, "2592000"},
	} {
		a := g.do("POST", "/v1/tokens", tt.body).object(t)
		headers, _ := json.Marshal(a["headers"])
		fields, _ := json.Marshal(a["fields"])
		if string(headers) != tt.wantHeaders || string(fields) != "{}" || fmt.Sprintf("%.0f", a["expires"]) != tt.wantExpires || a["method"] != "PUT" {
			t.Errorf("%s: %v", tt.body, a)
		}
		if a["prefix"] == "in/" {
			upload, _ := a["upload"].(map[string]any)
			if link := fmt.Sprint(publicURL, "/", a["token"], "/"); a["url"] != link || upload["key_template"] != "in/{uuid}/{filename}" {
				t.Errorf("%s: %v", tt.body, a)
			}
		}
	}
	a := g.do("POST", "/v1/tokens", get()).object(t)
	for _, name := range []string{"fields", "headers", "expires"} {
		if _, there := a[name]; there {
			t.Errorf("the answer to a get has %s", name)
		}
	}
}

// A body over the limit is refused without being read.
func TestMintDoesNotReadLargeBodies(t *testing.T) {
	const large, limit = 10 << 20, 64 << 10
	g := newGate(t)
	for _, tt := range []struct {
		name   string
		length int64
		most   int
	}{
		{"of known length", large, 0},
		{"of unknown length", -1, limit + 1},
	} {
		body := &countingReader{Reader: io.LimitReader(blanks{}, large)}
		r := httptest.NewRequest("POST", "/v1/tokens", body)
		r.ContentLength = tt.length
		r.Header.Set("Authorization", g.admin)
		a := send(t, g.handler, r)
		if a.status != http.StatusRequestEntityTooLarge || !strings.Contains(a.problem().Detail, strconv.Itoa(limit)) {
			t.Errorf("%s: %d %s", tt.name, a.status, a.body)
		}
		if body.n > tt.most {
			t.Errorf("%s: %d bytes were read, want at most %d", tt.name, body.n, tt.most)
		}
	}
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// The limit is exact, and the connection of somebody who goes on sending is
// closed rather than read to the end.
func TestLargeBodiesEndTheConnection(t *testing.T) {
	small := get()
	g := newGate(t, func(c *api.Config) { c.MaxBody = int64(len(small)) })
	if a := g.do("POST", "/v1/tokens", small); a.status != http.StatusCreated {
		t.Errorf("a body of the limit's length: %d %s", a.status, a.body)
	}
	if a := g.do("POST", "/v1/tokens", small+" "); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of one byte more: %d", a.status)
	}
	server := httptest.NewServer(g.handler)
	defer server.Close()
	// So little that the server would read it to the end of its own accord.
	r, _ := http.NewRequest("POST", server.URL+"/v1/tokens", io.LimitReader(blanks{}, 100<<10))
	r.Header.Set("Authorization", g.admin)
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
		t.Errorf("%d, connection closed: %v", resp.StatusCode, resp.Close)
	}
}
