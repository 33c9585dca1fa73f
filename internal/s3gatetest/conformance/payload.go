package conformance

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

func (s *suite) payloadHash(t *testing.T) {
	sum := sha256.Sum256([]byte("hello"))
	hash := hex.EncodeToString(sum[:])
	want(t, "the right hash", s.do(t, request{method: "PUT", key: "hash", body: strings.NewReader("hello"), payload: hash}), 200)
	s.wantData(t, "hash", "hello")
	for _, data := range []string{"hellO", "hell", "", "hello!", strings.Repeat("x", 1<<20)} {
		a := s.do(t, request{method: "PUT", key: "wrong-hash", body: strings.NewReader(data), payload: hash})
		want(t, fmt.Sprintf("the hash of other data, %d bytes", len(data)), a, 400, "XAmzContentSHA256Mismatch")
	}
	s.wantNone(t, "wrong-hash")
	want(t, "rubbish for a hash", s.do(t, request{method: "PUT", key: "wrong-hash", body: strings.NewReader("x"), payload: "rubbish"}), 400)
	req := s.sign(t, s.build(t, request{key: "hash"}), request{})
	req.Header.Del("X-Amz-Content-Sha256")
	if a := s.send(t, req); a.status != 400 && a.status != 403 {
		t.Errorf("no hash at all: got %v", a)
	}
}

func (s *suite) digests(t *testing.T) {
	data := "some data"
	sum := md5.Sum([]byte(data))
	md5Of := base64.StdEncoding.EncodeToString(sum[:])
	want(t, "the right MD5", s.do(t, request{method: "PUT", key: "md5", body: strings.NewReader(data), header: map[string]string{"Content-MD5": md5Of}}), 200)
	want(t, "a wrong MD5", s.do(t, request{method: "PUT", key: "wrong-md5", body: strings.NewReader("other"), header: map[string]string{"Content-MD5": md5Of}}), 400, "BadDigest")
	want(t, "no MD5", s.do(t, request{method: "PUT", key: "wrong-md5", body: strings.NewReader(data), header: map[string]string{"Content-MD5": "rubbish"}}), 400, "InvalidDigest")
	s.wantNone(t, "wrong-md5")

	put := func(key, checksum string) answer {
		return s.do(t, request{method: "PUT", key: key, body: strings.NewReader(data), header: map[string]string{"X-Amz-Checksum-Crc32": checksum}})
	}
	want(t, "a wrong checksum", put("wrong-checksum", crc("other")), 400, "BadDigest", "XAmzContentChecksumMismatch")
	s.wantNone(t, "wrong-checksum")
	a := put("checksum", crc(data))
	if a.status != 200 || a.header.Get("X-Amz-Checksum-Crc32") != crc(data) {
		t.Errorf("the right checksum: got %v %v", a, a.header)
	}
	h := s.do(t, request{method: "HEAD", key: "checksum", header: map[string]string{"X-Amz-Checksum-Mode": "ENABLED"}})
	if got := h.header.Get("X-Amz-Checksum-Crc32"); got != crc(data) {
		t.Errorf("HEAD with checksums: got %q, want %q", got, crc(data))
	}
	if got := s.do(t, request{method: "HEAD", key: "checksum"}).header.Get("X-Amz-Checksum-Crc32"); got != "" {
		t.Errorf("HEAD without checksums: got %q", got)
	}
}

// crc is the CRC-32 of data as x-amz-checksum-crc32 has it.
func crc(data string) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(data))))
}

// chunks frames data as aws-chunked, unsigned, with a trailer.
func chunks(data, trailer string) string {
	half := len(data) / 2
	frames := ""
	for _, chunk := range []string{data[:half], data[half:]} {
		if chunk != "" {
			frames += fmt.Sprintf("%x\r\n%s\r\n", len(chunk), chunk)
		}
	}
	return frames + "0\r\n" + trailer + "\r\n"
}

func trailing(key, data, body string) request {
	return request{method: "PUT", key: key, body: strings.NewReader(body), payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", header: map[string]string{
		"X-Amz-Trailer":                "x-amz-checksum-crc32",
		"X-Amz-Decoded-Content-Length": fmt.Sprint(len(data)),
		"Content-Encoding":             "aws-chunked",
	}}
}

