package s3client

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	stampTime = "20060102T150405Z" // of X-Amz-Date; it begins with the day
	clockTime = "T150405Z"
	// maxDraft is how many bytes a draft may have that is used again.
	maxDraft = 16 << 10
)

// plainSigner signs plain requests in the Authorization header, with the body
// unsigned, exactly as the SDK's signer does, in less than half its time (Amazon S3
// API, "Signature Calculations for the Authorization Header"). Which are plain,
// [plain] says; the SDK's signer is for all others. It is safe for concurrent use.
type plainSigner struct {
	region string
	// last is the key that was derived last, nil before the first. One is enough:
	// two are in use only around midnight, and when credentials change.
	last atomic.Pointer[signingKey]
}

// sign adds the signature of creds to req and reports whether it has. A request
// that is not plain is left as it is.
func (p *plainSigner) sign(creds *aws.Credentials, req *http.Request, at time.Time) bool {
	if !plain(req, creds.SessionToken) {
		return false
	}
	stamp := at.UTC().Format(stampTime)
	key := p.keyFor(creds, stamp[:len(stamp)-len(clockTime)])
	d := key.borrow()
	defer key.giveBack(d)
	d.collect(req, creds.SessionToken, stamp)
	values := []string{d.authorization(key, req, stamp), stamp, unsignedPayload, creds.SessionToken}
	for i, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token"} {
		req.Header[name] = values[i : i+1 : i+1]
	}
	if creds.SessionToken == "" {
		delete(req.Header, "X-Amz-Security-Token") // of a signature that the request had before
	}
	return true
}

// plain reports whether it is beyond doubt how the SDK's signer reads req: its
// query stands as it is signed, the host is signed as it stands, and each header is
// sent as one that is signed or one that is not.
func plain(req *http.Request, session string) bool {
	host := cmp.Or(req.Host, req.URL.Host)
	if req.URL.Opaque != "" || !isCanonicalQuery(req.URL.RawQuery) || !isPrintable(session) ||
		!isPrintable(host) || strings.Contains(host, " ") || strings.HasSuffix(host, ":80") || strings.HasSuffix(host, ":443") {
		return false
	}
	for name, values := range req.Header {
		if !isCanonicalName(name) || name == "Host" || name == "Content-Length" || len(values) == 0 {
			return false
		}
		for _, v := range values {
			if !isPrintable(v) {
				return false
			}
		}
	}
	return req.Header != nil
}

// isPrintable reports whether text is printable ASCII, spaces included.
func isPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// isCanonicalName reports whether name consists of letters, digits and hyphens,
// and only what begins a word is upper case: such names have the same order in
// lower case, and no two are the same.
func isCanonicalName(name string) bool {
	begins := true
	for i := range len(name) {
		switch c := name[i]; {
		case c == '-' || '0' <= c && c <= '9' || begins && 'A' <= c && c <= 'Z' || !begins && 'a' <= c && c <= 'z':
		default:
			return false
		}
		begins = name[i] == '-'
	}
	return name != ""
}

// signingKey signs for one secret, on one day, in one region.
type signingKey struct {
	id, secret, day string
	scope           string // what the key is for, as a signature says it
	key             []byte
	drafts          sync.Pool
}

// keyFor returns the key of creds on a day, which it derives anew whenever the
// secret is another.
func (p *plainSigner) keyFor(creds *aws.Credentials, day string) *signingKey {
	k := p.last.Load()
	if k == nil || k.day != day || k.id != creds.AccessKeyID || k.secret != creds.SecretAccessKey {
		k = newSigningKey(creds, day, p.region)
		p.last.Store(k)
	}
	return k
}

func newSigningKey(creds *aws.Credentials, day, region string) *signingKey {
	const service, end = "s3", "aws4_request"
	key := []byte("AWS4" + creds.SecretAccessKey)
	for _, part := range []string{day, region, service, end} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return &signingKey{
		id: creds.AccessKeyID, secret: creds.SecretAccessKey, day: day, key: key,
		scope: strings.Join([]string{day, region, service, end}, "/"),
	}
}

