package devs3

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"

	"s3gate/internal/devs3/disk"
)

// maxSettingXML bounds the XML of a setting: a lifecycle of 1,000 rules with
// room for all that they can hold.
const maxSettingXML = 2 << 20

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// setting is a subresource of a bucket whose document is stored, and given back
// as S3 renders it.
type setting struct {
	root string // the document's root element
	file disk.Setting
	// blank returns a document to read into.
	blank func() settingDocument
	// missing is the answer where nothing is stored; nil: the blank document.
	missing *apiError
	// digest: the document must come with a digest.
	digest bool
}

// settingDocument is the content of a setting, whose root element may stand in
// S3's namespace or in none.
type settingDocument interface {
	// check completes a document that a client has sent, or refuses it.
	check(x *exchange) error
}

func (s *setting) get(x *exchange) error {
	text, err := x.server.store.Setting(x.bucket, s.file)
	if err != nil {
		return err
	}
	if text == nil && s.missing != nil {
		return s.missing.with("BucketName", x.bucket)
	}
	if text == nil {
		text = s.render(s.blank())
	}
	x.w.Header().Set("Content-Type", "application/xml")
	x.w.Write(text)
	return nil
}

func (s *setting) put(x *exchange) error {
	if s.digest && !x.hasDigest() {
		return errMissingDigest
	}
	text, err := x.readAll(maxSettingXML)
	if err != nil {
		return err
	}
	doc := s.blank()
	if err := s.parse(text, doc); err != nil {
		return err
	}
	if err := doc.check(x); err != nil {
		return err
	}
	return x.server.store.Set(x.bucket, s.file, s.render(doc))
}

func (s *setting) delete(x *exchange) error {
	if err := x.server.store.Set(x.bucket, s.file, nil); err != nil {
		return err
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *setting) render(doc settingDocument) []byte {
	text := bytes.NewBufferString(xml.Header)
	err := xml.NewEncoder(text).EncodeElement(doc, xml.StartElement{Name: xml.Name{Space: namespace, Local: s.root}})
	if err != nil {
		panic(err) // our own types
	}
	return text.Bytes()
}

// parse reads a document strictly: what is in the text and would not be in the
// rendered document, because S3 has no such element or has it once, is refused.
func (s *setting) parse(text []byte, doc settingDocument) error {
	if err := xml.Unmarshal(text, doc); err != nil {
		return errMalformedXML
	}
	sent, err := elements(text)
	if err != nil {
		return errMalformedXML
	}
	known, err := elements(s.render(doc))
	if err != nil {
		return err
	}
	for path, n := range sent {
		if n > known[path] {
			return errMalformedXML
		}
	}
	return nil
}

// elements counts the elements of a document by their path.
func elements(text []byte) (map[string]int, error) {
	count := map[string]int{}
	d := xml.NewDecoder(bytes.NewReader(text))
	paths := []string{""}
	for {
		token, err := d.Token()
		if err == io.EOF {
			return count, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			path := paths[len(paths)-1] + "/" + t.Name.Local
			paths = append(paths, path)
			count[path]++
		case xml.EndElement:
			paths = paths[:len(paths)-1]
		}
	}
}

// stored reads a setting into doc; false means that the bucket has none.
func (s *Server) stored(bucket string, file disk.Setting, doc settingDocument) (bool, error) {
	text, err := s.store.Setting(bucket, file)
	if err != nil || text == nil {
		return false, err
	}
	if err := xml.Unmarshal(text, doc); err != nil {
		return false, fmt.Errorf("reading %s of %s: %w", file, bucket, err)
	}
	return true, nil
}
