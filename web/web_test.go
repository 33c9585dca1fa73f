package web_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"s3gate/web"
)

const hostile = `"><script>alert(1)</script>{{.}}'`

// pages are all there are, in a language, with as much in them as can be.
func pages(language web.Language) map[string]web.Document {
	file := &web.File{Name: hostile, Size: 1234567, Type: hostile}
	full := web.ConfirmPage{File: file, Left: 3, Until: time.Date(2026, 3, 4, 5, 6, 7, 8, time.FixedZone("", 3600)),
		Challenge: hostile, Digits: "0815"}
	again, code, wrong := full, full, full
	again.Problem = hostile
	code.File, code.Passcode, code.Challenge, code.Digits = nil, true, "", ""
	wrong = code
	wrong.Problem = hostile
	link := web.Link{Name: hostile, Href: "./a?b=" + hostile}
	list := web.ListingPage{Above: []web.Link{{Href: "../../"}, {Name: hostile, Href: "../"}}, Name: hostile, Folders: []web.Link{link},
		Files: []web.ListedFile{{Link: link, Size: 1234567, Changed: full.Until}, {Link: web.Link{Href: "./"}}},
		First: "./", Next: "./?after=" + hostile}
	sharing := web.Sharing{By: hostile, Note: hostile + "\n" + hostile}
	upload := web.UploadPage{Sharing: sharing, Link: hostile, Many: true, Limited: true, Left: 3, MaxBytes: 1234567, Types: []string{"image/*", hostile},
		Passcode: true, Until: full.Until}
	summed := upload
	summed.Checksum = hostile
	full.Sharing, list.Sharing = sharing, sharing
	noted := full
	noted.Challenge, noted.Digits, noted.Ticket = "", "", hostile
	shown := list
	shown.Previews = true
	shown.Files = []web.ListedFile{{Link: web.Link{Name: hostile + ".PNG", Href: "./a.PNG?ticket=" + hostile}, Size: web.MaxPreview}}
	l := web.Look{Language: language, Contact: hostile, Brand: web.Brand{Name: hostile, Logo: "data:image/png;base64," + hostile, Colour: "#c0ffee"}}
	return map[string]web.Document{
		"upload": web.Upload(l, upload), "upload of one": web.Upload(l, web.UploadPage{}), "upload with a checksum": web.Upload(l, summed),
		"upload, passcode": web.Confirm(l, web.ConfirmPage{Upload: true, Passcode: true}),
		"listing":          web.Listing(l, list), "empty": web.Listing(l, web.ListingPage{}), "previews": web.Listing(l, shown),
		"confirm": web.Confirm(l, full), "noted": web.Confirm(l, noted), "again": web.Confirm(l, again), "passcode": web.Confirm(l, code), "wrong": web.Confirm(l, wrong),
		"bare":  web.Confirm(web.Look{}, web.ConfirmPage{}),
		"error": web.Error(l, web.ErrorPage{Title: hostile, Message: hostile, Advice: hostile, Status: hostile, Request: hostile}),
		"busy":  web.Error(l, web.ErrorPage{Title: hostile, Icon: web.Waiting, Again: true, After: 10 * time.Minute}),
	}
}

// Whatever is put into a page stays text, every page is whole and accessible
// on its own, light, and only what has the nonce of this one answer runs (C1).
func TestPages(t *testing.T) {
	for _, language := range web.Languages() {
		for name, doc := range pages(language) {
			t.Run(language.Tag()+"/"+name, func(t *testing.T) { checkPage(t, doc) })
		}
	}
}

