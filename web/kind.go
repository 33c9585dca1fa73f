package web

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// kind is what a file is for a person, who sees it as an icon.
type kind string

const (
	imageFile   kind = "image"
	videoFile   kind = "video"
	audioFile   kind = "audio"
	pdfFile     kind = "pdf"
	archiveFile kind = "archive"
	textFile    kind = "text"
	sheetFile   kind = "sheet"
	slidesFile  kind = "slides"
	anyFile     kind = "file"
	aFolder     kind = "folder"
)

// endings are those of file names, in lower case.
var endings = map[kind][]string{
	imageFile:   {"png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "heic", "heif", "tif", "tiff", "bmp", "ico", "psd", "raw", "dng"},
	videoFile:   {"mp4", "m4v", "mov", "mkv", "webm", "avi", "wmv", "mpg", "mpeg", "m3u8", "mpd"},
	audioFile:   {"mp3", "m4a", "aac", "wav", "flac", "ogg", "oga", "opus", "wma", "aiff"},
	pdfFile:     {"pdf"},
	archiveFile: {"zip", "gz", "tgz", "tar", "bz2", "xz", "zst", "7z", "rar", "iso", "dmg", "jar", "deb", "rpm"},
	textFile:    {"txt", "md", "log", "json", "xml", "yaml", "yml", "toml", "html", "css", "js", "ts", "go", "py", "java", "c", "h", "rs", "sh", "sql", "doc", "docx", "odt", "rtf", "tex"},
	sheetFile:   {"xls", "xlsx", "xlsm", "ods", "csv", "tsv", "parquet"},
	slidesFile:  {"ppt", "pptx", "odp", "key"},
}

// mediaTypes are those, or what those begin with, that tell more than a name.
var mediaTypes = []struct {
	begin string
	kind  kind
}{
	{"image/", imageFile}, {"video/", videoFile}, {"audio/", audioFile}, {"application/pdf", pdfFile},
	{"text/csv", sheetFile}, {"text/", textFile}, {"application/json", textFile}, {"application/xml", textFile}, {"application/msword", textFile},
	{"application/vnd.openxmlformats-officedocument.wordprocessingml", textFile}, {"application/vnd.oasis.opendocument.text", textFile},
	{"application/vnd.ms-excel", sheetFile}, {"application/vnd.openxmlformats-officedocument.spreadsheetml", sheetFile},
	{"application/vnd.oasis.opendocument.spreadsheet", sheetFile},
	{"application/vnd.ms-powerpoint", slidesFile}, {"application/vnd.openxmlformats-officedocument.presentationml", slidesFile},
	{"application/vnd.oasis.opendocument.presentation", slidesFile},
	{"application/zip", archiveFile}, {"application/gzip", archiveFile}, {"application/x-tar", archiveFile}, {"application/x-7z-compressed", archiveFile},
}

// kindOf tells by the name, and if that says nothing by the media type, which
// may be "".
func kindOf(name, mediaType string) kind {
	end := ending(name)
	for k, all := range endings {
		if slices.Contains(all, end) {
			return k
		}
	}
	for _, t := range mediaTypes {
		if strings.HasPrefix(strings.ToLower(mediaType), t.begin) {
			return t.kind
		}
	}
	return anyFile
}

// ending is that of a file's name, in lower case and without its dot.
func ending(name string) string {
	return strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))
}

// name is what the kind is called, "" for one that says nothing.
func (k kind) name(l Language) string {
	switch k {
	case imageFile:
		return l.Say("Image")
	case videoFile:
		return l.Say("Video")
	case audioFile:
		return l.Say("Audio")
	case pdfFile:
		return l.Say("PDF document")
	case archiveFile:
		return l.Say("Archive")
	case textFile:
		return l.Say("Text document")
	case sheetFile:
		return l.Say("Spreadsheet")
	case slidesFile:
		return l.Say("Presentation")
	}
	return ""
}

const sheetOfPaper = "M6 3h8l5 5v13H6zM14 3v5h5"

// drawings are the outlines of kinds, in a square of 24 by 24.
var drawings = map[kind]string{
	imageFile:   "M4 5h16v14H4zM4 16l4.5-4.5 4 4 2.5-2.5 5 5M15.5 9h.01",
	videoFile:   "M4 5h16v14H4zM10 9v6l5-3z",
	audioFile:   "M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z",
	pdfFile:     sheetOfPaper + "M9 17v-4h1.5a1.25 1.25 0 0 1 0 2.5H9M14 13h2M14 17v-4M14 15h1.5",
	archiveFile: "M4 4h16v4H4zM5 8v12h14V8M10 12h4",
	textFile:    sheetOfPaper + "M9 12h6M9 15h6M9 18h4",
	sheetFile:   "M4 5h16v14H4zM4 10h16M4 14.5h16M10 5v14",
	slidesFile:  "M3 4h18M5 4v11h14V4M12 15v3M8 21l4-3 4 3M9 12v-2M12 12V7M15 12V9",
	anyFile:     sheetOfPaper,
	aFolder:     "M3 6h6l2 2.5h10V19H3z",
}

// Drawing is the outline of the kind, for the d of a path.
func (k kind) Drawing() string { return drawings[k] }

// masks are the icons of kinds as a listing has them: many, each by its class.
func masks() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(drawings)) {
		b.WriteString("." + string(k) + ` { --icon: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' ` +
			`stroke='%23000' stroke-width='1.75' stroke-linecap='round' stroke-linejoin='round'%3E%3Cpath d='` + drawings[k] + `'/%3E%3C/svg%3E") }` + "\n")
	}
	return b.String()
}
