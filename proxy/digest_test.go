package proxy_test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"
	"testing"

	"s3gate/proxy"
	"s3gate/tokens"
)

// checksum is that of the data, in base64.
func checksum(name, data string) string {
	h := map[string]func() hash.Hash{
		"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New,
		"crc32":     func() hash.Hash { return crc32.NewIEEE() },
		"crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
		"crc64nvme": func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
	}[name]()
	h.Write([]byte(data))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// asField is the form of a checksum in a header of RFC 9530.
func asField(name, sum string) string { return name + "=:" + sum + ":" }

// checksumHeaders are the ways in which a client sends a checksum.
var checksumHeaders = []struct {
	name, header, kind string
	value              func(sum string) string // nil: the checksum itself
	s3                 string                  // the header by which S3 gets it; "" if it does not
}{
	{"MD5", "Content-MD5", "md5", nil, "Content-Md5"},
	{"CRC32", "x-amz-checksum-crc32", "crc32", nil, "X-Amz-Checksum-Crc32"},
	{"CRC32C", "x-amz-checksum-crc32c", "crc32c", nil, "X-Amz-Checksum-Crc32c"},
	{"CRC64NVME", "x-amz-checksum-crc64nvme", "crc64nvme", nil, "X-Amz-Checksum-Crc64nvme"},
	{"SHA-1", "x-amz-checksum-sha1", "sha1", nil, "X-Amz-Checksum-Sha1"},
	{"SHA-256", "x-amz-checksum-sha256", "sha256", nil, "X-Amz-Checksum-Sha256"},
	{"Repr-Digest", "Repr-Digest", "sha256", func(sum string) string { return asField("sha-256", sum) }, "X-Amz-Checksum-Sha256"},
	{"Content-Digest", "Content-Digest", "sha256", func(sum string) string { return "md5=:AAAA:, " + asField("sha-256", sum) + ";a=1" }, "X-Amz-Checksum-Sha256"},
	{"SHA-512", "Repr-Digest", "sha512", func(sum string) string { return asField("sha-512", sum) }, ""},
}

// bodies are uploads of each kind: one request that is streamed, one out of
// memory, and parts.
var bodies = []struct {
	name  string
	size  int
	known bool
}{
	{"streamed", 1000, true},
	{"empty", 0, true},
	{"of unknown length", 1000, false},
	{"empty of unknown length", 0, false},
	{"in parts", 3*testPart + 1, true},
	{"in parts of unknown length", 3*testPart + 1, false},
}

// A checksum that a client sends is S3's too where S3 can check it, and the
// gate checks every one of them: what does not match is stored nowhere.
func TestUploadChecksums(t *testing.T) {
	for _, test := range checksumHeaders {
		for _, body := range bodies {
			t.Run(test.name+" "+body.name, func(t *testing.T) {
				g := newPartsGate(t, http1)
				data := noise(body.size)
				send := func(token tokens.Token, value string) answer {
					r := g.request("PUT", token, strings.NewReader(data), test.header, value)
					if !body.known {
						r = g.request("PUT", token, unmeasuredBody(data), test.header, value)
					}
					return g.do(r)
				}
				value := func(sum string) string {
					if test.value != nil {
						return test.value(sum)
					}
					return sum
				}
				token := g.mint(put())
				for _, wrong := range []struct{ value, code string }{
					{value(checksum(test.kind, data+"x")), "BadDigest"},
					{value("c2hvcnQ="), "InvalidDigest"},
					{value("no base64"), "InvalidDigest"},
					{value(""), "InvalidDigest"},
				} {
					if a := send(token, wrong.value); a.StatusCode != 400 || !strings.Contains(a.body, wrong.code) {
						t.Errorf("%q: %s %s, want %s", wrong.value, a.Status, a.body, wrong.code)
					}
					g.wantNothing(token)
				}
				if n := g.s3.count(complete); n != 0 {
					t.Errorf("%d requests to complete it", n)
				}
				right := checksum(test.kind, data)
				if a := send(token, value(right)); a.StatusCode != 200 {
					t.Fatalf("%s %s", a.Status, a.body)
				}
				if stored, _ := g.s3.object(); stored != data {
					t.Errorf("stored %d bytes of %d", len(stored), len(data))
				}
				log := g.s3.log()
				last := log[len(log)-1]
				if got := last.header.Get(test.s3); test.s3 != "" && kind(last.method, last.target) == "PUT" && got != right {
					t.Errorf("s3 got %s: %q, want %q", test.s3, got, right)
				}
			})
		}
	}
}

// The published check values, so that a wrong table is not right twice.
func TestChecksumValues(t *testing.T) {
	for name, want := range map[string]string{
		"crc32": "\xcb\xf4\x39\x26", "crc32c": "\xe3\x06\x92\x83", "crc64nvme": "\xae\x8b\x14\x86\x0a\x79\x98\x88",
	} {
		g := newGate(t, http1)
		g.s3.clear()
		if a := g.put(g.mint(put()), "123456789", "x-amz-checksum-"+name, base64.StdEncoding.EncodeToString([]byte(want))); a.StatusCode != 200 {
			t.Errorf("%s: %s %s", name, a.Status, a.body)
		}
	}
}

// What a grant wants is wanted before the body, and met by no other kind.
func TestChecksumThatTheGrantWants(t *testing.T) {
	for _, want := range append(tokens.Checksums(), tokens.AnyChecksum) {
		for _, sent := range checksumHeaders {
			g := newGate(t, http1)
			g.s3.clear()
			value := checksum(sent.kind, content)
			if sent.value != nil {
				value = sent.value(value)
			}
			token := g.mint(limited(tokens.Upload{Checksum: want}))
			a := g.put(token, content, sent.header, value)
			met := want == sent.kind || want == tokens.AnyChecksum
			if met && a.StatusCode != 200 || !met && (a.StatusCode != 400 || !strings.Contains(a.body, "MissingChecksum") || len(g.s3.log()) > 0) {
				t.Errorf("wants %s, %s was sent: %s %s", want, sent.name, a.Status, a.body)
			}
		}
	}
}

// S3 takes one checksum, so another besides is the gate's alone to check.
func TestChecksumsTogether(t *testing.T) {
	for _, test := range []struct {
		name   string
		header []string
		want   int
		code   string
	}{
		{"two kinds of S3's", []string{"x-amz-checksum-crc32", checksum("crc32", content), "x-amz-checksum-sha1", checksum("sha1", content)}, 400, "InvalidRequest"},
		{"one kind twice", []string{"x-amz-checksum-crc32", checksum("crc32", content), "x-amz-checksum-crc32", checksum("crc32", content)}, 400, "InvalidRequest"},
		{"an unknown kind", []string{"x-amz-checksum-md5", checksum("md5", content)}, 400, "InvalidRequest"},
		{"promised and there", []string{"x-amz-sdk-checksum-algorithm", "CRC32", "x-amz-checksum-crc32", checksum("crc32", content)}, 200, ""},
		{"promised and another there", []string{"x-amz-sdk-checksum-algorithm", "CRC32", "x-amz-checksum-sha1", checksum("sha1", content)}, 400, "InvalidRequest"},
		{"promised and not there", []string{"x-amz-sdk-checksum-algorithm", "CRC32"}, 400, "InvalidRequest"},
		{"all that may be", []string{"Content-MD5", checksum("md5", content), "x-amz-checksum-crc32", checksum("crc32", content),
			"Repr-Digest", asField("sha-256", checksum("sha256", content)) + ", " + asField("sha-512", checksum("sha512", content))}, 200, ""},
		{"S3's right and the other wrong", []string{"x-amz-checksum-crc32", checksum("crc32", content), "Repr-Digest", asField("sha-256", checksum("sha256", "x"))}, 400, "BadDigest"},
		{"in two lines", []string{"Repr-Digest", asField("sha-512", checksum("sha512", content)), "Repr-Digest", asField("sha-256", checksum("sha256", "x"))}, 400, "BadDigest"},
		{"without colons", []string{"Repr-Digest", "sha-256=" + checksum("sha256", content)}, 400, "InvalidDigest"},
		{"of a kind that is left out", []string{"Repr-Digest", "unixsum=30637, crc32c=:x:"}, 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, http1)
			g.s3.clear()
			a := g.put(g.mint(put()), content, test.header...)
			if a.StatusCode != test.want || !strings.Contains(a.body, test.code) {
				t.Errorf("%s %s; want %d %s", a.Status, a.body, test.want, test.code)
			}
			if _, stored := g.s3.object(); stored != (test.want == 200) {
				t.Errorf("stored: %v", stored)
			}
		})
	}
}

