package devs3

import (
	"net/http"
	"strconv"

	"s3gate/internal/devs3/disk"
)

// The algorithms of default encryption.
const (
	sseS3   = "AES256"
	sseKMS  = "aws:kms"
	sseDSSE = "aws:kms:dsse"
)

const (
	sseHeader       = "X-Amz-Server-Side-Encryption"
	sseKeyHeader    = sseHeader + "-Aws-Kms-Key-Id"
	sseBucketHeader = sseHeader + "-Bucket-Key-Enabled"
)

// defaultEncryption is a bucket's ?encryption ("Setting default server-side
// encryption behavior for Amazon S3 buckets", Amazon S3 User Guide). Nothing is
// really encrypted: what is asked for is kept with the object, and said of it.
type defaultEncryption struct {
	Rules []encryptionRule `xml:"Rule"`
}

type encryptionRule struct {
	Default *struct {
		SSEAlgorithm   string
		KMSMasterKeyID string `xml:",omitempty"`
	} `xml:"ApplyServerSideEncryptionByDefault"`
	BucketKeyEnabled       *bool
	BlockedEncryptionTypes []string `xml:"BlockedEncryptionTypes>EncryptionType,omitempty"`
}

func (e *defaultEncryption) check(*exchange) error {
	if len(e.Rules) != 1 || e.Rules[0].Default == nil {
		return errMalformedXML
	}
	d := e.Rules[0].Default
	switch d.SSEAlgorithm {
	case sseKMS, sseDSSE:
	case sseS3:
		if d.KMSMasterKeyID != "" {
			return invalidArgument("KMSMasterKeyID", "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms")
		}
	default:
		return errMalformedXML
	}
	for _, kind := range e.Rules[0].BlockedEncryptionTypes {
		if kind != "NONE" && kind != "SSE-C" {
			return errMalformedXML
		}
	}
	return nil
}

var bucketEncryption = setting{
	root: "ServerSideEncryptionConfiguration", file: disk.Encryption,
	blank:   func() settingDocument { return new(defaultEncryption) },
	missing: &apiError{code: "ServerSideEncryptionConfigurationNotFoundError", message: "The server side encryption configuration was not found"},
}

// prepareEncryption settles how the object is encrypted, by what the request
// says or else by the bucket's default, which S3 has since 2023 even where none
// is set. What is not understood stays in the headers, for gofakes3 to refuse.
func (x *exchange) prepareEncryption() error {
	h := x.out.Header
	key := h.Get(sseKeyHeader)
	switch algorithm := h.Get(sseHeader); algorithm {
	case "":
		if key != "" {
			return nil
		}
		var err error
		x.encryption, err = x.server.defaultEncryption(x.bucket)
		return err
	case sseKMS, sseDSSE:
		x.encryption = x.server.kms(algorithm, key, h.Get(sseBucketHeader) == "true")
		h.Del(sseHeader)
		h.Del(sseKeyHeader)
		h.Del(sseBucketHeader)
	case sseS3:
		x.encryption = disk.Encrypted{Algorithm: sseS3}
	}
	return nil
}

func (s *Server) defaultEncryption(bucket string) (disk.Encrypted, error) {
	var e defaultEncryption
	found, err := s.stored(bucket, disk.Encryption, &e)
	if err != nil || !found {
		return disk.Encrypted{Algorithm: sseS3}, err
	}
	rule := e.Rules[0]
	if rule.Default.SSEAlgorithm == sseS3 {
		return disk.Encrypted{Algorithm: sseS3}, nil
	}
	return s.kms(rule.Default.SSEAlgorithm, rule.Default.KMSMasterKeyID, rule.BucketKeyEnabled != nil && *rule.BucketKeyEnabled), nil
}

// kms names the account's own key where none is named.
func (s *Server) kms(algorithm, key string, bucketKey bool) disk.Encrypted {
	if key == "" {
		key = "arn:aws:kms:" + s.region + ":" + Account + ":alias/aws/s3"
	}
	return disk.Encrypted{Algorithm: algorithm, KeyID: key, BucketKey: bucketKey}
}

// setEncryption says in an answer how the object is encrypted.
func setEncryption(h http.Header, e disk.Encrypted) {
	if e.Algorithm == "" {
		return // stored by a version that knew nothing of encryption
	}
	h.Set(sseHeader, e.Algorithm)
	if e.KeyID != "" {
		h.Set(sseKeyHeader, e.KeyID)
	}
	if e.BucketKey {
		h.Set(sseBucketHeader, strconv.FormatBool(true))
	}
}
