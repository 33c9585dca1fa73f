package devs3

import (
	"io"
	"net/http"
	"strings"
)

// maxFormFields bounds what comes before the file, in bytes ("POST Object",
// Amazon S3 API Reference: 20 KB).
const maxFormFields = 20 << 10

// form is an upload form, read up to its file.
type form struct {
	fields   map[string]string // names in lower case
	filename string
	file     io.Reader

	size sizeRange // of the file; its policy may say
}

var (
	errMalformedPost = &apiError{code: "MalformedPOSTRequest", message: "The body of your POST request is not well-formed multipart/form-data."}
	errFieldsTooLong = &apiError{code: "MaxPostPreDataLengthExceededError", message: "Your POST request fields preceding the upload file were too large."}
	errNoFile        = invalidArgument("file", "POST requires exactly one file upload per request.")
)

// readForm reads the fields before the file; those behind it are ignored, as S3
// does.
func readForm(r *http.Request) (*form, error) {
	fields := &capped{r: r.Body, left: maxFormFields}
	body := *r
	body.Body = io.NopCloser(fields)
	parts, err := body.MultipartReader()
	if err != nil {
		return nil, errMalformedPost
	}
	f := &form{fields: map[string]string{}, size: sizeRange{0, maxSingle}}
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return nil, errNoFile
		}
		if err != nil {
			return nil, fields.explain()
		}
		name := strings.ToLower(part.FormName())
		if name == "file" {
			fields.left = -1
			f.filename, f.file = part.FileName(), part
			return f, nil
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return nil, fields.explain()
		}
		if _, twice := f.fields[name]; twice || name == "" {
			return nil, errMalformedPost
		}
		f.fields[name] = string(text)
	}
}

func (f *form) get(name string) string { return f.fields[name] }

// signed reports whether anything in the form belongs to a signature.
func (f *form) signed() bool {
	for _, name := range []string{"policy", "x-amz-signature", "x-amz-credential", "x-amz-algorithm", "awsaccesskeyid", "signature"} {
		if _, ok := f.fields[name]; ok {
			return true
		}
	}
	return false
}

// headers are the fields that a PUT would carry as headers, in its spelling.
func (f *form) headers() http.Header {
	h := http.Header{}
	for name, value := range f.fields {
		switch {
		case name == "acl":
			h.Set("X-Amz-Acl", value)
		case strings.HasPrefix(name, "x-amz-meta-"), strings.HasPrefix(name, "x-amz-checksum-"),
			strings.HasPrefix(name, "x-amz-server-side-encryption"), strings.HasPrefix(name, "x-amz-object-lock-"),
			name == "x-amz-storage-class", name == "x-amz-website-redirect-location",
			name == "cache-control", name == "content-type", name == "content-disposition", name == "content-encoding",
			name == "content-language", name == "content-md5", name == "expires":
			h.Set(name, value)
		}
	}
	return h
}

// capped reads so many bytes, or any number while left is negative.
type capped struct {
	r    io.Reader
	left int
}

// explain tells why the form cannot be read.
func (c *capped) explain() error {
	if c.left == 0 {
		return errFieldsTooLong
	}
	return errMalformedPost
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errFieldsTooLong
	}
	if c.left > 0 {
		p = p[:min(len(p), c.left)]
	}
	n, err := c.r.Read(p)
	if c.left > 0 {
		c.left -= n
	}
	return n, err
}
