package web_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/web"
)

// What a link permits decides what the page offers: folders where it takes
// many files, a camera where it takes pictures, and a checksum where it wants one.
func TestUploadOffers(t *testing.T) {
	const folder, camera, sum, soon = `id="folder"`, `id="camera"`, " data-sum", ` data-open="90"`
	for _, test := range []struct {
		name string
		page web.UploadPage
		want []string
	}{
		{"one of any type", web.UploadPage{}, []string{camera}},
		{"many", web.UploadPage{Many: true}, []string{folder, camera}},
		{"pictures", web.UploadPage{Types: []string{"text/plain", "image/*"}}, []string{camera}},
		{"photographs", web.UploadPage{Types: []string{"image/jpeg"}}, []string{camera}},
		{"no pictures a camera takes", web.UploadPage{Types: []string{"image/png", "video/*"}}, nil},
		{"with a checksum", web.UploadPage{SHA256: true}, []string{camera, sum}},
		{"soon over", web.UploadPage{Open: 90*time.Second + time.Millisecond}, []string{camera, soon}},
	} {
		page := string(web.Upload(web.Look{}, test.page).HTML)
		page, _, _ = strings.Cut(page, "<script")
		for _, what := range []string{folder, camera, sum, soon} {
			if got := strings.Contains(page, what); got == !slices.Contains(test.want, what) {
				t.Errorf("%s: %s is there: %v", test.name, what, got)
			}
		}
	}
}

// A page is light, with its style, script and texts, in every language.
func TestUploadPageWeight(t *testing.T) {
	const most = 60 << 10 // bytes
	for _, language := range web.Languages() {
		full := web.UploadPage{Many: true, Limited: true, Left: 1 << 40, MaxBytes: 1 << 40, Types: []string{"image/*", "application/pdf"},
			Passcode: true, Open: time.Hour}
		size := len(web.Upload(web.Look{Language: language, Contact: "files@example.com"}, full).HTML)
		if t.Logf("%s: %d bytes", language.Tag(), size); size > most {
			t.Errorf("%s: %d bytes, want at most %d", language.Tag(), size, most)
		}
	}
}

// Types have names that people know, as far as there are any.
func TestUploadTypes(t *testing.T) {
	types := []string{"image/*", "video/*", "audio/*", "text/*", "application/pdf", "font/*", "application/zip"}
	for language, want := range map[string]string{
		"en": "<dd>images, videos, audio, text files, PDF, any font, application/zip</dd>",
		"ja": "<dd>画像、動画、音声、テキストファイル、PDF、すべての font、application/zip</dd>",
	} {
		if page := string(web.Upload(web.Look{Language: web.Speak(language)}, web.UploadPage{Types: types}).HTML); !strings.Contains(page, want) {
			t.Errorf("%s: no %s in\n%s", language, want, page)
		}
	}
}