func checkPage(t *testing.T, doc web.Document) {
	root, err := html.Parse(strings.NewReader(string(doc.HTML)))
	if err != nil {
		t.Fatal(err)
	}
	if most := 60 << 10; len(doc.HTML) > most {
		t.Errorf("the page has %d bytes, of at most %d", len(doc.HTML), most)
	}
	nonce := regexp.MustCompile(`style-src 'nonce-([0-9A-Z]{26})'`).FindStringSubmatch(doc.Policy)
	if nonce == nil || !strings.HasPrefix(doc.Policy, "default-src 'none'; ") {
		t.Fatalf("policy %q", doc.Policy)
	}
	count := map[string]int{}
	labels, fields := map[string]bool{}, map[string]bool{}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		count[n.Data]++
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("<%s %s>", n.Data, a.Key)
			}
		}
		switch n.Data {
		case "style", "script":
			if attr["nonce"] != nonce[1] {
				t.Errorf("<%s> has nonce %q", n.Data, attr["nonce"])
			}
		case "label":
			labels[attr["for"]] = true
		case "input":
			fields[attr["id"]] = attr["type"] != "hidden"
		}
		for _, name := range []string{"src", "href", "action"} {
			if v := attr[name]; v != "" && v != "data:," && !strings.HasPrefix(v, "data:image/png;base64,") && !strings.HasPrefix(v, "./") && !strings.HasPrefix(v, "../") {
				t.Errorf("<%s> leads to %q", n.Data, v)
			}
		}
	}
	for id, visible := range fields {
		if visible && !labels[id] {
			t.Errorf("field %q has no label", id)
		}
	}
	wantScripts := 1
	if strings.Contains(string(doc.HTML), `class="trouble"`) || count["pre"] > 0 && count["template"] == 0 { // errors, and how a program uploads
		wantScripts = 0
	}
	if strings.Contains(doc.Policy, "connect-src 'self'") != (count["template"] == 1) || strings.Contains(doc.Policy, "connect-src 'self' ") {
		t.Errorf("policy %q with %d scripts that send", doc.Policy, count["template"])
	}
	if strings.Contains(doc.Policy, "worker-src blob:;") != (count["template"] == 1) {
		t.Errorf("policy %q", doc.Policy)
	}
	if count["title"] != 1 || count["main"] != 1 || count["h1"] != 1 || count["style"] != 1 || count["script"] != wantScripts {
		t.Errorf("elements: %v", count)
	}
	if strings.Contains(doc.Policy, "script-src") != (wantScripts == 1) || strings.Contains(doc.Policy, "form-action 'self'") != (count["form"] == 1) {
		t.Errorf("policy %q with %d scripts and %d forms", doc.Policy, wantScripts, count["form"])
	}
}

