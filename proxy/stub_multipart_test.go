package proxy_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// stubUpload is a multipart upload that is neither completed nor aborted.
type stubUpload struct {
	key    string
	header http.Header
	parts  map[int][]byte
}

// multipart answers the requests of multipart uploads.
func (s *stubS3) multipart(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var part []byte
	if r.Method == "PUT" {
		var err error
		if part, err = io.ReadAll(r.Body); err != nil || int64(len(part)) != r.ContentLength {
			refuse(http.StatusBadRequest, "IncompleteBody")(w, r)
			return
		}
	}
	if sum := r.Header.Get("Content-Md5"); sum != "" && sum != checksum("md5", string(part)) {
		refuse(http.StatusBadRequest, "BadDigest")(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == "POST" && q.Has("uploads") {
		s.begun++
		id := fmt.Sprintf("upload-%d", s.begun)
		header := http.Header{"Last-Modified": {modified}}
		for _, name := range []string{"Content-Type", "X-Amz-Meta-S3gate-Use"} {
			if v := r.Header.Get(name); v != "" {
				header.Set(name, v)
			}
		}
		s.uploads[id] = &stubUpload{strings.TrimPrefix(r.URL.Path, "/"+canaryBucket+"/"), header, map[int][]byte{}}
		fmt.Fprintf(w, `<?xml version="1.0"?><InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>`,
			canaryBucket, canaryKey, id)
		return
	}
	u := s.uploads[q.Get("uploadId")]
	switch number, _ := strconv.Atoi(q.Get("partNumber")); {
	case u == nil:
		refuse(http.StatusNotFound, "NoSuchUpload")(w, r)
	case r.Method == "PUT":
		u.parts[number] = part
		w.Header().Set("ETag", partTag(part))
	case r.Method == "DELETE":
		delete(s.uploads, q.Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	case r.Method == "GET":
		fmt.Fprint(w, "<ListPartsResult>")
		for _, number := range slices.Sorted(maps.Keys(u.parts)) {
			fmt.Fprintf(w, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><Size>%d</Size></Part>", number, partTag(u.parts[number]), len(u.parts[number]))
		}
		fmt.Fprint(w, "</ListPartsResult>")
	default:
		s.complete(w, r, q.Get("uploadId"), u)
	}
}

func partTag(data []byte) string {
	sum := md5.Sum(data)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// complete makes an object of the parts that the request names.
func (s *stubS3) complete(w http.ResponseWriter, r *http.Request, id string, u *stubUpload) {
	var doc struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUpload"`
		Part    []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.NewDecoder(r.Body).Decode(&doc); err != nil || len(doc.Part) == 0 {
		refuse(http.StatusBadRequest, "MalformedXML")(w, r)
		return
	}
	if _, ok := s.objects[u.key]; ok && r.Header.Get("If-None-Match") == "*" {
		refuse(http.StatusPreconditionFailed, "PreconditionFailed")(w, r)
		return
	}
	var data []byte
	last := 0
	for _, p := range doc.Part {
		part, ok := u.parts[p.PartNumber]
		if !ok || p.ETag != partTag(part) || p.PartNumber <= last {
			refuse(http.StatusBadRequest, "InvalidPart")(w, r)
			return
		}
		last = p.PartNumber
		data = append(data, part...)
	}
	header := u.header.Clone()
	header.Set("Etag", manyTag)
	s.objects[u.key] = object{data, header}
	delete(s.uploads, id)
	hostile(w.Header())
	w.Header().Set("X-Amz-Version-Id", "v1")
	fmt.Fprintf(w, `<?xml version="1.0"?>`+"\n \n"+`<CompleteMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Location>https://%s/%s</Location><Bucket>%s</Bucket><Key>%s</Key>`+
		`<ETag>&quot;%s&quot;</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType></CompleteMultipartUploadResult>`,
		canaryBucket, canaryKey, canaryBucket, canaryKey, strings.Trim(manyTag, `"`))
}

// manyTag is the ETag of an object of several parts.
const manyTag = `"0123456789abcdef-2"`

// left is the number of multipart uploads that are neither completed nor
// aborted.
func (s *stubS3) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// The requests of a multipart upload.
const (
	create     = "Create"
	uploadPart = "UploadPart"
	complete   = "Complete"
	abort      = "Abort"
	listParts  = "ListParts"
)

// kind names a request of a multipart upload; others by their method.
func kind(method, target string) string {
	_, query, _ := strings.Cut(target, "?")
	switch {
	case strings.HasPrefix(query, "uploads"):
		return create
	case !strings.Contains(query, "uploadId="):
		return method
	}
	return map[string]string{"PUT": uploadPart, "POST": complete, "DELETE": abort, "GET": listParts}[method]
}

// kinds are the requests that have arrived, in their order.
func (s *stubS3) kinds() []string {
	var kinds []string
	for _, r := range s.log() {
		kinds = append(kinds, kind(r.method, r.target))
	}
	return kinds
}

// count is how many requests of a kind have arrived.
func (s *stubS3) count(of string) int {
	kinds := s.kinds()
	return len(kinds) - len(slices.DeleteFunc(kinds, func(k string) bool { return k == of }))
}

// times answers the first n requests of a kind in this way, and all others as
// it should.
func (s *stubS3) times(n int, of string, answer http.HandlerFunc) {
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		if kind(r.Method, r.RequestURI) == of {
			select {
			case <-left:
				answer(w, r)
				return
			default:
			}
		}
		s.behave(w, r)
	})
}

// unmeasuredBody is a body that does not say its length.
func unmeasuredBody(data string) io.Reader { return io.MultiReader(strings.NewReader(data)) }
