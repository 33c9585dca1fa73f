package conformance

import (
	"context"
	"encoding/xml"
	"strings"
	"testing"
	"time"
)

// versionList is one page of ?versions in its order, which the SDK loses.
func (s *suite) versionList(t *testing.T, query string) []versionEntry {
	t.Helper()
	a := s.do(t, request{query: strings.TrimSuffix("versions=&"+query, "&")})
	if a.status != 200 {
		t.Fatalf("?versions: got %v", a)
	}
	type listed struct {
		XMLName        xml.Name
		Key, VersionId string
		IsLatest       bool
	}
	var page struct {
		All []listed `xml:",any"`
	}
	if err := xml.Unmarshal([]byte(a.body), &page); err != nil {
		t.Fatalf("?versions: %v in %v", err, a)
	}
	var all []versionEntry
	for _, l := range page.All {
		if l.XMLName.Local == "Version" || l.XMLName.Local == "DeleteMarker" {
			all = append(all, versionEntry{l.Key, l.VersionId, l.IsLatest, l.XMLName.Local == "DeleteMarker"})
		}
	}
	return all
}

// background is a context for what is cleaned up after the test.
func (s *suite) background(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
