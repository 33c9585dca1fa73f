package devs3

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"
)

// The examples of "Signature calculations for the Authorization header:
// transferring payload in multiple chunks" and "… including trailing headers",
// Amazon S3 API Reference.
var (
	exampleCredential = credential{"AKIAIOSFODNN7EXAMPLE", "20130524", "us-east-1", "s3"}
	exampleKey        = signingKey("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", exampleCredential)
	exampleTime       = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	exampleChunks     = []string{strings.Repeat("a", 65536), strings.Repeat("a", 1024), ""}
)

func TestChunkSignatures(t *testing.T) {
	for _, tt := range []struct {
		name, seed string
		chunks     []string
		trailer    string
	}{
		{"chunks", "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", []string{
			"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
			"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
			"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
		}, ""},
		{"chunks and trailer", "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", []string{
			"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
			"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
			"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
		}, "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := chunkSigner{key: exampleKey, signed: exampleTime, scope: exampleCredential.String(), previous: tt.seed}
			for i, sig := range tt.chunks {
				sum := sha256.Sum256([]byte(exampleChunks[i]))
				if !c.accepts(sig, sum[:]) {
					t.Errorf("the signature of chunk %d is refused", i)
				}
			}
			if tt.trailer == "" {
				return
			}
			wrong := c
			if wrong.acceptsTrailer(tt.trailer, "x-amz-checksum-crc32c:AAAAAA==\n") {
				t.Error("the signature of another trailer is accepted")
			}
			if !c.acceptsTrailer(tt.trailer, "x-amz-checksum-crc32c:sOO8/Q==\n") {
				t.Error("the signature of the trailer is refused")
			}
		})
	}
}
