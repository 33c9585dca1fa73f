package tokens_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"s3gate/tokens"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// getGrant and putGrant are valid at noon.
func getGrant() tokens.Grant {
	return tokens.Grant{Operation: tokens.Get, Bucket: "media", Key: "a/b.mp4", ExpiresAt: noon.Add(time.Hour), MaxUses: 1}
}

func putGrant() tokens.Grant {
	g := getGrant()
	g.Operation = tokens.Put
	return g
}

func labels(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("label%02d", i)] = "v"
	}
	return m
}

func TestValidateNamesTheFieldAndTheLimit(t *testing.T) {
	long := strings.Repeat("x", 256)
	get := func(change func(*tokens.Grant)) tokens.Grant { g := getGrant(); change(&g); return g }
	put := func(change func(*tokens.Grant)) tokens.Grant { g := putGrant(); change(&g); return g }
	tests := []struct {
		name  string
		grant tokens.Grant
		want  string // "" if valid
	}{
		{"valid get", getGrant(), ""},
		{"valid put", putGrant(), ""},

		{"clients", get(func(g *tokens.Grant) {
			g.Clients = []string{"192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "2001:db8::1", "0.0.0.0/0"}
		}), ""},
		{"no network", get(func(g *tokens.Grant) { g.Clients = []string{"office"} }),
			`clients: must hold networks such as 192.0.2.0/24 or 2001:db8::/32, or addresses, got "office"`},
		{"address with a zone", get(func(g *tokens.Grant) { g.Clients = []string{"fe80::1%eth0"} }),
			`clients: must hold networks such as 192.0.2.0/24 or 2001:db8::/32, or addresses, got "fe80::1%eth0"`},
		{"IPv4 in IPv6", get(func(g *tokens.Grant) { g.Clients = []string{"::ffff:192.0.2.0/120"} }),
			`clients: must hold networks such as 192.0.2.0/24 or 2001:db8::/32, or addresses, got "::ffff:192.0.2.0/120"`},
		{"not the address of a network", get(func(g *tokens.Grant) { g.Clients = []string{"192.0.2.7/24"} }),
			"clients: holds 192.0.2.7/24, whose address is not that of a network; did you mean 192.0.2.0/24?"},
		{"too many clients", get(func(g *tokens.Grant) { g.Clients = make([]string, 17) }),
			"clients: has 17 entries, at most 16 are allowed"},
		{"bandwidth", put(func(g *tokens.Grant) { g.Bandwidth = 1024 }), ""},
		{"little bandwidth", get(func(g *tokens.Grant) { g.Bandwidth = 1023 }),
			"bandwidth: must be 0 or at least 1024 bytes a second, got 1023"},
		{"negative bandwidth", get(func(g *tokens.Grant) { g.Bandwidth = -1 }),
			"bandwidth: must be 0 or at least 1024 bytes a second, got -1"},

		{"prefix", get(func(g *tokens.Grant) { g.Key, g.Prefix, g.List = "", "reports/", true }), ""},
		{"prefix and key", get(func(g *tokens.Grant) { g.Prefix = "reports/" }), "prefix: and key exclude each other"},
		{"prefix for put, without a template", put(func(g *tokens.Grant) { g.Key, g.Prefix = "", "in/" }),
			"upload.key_template: is required with a prefix where files are uploaded"},
		{"prefix with a file name", get(func(g *tokens.Grant) { g.Key, g.Prefix, g.Response.Filename = "", "a/", "b" }),
			"response.filename: is for a key only"},
		{"prefix with NUL", get(func(g *tokens.Grant) { g.Key, g.Prefix = "", "a\x00" }), "prefix: contains a NUL byte"},
		{"list of a key", get(func(g *tokens.Grant) { g.List = true }), "list: is for a prefix only"},

		{"resume window", get(func(g *tokens.Grant) { g.ResumeWindow = tokens.Duration(24 * time.Hour); g.ResumeSlack = 1 << 30 }), ""},
		{"shortest resume window", get(func(g *tokens.Grant) { g.ResumeWindow = tokens.Duration(time.Second) }), ""},
		{"resume window too short", get(func(g *tokens.Grant) { g.ResumeWindow = tokens.Duration(time.Second - 1) }),
			"resume_window: must be 0s or from 1s to 24h0m0s, got 999.999999ms"},
		{"resume window too long", get(func(g *tokens.Grant) { g.ResumeWindow = tokens.Duration(24*time.Hour + 1) }),
			"resume_window: must be 0s or from 1s to 24h0m0s, got 24h0m0.000000001s"},
		{"negative resume window", get(func(g *tokens.Grant) { g.ResumeWindow = -1 }),
			"resume_window: must be 0s or from 1s to 24h0m0s, got -1ns"},
		{"resume window without limit", get(func(g *tokens.Grant) { g.ResumeWindow, g.MaxUses = tokens.Duration(time.Minute), 0 }),
			`resume_window: is for operation "get" with max_uses; without a limit every download can be resumed`},
		{"resume window for put", put(func(g *tokens.Grant) { g.ResumeWindow = tokens.Duration(time.Minute) }),
			`resume_window: is for operation "get" with max_uses; without a limit every download can be resumed`},
		{"resume window and prefix", get(func(g *tokens.Grant) { g.Key, g.Prefix, g.ResumeWindow = "", "a", tokens.Duration(time.Minute) }),
			"resume_window: and prefix exclude each other"},
		{"slack without window", get(func(g *tokens.Grant) { g.ResumeSlack = 1 }), "resume_slack: is for a resume_window only"},
		{"too much slack", get(func(g *tokens.Grant) { g.ResumeWindow, g.ResumeSlack = tokens.Duration(time.Minute), 1<<30+1 }),
			"resume_slack: must be 0 to 1073741824, got 1073741825"},

		{"pins", get(func(g *tokens.Grant) { g.VersionID, g.IfMatch = "3/L4kqtJlcpXroDTDmJ", `"9b2cf535f27731c9"` }), ""},
		{"version of a prefix", get(func(g *tokens.Grant) { g.Key, g.Prefix, g.VersionID = "", "a", "v" }),
			`version_id: is for operation "get" with a key`},
		{"if_match for put", put(func(g *tokens.Grant) { g.IfMatch = `"a"` }), `if_match: is for operation "get" with a key`},
		{"if_match without quotes", get(func(g *tokens.Grant) { g.IfMatch = "9b2c" }),
			`if_match: must be one ETag in quotes such as "9b2c…", got 9b2c`},
		{"weak if_match", get(func(g *tokens.Grant) { g.IfMatch = `W/"9b2c"` }),
			`if_match: must be one ETag in quotes such as "9b2c…", got W/"9b2c"`},
		{"two ETags", get(func(g *tokens.Grant) { g.IfMatch = `"a", "b"` }),
			`if_match: must be one ETag in quotes such as "9b2c…", got "a", "b"`},

		{"rate and transfers", put(func(g *tokens.Grant) { g.RequestsPerSecond, g.MaxConcurrent = 10_000, 10_000 }), ""},
		{"rate too high", get(func(g *tokens.Grant) { g.RequestsPerSecond = 10_001 }), "requests_per_second: must be 0 to 10000, got 10001"},
		{"too many transfers", get(func(g *tokens.Grant) { g.MaxConcurrent = 10_001 }), "max_concurrent: must be 0 to 10000, got 10001"},
		{"confirm", get(func(g *tokens.Grant) { g.Confirm = tokens.ConfirmAlways }), ""},
		{"confirm a put", put(func(g *tokens.Grant) { g.Confirm = tokens.ConfirmAlways }), `confirm: is for operation "get" only`},
		{"sharing", get(func(g *tokens.Grant) {
			g.Key, g.Prefix, g.List, g.MaxUses, g.Previews = "", "a/", true, 0, true
			g.SharedBy, g.Message = strings.Repeat("ü", 100), strings.Repeat("é\n", 490)+"\tü"
		}), ""},
		{"sharing of a put", put(func(g *tokens.Grant) { g.SharedBy, g.Message = "Ada", "Please send it here." }), ""},
		{"shared by too long", get(func(g *tokens.Grant) { g.SharedBy = strings.Repeat("ü", 101) }),
			"shared_by: has 101 characters, at most 100 are allowed"},
		{"shared by in two lines", get(func(g *tokens.Grant) { g.SharedBy = "a\nb" }), "shared_by: contains the control character U+000A"},
		{"shared by that is no text", get(func(g *tokens.Grant) { g.SharedBy = "\xff" }), "shared_by: is not valid UTF-8"},
		{"message too long", get(func(g *tokens.Grant) { g.Message = strings.Repeat("é", 1001) }),
			"message: has 1001 characters, at most 1000 are allowed"},
		{"message with a bell", get(func(g *tokens.Grant) { g.Message = "a\a" }), "message: contains the control character U+0007"},
		{"message with C1", get(func(g *tokens.Grant) { g.Message = "a\u009b" }), "message: contains the control character U+009B"},
		{"previews without a listing", get(func(g *tokens.Grant) { g.Key, g.Prefix, g.MaxUses, g.Previews = "", "a/", 0, true }),
			"previews: is for a prefix with list only"},
		{"previews that are uses", get(func(g *tokens.Grant) { g.Key, g.Prefix, g.List, g.MaxUses, g.Previews = "", "a/", true, 3, true }),
			"previews: needs max_uses 0, since each preview would be a use; got 3"},
		{"confirm something", get(func(g *tokens.Grant) { g.Confirm = "yes" }), `confirm: must be "auto", "always" or "never", got "yes"`},

		{"no operation", get(func(g *tokens.Grant) { g.Operation = "" }), `operation: must be "get" or "put", got ""`},
		{"other operation", get(func(g *tokens.Grant) { g.Operation = "delete" }), `operation: must be "get" or "put", got "delete"`},
		{"operation in capitals", get(func(g *tokens.Grant) { g.Operation = "GET" }), `operation: must be "get" or "put", got "GET"`},
		{"long operation", get(func(g *tokens.Grant) { g.Operation = tokens.Operation(long) }),
			`operation: must be "get" or "put", got "` + long[:40] + `…"`},

		{"no bucket", get(func(g *tokens.Grant) { g.Bucket = "" }), "bucket: is required: an alias from the gate's configuration"},
		{"long bucket", get(func(g *tokens.Grant) { g.Bucket = long }), "bucket: is 256 bytes long, at most 255 are allowed"},
		{"bucket with newline", get(func(g *tokens.Grant) { g.Bucket = "a\nb" }), "bucket: contains the control character U+000A"},

		{"no key", get(func(g *tokens.Grant) { g.Key = "" }), "key: is required, or prefix"},
		{"longest key", get(func(g *tokens.Grant) { g.Key = strings.Repeat("k", 1024) }), ""},
		{"key too long", get(func(g *tokens.Grant) { g.Key = strings.Repeat("k", 1025) }), "key: is 1025 bytes long, at most 1024 are allowed"},
		{"key too long in bytes", get(func(g *tokens.Grant) { g.Key = strings.Repeat("ä", 513) }), "key: is 1026 bytes long, at most 1024 are allowed"},
		{"key not UTF-8", get(func(g *tokens.Grant) { g.Key = "a\xff" }), "key: is not valid UTF-8"},
		{"key with NUL", get(func(g *tokens.Grant) { g.Key = "a\x00b" }), "key: contains a NUL byte"},
		{"odd key", get(func(g *tokens.Grant) { g.Key = "//../%2F+ \n\x7f😀?#" }), ""},

		{"no expiry", get(func(g *tokens.Grant) { g.ExpiresAt = time.Time{} }), "expires_at: is required"},
		{"expired", get(func(g *tokens.Grant) { g.ExpiresAt = noon.Add(-time.Minute) }),
			"expires_at: is in the past: 2026-11-22T11:59:00Z, and it is 2026-11-22T12:00:00Z"},
		{"expires now", get(func(g *tokens.Grant) { g.ExpiresAt = noon }),
			"expires_at: is in the past: 2026-11-22T12:00:00Z, and it is 2026-11-22T12:00:00Z"},
		{"expires in 1 ns", get(func(g *tokens.Grant) { g.ExpiresAt = noon.Add(1) }), ""},
		{"longest life", get(func(g *tokens.Grant) { g.ExpiresAt = noon.Add(10 * 365 * 24 * time.Hour) }), ""},
		{"life too long", get(func(g *tokens.Grant) { g.ExpiresAt = noon.Add(10*365*24*time.Hour + time.Second) }),
			"expires_at: is 87600h0m1s away, at most 87600h0m0s are allowed"},
		{"year 9999", get(func(g *tokens.Grant) { g.ExpiresAt = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }),
			"expires_at: is 2562047h47m16.854775807s away, at most 87600h0m0s are allowed"},
		{"expiry in another zone", get(func(g *tokens.Grant) { g.ExpiresAt = noon.Add(-time.Hour).In(time.FixedZone("", 7200)) }),
			"expires_at: is in the past: 2026-11-22T11:00:00Z, and it is 2026-11-22T12:00:00Z"},

		{"not before now", get(func(g *tokens.Grant) { g.NotBefore = noon }), ""},
		{"not before long ago", get(func(g *tokens.Grant) { g.NotBefore = time.Unix(0, 0) }), ""},
		{"not before 1970", get(func(g *tokens.Grant) { g.NotBefore = time.Unix(-1, 0) }),
			"not_before: must not be before 1970, got 1969-12-31T23:59:59Z"},
		{"not before the expiry", get(func(g *tokens.Grant) { g.NotBefore = g.ExpiresAt }),
			"not_before: must be earlier than expires_at (2026-11-22T13:00:00Z), got 2026-11-22T13:00:00Z"},

		{"unlimited", get(func(g *tokens.Grant) { g.MaxUses = 0 }), ""},
		{"most uses", get(func(g *tokens.Grant) { g.MaxUses = 1_000_000 }), ""},
		{"too many uses", get(func(g *tokens.Grant) { g.MaxUses = 1_000_001 }), "max_uses: must be 0 to 1000000, got 1000001"},
		{"negative uses", get(func(g *tokens.Grant) { g.MaxUses = -1 }), "max_uses: must be 0 to 1000000, got -1"},

		{"subject", get(func(g *tokens.Grant) { g.Subject = long[1:] }), ""},
		{"long subject", get(func(g *tokens.Grant) { g.Subject = long }), "subject: is 256 bytes long, at most 255 are allowed"},
		{"subject not UTF-8", get(func(g *tokens.Grant) { g.Subject = "\xc3\x28" }), "subject: is not valid UTF-8"},
		{"subject with tab", get(func(g *tokens.Grant) { g.Subject = "a\tb" }), "subject: contains the control character U+0009"},
		{"subject with DEL", get(func(g *tokens.Grant) { g.Subject = "a\x7f" }), "subject: contains the control character U+007F"},

		{"most labels", get(func(g *tokens.Grant) { g.Labels = labels(16) }), ""},
		{"too many labels", get(func(g *tokens.Grant) { g.Labels = labels(17) }), "labels: has 17 entries, at most 16 are allowed"},
		{"label without name", get(func(g *tokens.Grant) { g.Labels = map[string]string{"": "v"} }), "labels: has an empty name"},
		{"label without value", get(func(g *tokens.Grant) { g.Labels = map[string]string{"n": ""} }), ""},
		{"long label name", get(func(g *tokens.Grant) { g.Labels = map[string]string{long: "v"} }), "labels: is 256 bytes long, at most 255 are allowed"},
		{"long label value", get(func(g *tokens.Grant) { g.Labels = map[string]string{"n": long} }), "labels.n: is 256 bytes long, at most 255 are allowed"},
		{"label with newline", get(func(g *tokens.Grant) { g.Labels = map[string]string{"n": "\r\n"} }), "labels.n: contains the control character U+000D"},
		{"label name with escape", get(func(g *tokens.Grant) { g.Labels = map[string]string{"\x1b[2J": "v"} }), "labels: contains the control character U+001B"},

		{"inline", get(func(g *tokens.Grant) { g.Response.Disposition = "inline" }), ""},
		{"attachment", get(func(g *tokens.Grant) { g.Response.Disposition = "attachment" }), ""},
		{"other disposition", get(func(g *tokens.Grant) { g.Response.Disposition = "form-data" }),
			`response.disposition: must be "attachment" or "inline", got "form-data"`},
		{"disposition with parameter", get(func(g *tokens.Grant) { g.Response.Disposition = "inline; filename=x" }),
			`response.disposition: must be "attachment" or "inline", got "inline; filename=x"`},
		{"type", get(func(g *tokens.Grant) { g.Response.ContentType = "text/plain; charset=utf-8" }), ""},
		{"no type", get(func(g *tokens.Grant) { g.Response.ContentType = "plain" }),
			`response.content_type: must be a media type such as image/png, got "plain"`},
		{"type with line break", get(func(g *tokens.Grant) { g.Response.ContentType = "text/plain\r\nSet-Cookie: a=b" }),
			"response.content_type: contains the control character U+000D"},
		{"long type", get(func(g *tokens.Grant) { g.Response.ContentType = "text/" + long }), "response.content_type: is 261 bytes long, at most 255 are allowed"},
		{"file name", get(func(g *tokens.Grant) { g.Response.Filename = `Übersicht "2".pdf` }), ""},
		{"file name with line break", get(func(g *tokens.Grant) { g.Response.Filename = "a\nb" }), "response.filename: contains the control character U+000A"},
		{"file name beside a type", get(func(g *tokens.Grant) { g.Response = tokens.Response{ContentType: "text/plain", Filename: long} }),
			"response.filename: is 256 bytes long, at most 255 are allowed"},
		{"response of a put", put(func(g *tokens.Grant) { g.Response.Filename = "x" }), `response: is for operation "get" only`},

		{"upload of a get", get(func(g *tokens.Grant) { g.Upload.Overwrite = true }), `upload: is for operation "put" only`},
		{"size of a get", get(func(g *tokens.Grant) { g.Upload.MaxBytes = 1 }), `upload: is for operation "put" only`},
		{"types of a get", get(func(g *tokens.Grant) { g.Upload.ContentTypes = []string{"a/b"} }), `upload: is for operation "put" only`},
		{"largest put", put(func(g *tokens.Grant) { g.Upload.MaxBytes = 5 << 40 }), ""},
		{"put too large", put(func(g *tokens.Grant) { g.Upload.MaxBytes = 5<<40 + 1 }), "upload.max_bytes: must be 0 to 5497558138880, got 5497558138881"},
		{"negative size", put(func(g *tokens.Grant) { g.Upload.MaxBytes = -1 }), "upload.max_bytes: must be 0 to 5497558138880, got -1"},
		{"types", put(func(g *tokens.Grant) { g.Upload.ContentTypes = []string{"image/*", "video/mp4"} }), ""},
		{"sniffed types", put(func(g *tokens.Grant) { g.Upload.Sniff, g.Upload.ContentTypes = true, []string{"image/*"} }), ""},
		{"sniffing for nothing", put(func(g *tokens.Grant) { g.Upload.Sniff = true }), "upload.sniff: is for an upload with content_types only"},
		{"checksum", put(func(g *tokens.Grant) { g.Upload.Checksum = "crc64nvme" }), ""},
		{"any checksum", put(func(g *tokens.Grant) { g.Upload.Checksum = "any" }), ""},
		{"checksum in upper case", put(func(g *tokens.Grant) { g.Upload.Checksum = "SHA256" }),
			`upload.checksum: must be any or md5, crc32, crc32c, crc64nvme, sha1, sha256, got "SHA256"`},
		{"checksum of a get", get(func(g *tokens.Grant) { g.Upload.Checksum = "any" }), `upload: is for operation "put" only`},
		{"storage class", put(func(g *tokens.Grant) { g.Upload.StorageClass = "GLACIER_IR" }), ""},
		{"unknown storage class", put(func(g *tokens.Grant) { g.Upload.StorageClass = "TAPE" }),
			`upload.storage_class: must be one of STANDARD, REDUCED_REDUNDANCY, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER, GLACIER_IR, DEEP_ARCHIVE, got "TAPE"`},
		{"metadata", put(metadata("case-no", "47 11")), ""},
		{"metadata of S3's size", put(metadata("a", strings.Repeat("x", tokens.MaxMetadataBytes-1))), ""},
		{"too much metadata", put(metadata("a", strings.Repeat("x", tokens.MaxMetadataBytes))), "upload.metadata: has 1985 bytes of names and values, at most 1984 are allowed"},
		{"metadata in upper case", put(metadata("Case", "1")), "upload.metadata: must have names of a-z, 0-9 and !#$%&'*+-.^_`|~, got \"Case\""},
		{"metadata without a name", put(metadata("", "1")), "upload.metadata: must have names of a-z, 0-9 and !#$%&'*+-.^_`|~, got \"\""},
		{"metadata that smuggles a header", put(metadata("a: b\r\nx-amz-acl", "1")), "upload.metadata: must have names of a-z, 0-9 and !#$%&'*+-.^_`|~, got \"a: b\\r\\nx-amz-acl\""},
		{"metadata with a line break", put(metadata("a", "b\r\nx-amz-acl: c")), `upload.metadata.a: must be printable US-ASCII without blanks at its ends, and not empty, got "b\r\nx-amz-acl: c"`},
		{"metadata that is not ASCII", put(metadata("a", "ü")), `upload.metadata.a: must be printable US-ASCII without blanks at its ends, and not empty, got "ü"`},
		{"metadata with a blank at its end", put(metadata("a", "b ")), `upload.metadata.a: must be printable US-ASCII without blanks at its ends, and not empty, got "b "`},
		{"empty metadata", put(metadata("a", "")), `upload.metadata.a: must be printable US-ASCII without blanks at its ends, and not empty, got ""`},
		{"the gate's metadata", put(metadata("s3gate-use", "x")), "upload.metadata: must not have the name s3gate-use, which is the gate's"},
		{"client metadata", put(func(g *tokens.Grant) { g.Upload.ClientMetadata = []string{"author", "*"} }), ""},
		{"the gate's metadata by the client", put(func(g *tokens.Grant) { g.Upload.ClientMetadata = []string{"s3gate-use"} }),
			"upload.client_metadata: must not have the name s3gate-use, which is the gate's"},
		{"too much client metadata", put(func(g *tokens.Grant) { g.Upload.ClientMetadata = make([]string, 17) }), "upload.client_metadata: has 17 entries, at most 16 are allowed"},
		{"too many types", put(func(g *tokens.Grant) { g.Upload.ContentTypes = make([]string, 17) }), "upload.content_types: has 17 entries, at most 16 are allowed"},
	}
	for _, bad := range []string{"", "image", "image/", "/png", "*/*", "Image/PNG", "image/png; q=1", "image/png ", " image/png", "a/b/c"} {
		tests = append(tests, struct {
			name  string
			grant tokens.Grant
			want  string
		}{
			"upload type " + bad, put(func(g *tokens.Grant) { g.Upload.ContentTypes = []string{"a/b", bad} }),
			fmt.Sprintf("upload.content_types: must hold lower-case media types such as image/png or image/*, got %q", bad),
		})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.grant.Validate(tokens.Limits{}, noon)
			checkField(t, err, tt.want)
		})
	}
}

