package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"time"

	"s3gate/policy"
	"s3gate/s3client"
)

// verification is one run of [VerifyWith].
type verification struct {
	VerifyOptions
	store  Store
	key    string
	body   []byte
	report Report
	tried  []attempt // those of the report's checks
	// stored has the keys that may have been written, each with its version if
	// the bucket keeps versions, and begun the multipart uploads that were begun.
	stored map[string]string
	begun  []s3client.Upload
}

const (
	allowed = "allowed"
	refused = "refused"
)

// attempt is a request that is tried, and what a policy is told of it.
type attempt struct {
	name, want  string
	store       Store
	kind        kind
	method, key string
	query       url.Values
	age         time.Duration // since it was presigned
	who         policy.Principal
	partition   string // of the bucket's ARN
}

// kind is how a request proves who has made it.
type kind int

const (
	bySigner kind = iota // as the store signs
	byURL                // presigned
	byForm               // a POST form
	byNobody             // not at all
)

// attempts are all that are made, in their order.
func (v *verification) attempts() []attempt {
	var list []attempt
	add := func(name, want string, k kind, method, key string, age time.Duration) {
		list = append(list, attempt{name: name, want: want, store: v.store, kind: k, method: method, key: key, age: age, who: v.Principal})
	}
	ask := func(query url.Values) { list[len(list)-1].query = query }
	own := string(v.report.Signing) + "-signed "
	writes := v.Key == ""
	if writes {
		add(own+"PUT", allowed, bySigner, http.MethodPut, v.key, 0)
	}
	add(own+"GET", allowed, bySigner, http.MethodGet, v.key, 0)
	add(own+"HEAD", allowed, bySigner, http.MethodHead, v.key, 0)
	presigned, age := "presigned ", time.Duration(0)
	if v.report.Signing == s3client.SignQuery {
		presigned, age = "stale presigned ", v.MaxAge+staleMargin
	}
	add(presigned+"GET", refused, byURL, http.MethodGet, v.key, age)
	add(presigned+"HEAD", refused, byURL, http.MethodHead, v.key, age)
	if writes {
		add(presigned+"PUT", refused, byURL, http.MethodPut, v.key+"-put", age)
		add("presigned POST", refused, byForm, http.MethodPost, v.key+"-post", 0)
		// S3 asks whether somebody may delete before it looks for the object.
		add(presigned+"DELETE", refused, byURL, http.MethodDelete, v.key+"-delete", age)
		add(presigned+"multipart upload", refused, byURL, http.MethodPost, v.key+"-parts", age)
		ask(url.Values{"uploads": {""}})
	}
	if v.Prefix == "" { // a lock on a prefix is for no listing
		add(presigned+"listing", refused, byURL, http.MethodGet, "", age)
		ask(url.Values{"list-type": {"2"}, "max-keys": {"1"}})
	}
	add("anonymous GET", refused, byNobody, http.MethodGet, v.key, 0)
	if writes {
		add("anonymous PUT", refused, byNobody, http.MethodPut, v.key+"-anonymous", 0)
	}
	for _, other := range v.Others {
		list = append(list, v.ofOther(other)...)
	}
	for i := range list {
		list[i].partition = v.Partition
	}
	return list
}

// ofOther are those with the credentials of somebody else, who must be able to
// read: of somebody who is refused anyway nothing is proven.
func (v *verification) ofOther(o Other) []attempt {
	want := refused
	if o.Exempt {
		want = allowed
	}
	by := " by " + o.Name
	list := []attempt{
		{name: string(o.Store.Signing()) + "-signed GET" + by, want: allowed, store: o.Store, method: http.MethodGet, key: v.key},
		{name: "presigned GET" + by, want: want, store: o.Store, kind: byURL, method: http.MethodGet, key: v.key},
	}
	if v.Key == "" && !o.Exempt {
		list = append(list, attempt{name: "presigned PUT" + by, want: want, store: o.Store, kind: byURL, method: http.MethodPut, key: v.key + "-other"})
	}
	return list
}

// try makes one attempt and judges the answer.
func (v *verification) try(ctx context.Context, a attempt) error {
	if a.writes() {
		v.stored[a.key] = "" // until the answer says more
	}
	resp, err := v.send(ctx, a)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if a.kind == bySigner && a.method == http.MethodGet && v.Key == "" && resp.StatusCode == http.StatusOK {
		got, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		if err != nil || !bytes.Equal(got, v.body) {
			return errCanary
		}
	}
	got := v.expect(a, resp)
	switch {
	case a.begins() && got == allowed:
		id, _ := s3client.ReadUploadID(resp) // without one it is left
		v.begun = append(v.begun, s3client.Upload{Key: a.key, ID: id})
	case a.writes() && got == refused:
		delete(v.stored, a.key)
	case a.writes():
		v.stored[a.key] = resp.Header.Get("X-Amz-Version-Id")
	}
	return nil
}