// borrow returns a draft that nobody else has.
func (k *signingKey) borrow() *draft {
	if d, ok := k.drafts.Get().(*draft); ok {
		return d
	}
	return &draft{mac: hmac.New(sha256.New, k.key)}
}

func (k *signingKey) giveBack(d *draft) {
	clear(d.fields) // of the request nothing is kept alive
	d.fields, d.text = d.fields[:0], d.text[:0]
	if cap(d.text) <= maxDraft {
		k.drafts.Put(d)
	}
}

// draft is where a signature comes about.
type draft struct {
	mac    hash.Hash // by the signing key
	sum    [sha256.Size]byte
	fields []field // that are signed, by name
	text   []byte
}

// field is a header that is signed: its canonical name and its values.
type field struct {
	name, value string
	more        []string
}

// collect puts the headers of a plain request that are signed into order.
func (d *draft) collect(req *http.Request, session, stamp string) {
	d.fields = append(d.fields,
		field{name: "Host", value: cmp.Or(req.Host, req.URL.Host)},
		field{name: "X-Amz-Content-Sha256", value: unsignedPayload},
		field{name: "X-Amz-Date", value: stamp})
	if session != "" {
		d.fields = append(d.fields, field{name: "X-Amz-Security-Token", value: session})
	}
	if req.ContentLength > 0 {
		d.fields = append(d.fields, field{name: "Content-Length", value: strconv.FormatInt(req.ContentLength, 10)})
	}
	for name, values := range req.Header {
		switch name {
		case "X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token": // these are set
		case "Authorization", "User-Agent", "X-Amzn-Trace-Id", "Expect", "Transfer-Encoding": // these are not signed
		default:
			d.fields = append(d.fields, field{name, values[0], values[1:]})
		}
	}
	slices.SortFunc(d.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
}

// authorization returns the header's value for what was collected of req.
func (d *draft) authorization(key *signingKey, req *http.Request, stamp string) string {
	names := d.canonical(req)
	d.sum = sha256.Sum256(d.text)

	toSign := len(d.text)
	d.add(algorithm, "\n", stamp, "\n", key.scope, "\n")
	d.text = hex.AppendEncode(d.text, d.sum[:])
	d.mac.Reset()
	d.mac.Write(d.text[toSign:])
	signature := d.mac.Sum(d.sum[:0])

	value := len(d.text)
	d.add(algorithm, " Credential=", key.id, "/", key.scope, ", SignedHeaders=")
	d.text = append(d.text, d.text[names.from:names.to]...)
	d.add(", Signature=")
	d.text = hex.AppendEncode(d.text, signature)
	return string(d.text[value:])
}

// span is a part of a draft's text.
type span struct{ from, to int }

// canonical writes the canonical request, and returns where in it the names of
// the signed headers are.
func (d *draft) canonical(req *http.Request) span {
	d.add(req.Method, "\n", cmp.Or(req.URL.EscapedPath(), "/"), "\n", req.URL.RawQuery, "\n")
	for _, f := range d.fields {
		d.addName(f.name)
		d.add(":")
		d.addValue(f.value)
		for _, v := range f.more {
			d.add(",")
			d.addValue(v)
		}
		d.add("\n")
	}
	d.add("\n")
	names := span{from: len(d.text)}
	for i, f := range d.fields {
		if i > 0 {
			d.add(";")
		}
		d.addName(f.name)
	}
	names.to = len(d.text)
	d.add("\n", unsignedPayload)
	return names
}

func (d *draft) add(parts ...string) {
	for _, p := range parts {
		d.text = append(d.text, p...)
	}
}

// addName writes a canonical name in lower case.
func (d *draft) addName(name string) {
	for i := range len(name) {
		d.text = append(d.text, name[i]|0x20) // digits and hyphens have the bit
	}
}

// addValue writes v without the spaces around it, and with one space where it has
// several.
func (d *draft) addValue(v string) {
	v = strings.Trim(v, " ")
	if !strings.Contains(v, "  ") {
		d.text = append(d.text, v...)
		return
	}
	for i := range len(v) {
		if v[i] != ' ' || v[i-1] != ' ' {
			d.text = append(d.text, v[i])
		}
	}
}