// metadata sets one name and value.
func metadata(name, value string) func(*tokens.Grant) {
	return func(g *tokens.Grant) { g.Upload.Metadata = map[string]string{name: value} }
}

// checkField compares a validation error with its full text.
func checkField(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("got %q, want it valid", err)
		}
		return
	}
	if err == nil || err.Error() != want {
		t.Fatalf("got %v, want %q", err, want)
	}
	var field *tokens.FieldError
	if !errors.As(err, &field) || !strings.HasPrefix(want, field.Field+": ") {
		t.Errorf("%T does not name the field", err)
	}
}

func TestValidateAppliesGivenLimits(t *testing.T) {
	limits := tokens.Limits{MaxLife: time.Minute, MaxUses: 2, MaxLabels: 1, MaxText: 3}
	short := func(change func(*tokens.Grant)) tokens.Grant {
		g := getGrant()
		g.Bucket, g.ExpiresAt = "m", noon.Add(time.Minute)
		change(&g)
		return g
	}
	tests := []struct {
		name  string
		grant tokens.Grant
		want  string
	}{
		{"within", short(func(g *tokens.Grant) { g.MaxUses, g.Subject, g.Labels = 2, "abc", labels(0) }), ""},
		{"life", short(func(g *tokens.Grant) { g.ExpiresAt = noon.Add(time.Minute + time.Second) }), "expires_at: is 1m1s away, at most 1m0s are allowed"},
		{"uses", short(func(g *tokens.Grant) { g.MaxUses = 3 }), "max_uses: must be 0 to 2, got 3"},
		{"labels", short(func(g *tokens.Grant) { g.Labels = labels(2) }), "labels: has 2 entries, at most 1 are allowed"},
		{"text", short(func(g *tokens.Grant) { g.Subject = "abcd" }), "subject: is 4 bytes long, at most 3 are allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkField(t, tt.grant.Validate(limits, noon), tt.want)
		})
	}
}