// begins reports whether an attempt begins a multipart upload, which stores no
// object yet.
func (a *attempt) begins() bool { return a.kind == byURL && a.method == http.MethodPost }

// writes reports whether an attempt may leave an object, or the mark of a deleted
// one.
func (a *attempt) writes() bool {
	return !a.begins() && (a.method == http.MethodPut || a.method == http.MethodPost || a.method == http.MethodDelete)
}

var errCanary = errors.New("the canary came back changed")

// expect judges an answer. Only AccessDenied counts as refused: any other error
// says nothing of the policy. An answer to HEAD has no document that could say
// so, and counts by its status.
func (v *verification) expect(a attempt, resp *http.Response) (got string) {
	got, note := allowed, ""
	if resp.StatusCode/100 != 2 {
		code := s3client.ReadError(resp).Code
		got, note = "failed", " "+code
		switch {
		case a.method == http.MethodHead && resp.StatusCode == http.StatusForbidden:
			got, note = refused, ""
		case code == "AccessDenied":
			got = refused
		}
	}
	v.tried = append(v.tried, a)
	v.report.Checks = append(v.report.Checks, Check{
		Name: a.name, Want: a.want, Got: fmt.Sprintf("%s (%d%s)", got, resp.StatusCode, note), OK: got == a.want,
	})
	return got
}

func (v *verification) send(ctx context.Context, a attempt) (*http.Response, error) {
	switch a.kind {
	case bySigner:
		r := &s3client.Request{Method: a.method, Key: a.key}
		if a.method == http.MethodPut {
			r.Body, r.Size = io.NopCloser(bytes.NewReader(v.body)), int64(len(v.body))
			r.Header = v.Header.Clone()
		}
		return a.store.Do(ctx, r)
	case byNobody:
		p := a.store.Unsigned(a.method, a.key)
		p.Header = v.headerOf(a)
		return v.follow(ctx, p, v.bodyOf(a), "")
	case byForm:
		p, err := a.store.PresignPost(ctx, a.key, v.Header, presignTTL)
		if err != nil {
			return nil, err
		}
		form, contentType, err := v.form(p)
		if err != nil {
			return nil, fmt.Errorf("writing the form: %w", err)
		}
		return v.follow(ctx, p, form, contentType)
	}
	r := &s3client.Request{Method: a.method, Key: a.key, Query: a.query, Header: v.headerOf(a)}
	p, err := a.store.Presign(ctx, r, time.Now().Add(-a.age), presignTTL+a.age)
	if err != nil {
		return nil, err
	}
	return v.follow(ctx, p, v.bodyOf(a), "")
}

func (v *verification) bodyOf(a attempt) []byte {
	if a.method == http.MethodPut {
		return v.body
	}
	return nil
}

// headerOf is what is said of an object to be stored: a bucket that refuses one
// without must not look as if it refused the presigned request.
func (v *verification) headerOf(a attempt) http.Header {
	if a.method == http.MethodPut || a.begins() {
		return v.Header
	}
	return nil
}

// form writes the body of a POST.
func (v *verification) form(p *s3client.Presigned) (body []byte, contentType string, err error) {
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	for name, value := range p.Fields {
		err = errors.Join(err, m.WriteField(name, value))
	}
	file, fileErr := m.CreateFormFile("file", "canary") // S3 wants it last
	if err = errors.Join(err, fileErr); err != nil {
		return nil, "", err
	}
	_, _ = file.Write(v.body) // to memory
	err = m.Close()
	return form.Bytes(), m.FormDataContentType(), err
}

// follow sends a request as somebody would who found it.
func (v *verification) follow(ctx context.Context, p *s3client.Presigned, body []byte, contentType string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, p.Method, p.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("malformed URL")
	}
	maps.Copy(req.Header, p.Header.Clone())
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := v.Client.Do(req)
	if err != nil {
		// The error of net/http holds the URL, and with it the signature.
		return nil, errors.Unwrap(err)
	}
	return resp, nil
}

// cleanUp removes what may have been stored and returns what is left of it.
// What is not there is no error. A version that could not be deleted is left, also
// when the mark of a deleted object hides it.
func (v *verification) cleanUp(ctx context.Context) (left []string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, key := range slices.Sorted(maps.Keys(v.stored)) {
		// Where there are versions, deleting the key alone would keep this one.
		version := v.stored[key]
		if version != "" && v.remove(ctx, key, url.Values{"versionId": {version}}) {
			continue
		}
		if !v.remove(ctx, key, nil) || version != "" {
			left = append(left, key)
		}
	}
	for _, u := range v.begun {
		if u.ID == "" || !v.remove(ctx, u.Key, url.Values{"uploadId": {u.ID}}) {
			left = append(left, u.Key)
		}
	}
	return left
}

func (v *verification) remove(ctx context.Context, key string, query url.Values) bool {
	resp, err := v.store.Do(ctx, &s3client.Request{Method: http.MethodDelete, Key: key, Query: query})
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode/100 == 2
}
