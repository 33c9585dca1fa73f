package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The check values of the algorithms for "123456789": the catalogue of
// parametrised CRC algorithms, FIPS 180 and RFC 1321 by other programs.
var checkValues = map[string]string{
	"crc32":     "cbf43926",
	"crc32c":    "e3069283",
	"crc64nvme": "ae8b14860a799888",
	"sha1":      "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
	"sha256":    "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
	"md5":       "25f9e794323b453885f5181f1b624d0b",
}

func TestHashes(t *testing.T) {
	for name, want := range checkValues {
		h := newHash(name)
		h.Write([]byte("123456789"))
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// sums returns the headers with the checksums of body by algorithm.
func sums(body []byte, algorithm string) http.Header {
	h := newHash(algorithm)
	h.Write(body)
	if algorithm == "md5" {
		return http.Header{"Etag": {fmt.Sprintf(`"%x"`, h.Sum(nil))}, "X-Amz-Server-Side-Encryption": {"AES256"}}
	}
	return http.Header{http.CanonicalHeaderKey("X-Amz-Checksum-" + algorithm): {base64.StdEncoding.EncodeToString(h.Sum(nil))}}
}

func TestGetVerifies(t *testing.T) {
	for algorithm := range checkValues {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			o, path := newOrigin(t, 100_000), filepath.Join(t.TempDir(), "out")
			for name, values := range sums(o.body, algorithm) {
				o.header[name] = values
			}
			stdout, _ := get(t, exitOK, o.link(), "-o", path, "--json")
			if !strings.Contains(stdout, `"verified":"`+algorithm+`"`) {
				t.Errorf("stdout: %s", stdout)
			}
			whole := slices.Clone(o.body)
			o.body[77_777] ^= 1
			_, stderr := get(t, exitFailed, o.link(), "-o", path)
			if !strings.Contains(stderr, "not what it should be: its "+algorithm) {
				t.Errorf("stderr: %s", stderr)
			}
			expectFile(t, path, whole) // untouched, and nothing kept
			get(t, exitFailed, o.link(), "-o", "-")
		})
	}
}

// What was damaged between two runs is found too.
func TestGetVerifiesThePart(t *testing.T) {
	o, path := newOrigin(t, 1<<20), filepath.Join(t.TempDir(), "out")
	o.checksum()
	breakOff(t, o, path)
	part := slices.Clone(o.body[:300<<10])
	part[77_777] ^= 1
	if err := os.WriteFile(path+partSuffix, part, 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr := get(t, exitFailed, o.link(), "-o", path)
	if !strings.Contains(stderr, "its sha256 is") {
		t.Errorf("stderr: %s", stderr)
	}
	if left := leftBeside(path + ".none"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestCheckOf(t *testing.T) {
	md5 := "25f9e794323b453885f5181f1b624d0b"
	tests := []struct {
		name   string
		header string
		want   string
		unsure bool
	}{
		{"nothing", "", "", false},
		{"MD5", "ETag: \"" + md5 + "\"\nX-Amz-Server-Side-Encryption: AES256", "md5", false},
		{"nothing said of encryption", "ETag: \"" + md5 + "\"", "md5", true},
		{"several parts", "ETag: \"" + md5 + "-3\"", "", false},
		{"KMS", "ETag: \"" + md5 + "\"\nX-Amz-Server-Side-Encryption: aws:kms", "", false},
		{"KMS twice", "ETag: \"" + md5 + "\"\nX-Amz-Server-Side-Encryption: aws:kms:dsse", "", false},
		{"customer's key", "ETag: \"" + md5 + "\"\nX-Amz-Server-Side-Encryption-Customer-Algorithm: AES256", "", false},
		{"weak", "ETag: W/\"" + md5 + "\"", "", false},
		{"checksum", "X-Amz-Checksum-Crc32: y/Q5Jg==\nETag: \"" + md5 + "\"", "crc32", false},
		{"of the object", "X-Amz-Checksum-Crc32: y/Q5Jg==\nX-Amz-Checksum-Type: FULL_OBJECT", "crc32", false},
		{"of its parts", "X-Amz-Checksum-Crc32: y/Q5Jg==\nX-Amz-Checksum-Type: COMPOSITE", "", false},
		{"of its parts, by suffix", "X-Amz-Checksum-Crc32: y/Q5Jg==-2", "", false},
		{"too short", "X-Amz-Checksum-Sha256: y/Q5Jg==", "", false},
		{"the better one", "X-Amz-Checksum-Crc32: y/Q5Jg==\nX-Amz-Checksum-Crc64nvme: rosUhgp5mIg=", "crc64nvme", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			for line := range strings.Lines(tt.header) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				h.Set(name, value)
			}
			if got := checkOf(h); got.Algorithm != tt.want || got.Unsure != tt.unsure {
				t.Errorf("%s, unsure %v; want %s, %v", got.Algorithm, got.Unsure, tt.want, tt.unsure)
			}
		})
	}
}

// An ETag that looks like an MD5 may be none: then the file stands.
func TestGetDoesNotTrustAnETagOfUnknownMake(t *testing.T) {
	o, path := newOrigin(t, 1000), filepath.Join(t.TempDir(), "out")
	o.header.Set("ETag", `"25f9e794323b453885f5181f1b624d0b"`)
	stdout, stderr := get(t, exitOK, o.link(), "-o", path, "--json")
	if !strings.Contains(stdout, `"verified":"length"`) || stderr != "" {
		t.Errorf("stdout: %s\nstderr: %s", stdout, stderr)
	}
	expectFile(t, path, o.body)
}

func TestLinkName(t *testing.T) {
	tests := map[string]string{
		"https://h/" + testToken + "/a.txt":             "a.txt",
		"https://h/base/" + testToken + "/in/a%20b.txt": "a b.txt",
		"https://h/" + testToken + "/a.txt?x=/y":        "a.txt",
		"https://h/" + testToken:                        "",
		"https://h/" + testToken + "/":                  "",
		"https://h/" + testToken + "/..":                "",
		"https://h/" + testToken + "/%2e%2e%5cx":        "x",
		"https://h/" + testToken + "/..%2f..%2fx":       "x",
		"https://h/" + testToken + "/" + testToken:      "",
		"https://h/" + testToken + "/a%1b[31m":          "a_[31m",
		"https://h/s3g_mistyped":                        "",
		"https://h/s3g_mistyped/a.txt":                  "",
		"%":                                             "",
	}
	for link, want := range tests {
		if got := linkName(link); got != want {
			t.Errorf("%s: %q, want %q", link, got, want)
		}
	}
}