// What is in the page: the time in UTC, and the digits in words only.
func TestConfirmSays(t *testing.T) {
	all := pages(web.Language{})
	page := string(all["confirm"].HTML)
	for _, want := range []string{"1.2 MB", "1,234,567 bytes", `datetime="2026-03-04T04:06:07Z"`, "4 March 2026, 04:06 UTC", "zero eight one five", "<dd>3</dd>",
		"Shared by &#34;&gt;", "&#39;\n&#34;&gt;&lt;script&gt;", "If it breaks off"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(page, "0815") {
		t.Error("the digits stand on the page as digits")
	}
	code := string(all["passcode"].HTML)
	if strings.Contains(code, "challenge\"") || strings.Contains(code, "digits\"") || strings.Contains(code, "class=\"size\"") || strings.Contains(code, "Shared by") || !strings.Contains(code, `type="password"`) {
		t.Errorf("the page that asks for a passcode:\n%s", code)
	}
}

// The page for uploads says what the link takes, and how a program uploads.
func TestUploadSays(t *testing.T) {
	all := pages(web.Language{})
	for name, wants := range map[string][]string{
		"upload": {"Requested by &#34;&gt;", "Upload files", "1.2 MB", "1,234,567 bytes", "<dd>images, ", `<dd id="left">3</dd>`, "4 March 2026, 04:06 UTC", `data-left="3"`, " multiple ",
			"curl -u :PASSCODE -T FILE 'LINK'", "a slash at its end", "LINK ends before the question mark", `accept="image/*,`},
		"upload of one":          {"Upload a file", "curl -T FILE 'LINK'", `data-max="0"`},
		"upload with a checksum": {"curl -u :PASSCODE -H 'CHECKSUM' -T FILE 'LINK'", "only uploads with a checksum"},
		"upload, passcode":       {"This link needs a passcode", "Open</button>"},
	} {
		for _, want := range wants {
			if !strings.Contains(string(all[name].HTML), want) {
				t.Errorf("%s: no %q in\n%s", name, want, all[name].HTML)
			}
		}
	}
	one := string(all["upload of one"].HTML)
	for _, not := range []string{"multiple>", "data-left=", "data-many ", "Largest", "Types", " left</dt>", `type="file" accept=`, "PASSCODE"} {
		if strings.Contains(one, not) {
			t.Errorf("%q in\n%s", not, one)
		}
	}
	if page := string(all["upload with a checksum"].HTML); strings.Contains(page, "<input") || strings.Contains(page, "noscript") {
		t.Errorf("takes files all the same:\n%s", page)
	}
}

func TestSizes(t *testing.T) {
	for size, want := range map[int64]string{
		-1: "not known", 0: "0 bytes", 1: "1 byte", 999: "999 bytes", 1000: "1.0 kB <span>(1,000 bytes)",
		999_949: "999.9 kB", 999_950: "1.0 MB <span>(999,950 bytes)", 5 << 40: "5.5 TB <span>(5,497,558,138,880 bytes)",
		1<<63 - 1: "9.2 EB",
	} {
		page := string(web.Confirm(web.Look{}, web.ConfirmPage{File: &web.File{Size: size}}).HTML)
		if !strings.Contains(page, `<p class="size">`+want) {
			t.Errorf("%d: no %q in\n%s", size, want, page)
		}
	}
}

// A listing loads images only where that was granted, of kinds that can do
// nothing, and only then may it.
func TestPreviews(t *testing.T) {
	list := func(previews bool, files ...web.ListedFile) web.Document {
		return web.Listing(web.Look{}, web.ListingPage{Previews: previews, Files: files})
	}
	file := func(name string, size int64) web.ListedFile {
		return web.ListedFile{Link: web.Link{Name: name, Href: "./x?ticket=T"}, Size: size}
	}
	for _, tt := range []struct {
		name     string
		previews bool
		size     int64
		want     bool
	}{
		{"a.png", true, 1, true}, {"a.JPEG", true, web.MaxPreview, true}, {"a.b.webp", true, 0, true}, {"a.gif", true, 1, true}, {"a.avif", true, 1, true}, {"a.jpg", true, 1, true},
		{"a.png", false, 1, false}, {"a.png", true, web.MaxPreview + 1, false},
		{"a.svg", true, 1, false}, {"a.html", true, 1, false}, {"png", true, 1, false}, {"a.png.exe", true, 1, false}, {"a.tiff", true, 1, false}, {"", true, 1, false},
	} {
		doc := list(tt.previews, file(tt.name, tt.size))
		img := strings.Contains(string(doc.HTML), `<img src="./x?ticket=T" alt="" loading="lazy"`)
		if open := strings.Contains(doc.Policy, "img-src data: 'self';"); img != tt.want || open != tt.want || strings.Count(doc.Policy, "'self'") > 1 {
			t.Errorf("%q of %d bytes, granted %v: image %v, want %v; policy %s", tt.name, tt.size, tt.previews, img, tt.want, doc.Policy)
		}
	}
}

// A listing counts what it shows.
func TestListingCounts(t *testing.T) {
	link := web.Link{Name: "a/", Href: "./a/"}
	files := []web.ListedFile{{Link: web.Link{Name: "b.zip", Href: "./b"}, Size: 1_000_000}, {Link: web.Link{Name: "c", Href: "./c"}, Size: 500_000}}
	for want, p := range map[string]web.ListingPage{
		"1 folder":                       {Folders: []web.Link{link}},
		"2 files · 1.5 MB":               {Files: files},
		"2 folders · 1 file · 1.0 MB":    {Folders: []web.Link{link, link}, Files: files[:1]},
		"On this page: 1 folder":         {Folders: []web.Link{link}, First: "./"},
		"On this page: 2 files · 1.5 MB": {Files: files, Next: "./?after=b"},
	} {
		if page := string(web.Listing(web.Look{}, p).HTML); !strings.Contains(page, `<p class="total">`+want+"</p>") {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

// How far away the end is stands beside it, in the largest unit of which there
// are two.
func TestAway(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		90 * time.Second: "in 8", 2*time.Minute + time.Second: "in 2 minutes", 119 * time.Minute: "in 118 minutes", 47*time.Hour + time.Minute: "in 47 hours",
		3*day + time.Hour: "in 3 days", 61 * day: "in 2 months", 800 * day: "in 2 years", 10*365*day + day: "in 10 years", -time.Hour: "",
	} {
		page := string(web.Confirm(web.Look{}, web.ConfirmPage{Until: time.Now().Add(d)}).HTML)
		_, got, _ := strings.Cut(page, "<span data-away>(")
		got, _, _ = strings.Cut(got, ")<")
		if !strings.HasPrefix(got, want) || got != "" && want == "" {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	page := string(web.Error(web.Look{}, web.ErrorPage{Again: true, After: 15 * time.Minute}).HTML)
	if !strings.Contains(page, "It may work in 15 minutes.") || !strings.Contains(page, `<a class="button" href="">Try again</a>`) {
		t.Errorf("an error that passes:\n%s", page)
	}
	if page := string(web.Error(web.Look{}, web.ErrorPage{}).HTML); strings.Contains(page, "<a ") {
		t.Errorf("an error that does not:\n%s", page)
	}
}

// The script's answer is FNV-1a, as its authors publish it.
func TestGesture(t *testing.T) {
	for text, want := range map[string]string{"": "811c9dc5", "a": "e40c292c", "foobar": "bf9cf968"} {
		if got := web.Gesture(text); got != want {
			t.Errorf("Gesture(%q) = %s, want %s", text, got, want)
		}
	}
}

// A listing says where one is and what is there, folders first; what has no
// name can still be clicked.
func TestListingSays(t *testing.T) {
	text := string(web.Listing(web.Look{}, web.ListingPage{
		Above: []web.Link{{Href: "../../"}, {Name: "2030", Href: "../"}}, Name: "january",
		Folders: []web.Link{{Name: "x\u202egpj.exe/", Href: "./sub/"}},
		Files: []web.ListedFile{
			{Link: web.Link{Name: "a b.pdf", Href: "./a%20b.pdf"}, Size: 1234567, Changed: time.Date(2030, 1, 31, 13, 4, 0, 0, time.FixedZone("", 3600))},
			{Link: web.Link{Href: "./"}, Size: 1},
		},
		Next: "./?after=YQ&ticket=T",
	}).HTML)
	for _, want := range []string{
		`<a href="../../"><bdi>Shared files</bdi></a>`, `<a href="../"><bdi>2030</bdi></a>`, "<h1><bdi>january</bdi></h1>",
		"href=\"./sub/\"><bdi>x\ufffdgpj.exe/</bdi></a></td><td>Folder</td>", `href="./a%20b.pdf"><bdi>a b.pdf</bdi></a></td><td>1.2 MB</td>`,
		`<time datetime="2030-01-31T12:04:00Z">31 Jan 2030 <span>12:04</span></time>`, "<bdi>(no name)</bdi></a></td><td>1 byte</td><td></td>",
		`<a href="./?after=YQ&amp;ticket=T" rel="next">`,
	} {
		_, rest, ok := strings.Cut(text, strings.ReplaceAll(want, "<td>", `<td role="cell">`))
		if !ok {
			t.Errorf("no %s, or not where it should be, in\n%s", want, text)
			continue
		}
		text = rest
	}
	if empty := string(web.Listing(web.Look{}, web.ListingPage{}).HTML); !strings.Contains(empty, "There are no files here") || strings.Contains(empty, "<nav") {
		t.Errorf("an empty one:\n%s", empty)
	}
}