func (s *suite) chunkedTrailer(t *testing.T) {
	data := strings.Repeat("abcdefgh", 20000)
	good := "x-amz-checksum-crc32:" + crc(data) + "\r\n"
	a := s.do(t, trailing("trailer", data, chunks(data, good)))
	want(t, "the right trailer", a, 200)
	s.wantData(t, "trailer", data)
	if got := s.do(t, request{method: "HEAD", key: "trailer"}).header.Get("Content-Encoding"); got != "" {
		t.Errorf("the object has Content-Encoding %q", got)
	}
	want(t, "no data", s.do(t, trailing("trailer-empty", "", chunks("", "x-amz-checksum-crc32:"+crc("")+"\r\n"))), 200)
	s.wantData(t, "trailer-empty", "")

	for _, tt := range []struct{ name, body string }{
		{"of other data", chunks(data, "x-amz-checksum-crc32:"+crc("other")+"\r\n")},
		{"too much data", chunks(data+"x", good)},
		{"too little data", chunks(data[1:], good)},
		{"rubbish", "rubbish"},
	} {
		a := s.do(t, trailing("trailer-bad", data, tt.body))
		if a.status < 400 || a.status > 499 {
			t.Errorf("%s: got %v", tt.name, a)
		}
		s.wantNone(t, "trailer-bad")
	}
	want(t, "no trailer", s.do(t, trailing("trailer-bad", data, chunks(data, ""))), 400)
	s.wantNone(t, "trailer-bad")
	if s.caps.LastChunk {
		a := s.do(t, trailing("trailer-bad", data, strings.TrimSuffix(chunks(data, ""), "0\r\n\r\n")))
		want(t, "no last chunk", a, 400)
		s.wantNone(t, "trailer-bad")
	}
}

// signedChunks uses the SDK's signer of event streams: for a chunk without
// headers it computes what S3 defines.
func (s *suite) signedChunks(t *testing.T) {
	const size = 64 << 10
	data := strings.Repeat("0123456789abcdef", 2*size/16) + "rest"
	frame := func(key, sent string) request {
		at := time.Now()
		r := request{method: "PUT", key: key, at: at, payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", header: map[string]string{
			"X-Amz-Decoded-Content-Length": fmt.Sprint(len(data)), "Content-Encoding": "aws-chunked"}}
		var lengths int64
		for _, n := range []int{size, size, 4, 0} {
			lengths += int64(len(fmt.Sprintf("%x;chunk-signature=%064d\r\n\r\n", n, 0)) + n)
		}
		r.size = lengths
		auth := s.sign(t, s.build(t, r), r).Header.Get("Authorization")
		seed, err := hex.DecodeString(auth[strings.LastIndex(auth, "=")+1:])
		if err != nil {
			t.Fatal(err)
		}
		signer := v4.NewStreamSigner(s.credentials(r.as), "s3", s.Region, seed)
		var body bytes.Buffer
		for _, chunk := range []string{data[:size], data[size : 2*size], data[2*size:], ""} {
			sig, err := signer.GetSignature(t.Context(), nil, []byte(chunk), at)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&body, "%x;chunk-signature=%x\r\n%s\r\n", len(chunk), sig, chunk)
		}
		r.body = strings.NewReader(strings.Replace(body.String(), "rest", sent, 1))
		return r
	}
	want(t, "right signatures", s.do(t, frame("signed-chunks", "rest")), 200)
	s.wantData(t, "signed-chunks", data)
	want(t, "a flipped byte", s.do(t, frame("signed-chunks-bad", "resT")), 403, "SignatureDoesNotMatch")
	s.wantNone(t, "signed-chunks-bad")
}

// shortBody sends less than announced and hangs up.
func (s *suite) shortBody(t *testing.T) {
	for _, sent := range []int{0, 1, 1 << 20} {
		r := request{method: "PUT", key: "short", body: strings.NewReader("")}
		req := s.build(t, r)
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader("")), 2<<20
		s.sign(t, req, r)
		s.hangUp(t, req, sent)
		s.wantNone(t, "short")
	}
}

// hangUp writes a request by hand, with only so many bytes of its body.
func (s *suite) hangUp(t *testing.T, req *http.Request, sent int) {
	t.Helper()
	conn, err := net.Dial("tcp", req.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	w := bufio.NewWriter(conn)
	fmt.Fprintf(w, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", req.URL.RequestURI(), req.URL.Host, req.ContentLength)
	req.Header.Write(w)
	w.WriteString("\r\n" + strings.Repeat("x", sent))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, conn) // until the server has dealt with it
}