// Parts carry a checksum of their own where the way to S3 could change them,
// or where the client wants to be sure.
func TestChecksumsOfParts(t *testing.T) {
	for _, plain := range []bool{true, false} {
		for _, size := range []int{1000, 3 * testPart} {
			g := newPartsGate(t, http1)
			g.Storage = map[string]proxy.Storage{"media": {Plain: plain}}
			if a := g.do(g.request("PUT", g.mint(put()), unmeasuredBody(noise(size)))); a.StatusCode != 200 {
				t.Fatalf("%s %s", a.Status, a.body)
			}
			for _, r := range g.s3.log() {
				if sum := r.header.Get("Content-Md5"); r.method == "PUT" && (sum != "") != plain {
					t.Errorf("plain %v, %d bytes: Content-MD5 %q", plain, size, sum)
				}
			}
		}
	}
}

// A part that S3 got damaged is sent again out of memory; if that does not
// help it is the storage's fault and not the client's.
func TestDamagedPart(t *testing.T) {
	for _, test := range []struct{ times, want int }{{3, 200}, {1000, 502}} {
		g := newPartsGate(t, http1)
		g.Storage = map[string]proxy.Storage{"media": {Plain: true}}
		g.s3.times(test.times, uploadPart, func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Content-Md5", checksum("md5", "damaged"))
			g.s3.behave(w, r)
		})
		token := g.mint(put())
		if a := g.put(token, noise(3*testPart)); a.StatusCode != test.want {
			t.Errorf("damaged %d times: %s %s", test.times, a.Status, a.body)
		}
		if test.want != 200 {
			g.wantNothing(token)
		}
		if n := g.Multipart.Stats().Retries; n < 3 {
			t.Errorf("%d retries", n)
		}
	}
}

// BenchmarkChecksumsOfParts is what an upload of 256 MiB in parts costs in the
// gate, by the checksums that are in force.
func BenchmarkChecksumsOfParts(b *testing.B) {
	for _, test := range []struct {
		name   string
		plain  bool
		header string
		kind   string
	}{
		{"none", false, "", ""},
		{"of each part", true, "", ""},
		{"of each part and CRC32C", true, "X-Amz-Checksum-Crc32c", "crc32c"},
		{"of each part and CRC64NVME", true, "X-Amz-Checksum-Crc64nvme", "crc64nvme"},
		{"of each part and SHA-256", true, "X-Amz-Checksum-Sha256", "sha256"},
	} {
		b.Run(test.name, func(b *testing.B) {
			header := http.Header{}
			if test.kind != "" {
				header.Set(test.header, checksum(test.kind, strings.Repeat("\x00", benchSize)))
			}
			benchParts(b, map[string]proxy.Storage{"media": {Plain: test.plain}}, header)
		})
	}
}