func TestGrantHasTheNamesOfTheAPI(t *testing.T) {
	g := putGrant()
	g.ID, g.IssuedAt, g.Version = tokens.ID(golden[0].id), noon, 1
	g.Upload = tokens.Upload{MaxBytes: 5, ContentTypes: []string{"image/*"}, Sniff: true, Overwrite: true,
		Checksum: "md5", Metadata: map[string]string{"a": "b"}, ClientMetadata: []string{"*"}, StorageClass: "STANDARD",
		KeyTemplate: "in/{uuid}", RevealKey: true}
	got, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"tok_6z5ymzxgxzuch4v4utwuykds5q","operation":"put","bucket":"media","key":"a/b.mp4",` +
		`"expires_at":"2026-11-22T13:00:00Z","max_uses":1,` +
		`"upload":{"max_bytes":5,"content_types":["image/*"],"sniff":true,"overwrite":true,"checksum":"md5","metadata":{"a":"b"},"client_metadata":["*"],"storage_class":"STANDARD","key_template":"in/{uuid}","reveal_key":true},"version":1,"issued_at":"2026-11-22T12:00:00Z"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestGrantAdmits(t *testing.T) {
	some := []string{"192.0.2.0/24", "2001:db8::/32", "203.0.113.7"}
	tests := []struct {
		name    string
		clients []string
		client  string
		want    bool
	}{
		{"everybody", nil, "198.51.100.1", true},
		{"everybody, also unknown", nil, "", true},
		{"in a network", some, "192.0.2.200", true},
		{"in a network, as IPv6", some, "::ffff:192.0.2.200", true},
		{"in another network", some, "2001:db8:ffff::1", true},
		{"the address", some, "203.0.113.7", true},
		{"beside the address", some, "203.0.113.8", false},
		{"outside", some, "192.0.3.1", false},
		{"unknown", some, "", false},
		{"what cannot be read admits nobody", []string{"office"}, "192.0.2.1", false},
	}
	for _, tt := range tests {
		var client netip.Addr
		if tt.client != "" {
			client = netip.MustParseAddr(tt.client)
		}
		g := tokens.Grant{Clients: tt.clients}
		if got := g.Admits(client); got != tt.want {
			t.Errorf("%s: Admits(%s) = %v, want %v", tt.name, tt.client, got, tt.want)
		}
	}
}
