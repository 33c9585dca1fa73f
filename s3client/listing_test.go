package s3client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"s3gate/s3client"
)

// A listing asks for one level, and is signed like everything else (S1).
func TestListRequest(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		s := echo(t)
		b := s.open(t, f.in(nil))
		for _, tt := range []struct {
			query s3client.ListQuery
			want  url.Values
		}{
			{s3client.ListQuery{Prefix: "a b+%2F/é"}, url.Values{"prefix": {"a b+%2F/é"}, "max-keys": {"1000"}}},
			{s3client.ListQuery{Prefix: "p/", After: "p/x&prefix=", Max: 7}, url.Values{"prefix": {"p/"}, "start-after": {"p/x&prefix="}, "max-keys": {"7"}}},
			{s3client.ListQuery{Prefix: "p/", Max: 1 << 20}, url.Values{"prefix": {"p/"}, "max-keys": {"1000"}}},
		} {
			tt.want.Set("list-type", "2")
			tt.want.Set("delimiter", "/")
			tt.want.Set("encoding-type", "url")
			resp, got := do(t, b, s3client.NewListRequest(tt.query))
			path, rawQuery, _ := strings.Cut(got, "?")
			if parsed, err := url.ParseQuery(rawQuery); resp.StatusCode != 200 || path != "/bucket/" || err != nil || !reflect.DeepEqual(parsed, tt.want) {
				t.Errorf("%+v arrived with %d as %s", tt.query, resp.StatusCode, got)
			}
		}
	})
}

func page(body string) *http.Response {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body))}
}

func TestReadListing(t *testing.T) {
	const entry = `<Contents><Key>%s</Key><LastModified>2026-03-02T10:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>5</Size></Contents>`
	const folder = `<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>`
	doc := func(inner string) string {
		return `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + inner + `</ListBucketResult>`
	}
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	object := func(key string) s3client.ListedObject {
		return s3client.ListedObject{Key: key, Size: 5, ETag: `"e"`, LastModified: at}
	}
	for _, tt := range []struct {
		name, body string
		want       *s3client.Listing // nil is an error
	}{
		{"empty", doc(""), &s3client.Listing{}},
		{"encoded", doc(`<EncodingType>url</EncodingType>` + fmt.Sprintf(entry, "a+b%2Bc%2F%00/%C3%A9") + fmt.Sprintf(folder, "d+/")),
			&s3client.Listing{Objects: []s3client.ListedObject{object("a b+c/\x00/é")}, Prefixes: []string{"d /"}}},
		{"not encoded", doc(fmt.Sprintf(entry, "a+%41")), &s3client.Listing{Objects: []s3client.ListedObject{object("a+%41")}}},
		{"more", doc(`<IsTruncated>true</IsTruncated>`), &s3client.Listing{More: true}},
		{"wrongly encoded", doc(`<EncodingType>url</EncodingType>` + fmt.Sprintf(entry, "%zz")), nil},
		{"another document", `<Error><Code>x</Code></Error>`, nil},
		{"cut", strings.TrimSuffix(doc(fmt.Sprintf(entry, "a")), "</ListBucketResult>"), nil},
		{"no time", doc(`<Contents><Key>a</Key></Contents>`), nil},
		{"too many", doc(strings.Repeat(fmt.Sprintf(folder, "d/"), 1001)), nil},
		{"too long", doc(`<EncodingType>url</EncodingType>` + fmt.Sprintf(entry, strings.Repeat("k", 8<<20))), nil},
		{"nothing", "", nil},
	} {
		got, err := s3client.ReadListing(page(tt.body))
		if tt.want == nil && !errors.Is(err, s3client.ErrListing) {
			t.Errorf("%s: %v, want ErrListing", tt.name, err)
		}
		if tt.want != nil && (err != nil || !reflect.DeepEqual(got, tt.want)) {
			t.Errorf("%s: got %+v, %v\nwant %+v", tt.name, got, err, tt.want)
		}
	}
}

// Whatever S3 answers, reading it ends, and within bounds.
func FuzzReadListing(f *testing.F) {
	f.Add(`<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a</Key><LastModified>2026-03-02T10:00:00Z</LastModified></Contents></ListBucketResult>`)
	f.Add(`<ListBucketResult><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes><IsTruncated>1</IsTruncated></ListBucketResult>`)
	f.Fuzz(func(t *testing.T, body string) {
		l, err := s3client.ReadListing(page(body))
		if (l == nil) == (err == nil) || err != nil && !errors.Is(err, s3client.ErrListing) {
			t.Fatalf("%+v, %v", l, err)
		}
		if l != nil && len(l.Objects)+len(l.Prefixes) > s3client.MaxListed {
			t.Errorf("%d entries", len(l.Objects)+len(l.Prefixes))
		}
	})
}
